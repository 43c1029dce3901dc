//go:build linux && (amd64 || arm64)

package metalsim_test

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/metal"
)

// Windows of one mapping that overlap have some pages in common.
func TestPageOfTwoBuffersCountsTwice(t *testing.T) {
	s := openStandIn(t)
	const page = 16384
	mapped, err := unix.Mmap(-1, 0, 6*page, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Munmap(mapped)) })
	memory := mapped[-uintptr(unsafe.Pointer(&mapped[0]))%page:]
	set, err := s.device.NewResidencySet("weights", 4)
	require.NoError(t, err)
	defer set.Release()
	for _, window := range [][2]int{{0, 2}, {1, 3}, {4, 5}, {0, 1}} {
		b, err := s.device.NewBufferNoCopy(memory[window[0]*page:window[1]*page], metal.StorageShared)
		require.NoError(t, err)
		defer b.Release()
		set.Add(b)
	}
	sets, err := metalsim.Residency()
	require.NoError(t, err)
	require.Equal(t, []metalsim.ResidencySet{{}}, sets, "not committed yet")
	set.Commit()
	set.Request()
	sets, err = metalsim.Residency()
	require.NoError(t, err)
	require.Equal(t, []metalsim.ResidencySet{{Bytes: 6 * page, Pages: 4, Buffers: 4, Requests: 1}}, sets)
}
