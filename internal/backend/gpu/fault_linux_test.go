package gpu

import (
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/fault"
	"github.com/glm4-metal/glm4-metal/metal"
)

// mapFile maps a file of some bytes at a page of the GPU.
func mapFile(t *testing.T, data []byte) (path string, region []byte) {
	path = filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	reserved, err := unix.Mmap(-1, 0, roundUp(len(data), metal.PageSize())+metal.PageSize(), unix.PROT_NONE,
		unix.MAP_ANON|unix.MAP_PRIVATE)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Munmap(reserved)) })
	region = reserved[-address(reserved)%uintptr(metal.PageSize()):][:len(data)]
	_, err = unix.MmapPtr(int(f.Fd()), 0, unsafe.Pointer(&region[0]), uintptr(len(data)), unix.PROT_READ,
		unix.MAP_SHARED|unix.MAP_FIXED)
	require.NoError(t, err)
	return path, region
}

func TestFaultOfWeightsEndsTheProcess(t *testing.T) {
	const rows, cols = 1024, 64
	d, err := Open(openMetal(t, false))
	require.NoError(t, err)
	defer d.Close()
	path, region := mapFile(t, make([]byte, 8+4*rows*cols+16))
	aligned, misaligned := region[16:][:4*rows*cols], region[8:][:4*rows*cols]
	m := backend.MatrixData{Name: "w", Rows: rows, Cols: cols, Format: backend.F32, Data: aligned}
	store := d.Map([][]byte{region}, nil)
	inPlace, err := store.NewMatrix(m)
	require.NoError(t, err)
	m.Data = misaligned
	copied, err := store.NewMatrix(m)
	require.NoError(t, err)
	s, err := d.NewStream()
	require.NoError(t, err)
	defer s.Close()
	x, err := d.NewBuffer(cols)
	require.NoError(t, err)
	y, err := d.NewBuffer(rows)
	require.NoError(t, err)
	step := func(w backend.Matrix) error {
		s.Out(y, x, w, 1)
		require.NoError(t, s.Submit())
		return s.Wait(0)
	}
	require.NoError(t, step(inPlace))

	require.NoError(t, os.Truncate(path, 0))
	var f *fault.Error
	require.ErrorAs(t, step(inPlace), &f)
	require.ErrorIs(t, f, metal.ErrPageFault)
	require.NoError(t, step(copied), "the next step works")
	m.Rows, m.Data = rows/2, misaligned[:len(misaligned)/2] // not placed yet
	_, err = store.NewMatrix(m)
	require.ErrorAs(t, err, &f)
	require.True(t, fault.Within(misaligned, f.Addr))
}
