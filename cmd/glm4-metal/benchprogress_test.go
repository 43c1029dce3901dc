package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/bench"
)

func TestProgressOfBenchStaysOnTheScreen(t *testing.T) {
	c := startWindow(t, benchCommandLine(t, "one", "../waits", "two", "--record", "results.csv"), 24, 100)
	c.expect("pp512, repetition 2 of 5: 400 t/s; 20% of 10 steps, 1 s left; waits (2 of 3)")
	c.send(interrupt)
	<-c.ended
	require.Equal(t, statusInterrupted, c.cmd.ProcessState.ExitCode())
	lines := strings.Split(c.output, "\r\n")
	for i := range lines {
		lines[i] = screen(lines[i])
		require.NotContains(t, lines[i], "repetition ", "%q", c.output)
		require.NotContains(t, lines[i], "^C", "%q", c.output)
	}
	require.NotEmpty(t, lines[0], "the rows begin where the progress was")
	end := lines[len(lines)-2:]
	require.Equal(t, []string{"glm4-metal: interrupted after 12 of 30 repetitions; nothing is recorded", ""}, end)
	require.Equal(t, 2, strings.Count(strings.Join(lines, "\n"), "pp512"), "what was measured is printed")
	require.NoFileExists(t, filepath.Join(c.cmd.Dir, "results.csv"))
}

func TestSecondCtrlCWaitsForTheStep(t *testing.T) {
	c := startConsole(t, benchCommandLine(t, "deaf"))
	c.expect("repetition 2 of 5")
	for ended := false; !ended; {
		c.send(interrupt)
		select {
		case <-c.ended:
			ended = true
		case <-time.After(50 * time.Millisecond):
		}
	}
	require.Equal(t, statusInterrupted, c.cmd.ProcessState.ExitCode())
}

// Standard output is a pipe as a rule, and an interrupted run has to be read all the same.
func TestInterruptedRunIsNoJSON(t *testing.T) {
	cmd := benchCommandLine(t, "waits", "--json")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(cmd.Dir, "waiting"))
		return err == nil
	}, patience, time.Millisecond)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.Error(t, cmd.Wait())
	require.Equal(t, statusInterrupted, cmd.ProcessState.ExitCode())
	require.True(t, strings.HasPrefix(stdout.String(), "["), stdout.String())
	require.Equal(t, "glm4-metal: interrupted after 2 of 10 repetitions\n", stderr.String())
}

func TestProgressWithoutATerminal(t *testing.T) {
	_, stderr, status := runFakeBench(t, "one", "-d", "0,64")
	require.Zero(t, status)
	require.Equal(t, "one: pp512, 400 t/s\none: tg128, 20.0 t/s\none: pp512 @ d64, 400 t/s\none: tg128 @ d64, 20.0 t/s\n",
		stderr)
}

func TestTimeLeftGrowsDuringAStep(t *testing.T) {
	amount := (&benchProgress{model: "m"}).amount()
	for _, test := range []struct {
		done    int64
		elapsed time.Duration
		want    string
	}{
		{0, time.Minute, " of 10 steps; m"},
		{2, 2 * time.Minute, " of 10 steps, 8 min left; m"},
		{2, 150 * time.Second, " of 10 steps, 8 min left; m"},
		{2, 190 * time.Second, " of 10 steps, 7 min left; m"},
		{2, time.Hour, " of 10 steps, 0 s left; m"},
		{5, time.Hour, " of 10 steps, 1 h 0 min left; m"},
		{9, time.Hour + 48*time.Second, " of 10 steps, 7 min left; m"},
		{10, time.Hour + 48*time.Second, " of 10 steps, 0 s left; m"},
	} {
		require.Equal(t, test.want, amount(test.done, 10, test.elapsed))
	}
}

func TestSpeedHasTooFewDigits(t *testing.T) {
	for ts, want := range map[float64]string{0: "0.00", 0.123: "0.12", 9.876: "9.88", 98.76: "98.8", 987.6: "988",
		9876: "9876"} {
		require.Equal(t, want, speed(ts))
	}
	p := benchProgress{repetitions: 5}
	require.Equal(t, "warm-up;", p.doing(bench.Progress{Doing: "warm-up"}))
	require.Equal(t, "pp512 @ d4096, repetition 2 of 5: 20.6 t/s;",
		p.doing(bench.Progress{Doing: "pp512 @ d4096", Repetition: 2, TS: 20.6}))
}
