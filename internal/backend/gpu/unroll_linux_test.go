package gpu

import (
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// Two bounds in one, of which a pipeline may fix one: the number of turns is then no constant of the text.
var openTurns = regexp.MustCompile(`#pragma unroll\s+for \([^;]*;[^;]*(&&|\|\|)[^;]*;.*`)

// A GPU keeps an array in registers only where all indices are constants once the loops with a pragma are unrolled.
func TestArrayStaysInMemory(t *testing.T) {
	for _, file := range shaders.Files(slices.Concat(shaders.Table, shaders.Probes)) {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			source, err := shaders.Source(file)
			require.NoError(t, err)
			require.Empty(t, openTurns.FindString(source))
			found, err := metalsim.IndexedAtRunTime(source)
			require.NoError(t, err)
			require.Empty(t, found)
		})
	}
}
