//go:build linux && (amd64 || arm64)

package metalsim_test

import (
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/metal"
)

// shrinking maps a file of zeros and wraps it in a buffer; shrink leaves nothing of the file.
func (s *standIn) shrinking(t *testing.T, length int) (b metal.Buffer, shrink func()) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, make([]byte, length), 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	reserved, err := unix.Mmap(-1, 0, length+metal.PageSize(), unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Munmap(reserved)) })
	memory := reserved[-uintptr(unsafe.Pointer(&reserved[0]))%uintptr(metal.PageSize()):][:length]
	_, err = unix.MmapPtr(int(f.Fd()), 0, unsafe.Pointer(&memory[0]), uintptr(length), unix.PROT_READ,
		unix.MAP_SHARED|unix.MAP_FIXED)
	require.NoError(t, err)
	b, err = s.device.NewBufferNoCopy(memory, metal.HazardTrackingUntracked)
	require.NoError(t, err)
	b.SetLabel("weights")
	t.Cleanup(b.Release)
	return b, func() { require.NoError(t, os.Truncate(path, 0)) }
}

func TestPageFaultEndsTheProcess(t *testing.T) {
	for _, counted := range []bool{false, true} {
		s := openStandIn(t)
		require.NoError(t, metalsim.SetCounting(counted))
		pipeline := s.pipeline(t, header+`kernel void k(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
  y[i] = x[i] + 1;
}`, "k")
		const n = 1 << 16
		whole, _ := s.shrinking(t, 4*n)
		broken, shrink := s.shrinking(t, 4*n)
		y, err := s.device.NewBuffer(4*n, metal.StorageShared)
		require.NoError(t, err)
		t.Cleanup(y.Release)
		run := func(x metal.Buffer) error {
			return s.compute(t, func(e metal.ComputeEncoder) {
				e.SetPipeline(pipeline)
				e.SetBuffer(x, 0, 0)
				e.SetBuffer(y, 0, 1)
				e.DispatchThreads(metal.Size{Width: n, Height: 1, Depth: 1}, metal.Size{Width: 64, Height: 1, Depth: 1})
			})
		}
		require.NoError(t, run(broken))
		shrink()
		for range 3 {
			err = run(broken)
			require.ErrorIs(t, err, metal.ErrPageFault)
			require.ErrorContains(t, err, "page fault in buffer 0 'x' (weights) of 262144 bytes at offset ")
			require.ErrorContains(t, err, ", which is mapped from a file and can no longer be read")
			require.NoError(t, run(whole), "the next dispatch works")
		}
	}
}

func TestPageFaultOfACopyEndsTheProcess(t *testing.T) {
	s := openStandIn(t)
	x, shrink := s.shrinking(t, 1<<16)
	y, err := s.device.NewBuffer(1<<16, metal.StorageShared)
	require.NoError(t, err)
	t.Cleanup(y.Release)
	run := func() error {
		return s.Do(func() error {
			commands, err := s.queue.NewCommandBuffer()
			require.NoError(t, err)
			defer commands.Release()
			blit, err := commands.BlitEncoder()
			require.NoError(t, err)
			blit.Copy(x, 1<<14, y, 0, 1<<14)
			blit.End()
			commands.Commit()
			return commands.Wait()
		})
	}
	require.NoError(t, run())
	shrink()
	require.ErrorIs(t, run(), metal.ErrPageFault)
}
