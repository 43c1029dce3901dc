package gpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
	"github.com/glm4-metal/glm4-metal/internal/metalsim"
)

// lastDispatch gives the counters of the dispatch that ran last.
func lastDispatch(t testing.TB) metalsim.Dispatch {
	counted, err := metalsim.Counters()
	require.NoError(t, err)
	require.NotEmpty(t, counted)
	return counted[len(counted)-1]
}

// MLX's kernel of this shape loads 33.8 MB in 7.36 lines a load and takes 2.70 operations a multiply-add; ggml's loads
// 29.8 MB and takes 8.44 and 2.90.
func TestGEMVReadsOrComputesMore(t *testing.T) {
	p := newPair(t, true)
	const size = 4096
	m := p.matrix(size, size, backendtest.Quantised(backend.Q4, 64, backend.BF16))
	x, y := p.buffer(p.floats(size, 1)), p.empty(size)
	p.run(func(s backend.Stream, i int) { s.Out(y[i], x[i], m[i], 1) })
	p.close(y, "out")
	c := lastDispatch(t)
	require.Less(t, float64(c.LoadedBytes)/1e6, 19.1)
	require.Less(t, float64(c.LoadLines)/float64(c.LoadGroups), 2.9)
	require.Less(t, float64(c.FloatOps)/size/size, 2.31)
}

// Every access of every kernel is checked here, and those of out are counted: weights are read once, x by the lanes
// that share eight rows (for several tokens: four), scales once by every lane for 32 numbers.
func TestGEMVReadsWeightsTwice(t *testing.T) {
	p := newPair(t, true)
	for _, i := range []int{0, 1, 3, 5, 6, 8} {
		s := backendtest.Storages[i]
		for _, n := range []int{1, 3, 6, 10} {
			const rows = 40
			cols := s.Columns(392)
			p.out(s, rows, cols, n)
			c := lastDispatch(t)
			most := rows*cols*s.Format.Bits()/8 + 32*int(c.Threads[0])
			if s.Format.Quantised() {
				most += rows * cols / 16 * s.Scales.Bits() / 8
			}
			if n == 1 {
				most += rows / 8 * cols * 4
			} else {
				most += rows / 4 * cols * 4 * roundUp(n, 4)
			}
			require.LessOrEqual(t, int(c.LoadedBytes), most, "%v, %d tokens", s, n)

			p.out(s, 13, cols, n)
			p.gateUp(s, 7, cols, n, 1)
			a := backend.Attention{Heads: 4, KVHeads: 2, HeadDim: 8, RotaryDims: 4, RopeTheta: 10000}
			p.qkv(qkvCase{a, cols, alike(s), true, backend.F16, backend.Span{Pos: 2, N: n}, 1})
			p.qkv(qkvCase{a, cols, alike(s), false, backend.F32, backend.Span{Pos: 2, N: n}, 1})
		}
		p.testPick(s, 131, s.Columns(392), backend.Sampling{Valid: 120, Temperature: 1})
	}
}
