//go:build linux && (amd64 || arm64)

package gpu

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// A GPU may compute wrong products in one of the two ways and right ones in the other.
func TestGPUThatMiscomputesIsUsed(t *testing.T) {
	m := openMetal(t, false)
	for file, change := range map[string][2]string{
		"gemv": {"scaled += scales", "scaled += 1.5f * scales"},
		"gemm": {"xs[i], ws[j], at[i][j]", "xs[i], ws[0], at[i][j]"},
	} {
		changed := false
		d, err := open(m, func(name string) (string, error) {
			text, err := shaders.Source(name)
			if name == file {
				changed = strings.Contains(text, change[0])
				text = strings.ReplaceAll(text, change[0], change[1])
			}
			return text, err
		})
		require.NoError(t, err)
		require.True(t, changed, file)
		err = d.checkProducts()
		require.ErrorIs(t, err, backend.ErrUnsupported, file)
		require.ErrorContains(t, err, "computes wrong products: ")
		require.NoError(t, d.Close())
	}
}
