package gpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/shaders"
)

func TestKernelIsNotMade(t *testing.T) {
	d, err := Open(openMetal(t, false))
	require.NoError(t, err)
	defer d.Close()
	all := d.Make()
	require.Len(t, all, len(shaders.Table))
	for i, m := range all {
		require.Same(t, shaders.Table[i], m.Kernel)
		require.NoError(t, m.Err, m.Name)
		require.GreaterOrEqual(t, m.Limit, m.Threads, m.Name)
		require.Equal(t, 32, m.Width, m.Name)
		require.Positive(t, m.Took, m.Name)
	}
	require.True(t, d.HalfCodes())
}
