package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBenchMistakeIsNotExplained(t *testing.T) {
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"bench"}, statusUsage, "bench wants one of --bandwidth and --counters"},
		{[]string{"bench", "--bandwidth", "--counters"}, statusUsage, "bench wants one of --bandwidth and --counters"},
		{[]string{"bench", "--counters", "--context", "-1"}, statusUsage,
			"--context is -1; it must lie between 0 and 131071"},
		{[]string{"bench", "--counters"}, statusFailed,
			"--counters needs the stand-in: go run -tags metalsim ./cmd/glm4-metal bench --counters"},
	} {
		stdout, stderr, status := run(t, "", c.args...)
		require.Equal(t, c.status, status, "%v", c.args)
		require.Equal(t, program+": "+c.want+"\n", stderr)
		require.Empty(t, stdout)
	}
}

func TestBandwidthIsNoFigure(t *testing.T) {
	stdout, stderr, status := run(t, "", "bench", "--bandwidth", "--json")
	require.Zero(t, status, stderr)
	var b struct {
		Cores int
		Bytes int64
		Best  float64 `json:"bytes_per_second"`
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &b))
	require.Positive(t, b.Cores)
	require.EqualValues(t, 1<<30, b.Bytes)
	require.Greater(t, b.Best, 1e8)
}
