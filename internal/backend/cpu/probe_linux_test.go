package cpu

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestProbeKeepsItsMemory(t *testing.T) {
	d := openPath(nil)
	defer d.Close()
	p, err := d.NewProbe(1 << 20)
	require.NoError(t, err)
	memory := p.(*probe).memory
	mapped := func() bool {
		var resident [256]byte // of each page
		_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(unsafe.SliceData(memory))), 1<<20,
			uintptr(unsafe.Pointer(&resident[0])))
		return errno != unix.ENOMEM
	}
	require.True(t, mapped())
	require.NoError(t, p.Close())
	require.False(t, mapped())
}
