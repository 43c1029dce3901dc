package metal

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// These tests run this test binary as a Mac with Apple silicon would, but for its operating system: built for arm64
// without cgo, and run by qemu-aarch64 with the C library of the cross compiler. They need Debian's packages qemu-user
// and g++-aarch64-linux-gnu.

func onArm64(t *testing.T, variable, library string) string {
	binary := filepath.Join(t.TempDir(), "metal.test")
	run(t, []string{"CGO_ENABLED=0", "GOARCH=arm64"}, "go", "test", "-c", "-o", binary, ".")
	return run(t, []string{variable + "=" + library}, "qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", binary)
}

func TestArm64CallPathLosesArgument(t *testing.T) {
	output := onArm64(t, echoVariable, buildEcho(t, "aarch64-linux-gnu-gcc"))
	require.Contains(t, output, "call path of arm64 holds")
}

func TestArm64CommandBufferFails(t *testing.T) {
	sources, err := filepath.Glob("../internal/metalsim/sim/objc*.cpp")
	require.NoError(t, err)
	library := filepath.Join(t.TempDir(), "objects.so")
	run(t, nil, "aarch64-linux-gnu-g++", append([]string{"-std=c++20", "-O0", "-fPIC", "-shared", "-pthread",
		"-DSIM_CALL_PATH_ONLY", "-o", library}, sources...)...)
	require.Contains(t, onArm64(t, objectsVariable, library), "command buffer of arm64 completed")
}
