package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/bench"
	"github.com/glm4-metal/glm4-metal/internal/hub"
)

func TestProjectionLacksCheckpointsOrTests(t *testing.T) {
	stdout, stderr, status := runFakeBench(t, "--project")
	require.Zero(t, status, stderr)
	require.Empty(t, stderr)
	require.Regexp(t, `\Acpu, a chip, avx512: memory reads 100\.0 GB/s; products 1000 \(4 bit\), .*1000 \(16 bit\) and `+
		`attention 200 Gop/s; an op starts in 5\.0 µs\n`, stdout)
	require.Regexp(t, `(?m)^Bounds: .*recorded.*\.$`, stdout)
	for _, k := range hub.Catalog() {
		require.Regexp(t, `(?m)^\| `+k.Name+` +\| +[\d.]+ [MG]B \| (yes|no) +\|( +[\d.]+ – [\d.]+ – [\d.]+ \|){3} +[a-z, ]+ \|$`,
			stdout)
	}

	require.Regexp(t, `(?m)^\| glm4:9b +\| +1\d\.\d+ GB \| no +\|`, stdout, "more than 16 GB")

	stdout, stderr, status = runFakeBench(t, "--project", "glm4:9b-4bit", "-p", "0", "-n", "64", "-d", "1024", "--json")
	require.Zero(t, status, stderr)
	var p projection
	require.NoError(t, json.Unmarshal([]byte(stdout), &p))
	require.Len(t, p.Limits, 1)
	require.Equal(t, bench.Limits{Bandwidth: 100e9, Products: 1e12, Attention: 200e9, Launch: 5 * time.Microsecond},
		p.Limits[4], "the medians")
	require.Len(t, p.Checkpoints, 1)
	require.True(t, *p.Checkpoints[0].Fits)
	require.Len(t, p.Checkpoints[0].Tests, 1)
	require.Equal(t, "tg64 @ d1024", p.Checkpoints[0].Tests[0].Test)
	require.Positive(t, p.Checkpoints[0].Tests[0].Low)
}

func TestProjectionOfAFolder(t *testing.T) {
	folder, err := filepath.Abs(filepath.Join("..", "..", "model", "testdata", "glm4-a"))
	require.NoError(t, err)
	stdout, stderr, status := runFakeBench(t, "--project", folder)
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "| glm4-a ")
	_, stderr, status = runFakeBench(t, "--project", "glm4:9b-5bit")
	require.Equal(t, statusFailed, status)
	requireOneLine(t, stderr, "glm4:9b-5bit: there is no such folder or model; did you mean glm4:9b-8bit?")
	_, stderr, _ = runFakeBench(t, "--project", "nothing")
	requireOneLine(t, stderr, ", or one of glm4:9b, ")
	_, stderr, status = runFakeBench(t, "--project", "--backend", "metal")
	require.Equal(t, statusFailed, status)
	requireOneLine(t, stderr, "there is no Metal here")
}

func TestProjectionTableMisleads(t *testing.T) {
	no := false
	p := projection{
		Backend: "metal", Device: "M", Limits: map[int]bench.Limits{
			16: {Bandwidth: 380e9, Products: 12e12, Attention: 5e12, Launch: 3100 * time.Nanosecond},
			4:  {Bandwidth: 380e9, Products: 11e12, Attention: 5e12, Launch: 3100 * time.Nanosecond},
		},
		Checkpoints: []projected{
			{Name: "a", Size: 5e9, Tests: []projectedTest{{"pp512", 380.4, 440, 1234, "compute", 0},
				{"tg128", 38.04, 44, 50, "memory", 13}}},
			{Name: "much|longer", Size: 5e8, Fits: &no, Tests: []projectedTest{{"pp512", 1, 2, 3, "memory", 0},
				{"tg128", 0.5, 0.75, 9.99, "memory", 13}}},
		},
	}
	require.Equal(t, strings.TrimPrefix(`
metal, M: memory reads 380.0 GB/s; products 11000 (4 bit), 12000 (16 bit) and attention 5000 Gop/s; an op starts in 3.1 µs
Bounds: pp512 assumed, as no run is recorded; tg128 of 13 recorded runs.

| model        |     size | fits |         pp512, t/s |         tg128, t/s | limit           |
| ------------ | -------: | ---- | -----------------: | -----------------: | --------------- |
| a            |  5.00 GB | ?    |   380 – 440 – 1234 | 38.0 – 44.0 – 50.0 | compute, memory |
| much\|longer | 500.0 MB | no   | 1.00 – 2.00 – 3.00 | 0.50 – 0.75 – 9.99 | memory          |
`, "\n"), p.text())
}

func TestBoundsAreOfOtherRuns(t *testing.T) {
	p := projection{Checkpoints: []projected{{Tests: []projectedTest{{Test: "pp512"}, {Test: "tg128"}}}}}
	require.Equal(t, "assumed, as no run is recorded", p.bounds())
	p.Checkpoints[0].Tests[0].Runs = 13
	require.Equal(t, "pp512 of 13 recorded runs; tg128 assumed, as no run is recorded", p.bounds())
	p.Checkpoints[0].Tests[1].Runs = 13
	require.Equal(t, "of 13 recorded runs", p.bounds())
}
