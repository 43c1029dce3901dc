package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// screen is the one line that a terminal shows after these bytes.
func screen(written string) string {
	line, at := []byte{}, 0
	for _, b := range []byte(written) {
		if b == '\r' {
			at = 0
			continue
		}
		line = append(line[:at], append([]byte{b}, line[min(at+1, len(line)):]...)...)
		at++
	}
	return strings.TrimRight(string(line), " ")
}

func TestProgressLeavesSomethingBehind(t *testing.T) {
	var out bytes.Buffer
	p := &progress{out: &out, width: 79, what: "reading the prompt",
		amount: func(done, total int64, _ time.Duration) string { return " of tokens" }}
	p.run(time.Hour, time.Hour)
	p.draw()
	require.Equal(t, "| reading the prompt", screen(out.String()))
	p.set(50, 200)
	p.draw()
	require.Equal(t, "/ reading the prompt 25% of tokens", screen(out.String()))
	p.set(0, 0)
	p.draw()
	require.Equal(t, "- reading the prompt", screen(out.String()), "a shorter line covers a longer one")
	p.stop()
	require.Empty(t, screen(out.String()))
	require.True(t, strings.HasSuffix(out.String(), "\r"), "what comes next begins the line")
	require.NotContains(t, out.String(), "\x1b")
	n := out.Len()
	p.draw()
	p.stop()
	require.Equal(t, n, out.Len(), "a stopped progress draws nothing")
}

func TestPromptIsReadWithoutASign(t *testing.T) {
	prompt := strings.Repeat("why is the sky blue? ", 48)
	for _, term := range []string{"xterm", "dumb"} {
		cmd := command(t, "generate", "--prompt", prompt, "--max-tokens", "1")
		cmd.Env = append(cmd.Env, "GLM4_CPU=plain", "GOMAXPROCS=1", "TERM="+term) // some 100 tokens a second
		c := startConsole(t, cmd)
		<-c.ended
		if term == "xterm" {
			require.Regexp(t, `\r[-|/\\] reading the prompt \d+% of \d+ tokens, \d+ tokens/s`, c.output)
		} else {
			require.NotContains(t, c.output, "reading")
		}
		before, answer, _ := strings.Cut(c.output, "\r\n")
		require.NotContains(t, answer, "reading")
		require.False(t, strings.HasPrefix(screen(before), "|"), "%q", c.output)
	}
}

func TestProgressWrapsInANarrowTerminal(t *testing.T) {
	var out bytes.Buffer
	p := &progress{out: &out, width: 9, what: "loading the model"}
	p.run(time.Hour, time.Hour)
	p.draw()
	require.Equal(t, "| loading", screen(out.String()))
	p.stop()
}

func TestProgressOfWhatIsQuick(t *testing.T) {
	var out bytes.Buffer
	p := &progress{out: &out, width: 79, what: "loading"}
	p.run(time.Hour, time.Hour)
	p.stop()
	require.Empty(t, out.String())
	var none *progress
	none.set(1, 2)
	none.stop()
}

func TestPaceIsThatOfLongAgo(t *testing.T) {
	var p pace
	at := func(seconds float64, done int64) string {
		return p.amount(done, 5e9, time.Duration(seconds*float64(time.Second)))
	}
	require.Equal(t, " of 5.00 GB", at(0, 1e9))
	require.Equal(t, " of 5.00 GB", at(0.5, 1e9))
	require.Equal(t, " of 5.00 GB, 100.0 MB/s, 38s left", at(2, 1.2e9))
	require.Equal(t, " of 5.00 GB, 10.0 MB/s, 6m10s left", at(12, 1.3e9))
	require.Equal(t, " of 5.00 GB, 0.0 MB/s", at(30, 1.3e9), "nothing has come for long")
	require.Equal(t, " of 5.00 GB", at(31, 1e9), "a file is fetched again")
	require.Equal(t, " of 5.00 GB, 50.0 MB/s", at(111, 5e9))
}

func TestPlainProgressIsAPicture(t *testing.T) {
	var out bytes.Buffer
	var pace pace
	p := &progress{out: &out, plain: true, what: "fetching x", amount: pace.amount}
	p.run(time.Hour, time.Hour)
	p.set(5e8, 2e9)
	p.draw()
	p.say("a \x1b[1mnotice")
	p.draw()
	p.stop()
	require.Equal(t, "fetching x 25% of 2.00 GB\na \\x1b[1mnotice\nfetching x 25% of 2.00 GB\n", out.String())
}

func TestLineAboveTheProgressIsTorn(t *testing.T) {
	var out bytes.Buffer
	p := &progress{out: &out, width: 79, what: "fetching"}
	p.run(time.Hour, time.Hour)
	p.draw()
	p.say("short")
	p.draw()
	p.stop()
	lines := strings.Split(out.String(), "\n")
	require.Equal(t, "short", screen(lines[0]))
	require.Empty(t, screen(lines[1]))
}
