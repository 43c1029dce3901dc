//go:build !race

package simd

import (
	"testing"

	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
)

// NEON as the first processor of arm64 has it, which has no extensions, and what dot products change.
func TestNEONLeavesPlainGo(t *testing.T) {
	t.Parallel()
	backendtest.Arm64(t, "cortex-a53", "Quantised|FewTokens|Dots|Vectors|Exponential|Weighed|Peak",
		"TestQuantisedKernelsLeaveTheirMemory/neon", "TestVectorsLeavePlainGoOrTheirMemory/neon",
		"TestPeakComesFromLessThanItCounts/neon")
}

func TestNEONWithDotProductsLeavesPlainGo(t *testing.T) {
	t.Parallel()
	backendtest.Arm64(t, "neoverse-n1", "(Quantised|FewTokens|ForcedPath|Peak)/^neon-dot$",
		"TestQuantisedKernelsLeaveTheirMemory/neon-dot", "TestPeakComesFromLessThanItCounts/neon-dot")
}
