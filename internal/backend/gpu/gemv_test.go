package gpu

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/x448/float16"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/metal"
)

// storage is how a test stores a matrix.
type storage struct {
	format backend.Format
	group  int
	scales backend.Format
}

// storages has every kind of weights, group size and format of scales.
var storages = []storage{
	{backend.Q4, 32, backend.F16}, {backend.Q4, 64, backend.BF16}, {backend.Q4, 128, backend.F32},
	{backend.Q8, 32, backend.F32}, {backend.Q8, 64, backend.F16}, {backend.Q8, 128, backend.BF16},
	{backend.F16, 0, 0}, {backend.BF16, 0, 0}, {backend.F32, 0, 0},
}

// columns gives the number of columns nearest to some that can be stored so.
func (s storage) columns(cols int) int {
	return roundUp(cols, max(s.group, 8))
}

// A product with 1 token takes gemv, one with more gemv4, gemv8 or gemv12.
var fewTokens = []int{1, 2, 4, 5, 8, 11, 12}

func (p *pair) testOut(s storage, rows, cols, n int) {
	p.Helper()
	cols = s.columns(cols)
	m := p.matrix(rows, cols, s.format, s.group, s.scales)
	x, y := p.buffer(p.floats(n*cols, 1)), p.empty(n*rows)
	p.run(func(s backend.Stream, i int) { s.Out(y[i], x[i], m[i], n) })
	p.close(y, "%v, %d rows, %d columns, %d tokens", s, rows, cols, n)
}

func TestGEMVOutDiffers(t *testing.T) {
	p := newPair(t, false)
	inOrders(t, func() {
		for _, s := range storages {
			for _, n := range fewTokens {
				for _, shape := range [][2]int{{1, 8}, {8, 40}, {31, 264}, {17, 248}, {16, 1352}} {
					p.testOut(s, shape[0], shape[1], n)
				}
			}
		}
	})
	for _, s := range storages {
		p.testOut(s, 65, 4096, 1)  // out
		p.testOut(s, 72, 13696, 1) // down
		for _, n := range []int{3, 8, 12} {
			p.testOut(s, 33, 4096, n)
			p.testOut(s, 17, 13696, n)
		}
	}
}

func (p *pair) testGateUp(s storage, ffn, cols, n int, size float32) {
	p.Helper()
	cols = s.columns(cols)
	m := p.matrix(2*ffn, cols, s.format, s.group, s.scales)
	x, act := p.buffer(p.floats(n*cols, size)), p.empty(n*ffn)
	p.run(func(s backend.Stream, i int) { s.GateUp(act[i], x[i], m[i], n) })
	p.close(act, "%v, %d rows, %d columns, %d tokens", s, ffn, cols, n)
}

func TestGEMVGateUpDiffers(t *testing.T) {
	p := newPair(t, false)
	inOrders(t, func() {
		for _, s := range storages {
			for _, n := range fewTokens {
				for _, shape := range [][2]int{{3, 8}, {4, 40}, {7, 264}, {13, 248}} {
					p.testGateUp(s, shape[0], shape[1], n, 1)
				}
			}
		}
	})
	for i, s := range storages {
		p.testGateUp(s, 37, 4096, 1, 1)
		p.testGateUp(s, 37, 4096, fewTokens[i%len(fewTokens)], 1)
	}
}

// testQKV holds queries, keys and values against the CPU's queries for the same weights: its cache is its own.
func (p *pair) testQKV(s [3]storage, a backend.Attention, cols, n, pos int, bias bool, kv backend.Format) {
	p.Helper()
	for _, s := range s {
		cols = s.columns(cols)
	}
	what := fmt.Sprintf("%v, %+v, %d columns, %d tokens at %d, biases %v, cache %v", s, a, cols, n, pos, bias, kv)
	dims := [3]int{a.Heads * a.HeadDim, a.KVHeads * a.HeadDim, a.KVHeads * a.HeadDim}
	var m [3][2]backend.Matrix
	var b [3][2]backend.Vector
	for i, rows := range dims {
		m[i] = p.matrix(rows, cols, s[i].format, s[i].group, s[i].scales)
		if bias {
			b[i] = p.vector(p.floats(rows, 1))
		}
	}
	x := p.buffer(p.floats(n*cols, 1))
	at := backend.Span{Pos: pos, N: n}

	c, err := p.devices[1].NewCache(2, a, kv)
	require.NoError(p, err)
	defer func() { require.NoError(p, c.Close()) }()
	require.NoError(p, c.Grow(pos+n))
	q := p.empty(n * dims[0])
	p.streams[1].QKV(q[1], c, 1, x[1], &backend.QKV{Q: m[0][1], K: m[1][1], V: m[2][1], QBias: b[0][1], KBias: b[1][1], VBias: b[2][1]}, at)
	require.NoError(p, p.streams[1].Submit())
	require.NoError(p, p.streams[1].Wait(0))

	for i, rows := range dims {
		g := backend.Attention{Heads: rows / a.HeadDim, KVHeads: rows / a.HeadDim, HeadDim: a.HeadDim, RotaryDims: a.RotaryDims, RopeTheta: a.RopeTheta}
		if i == 2 {
			g.RotaryDims = 0
		}
		reference, err := p.devices[0].NewCache(1, g, backend.F32)
		require.NoError(p, err)
		require.NoError(p, reference.Grow(pos+n))
		want, err := p.devices[0].NewBuffer(n * rows)
		require.NoError(p, err)
		w := backend.QKV{Q: m[i][0], K: m[i][0], V: m[i][0], QBias: b[i][0], KBias: b[i][0], VBias: b[i][0]}
		p.streams[0].QKV(want, reference, 0, x[0], &w, at)
		require.NoError(p, p.streams[0].Submit())
		require.NoError(p, p.streams[0].Wait(0))
		if i == 0 {
			p.closeFloats(want.Floats(), q[1].Floats(), "queries: "+what)
			continue
		}
		place := c.(*cache).keys(1)
		if i == 2 {
			place = c.(*cache).values(1)
		}
		stored := place.buffer.Contents()[place.offset+pos*rows*kv.Bits()/8:]
		if kv == backend.F32 {
			p.closeFloats(want.Floats(), metal.Slice[float32](stored)[:n*rows], "cache %d: "+what, i)
			continue
		}
		for j, bits := range metal.Slice[uint16](stored)[:n*rows] {
			w := max(-65504, min(65504, float64(want.Floats()[j])))
			got := float64(float16.Frombits(bits).Float32())
			require.InDelta(p, w, got, math.Abs(w)/1024+tolerance, "cache %d, number %d: %s", i, j, what)
		}
	}
}

func alike(s storage) [3]storage { return [3]storage{s, s, s} }

func TestGEMVQueriesKeysOrValuesDiffer(t *testing.T) {
	p := newPair(t, false)
	half := backend.Attention{Heads: 2, KVHeads: 2, HeadDim: 16, RotaryDims: 8, RopeTheta: 10000}
	whole := backend.Attention{Heads: 4, KVHeads: 1, HeadDim: 32, RotaryDims: 32, RopeTheta: 10000}
	none := backend.Attention{Heads: 1, KVHeads: 1, HeadDim: 8, RotaryDims: 0, RopeTheta: 10000}
	glm := backend.Attention{Heads: 16, KVHeads: 1, HeadDim: 128, RotaryDims: 64, RopeTheta: 10000}
	inOrders(t, func() {
		for _, s := range storages {
			for _, n := range fewTokens {
				p.testQKV(alike(s), half, 96, n, 250, true, backend.F32)
				p.testQKV(alike(s), whole, 40, n, 0, false, backend.F16)
				p.testQKV(alike(s), none, 24, n, 3, true, backend.F16)
			}
		}
		mixed := [3]storage{storages[1], storages[1], storages[6]}
		for _, n := range []int{1, 7} {
			p.testQKV(mixed, half, 96, n, 1, true, backend.F32)
			mixed[1] = storages[4]
			p.testQKV(mixed, half, 96, n, 1, true, backend.F32)
		}
	})
	for _, n := range []int{1, 4} {
		p.testQKV(alike(storages[1]), glm, 4096, n, 1000, true, backend.F16)
	}
}

// testPick ends a step with random logits, and with all but the first equal, of which the lowest id wins.
func (p *pair) testPick(s storage, rows, cols int, how backend.Sampling) {
	p.Helper()
	data := p.matrixData(rows, cols, s.format, s.group, s.scales)
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
		for _, s := range storages {
			for _, rows := range []int{1, 63, 65, 131, 600} {
				for _, valid := range []int{1, (rows + 1) / 2, rows} {
					p.testPick(s, rows, s.columns(72), backend.Sampling{Valid: valid})
					p.testPick(s, rows, s.columns(72), backend.Sampling{Valid: valid, Temperature: 0.7, Seed: 5, Step: uint64(rows)})
				}
			}
		}
	})
	p.testPick(storages[1], 1003, 4096, backend.Sampling{Valid: 1000})
}

// What is not a number wins over all, and is reported.
func TestGEMVPicksInSpiteOfNaN(t *testing.T) {
	p := newPair(t, false)
	for _, temperature := range []float32{0, 1} {
		w := make([]float32, 100*8)
		w[77*8] = float32(math.NaN())
		m := p.place(backend.MatrixData{Name: "w", Rows: 100, Cols: 8, Format: backend.F32, Data: store(w, backend.F32)})
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
	for _, s := range []storage{storages[1], storages[4], storages[7], storages[8]} {
		for _, n := range []int{1, 3} {
			for _, size := range []float32{1e6, 1e12} {
				p.testGateUp(s, 37, 4096, n, size)
			}
			cols := 1024
			m := p.matrix(16, cols, s.format, s.group, s.scales)
			x, y := p.buffer(p.floats(n*cols, 1e30)), p.empty(n*16)
			p.run(func(s backend.Stream, i int) { s.Out(y[i], x[i], m[i], n) })
			p.close(y, "%v", s)
		}
	}
}

// Constant groups have the scale 0, tiny ones a denormal; every fourth x is 0 or -0.
func TestGEMVLosesSpecialNumbers(t *testing.T) {
	p := newPair(t, false)
	for _, s := range storages {
		for _, n := range []int{1, 6} {
			const rows, cols = 24, 1024
			data := p.matrixData(rows, cols, s.format, s.group, s.scales)
			change := func(numbers []byte, f backend.Format, special ...float32) {
				width := f.Bits() / 8
				for i := 0; i < len(numbers); i += 3 * width {
					copy(numbers[i:], store(special[i/width/3%len(special):][:1], f))
				}
			}
			tiny := float32(6e-8) // in float16
			if s.scales == backend.BF16 || s.format == backend.BF16 || s.format == backend.F32 {
				tiny = 1e-39
			}
			if s.format.Quantised() {
				change(data.Scales, s.scales, 0, tiny, float32(math.Copysign(0, -1)))
				change(data.Biases, s.scales, tiny, 0, 0)
			} else {
				change(data.Data, s.format, 0, tiny, -tiny, float32(math.Copysign(0, -1)))
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
