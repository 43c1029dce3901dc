//go:build unix

package fault

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// gone maps a file that is empty by now.
func gone(t *testing.T) []byte {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, make([]byte, 1<<16), 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	region, err := unix.Mmap(int(f.Fd()), 0, 1<<16, unix.PROT_READ, unix.MAP_SHARED)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Munmap(region)) })
	require.NoError(t, os.Truncate(path, 0))
	return region
}

func read(regions [][]byte, from []byte) (sum byte, err error) {
	defer Catch(regions, debug.SetPanicOnFault(true), &err)
	for _, b := range from {
		sum += b
	}
	return sum, nil
}

func TestFaultEndsTheProcess(t *testing.T) {
	region := gone(t)
	_, err := read([][]byte{make([]byte, 8), region}, region[5000:])
	var f *Error
	require.ErrorAs(t, err, &f)
	require.True(t, Within(region[5000:], f.Addr))
	require.False(t, Within(region[:5000], f.Addr))
	require.False(t, debug.SetPanicOnFault(false), "the goroutine is as before")
}

func TestBugsPassForFaults(t *testing.T) {
	region := gone(t)
	require.Panics(t, func() { read([][]byte{region[:5000]}, region[5000:]) }, "another region")
	require.Panics(t, func() { read(nil, region) })
	require.PanicsWithValue(t, "bug", func() {
		var err error
		defer Catch([][]byte{region}, debug.SetPanicOnFault(true), &err)
		panic("bug")
	})
	require.Panics(t, func() {
		var err error
		defer Catch([][]byte{region}, debug.SetPanicOnFault(true), &err)
		var missing *int
		*missing = 1
	})
	require.False(t, debug.SetPanicOnFault(false), "the goroutine is as before")
}
