//go:build !race

package cpu

import (
	"testing"

	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
)

const quantisedTests = "Contract|LosesBits|LargestCodes|AnothersForm|ProductDependsOn|SomeTokens|Fault"

// NEON as the first processor of arm64 has it, which has no extensions.
func TestNEONLeavesPlainGo(t *testing.T) {
	t.Parallel()
	backendtest.Arm64(t, "cortex-a53", "("+quantisedTests+"|SIMD|DependsOnHowManyTokens)/^neon$",
		"TestContract/neon/ProductIsWrong", "TestSIMDProductLeavesPlainGoOrItsMemory/neon",
		"TestProductDependsOnHowManyTokensShareIt/neon", "TestFaultNeedsStack/neon")
}

// What dot products change.
func TestNEONWithDotProductsLeavesPlainGo(t *testing.T) {
	t.Parallel()
	backendtest.Arm64(t, "neoverse-n1", "("+quantisedTests+"|ForcedPath)/^neon-dot$",
		"TestContract/neon-dot/ProductIsWrong", "TestSIMDProductOfSomeTokensLeavesPlainGoOrItsMemory/neon-dot",
		"TestProductDependsOnHowManyTokensShareIt/neon-dot", "TestFaultNeedsStack/neon-dot")
}
