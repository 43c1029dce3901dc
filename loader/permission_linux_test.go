package loader

import (
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// dropRoot makes the kernel check this test's file accesses as those of an ordinary user, even if root runs it.
func dropRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		return
	}
	const nobody = 65534
	runtime.LockOSThread()
	_, err := unix.SetfsuidRetUid(nobody)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := unix.SetfsuidRetUid(0)
		require.NoError(t, err)
		runtime.UnlockOSThread()
	})
}
