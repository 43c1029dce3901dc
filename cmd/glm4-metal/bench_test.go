package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBenchMistakeIsNotExplained(t *testing.T) {
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"bench"}, statusUsage, "bench has only --counters so far; add it"},
		{[]string{"bench", "--counters", "--context", "-1"}, statusUsage, "--context is -1; it must lie between 0 and 131071"},
		{[]string{"bench", "--counters"}, statusFailed, "--counters needs the stand-in: go run -tags metalsim ./cmd/glm4-metal bench --counters"},
	} {
		stdout, stderr, status := run(t, "", c.args...)
		require.Equal(t, c.status, status, "%v", c.args)
		require.Equal(t, program+": "+c.want+"\n", stderr)
		require.Empty(t, stdout)
	}
}
