package machine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestQuotaOfContainerIsOverlooked(t *testing.T) {
	container := tree("proc/self/cgroup 0::/", "proc/self/mountinfo 29 23 0:26 / /c rw - cgroup2 cgroup2 rw",
		"c/cpu.stat throttled_usec 5000000")
	stopped := tree("c/cpu.stat throttled_usec 6234000")
	got := scene{before: container, later: stopped, took: 10 * time.Second}.watch()
	require.Equal(t, "stopped for 1.234s by the quota of its cgroup", got.Throttled)
	got = scene{before: container, later: stopped, took: 1000 * time.Second}.watch()
	require.Empty(t, got.Throttled, "a thousandth of the time")
}
