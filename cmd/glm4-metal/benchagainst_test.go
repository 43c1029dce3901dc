package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/bench"
)

// oldRows measures and gives a file with the rows, changed.
func oldRows(t *testing.T, change func(*bench.Row)) string {
	stdout, stderr, status := runFakeBench(t, "one", "--json")
	require.Zero(t, status, stderr)
	var rows []bench.Row
	require.NoError(t, json.Unmarshal([]byte(stdout), &rows))
	for i := range rows {
		change(&rows[i])
	}
	data, err := json.Marshal(rows)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "old.json")
	require.NoError(t, os.WriteFile(file, data, 0o600))
	return file
}

func TestSlowerIsNotNoticed(t *testing.T) {
	for _, c := range []struct {
		prompt, generate float64 // what they were, as a part of what they are
		within           string
		want             string // "": it is no failure
	}{
		{1, 1, "0", ""},
		{0.5, 0.9, "5%", ""},
		{1.04, 1, "5%", ""},
		{1.04, 1, "0.03", "pp512 of glm4 9B 4bit is 3.8% slower than in FILE, 400 t/s where it was 416, and 3% are allowed"},
		{1.1, 1.25, "5%", "tg128 of glm4 9B 4bit is 20.0% slower than in FILE, 20.0 t/s where it was 25.0, and 5% are " +
			"allowed; 1 more too slow"},
	} {
		file := oldRows(t, func(r *bench.Row) {
			factor := c.generate
			if r.Prompt > 0 {
				factor = c.prompt
			}
			r.MedianTS, r.AvgTS, r.SamplesTS = r.MedianTS*factor, r.AvgTS*factor, nil
		})
		for _, format := range []string{"md", "csv"} {
			stdout, stderr, status := runFakeBench(t, "one", "--against", file, "--within", c.within, "-o", format)
			text := map[string]string{"md": stdout, "csv": stderr}[format]
			require.Contains(t, text, "\nAgainst "+file+":\n\n| model ")
			require.Regexp(t, `\| tg128 +\| +[\d.]+ \| +20\.0 \|`, text)
			require.NotContains(t, map[string]string{"md": stderr, "csv": stdout}[format], "Against")
			if c.want == "" {
				require.Zero(t, status, stderr)
				continue
			}
			require.Equal(t, statusFailed, status)
			require.Contains(t, text, "slower 0.")
			last := stderr[strings.LastIndex(strings.TrimSuffix(stderr, "\n"), "\n")+1:]
			require.Equal(t, "glm4-metal: "+strings.Replace(c.want, "FILE", file, 1)+"\n", last)
		}
	}
}

func TestNothingIsCompared(t *testing.T) {
	other := oldRows(t, func(r *bench.Row) { r.ModelType = "glm4 32B 4bit" })
	_, stderr, status := runFakeBench(t, "one", "--against", other, "-t", "1")
	require.Equal(t, statusFailed, status)
	require.Contains(t, stderr, other+" has nothing to compare with: it has pp512 of glm4 32B 4bit (glm4-metal, CPU, -t ")
	require.Contains(t, stderr, "; measured was pp512 of glm4 9B 4bit (glm4-metal, CPU, -t 1), tg128 of")

	one := oldRows(t, func(r *bench.Row) {})
	stdout, stderr, status := runFakeBench(t, "one", "--against", one, "-n", "128,64")
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "\nNot in it: 1 of 3 rows.\n")
}

func TestLongListOfRows(t *testing.T) {
	var rows []bench.Row
	require.Equal(t, "no rows", summary(rows))
	for n := range 9 {
		rows = append(rows, bench.Row{Test: bench.Test{Prompt: 1 + n/2}})
	}
	require.Equal(t, 3, strings.Count(summary(rows[:7]), "), "), "each once")
	require.True(t, strings.HasSuffix(summary(rows), ", 1 more"), summary(rows))
}
