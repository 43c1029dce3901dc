package gpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// inTiles runs a step that begins with a GEMV of a shape in each tile that can compute it.
func (p *pair) inTiles(op string, s backendtest.Storage, rows, cols int, step func(t shaders.Tile)) {
	p.Helper()
	format, err := formatOf(s.Format)
	require.NoError(p, err)
	shape := shaders.Shape{Op: op, Format: format, Group: s.Group, Rows: rows, Cols: cols}
	for _, t := range shape.Tiles() {
		p.gpu.tuning = shaders.Tuning{shape: t}
		step(t)
		first := p.gpu.list[:1][0] // of the step, which is still behind the empty list
		require.Equal(p, t, first.pipeline.variant.kernel.Lanes, "%+v in %v", shape, t)
	}
	p.gpu.tuning = nil
}

// The last of these columns give all lanes of a split work.
func TestGEMVTileDiffers(t *testing.T) {
	p := newPair(t, false)
	half := backend.Attention{Heads: 2, KVHeads: 1, HeadDim: 16, RotaryDims: 8, RopeTheta: 10000}
	inOrders(t, func() {
		for _, s := range backendtest.Storages {
			for _, cols := range []int{8, 264, 2056} {
				cols := s.Columns(cols)
				p.inTiles("out", s, 13, cols, func(shaders.Tile) { p.out(s, 13, cols, 1) })
				p.inTiles("gate_up", s, 14, cols, func(shaders.Tile) { p.gateUp(s, 7, cols, 1, 1) })
				p.inTiles("qkv", s, 64, cols, func(shaders.Tile) {
					p.qkv(qkvCase{half, cols, alike(s), true, backend.F32, backend.Span{Pos: 5, N: 1}, 1})
				})
				p.inTiles("head", s, 131, cols, func(shaders.Tile) {
					p.testPick(s, 131, cols, backend.Sampling{Valid: 120, Temperature: 0.7, Seed: 5})
				})
			}
		}
	})
}

func TestGEMVTileLosesRows(t *testing.T) {
	p := newPair(t, false)
	for _, s := range []backendtest.Storage{backendtest.Storages[1], backendtest.Storages[5], backendtest.Storages[7]} {
		cols := s.Columns(192)
		for rows := 1; rows <= 40; rows++ {
			if rows > 1 { // a single sum may be close to 0
				p.inTiles("out", s, rows, cols, func(shaders.Tile) { p.out(s, rows, cols, 1) })
				p.inTiles("gate_up", s, 2*rows, cols, func(shaders.Tile) { p.gateUp(s, rows, cols, 1, 1) })
			}
			p.inTiles("head", s, rows, cols, func(shaders.Tile) {
				p.testPick(s, rows, cols, backend.Sampling{Valid: (rows + 1) / 2})
			})
		}
	}
	none := backend.Attention{Heads: 1, KVHeads: 1, HeadDim: 8, RotaryDims: 0, RopeTheta: 10000}
	for _, s := range backendtest.Storages {
		cols := s.Columns(192)
		p.inTiles("qkv", s, 24, cols, func(shaders.Tile) {
			p.qkv(qkvCase{none, cols, alike(s), false, backend.F16, backend.Span{Pos: 3, N: 1}, 1})
		})
	}
}

// A stream keeps the tiles that it was made with.
func TestStreamTakesAnotherTile(t *testing.T) {
	p := newPair(t, false)
	d := p.gpu.d
	const rows, cols = 40, 2048
	m := p.matrix(rows, cols, backendtest.Storages[1])
	x, y := p.buffer(p.floats(cols, 1)), p.empty(rows)
	shape := shaders.Shape{Op: "out", Format: shaders.Q4, Group: 64, Rows: rows, Cols: cols}
	var streams []*stream
	for _, tile := range append(shape.Tiles(), shaders.Tile{Rows: 4, Columns: 8, Split: 1}) {
		d.Tune(shaders.Tuning{shape: tile})
		s, err := d.newStream()
		require.NoError(t, err)
		streams = append(streams, s)
	}
	want := append(shape.Tiles(), shape.Tiles()[0])
	for i, s := range streams {
		s.Out(y[1], x[1], m[1], 1)
		require.Equal(t, want[i], s.list[0].pipeline.variant.kernel.Lanes)
		require.NoError(t, s.Submit())
		require.NoError(t, s.Close())
	}
}
