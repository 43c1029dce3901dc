//go:build !race

package cpu

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The paths of arm64, tested by this package's own tests: built for arm64 and run by qemu-aarch64, NEON as the first
// processor of that architecture, which has no extensions, and what the dot products change as one that has them. It
// needs Debian's package qemu-user.
func TestArm64LeavesPlainGo(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "cpu.test")
	build := exec.Command("go", "test", "-c", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=arm64")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	const quantised = "LosesBits|LargestCodes|QuantisedKernels|Broken|ProductDependsOn"
	for _, c := range []struct{ processor, path, tests, passes string }{
		{"cortex-a53", "neon", quantised + "|SIMD|Vectors|Exponential|DependsOnHowManyTokens|Fault", "TestSIMDProductLeavesPlainGoOrItsMemory"},
		{"neoverse-n1", "neon-dot", "(" + quantised + "|ProductIsWrong|ForcedPath|Fault)/^neon-dot$", "TestProductIsWrong"},
	} {
		t.Run(c.path, func(t *testing.T) {
			t.Parallel()
			output, err := exec.Command("qemu-aarch64", "-cpu", c.processor, binary, "-test.v", "-test.run", c.tests, "-test.timeout", "5m").CombinedOutput()
			require.NoError(t, err, "%s", output)
			for _, test := range []string{c.passes, "TestSIMDProductDependsOnHowManyTokensShareIt", "TestQuantisedKernelsLeaveTheirMemory", "TestFaultNeedsStack"} {
				require.Contains(t, string(output), "--- PASS: "+test+"/"+c.path+" ")
			}
		})
	}
}
