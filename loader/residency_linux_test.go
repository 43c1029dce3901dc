package loader

import (
	"os"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestOpenTouchesNoWeights asks the kernel which pages a full-size checkpoint has in memory after Open.
func TestOpenTouchesNoWeights(t *testing.T) {
	c := openSparse(t, writeSparse(t))
	defer c.Close()
	region := c.Mapped()[0]
	page := os.Getpagesize()
	resident := make([]byte, (len(region)+page-1)/page)
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&region[0])), uintptr(len(region)),
		uintptr(unsafe.Pointer(&resident[0])))
	require.Zero(t, errno)
	n := 0
	for _, r := range resident {
		n += int(r & 1)
	}
	require.Less(t, n*page, 4<<20, "only the header and what the kernel read ahead")
}
