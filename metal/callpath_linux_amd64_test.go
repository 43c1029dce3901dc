package metal

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestArm64CallPathLosesArgument runs this test binary as a Mac with Apple silicon would, but for its operating system:
// built for arm64 without cgo, and run by qemu-aarch64 with the C library of the cross compiler. It needs Debian's
// packages qemu-user and gcc-aarch64-linux-gnu.
func TestArm64CallPathLosesArgument(t *testing.T) {
	library := buildEcho(t, "aarch64-linux-gnu-gcc")
	binary := filepath.Join(t.TempDir(), "metal.test")
	run(t, []string{"CGO_ENABLED=0", "GOARCH=arm64"}, "go", "test", "-c", "-o", binary, ".")
	output := run(t, []string{echoVariable + "=" + library}, "qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", binary)
	require.Contains(t, output, "call path of arm64 holds")
}
