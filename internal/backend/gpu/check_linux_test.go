//go:build linux && (amd64 || arm64)

package gpu

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// changed is the source with one text of a file in place of another.
func changed(t *testing.T, file, from, to string) func(name string) (string, error) {
	return func(name string) (string, error) {
		text, err := shaders.Source(name)
		if name == file {
			if !strings.Contains(text, from) { // files are read in goroutines of their own
				t.Errorf("%s has no %q to change", file, from)
			}
			text = strings.ReplaceAll(text, from, to)
		}
		return text, err
	}
}

// openChanged opens a GPU whose compiler takes one text of a file for another.
func openChanged(t *testing.T, file, from, to string) *Device {
	d, err := open(openMetal(t, false), changed(t, file, from, to))
	require.NoError(t, err)
	return d
}

// A GPU may compute wrong products in one of the two ways and right ones in the other.
func TestGPUThatMiscomputesIsUsed(t *testing.T) {
	for file, change := range map[string][2]string{
		"gemv": {"scaled[i] += scale_at", "scaled[i] += 1.5f * scale_at"},
		"gemm": {"xs[i], ws[j], at[i][j]", "xs[i], ws[0], at[i][j]"},
	} {
		_, err := openChecked(openMetal(t, false), changed(t, file, change[0], change[1]))
		require.ErrorIs(t, err, backend.ErrUnsupported, file)
		require.ErrorContains(t, err, "computes wrong products: ")
	}
}

func TestGPUWithOtherLanesIsUsed(t *testing.T) {
	d := openChanged(t, "lanes", "simdgroup_load(matrix, numbers)", "simdgroup_load(matrix, numbers, 8, ulong2(0, 0), true)")
	err := d.checkLanes()
	require.ErrorIs(t, err, backend.ErrUnsupported)
	require.ErrorContains(t, err, "metal: simdgroup matrices lie otherwise in the lanes of this GPU, metalsim: "+
		"lane 0 holds elements 0 and 8, expected 0 and 1, all lanes [0 8 16 24 ")
	require.ErrorContains(t, err, "use the CPU and report it")
	require.NoError(t, d.Close())
}
