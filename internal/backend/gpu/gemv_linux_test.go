package gpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// lastDispatch gives the counters of the dispatch that ran last.
func lastDispatch(t testing.TB) metalsim.Dispatch {
	counted, err := metalsim.Counters()
	require.NoError(t, err)
	require.NotEmpty(t, counted)
	return counted[len(counted)-1]
}

// Of 4096 rows and columns MLX's kernel loads 33.8 MB in 7.36 lines a load and takes 2.70 operations a multiply-add;
// ggml's loads 29.8 MB and takes 8.44 and 2.90. These are an eighth of the rows.
func TestGEMVReadsOrComputesMore(t *testing.T) {
	p := newPair(t, true)
	const rows, cols = 512, 4096
	s := backendtest.Quantised(backend.Q4, 64, backend.BF16)
	m := p.matrix(rows, cols, s)
	x, y := p.buffer(p.floats(cols, 1)), p.empty(rows)
	for _, most := range []struct {
		tile           shaders.Tile
		mb, lines, ops float64
	}{
		{shaders.Tile{Rows: 8, Columns: 8, Split: 1}, 19.1, 2.9, 2.31},
		{shaders.Tile{Rows: 8, Columns: 16, Split: 1}, 18, 4.7, 2.25},
		{shaders.Tile{Rows: 8, Columns: 16, Split: 2}, 18.1, 4.7, 2.26},
		{shaders.Tile{Rows: 4, Columns: 16, Split: 1}, 26.5, 6.2, 2.43},
	} {
		shape := shaders.Shape{Op: "out", Format: shaders.Q4, Group: 64, Rows: rows, Cols: cols}
		p.gpu.tuning = shaders.Tuning{shape: most.tile}
		p.run(func(s backend.Stream, i int) { s.Out(y[i], x[i], m[i], 1) })
		p.close(y, "out")
		c := lastDispatch(t)
		require.Less(t, float64(8*c.LoadedBytes)/1e6, most.mb, "%v", most.tile)
		require.Less(t, float64(c.LoadLines)/float64(c.LoadGroups), most.lines, "%v", most.tile)
		require.Less(t, float64(c.FloatOps)/rows/cols, most.ops, "%v", most.tile)
	}
}

// Each tile reads weights once, x once for the rows of a simdgroup, and scales once by a quad for those rows.
func TestGEMVTileReadsWeightsTwice(t *testing.T) {
	p := newPair(t, true)
	half := backend.Attention{Heads: 2, KVHeads: 1, HeadDim: 16, RotaryDims: 8, RopeTheta: 10000}
	for _, i := range []int{0, 1, 5, 7} {
		s := backendtest.Storages[i]
		const rows = 40
		cols := s.Columns(1160)
		p.inTiles("out", s, rows, cols, func(tile shaders.Tile) {
			p.out(s, rows, cols, 1)
			c := lastDispatch(t)
			most := rows*cols*s.Format.Bits()/8 + 32*int(c.Threads[0]) + rows/tile.Rows*cols*4
			if s.Format.Quantised() {
				most += rows * cols / (2 * tile.Columns) * s.Scales.Bits() / 8
			}
			require.LessOrEqual(t, int(c.LoadedBytes), most, "%v in %v", s, tile)
		})
		p.inTiles("out", s, 13, cols, func(shaders.Tile) { p.out(s, 13, cols, 1) })
		p.inTiles("gate_up", s, 14, cols, func(shaders.Tile) { p.gateUp(s, 7, cols, 1, 1) })
		p.inTiles("qkv", s, 64, cols, func(shaders.Tile) {
			p.qkv(qkvCase{half, cols, alike(s), true, backend.F16, backend.Span{Pos: 5, N: 1}, 1})
		})
		p.inTiles("head", s, 131, cols, func(shaders.Tile) {
			p.testPick(s, 131, cols, backend.Sampling{Valid: 120, Temperature: 1})
		})
	}
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
