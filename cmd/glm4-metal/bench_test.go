package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/bench"
)

func TestBenchMistakeIsNotExplained(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"--bandwidth --counters", "--bandwidth and --counters are measurements of their own; leave one out"},
		{"--project --bandwidth", "--project and --bandwidth are measurements of their own; leave one out"},
		{"--counters --context -1", "--context is -1; it must lie between 0 and 131071"},
		{"--context 5", "--context is for --counters; the depth of a test is -d"},
		{"--bandwidth -p 5", "-p means nothing with --bandwidth; leave one out"},
		{"--project --record x.csv", "--record means nothing with --project; leave one out"},
		{"--project -o csv", "-o means nothing with --project; leave one out"},
		{"--bandwidth model", `unexpected argument "model": --bandwidth measures no model; see glm4-metal bench --help`},
		{"-p 1k", `-p is "1k"; it must be a length such as 512, a list such as 128,512 or a range such as 128-512+128 or ` +
			"128-1024*2"},
		{"-n -5", `-n is "-5"; it must be a length`},
		{"--n-depth=", `--n-depth is ""; it must be a length`},
		{"-p 1000000000000", `-p is "1000000000000"; it must be at most 16777216 tokens, the longest context that a ` +
			"checkpoint may have"},
		{"-p 99999999999999999999", "it must be at most 16777216 tokens"},
		{"-p 512-128", `it must be in order, and 512-128 ends before it begins`},
		{"-d 0-4096*2", "it must be finite, and 0-4096*2 never leaves 0"},
		{"-d 512-4096*1", "it must be finite, and 512-4096*1 never leaves 512"},
		{"-d 512-4096+0", "it must be finite, and 512-4096+0 never leaves 512"},
		{"-p 0-16777216", "it must be a list of at most 1000 lengths"},
		{"-p 1-500 -n 0 -d 0-4096+1024", "the lists make 2505 tests; ask for at most 1000"},
		{"-p 0 -n 0", "no test is left; give -p, -n or --pg a length above 0"},
		{"-pg 512", `-pg is "512"; it must be P,G: two lengths such as 512,128`},
		{"-pg 512,x", `it must be P,G: two lengths such as 512,128`},
		{"-pg 0,128", `it must be two lengths above 0; a prompt or a generation alone is -p or -n`},
		{"-pg 512,1000000000000", "it must be at most 16777216 tokens"},
		{"-r 0", "-r is 0; it must lie between 1 and 10000"},
		{"--repetitions -1", "--repetitions is -1; it must lie between 1 and 10000"},
		{"--delay soon", `--delay is "soon"; it must be a number of seconds between 0 and 3600`},
		{"--delay -1", `--delay is "-1"; it must be a number`},
		{"--delay NaN", `--delay is "NaN"; it must be a number`},
		{"--delay 1e300", `--delay is "1e300"; it must be a number`},
		{"--seed -1", `--seed is "-1"; it must be a whole number between 0 and 18446744073709551615`},
		{"-t -1", fmt.Sprintf("-t is -1; it must lie between 0 (all) and %d, the cores that there are", runtime.NumCPU())},
		{"--threads 100000", "--threads is 100000; it must lie between 0 (all)"},
		{"-o yaml", `-o is "yaml"; it must be one of md, csv, json, jsonl, sql`},
		{"--json -o csv", "--json and -o csv are two formats; leave one out"},
		{"--within 3%", "--within is for --against FILE; add that, or leave it out"},
		{"--against x --within 5", `--within is "5"; it must be a share below 1, such as 5% or 0.05`},
		{"--against x --within -1%", `--within is "-1%"; it must be a share`},
		{"--against x --within NaN", `--within is "NaN"; it must be a share`},
		{"--against=", "--against is empty; give it the name of a file"},
		{"--record=", "--record is empty; give it a file or a folder"},
		{"--backend cuda", `--backend is "cuda"; it must be auto, metal or cpu`},
		{"--kv-bits 4", "--kv-bits is 4; it must be 16 or 32"},
		{"--prefill-step-size -1", "--prefill-step-size is -1; it must be 0 (the default) or more"},
		{"a --model b", `two models are named, "a" and --model "b"`},
		{"-ub 256", "unknown flag -ub; did you mean --prefill-step-size N; "},
		{"--num-trials 3", "unknown flag --num-trials; did you mean --repetitions N; "},
		{"-g 128", "unknown flag -g; did you mean --n-gen LIST; "},
		{"-fa 1", "nothing like it is needed here; leave it out; "},
	} {
		stdout, stderr, status := runFakeBench(t, strings.Fields(c.line)...)
		require.Equal(t, statusUsage, status, "%s: %s", c.line, stderr)
		requireOneLine(t, stderr, c.want)
		require.Empty(t, stdout)
	}
	_, stderr, status := run(t, "", "bench", "--counters")
	require.Equal(t, statusFailed, status)
	requireOneLine(t, stderr, "--counters needs the stand-in: go run -tags metalsim ./cmd/glm4-metal bench --counters")
}

func TestBandwidthIsNoFigure(t *testing.T) {
	stdout, stderr, status := run(t, "", "bench", "--bandwidth", "--json", "--threads", "1")
	require.Zero(t, status, stderr)
	var b struct {
		Cores int
		Bytes int64
		Best  float64 `json:"bytes_per_second"`
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &b))
	require.Equal(t, 1, b.Cores)
	require.EqualValues(t, 1<<30, b.Bytes)
	require.Greater(t, b.Best, 1e8)
}

func TestListsAreReadOtherwiseThanByLlamaBench(t *testing.T) {
	for text, want := range map[string][]int{
		"512": {512}, "0": {0}, "128,512": {128, 512}, "128, 64": {128, 64}, "3-6": {3, 4, 5, 6},
		"128-512+128": {128, 256, 384, 512}, "128-1024*2": {128, 256, 512, 1024}, "1-10*3": {1, 3, 9},
		"0-100+64,7": {0, 64, 7}, "5-5": {5}, "100-250+100": {100, 200}, "010": {10},
	} {
		lengths, err := parseLengths(text)
		require.NoError(t, err, text)
		require.Equal(t, want, lengths, text)
	}
	for _, text := range []string{"", ",", "1,", "1-", "-1", "1-2-3", "1+2", "1-2/2", "1.5", "1e3", "٣", "1-5*", "1-5**2"} {
		_, err := parseLengths(text)
		require.Error(t, err, text)
	}
}

func FuzzListTakesTooLong(f *testing.F) {
	for _, text := range []string{"128,512", "128-1024*2", "0-16777216+1", "1-16777216*16777216", "0-0*0"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lengths, err := parseLengths(text)
		require.LessOrEqual(t, len(lengths), maxTests)
		if err == nil {
			require.NotEmpty(t, lengths)
		}
		for _, n := range lengths {
			require.True(t, n >= 0 && n <= maxTestTokens, n)
		}
	})
}

func TestBenchFlagsDoNotReachTheMeasurement(t *testing.T) {
	stdout, stderr, status := runFakeBench(t, "-p", "8", "-p", "16", "-n", "4", "-d", "0,32", "-pg", "8,4", "-r", "2",
		"-t", "1", "--seed", "7", "--delay", "0.001", "--no-warmup", "--backend", "cpu", "--json", "some")
	require.Zero(t, status, stderr)
	var rows []bench.Row
	require.NoError(t, json.Unmarshal([]byte(stdout), &rows))
	var tests []string
	for _, r := range rows {
		tests = append(tests, r.Test.String())
		require.Equal(t, 2, r.Repetitions)
		require.Equal(t, 1, r.NThreads)
		require.Equal(t, "7 1ms true cpu", r.Version)
	}
	require.Equal(t, "pp8, pp16, tg4, pp8+tg4, pp8 @ d32, pp16 @ d32, tg4 @ d32, pp8+tg4 @ d32",
		strings.Join(tests, ", "))
}

func TestFormatIsAnother(t *testing.T) {
	for format, want := range map[string]string{
		"md": `(?s)\| model.*\| +test.*pp512.*tg128`, "csv": `(?s)n_prompt.*avg_ts.*\n.*512.*\n`, "sql": "INSERT INTO ",
		"json": `^\[`, "jsonl": `(?m)\A\{.*\}\n\{.*\}\n\z`,
	} {
		stdout, stderr, status := runFakeBench(t, "-o", format, "busy")
		require.Zero(t, status, stderr)
		require.Regexp(t, want, stdout, format)
		const warning = "glm4-metal: pp512 of glm4 9B 4bit: others took half of the machine\n"
		require.Equal(t, format != "md", strings.Contains(stderr, warning), "%s: %s", format, stderr)
	}
}

func TestOneFailingModelEndsAll(t *testing.T) {
	stdout, stderr, status := runFakeBench(t, "one", "broken", "fails", "two", "--record", "results.csv", "-o", "jsonl")
	require.Equal(t, statusFailed, status)
	require.Contains(t, stderr, "glm4-metal: broken: it is broken\n")
	require.Contains(t, stderr, "glm4-metal: fails: the disk is gone\n")
	require.True(t, strings.HasSuffix(stderr, "\nglm4-metal: 2 of 4 models failed\n"), stderr)
	require.Equal(t, 6, strings.Count(stdout, "\n"), "what was measured of one that failed is printed")

	stdout, stderr, status = runFakeBench(t, "broken")
	require.Equal(t, statusFailed, status)
	require.Equal(t, "glm4-metal: it is broken\n", stderr)
	require.Empty(t, stdout)
	_, stderr, _ = runFakeBench(t, "large")
	require.Equal(t, "glm4-metal: it takes too much: take shorter tests (-p, -n, -d)\n", stderr)
}

func TestRowsAreNotRecorded(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "mine.csv")
	for range 2 {
		_, stderr, status := runFakeBench(t, "one", "fails", "--record", file)
		require.Equal(t, statusFailed, status)
		require.Contains(t, stderr, "2 rows are added to "+file+"\n", "those of the model that failed are not")
	}
	rows, err := bench.ReadFile(file)
	require.NoError(t, err)
	require.Len(t, rows, 4)
	_, stderr, status := runFakeBench(t, "one", "--record", dir)
	require.Zero(t, status, stderr)
	files, err := filepath.Glob(filepath.Join(dir, "*.csv"))
	require.NoError(t, err)
	require.Len(t, files, 2, "a file of the machine's name")
}

// What is wrong with a file is said before the models are measured.
func TestBrokenFileIsNoticedTooLate(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.csv")
	require.NoError(t, os.WriteFile(broken, []byte("a,b\n\"\x00"), 0o600))
	for _, c := range []struct{ flag, file, want string }{
		{"--record", broken, "--record: " + broken},
		{"--record", filepath.Join(dir, "none", "a.csv"), "a.csv is neither a folder nor"},
		{"--record", filepath.Join(dir, "a.json"), "a.json is neither a folder nor"},
		{"--against", broken, "--against: " + broken},
		{"--against", filepath.Join(dir, "none"), "no such file"},
	} {
		stdout, stderr, status := runFakeBench(t, "one", c.flag, c.file)
		require.Equal(t, statusFailed, status, stderr)
		requireOneLine(t, stderr, c.want)
		require.Empty(t, stdout)
	}
}
