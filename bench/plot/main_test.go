package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/bench"
)

// results stand for files.
var results = map[string][]bench.Row{
	"ours.csv":  {row(pp(0), 20), row(tg(0), 7)},
	"empty.csv": nil,
	"both.csv":  {row(bench.Test{Prompt: 512, Generate: 128}, 10)},
}

// plot runs the program on them.
func plot(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(args, &out, &errs, func(name string) ([]bench.Row, error) {
		rows, ok := results[filepath.Base(name)]
		if !ok {
			return nil, errors.New(name + ": no such file")
		}
		return rows, nil
	})
	return status, out.String(), errs.String()
}

func TestWrongCommandLineIsTaken(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{nil, "a file of results is missing"},
		{[]string{"--kind", "speed", "ours.csv"}, `--kind is "speed"; it must be prompt or generation`},
		{[]string{"-o", "ours.csv", "more.csv"}, "-o is ours.csv; it must end in .svg"},
		{[]string{"ours.csv", "--colour"}, "not defined: -colour"},
		{[]string{"ours.csv", "-o"}, "flag needs an argument: -o"},
	} {
		status, stdout, stderr := plot(c.args...)
		assert.Equal(t, 2, status, c.args)
		assert.Empty(t, stdout)
		assert.Regexp(t, `^plot: .*; plot --help tells more\n$`, stderr)
		assert.Contains(t, stderr, c.says)
	}
}

func TestBadFileIsDrawn(t *testing.T) {
	for name, says := range map[string]string{
		"missing.csv": "no such file",
		"empty.csv":   "no results; measure some",
		"both.csv":    "nothing to draw",
	} {
		status, stdout, stderr := plot(name)
		assert.Equal(t, 1, status, name)
		assert.Empty(t, stdout)
		assert.Regexp(t, "^plot: "+name+": .*\n$", stderr)
		assert.Contains(t, stderr, says)
	}
}

func TestPictureIsNotWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "picture.svg")
	status, stdout, stderr := plot("ours.csv", "-o", file)
	require.Zero(t, status, stderr)
	require.Empty(t, stdout)
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(draw(results["ours.csv"])), string(written))

	status, _, stderr = plot("ours.csv", "-o", filepath.Join(file, "inside.svg"))
	require.Equal(t, 1, status)
	require.Contains(t, stderr, file)
}

func TestOtherKindIsDrawn(t *testing.T) {
	_, both, _ := plot("ours.csv")
	require.Contains(t, both, "pp512")
	require.Contains(t, both, "tg128")
	_, one, _ := plot("--kind", "prompt", "ours.csv", "both.csv")
	require.Equal(t, string(draw(results["ours.csv"][:1])), one)
}

func TestHelpFails(t *testing.T) {
	for _, flag := range []string{"-h", "--help"} {
		status, stdout, stderr := plot("ours.csv", flag)
		require.Zero(t, status)
		require.Equal(t, help, stdout)
		require.Empty(t, stderr)
	}
}
