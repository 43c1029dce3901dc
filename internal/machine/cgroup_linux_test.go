package machine

import (
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLimitOfCgroupIsOverlooked(t *testing.T) {
	const (
		v1 = "30 23 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n36 23 0:31 / /sys/fs/cgroup/memory rw shared:9 - " +
			"cgroup cgroup rw,memory\n"
		v2 = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	)
	for name, tt := range map[string]struct {
		files map[string]string
		limit int64
		name  string
	}{
		"none at all": {},
		"no limit": {files: map[string]string{
			"proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": v2, "sys/fs/cgroup/a/memory.max": "max\n",
		}},
		"no limit in version 1": {files: map[string]string{
			"proc/self/cgroup": "4:memory:/\n", "proc/self/mountinfo": v1,
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}},
		"version 2": {map[string]string{
			"proc/self/cgroup": "0::/user.slice/run-1.scope\n", "proc/self/mountinfo": v2,
			"sys/fs/cgroup/user.slice/run-1.scope/memory.max": "1000000\n", "sys/fs/cgroup/user.slice/memory.max": "max\n",
		}, 1000000, "the cgroup /user.slice/run-1.scope (memory.max)"},
		"a group above it is smaller": {map[string]string{
			"proc/self/cgroup": "0::/a/b/c\n", "proc/self/mountinfo": v2,
			"sys/fs/cgroup/a/b/c/memory.max": "3000\n", "sys/fs/cgroup/a/memory.max": "2000\n",
		}, 2000, "the cgroup /a (memory.max)"},
		"zero": {map[string]string{
			"proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": v2, "sys/fs/cgroup/a/memory.max": "0\n",
		}, 0, "the cgroup /a (memory.max)"},
		"version 1": {map[string]string{
			"proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/\n", "proc/self/mountinfo": v1,
			"sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "5000\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":            "9223372036854771712\n",
		}, 5000, "the cgroup /docker/abc (memory.limit_in_bytes)"},
		"both, of which version 1 has the memory": {map[string]string{
			"proc/self/cgroup": "4:memory:/m\n0::/u\n", "proc/self/mountinfo": v1 +
				"40 23 0:40 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
			"sys/fs/cgroup/memory/m/memory.limit_in_bytes": "7000\n",
		}, 7000, "the cgroup /m (memory.limit_in_bytes)"},
		"a container that sees its own group as the root": {map[string]string{
			"proc/self/cgroup": "4:memory:/docker/abc\n",
			"proc/self/mountinfo": "36 23 0:31 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup " +
				"rw,memory\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "6000\n",
		}, 6000, "the cgroup / (memory.limit_in_bytes)"},
		"a mount that does not have the group": {map[string]string{
			"proc/self/cgroup":    "0::/host/x\n",
			"proc/self/mountinfo": "36 23 0:31 /other /my\\040mount ro - cgroup2 cgroup2 rw\n", "my mount/memory.max": "8000\n",
		}, 8000, "the cgroup / (memory.max)"},
		"a namespace below the mount": {map[string]string{
			"proc/self/cgroup": "0::/../../x\n", "proc/self/mountinfo": v2, "sys/fs/cgroup/memory.max": "9000\n",
		}, 9000, "the cgroup / (memory.max)"},
		"the better of two mounts": {map[string]string{
			"proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": "1 2 0:1 /b /mnt rw - cgroup2 cgroup2 rw\n" + v2,
			"sys/fs/cgroup/a/memory.max": "400\n",
		}, 400, "the cgroup /a (memory.max)"},
		"damaged": {files: map[string]string{
			"proc/self/cgroup": "0\n0::/a\n", "proc/self/mountinfo": "x - \n - cgroup2\n" + v2,
			"sys/fs/cgroup/a/memory.max": "many\n",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			limit, group := cgroupMemory(files(tt.files))
			require.Equal(t, tt.limit, limit)
			require.Equal(t, tt.name, group)
		})
	}
}

func TestQuotaOfCgroupIsOverlooked(t *testing.T) {
	const (
		v1 = "30 23 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
		v2 = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	)
	for name, tt := range map[string]struct {
		files map[string]string
		cores int
		held  time.Duration
	}{
		"none at all": {},
		"no quota": {files: map[string]string{
			"proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": v2,
			"sys/fs/cgroup/a/cpu.max": "max 100000\n", "sys/fs/cgroup/a/cpu.stat": "usage_usec 5\nthrottled_usec 0\n",
		}},
		"version 2": {map[string]string{
			"proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": v2, "sys/fs/cgroup/a/cpu.max": "200000 100000\n",
			"sys/fs/cgroup/a/cpu.stat": "usage_usec 7000\nnr_throttled 3\nthrottled_usec 2500\nnr_bursts 0\n",
		}, 2, 2500 * time.Microsecond},
		"a group above it has less, and a part of a core": {map[string]string{
			"proc/self/cgroup": "0::/a/b\n", "proc/self/mountinfo": v2, "sys/fs/cgroup/a/b/cpu.max": "400000 100000\n",
			"sys/fs/cgroup/a/cpu.max": "150000 100000\n", "sys/fs/cgroup/a/cpu.stat": "throttled_usec 4\n",
			"sys/fs/cgroup/a/b/cpu.stat": "throttled_usec 9\n",
		}, 2, 9 * time.Microsecond},
		"version 1": {map[string]string{
			"proc/self/cgroup": "4:memory:/m\n1:cpu,cpuacct:/x\n0::/\n", "proc/self/mountinfo": v1,
			"sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "50000\n", "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n",
			"sys/fs/cgroup/cpu/x/cpu.stat": "nr_throttled 1\nthrottled_time 4200\n",
			"sys/fs/cgroup/cpu/cpu.max":    "1 1\n",
		}, 1, 4200},
		"no quota in version 1": {files: map[string]string{
			"proc/self/cgroup": "1:cpu:/\n", "proc/self/mountinfo": v1,
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
		}},
		"damaged": {files: map[string]string{
			"proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": v2, "sys/fs/cgroup/a/cpu.max": "many 0\n",
			"sys/fs/cgroup/cpu.max": "5 0\n", "sys/fs/cgroup/a/cpu.stat": "throttled_usec\nthrottled_usec x\n\n",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			root := files(tt.files)
			require.Equal(t, tt.cores, cgroupCores(root))
			require.Equal(t, tt.held, held(root))
		})
	}
}

// files is a file system with these texts.
func files(texts map[string]string) fstest.MapFS {
	root := fstest.MapFS{}
	for file, text := range texts {
		root[file] = &fstest.MapFile{Data: []byte(text)}
	}
	return root
}
