package machine

import (
	"runtime"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestMoreCoresThanTheProcessMayUse(t *testing.T) {
	one := files(map[string]string{
		"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": "29 23 0:26 / /c rw - cgroup2 cgroup2 rw\n",
		"c/cpu.max": "100000 100000\n",
	})
	require.Equal(t, 1, Cores(one))
	one["c/cpu.max"].Data = []byte("99900000 100000\n")
	require.Equal(t, runtime.NumCPU(), Cores(one), "more quota than cores")
	require.Equal(t, runtime.NumCPU(), Cores(fstest.MapFS{}))
}

func TestContainerHasTheMemoryOfItsHost(t *testing.T) {
	root := files(map[string]string{
		"proc/cpuinfo": "processor\t: 0\nmodel name\t: AMD EPYC 9B14\n", "proc/meminfo": "MemTotal:       24684084 kB\n",
		"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": "29 23 0:26 / /c rw - cgroup2 cgroup2 rw\n",
		"c/memory.max": "2147483648\n",
	})
	require.Equal(t, "AMD EPYC 9B14", Processor(root))
	bytes, limit := Memory(root)
	require.EqualValues(t, 2<<30, bytes)
	require.Equal(t, "the cgroup / (memory.max)", limit)

	root["c/memory.max"].Data = []byte("99999999999999\n")
	bytes, limit = Memory(root)
	require.EqualValues(t, 24684084<<10, bytes, "a limit beyond the machine")
	require.Empty(t, limit)

	require.Equal(t, runtime.GOARCH, Processor(fstest.MapFS{}))
	bytes, _ = Memory(fstest.MapFS{})
	require.Zero(t, bytes)
}

func TestLimitOfTheProcessIsOverlooked(t *testing.T) {
	const mb = 1 << 20
	for name, tt := range map[string]struct {
		addressSpace, data, size, written int64 // limits, 0 for none, and what is used of them
		room                              int64
		name                              string
	}{
		"none": {0, 0, 1600 * mb, 90 * mb, 0, ""},
		"address space": {4000 * mb, 0, 1600 * mb, 90 * mb, 4000*mb - 1600*mb - runtimeRoom,
			"the address space of the process, limited to 4.19 GB (ulimit -v),"},
		"address space used up": {1500 * mb, 0, 1500 * mb, 90 * mb, 1,
			"the address space of the process, limited to 1.57 GB (ulimit -v),"},
		"data": {0, 1000 * mb, 1600 * mb, 90 * mb, 1000*mb - 90*mb - runtimeRoom,
			"the data of the process, limited to 1.05 GB (ulimit -d),"},
		"both, the data is nearer": {8000 * mb, 1000 * mb, 1600 * mb, 90 * mb, 1000*mb - 90*mb - runtimeRoom,
			"the data of the process, limited to 1.05 GB (ulimit -d),"},
	} {
		t.Run(name, func(t *testing.T) {
			room, limit := nearest(
				processLimit{"the address space of the process", "ulimit -v", tt.addressSpace, tt.size},
				processLimit{"the data of the process", "ulimit -d", tt.data, tt.written})
			require.Equal(t, tt.room, room)
			require.Equal(t, tt.name, limit)
		})
	}
}
