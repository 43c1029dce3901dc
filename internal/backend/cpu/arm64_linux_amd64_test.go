//go:build !race

package cpu

import (
	"testing"

	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
)

const quantisedTests = "LosesBits|LargestCodes|Broken|ProductDependsOn"

// NEON as the first processor of arm64 has it, which has no extensions.
func TestNEONLeavesPlainGo(t *testing.T) {
	t.Parallel()
	backendtest.Arm64(t, "cortex-a53", quantisedTests+"|SIMD|DependsOnHowManyTokens|Fault",
		"TestSIMDProductLeavesPlainGoOrItsMemory/neon", "TestSIMDProductDependsOnHowManyTokensShareIt/neon", "TestFaultNeedsStack/neon")
}

// What dot products change.
func TestNEONWithDotProductsLeavesPlainGo(t *testing.T) {
	t.Parallel()
	backendtest.Arm64(t, "neoverse-n1", "("+quantisedTests+"|ProductIsWrong|ForcedPath|Fault)/^neon-dot$",
		"TestProductIsWrong/neon-dot", "TestSIMDProductDependsOnHowManyTokensShareIt/neon-dot", "TestFaultNeedsStack/neon-dot")
}
