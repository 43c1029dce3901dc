package gpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// What a turn more costs is what the rates are made of.
func TestProbeCountsOtherWork(t *testing.T) {
	p := openProbe(t, true, 2*tileBytes)
	sums := binding{p.sums, 0}
	counted := func(k *shaders.Kernel, turns int, buffers ...binding) metalsim.Dispatch {
		_, err := p.seconds(k, turns, 2, 2, buffers...)
		require.NoError(t, err)
		all, err := metalsim.Counters()
		require.NoError(t, err)
		return all[len(all)-1]
	}
	for _, k := range []*shaders.Kernel{shaders.ProbeMatrices, shaders.ProbeFloats} {
		few, many := counted(k, 1, sums), counted(k, 3, sums)
		require.EqualValues(t, 2*2*shaders.ProbeOps, many.FloatOps-few.FloatOps, k.Name)
		require.Equal(t, many.StoredBytes, few.StoredBytes, k.Name)
	}
	memory := binding{p.memory, 0}
	few, many := counted(shaders.ProbeRead, 1, memory, sums), counted(shaders.ProbeRead, readTurns, memory, sums)
	require.EqualValues(t, 2*(readTurns-1)*shaders.ProbeBytes, many.DistinctBytes-few.DistinctBytes)
	require.EqualValues(t, 4*(many.LoadGroups-few.LoadGroups), many.LoadLines-few.LoadLines, "lines of a load")
}
