package gpu

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
)

// A product with 1 token takes gemv, one with more gemv4, gemv8 or gemv12.
var fewTokens = []int{1, 2, 4, 5, 8, 11, 12}

func TestGEMVOutDiffers(t *testing.T) {
	p := newPair(t, false)
	inOrders(t, func() {
		for _, s := range backendtest.Storages {
			for _, n := range fewTokens {
				for _, shape := range [][2]int{{1, 8}, {8, 40}, {31, 264}, {17, 248}, {16, 1352}} {
					p.out(s, shape[0], s.Columns(shape[1]), n)
				}
			}
		}
	})
	for _, s := range backendtest.Storages {
		p.out(s, 65, s.Columns(4096), 1)  // out
		p.out(s, 72, s.Columns(13696), 1) // down
		for _, n := range []int{3, 8, 12} {
			p.out(s, 33, s.Columns(4096), n)
			p.out(s, 17, s.Columns(13696), n)
		}
	}
}

func TestGEMVGateUpDiffers(t *testing.T) {
	p := newPair(t, false)
	inOrders(t, func() {
		for _, s := range backendtest.Storages {
			for _, n := range fewTokens {
				for _, shape := range [][2]int{{3, 8}, {4, 40}, {7, 264}, {13, 248}} {
					p.gateUp(s, shape[0], s.Columns(shape[1]), n, 1)
				}
			}
		}
	})
	for i, s := range backendtest.Storages {
		p.gateUp(s, 37, s.Columns(4096), 1, 1)
		p.gateUp(s, 37, s.Columns(4096), fewTokens[i%len(fewTokens)], 1)
	}
}

func alike(s backendtest.Storage) [3]backendtest.Storage { return [3]backendtest.Storage{s, s, s} }

func TestGEMVQueriesKeysOrValuesDiffer(t *testing.T) {
	p := newPair(t, false)
	half := backend.Attention{Heads: 2, KVHeads: 2, HeadDim: 16, RotaryDims: 8, RopeTheta: 10000}
	whole := backend.Attention{Heads: 4, KVHeads: 1, HeadDim: 32, RotaryDims: 32, RopeTheta: 10000}
	none := backend.Attention{Heads: 1, KVHeads: 1, HeadDim: 8, RotaryDims: 0, RopeTheta: 10000}
	glm := backend.Attention{Heads: 16, KVHeads: 1, HeadDim: 128, RotaryDims: 64, RopeTheta: 10000}
	inOrders(t, func() {
		for _, s := range backendtest.Storages {
			for _, n := range fewTokens {
				p.qkv(qkvCase{half, s.Columns(96), alike(s), true, backend.F32, backend.Span{Pos: 250, N: n}, 1})
				p.qkv(qkvCase{whole, s.Columns(40), alike(s), false, backend.F16, backend.Span{Pos: 0, N: n}, 1})
				p.qkv(qkvCase{none, s.Columns(24), alike(s), true, backend.F16, backend.Span{Pos: 3, N: n}, 1})
			}
		}
		mixed := [3]backendtest.Storage{backendtest.Storages[1], backendtest.Storages[1], backendtest.Storages[6]}
		for _, n := range []int{1, 7} {
			p.qkv(qkvCase{half, 128, mixed, true, backend.F32, backend.Span{Pos: 1, N: n}, 1})
			mixed[1] = backendtest.Storages[4]
			p.qkv(qkvCase{half, 128, mixed, true, backend.F32, backend.Span{Pos: 1, N: n}, 1})
		}
	})
	for _, n := range []int{1, 4} {
		p.qkv(qkvCase{glm, 4096, alike(backendtest.Storages[1]), true, backend.F16, backend.Span{Pos: 1000, N: n}, 1})
	}
}

// testPick ends a step with random logits, and with all but the first equal, of which the lowest id wins.
func (p *pair) testPick(s backendtest.Storage, rows, cols int, how backend.Sampling) {
	p.Helper()
	data := p.Matrix(rows, cols, s)
	for _, equal := range []bool{false, true} {
		for _, part := range [][]byte{data.Data, data.Scales, data.Biases} {
			width := len(part) / rows
			for row := 2; equal && row < rows; row++ {
				copy(part[row*width:(row+1)*width], part[width:])
			}
		}
		m, x, logits, ids := p.place(data), p.buffer(p.floats(cols, 1)), p.empty(rows), p.tokens([]int32{-7, -7})
		p.run(func(s backend.Stream, i int) {
			s.Head(logits[i], x[i], m[i], 0, 1)
			s.Sample(ids[i], 1, logits[i], how)
		})
		if rows > 1 && !equal { // a single sum may be close to 0
			p.close(logits, "%v, %d rows, %d columns", s, rows, cols)
		}
		require.Equal(p, ids[0].IDs(), ids[1].IDs(), "%v, %d rows, %d columns, %+v", s, rows, cols, how)
	}
}

func TestGEMVPicksAnotherID(t *testing.T) {
	p := newPair(t, false)
	inOrders(t, func() {
		for _, s := range backendtest.Storages {
			for _, rows := range []int{1, 63, 65, 131, 600} {
				for _, valid := range []int{1, (rows + 1) / 2, rows} {
					p.testPick(s, rows, s.Columns(72), backend.Sampling{Valid: valid})
					p.testPick(s, rows, s.Columns(72), backend.Sampling{Valid: valid, Temperature: 0.7, Seed: 5, Step: uint64(rows)})
				}
			}
		}
	})
	p.testPick(backendtest.Storages[1], 1003, 4096, backend.Sampling{Valid: 1000})
}

// What is not a number wins over all, and is reported.
func TestGEMVPicksInSpiteOfNaN(t *testing.T) {
	p := newPair(t, false)
	for _, temperature := range []float32{0, 1} {
		w := make([]float32, 100*8)
		w[77*8] = float32(math.NaN())
		m := p.place(backend.MatrixData{Name: "w", Rows: 100, Cols: 8, Format: backend.F32,
			Data: backendtest.Encode(w, backend.F32)})
		x, logits, ids := p.buffer(p.floats(8, 1)), p.empty(100), p.tokens([]int32{0})
		s := p.streams[1]
		s.Head(logits[1], x[1], m[1], 0, 1)
		s.Sample(ids[1], 0, logits[1], backend.Sampling{Valid: 100, Temperature: temperature})
		require.NoError(t, s.Submit())
		require.Equal(t, backend.InfiniteLogit(77), s.Wait(0))
	}
}

// The sums of GLM-4 leave the range of a float16.
func TestGEMVOverflows(t *testing.T) {
	p := newPair(t, false)
	for _, s := range []backendtest.Storage{backendtest.Storages[1], backendtest.Storages[4], backendtest.Storages[7],
		backendtest.Storages[8]} {
		for _, n := range []int{1, 3} {
			for _, size := range []float32{1e6, 1e12} {
				p.gateUp(s, 37, s.Columns(4096), n, size)
			}
			cols := 1024
			m := p.matrix(16, cols, s)
			x, y := p.buffer(p.floats(n*cols, 1e30)), p.empty(n*16)
			p.run(func(s backend.Stream, i int) { s.Out(y[i], x[i], m[i], n) })
			p.close(y, "%v", s)
		}
	}
}

// Constant groups have the scale 0, tiny ones a denormal; every fourth x is 0 or -0.
func TestGEMVLosesSpecialNumbers(t *testing.T) {
	p := newPair(t, false)
	for _, s := range backendtest.Storages {
		for _, n := range []int{1, 6} {
			const rows, cols = 24, 1024
			data := p.Matrix(rows, cols, s)
			change := func(numbers []byte, f backend.Format, special ...float32) {
				width := f.Bits() / 8
				for i := 0; i < len(numbers); i += 3 * width {
					copy(numbers[i:], backendtest.Encode(special[i/width/3%len(special):][:1], f))
				}
			}
			tiny := float32(6e-8) // in float16
			if s.Scales == backend.BF16 || s.Format == backend.BF16 || s.Format == backend.F32 {
				tiny = 1e-39
			}
			if s.Format.Quantised() {
				change(data.Scales, s.Scales, 0, tiny, float32(math.Copysign(0, -1)))
				change(data.Biases, s.Scales, tiny, 0, 0)
			} else {
				change(data.Data, s.Format, 0, tiny, -tiny, float32(math.Copysign(0, -1)))
			}
			m, v := p.place(data), p.floats(n*cols, 1)
			for i := 0; i < len(v); i += 4 {
				v[i] = float32(math.Copysign(0, float64(i%8-2)))
			}
			x, y := p.buffer(v), p.empty(n*rows)
			p.run(func(s backend.Stream, i int) { s.Out(y[i], x[i], m[i], n) })
			p.close(y, "%v, %d tokens", s, n)
		}
	}
}
