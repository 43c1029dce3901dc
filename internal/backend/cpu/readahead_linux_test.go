package cpu

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// mapped is a file of some pages, mapped and not touched; faults counts those of a touch of each page.
func mapped(t *testing.T, pages int) (region []byte, faults func() int) {
	page := os.Getpagesize()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, make([]byte, pages*page), 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	region, err = unix.Mmap(int(f.Fd()), 0, pages*page, unix.PROT_READ, unix.MAP_SHARED)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Munmap(region)) })
	return region, func() int {
		var now unix.Rusage
		require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &now))
		start := now.Minflt + now.Majflt
		for i := 0; i < len(region); i += page {
			sink += region[i]
		}
		require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &now))
		return int(now.Minflt + now.Majflt - start)
	}
}

var sink byte

func TestReadaheadLeavesPagesOut(t *testing.T) {
	const pages = 20000 // more than a piece
	region, faults := mapped(t, pages)
	var r readahead
	r.start([][]byte{region}, 1<<40)
	r.wait.Wait()
	require.Less(t, faults(), 100, "a touch of each page should find it mapped")
}

func TestReadaheadThrashes(t *testing.T) {
	region, faults := mapped(t, 20000)
	var r readahead
	r.start([][]byte{region}, int64(len(region)-1))
	r.wait.Wait()
	require.Greater(t, faults(), 500, "what exceeds the memory must not be brought in")
}

func TestReadaheadOutlivesItsMapping(t *testing.T) {
	for range 20 {
		region, err := unix.Mmap(-1, 0, 64<<20, unix.PROT_READ, unix.MAP_ANON|unix.MAP_PRIVATE)
		require.NoError(t, err)
		var r readahead
		r.start([][]byte{region}, 1<<40)
		r.end()
		require.NoError(t, unix.Munmap(region))
	}
}
