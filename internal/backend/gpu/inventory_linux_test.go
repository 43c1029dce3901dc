package gpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/metalsim"
)

// A pipeline that cannot be launched as the table says must not count as one.
func TestKernelWithoutItsThreadsIsMade(t *testing.T) {
	d, err := Open(openMetal(t, false))
	require.NoError(t, err)
	defer d.Close()
	require.NoError(t, metalsim.SetLimit("maxThreadsPerThreadgroup", 128))
	failed := 0
	for _, m := range d.Make() {
		if m.ThreadsWithin(128) == 0 {
			failed++
			require.ErrorContains(t, m.Err, "this GPU runs 128", m.Name)
		} else {
			require.NoError(t, m.Err, m.Name)
		}
	}
	require.Positive(t, failed)
}

func TestKernelThatIsMissingIsMade(t *testing.T) {
	d := openChanged(t, "sampling", "sample_pick(constant", "sample_other(constant")
	defer d.Close()
	for _, m := range d.Make() {
		if m.Name == "sample_pick" {
			require.ErrorContains(t, m.Err, "sample_pick")
		} else {
			require.NoError(t, m.Err, m.Name)
		}
	}
}
