package gpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
	"github.com/glm4-metal/glm4-metal/internal/metalsim"
)

// Every access of every kernel is checked.
func TestGEMMStrays(t *testing.T) {
	onlyGEMM(t)
	p := newPair(t, true)
	for i, w := range gemmFormats {
		cols := 64
		if !w.Format.Quantised() {
			cols = 40
		}
		p.out(w, 67, cols, 66)
		p.gateUp(w, 37, cols, 35, 2)
		p.qkv(qkvCase{
			geometry: backend.Attention{Heads: 3, KVHeads: 1, HeadDim: 24, RotaryDims: 10, RopeTheta: 10000},
			cols:     cols, weights: alike(w), bias: i%2 == 0,
			kv: []backend.Format{backend.F32, backend.F16}[i%2], at: backend.Span{Pos: 5, N: 66}, scale: 1,
		})
	}
}

// What grows with the columns is x, once for 64 rows, and the weights, once for 64 tokens, where the two threads that
// share a row both load its scales.
func TestGEMMLoadsTwice(t *testing.T) {
	onlyGEMM(t)
	p := newPair(t, true)
	last := func(w backendtest.Storage, rows, cols, n int) metalsim.Dispatch {
		p.out(w, rows, cols, n)
		counted, err := metalsim.Counters()
		require.NoError(t, err)
		return counted[len(counted)-1]
	}
	for i, lines := range []float64{7.7, 8.9, 5.2, 4.0} {
		w := gemmFormats[i]
		for _, c := range []struct{ n, cols int }{{64, 2048}, {65, 128}} {
			rows, tiles := 64, (c.n+63)/64
			few, many := last(w, rows, c.cols, c.n), last(w, rows, 2*c.cols, c.n)
			weights := rows * c.cols * w.Format.Bits() / 8
			if w.Format.Quantised() {
				weights += 2 * rows * c.cols / w.Group * 2 * 2
			}
			require.EqualValues(t, c.n*c.cols*4+tiles*weights, many.LoadedBytes-few.LoadedBytes, "%v, %d tokens", w, c.n)
			if c.n == 64 {
				require.LessOrEqual(t, float64(many.LoadLines)/float64(many.LoadGroups), lines,
					"lines of memory a load of a simdgroup, %v", w)
				operations := float64(many.FloatOps) / float64(c.n*rows*2*c.cols)
				require.LessOrEqual(t, operations, 2.04, "float operations a multiply-add, %v", w)
			}
		}
	}
}
