//go:build !race

package cpu

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The NEON path, tested against plain Go by this package's own tests: built for arm64 and run by qemu-aarch64, as the
// first processor of that architecture, which has no extensions. It needs Debian's package qemu-user.
func TestArm64LeavesPlainGo(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "cpu.test")
	build := exec.Command("go", "test", "-c", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=arm64")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	const tests = "SIMD|Vectors|Exponential|Broken|DependsOnHowManyTokens"
	output, err = exec.Command("qemu-aarch64", "-cpu", "cortex-a53", binary, "-test.v", "-test.run", tests, "-test.timeout", "5m").CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.Contains(t, string(output), "--- PASS: TestSIMDProductLeavesPlainGoOrItsMemory/neon")
}
