package gpu

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// onlyGEMM makes the product of any number of tokens a GEMM until the end of the test.
func onlyGEMM(t testing.TB) {
	for _, p := range []*shaders.Product{&shaders.QKV, &shaders.Out, &shaders.GateUp} {
		old := *p
		*p = old[len(old)-1:]
		t.Cleanup(func() { *p = old })
	}
}

// gemmFormats are a format of each kind of weights.
var gemmFormats = []backendtest.Storage{
	backendtest.Quantised(backend.Q4, 64, backend.BF16), backendtest.Quantised(backend.Q8, 32, backend.F16),
	backendtest.Plain(backend.BF16), backendtest.Plain(backend.F32),
}

// out runs Out with random data.
func (p *pair) out(w backendtest.Storage, rows, cols, n int) {
	p.Helper()
	m := p.matrix(rows, cols, w)
	x, y := p.buffer(p.floats(n*cols, 1)), p.empty(n*rows)
	p.run(func(s backend.Stream, i int) { s.Out(y[i], x[i], m[i], n) })
	p.close(y, "out, %v, %d rows, %d columns, %d tokens", w, rows, cols, n)
}

// gateUp runs GateUp with random data, x of some size.
func (p *pair) gateUp(w backendtest.Storage, ffn, cols, n int, size float32) {
	p.Helper()
	m := p.matrix(2*ffn, cols, w)
	x, act := p.buffer(p.floats(n*cols, size)), p.empty(n*ffn)
	p.run(func(s backend.Stream, i int) { s.GateUp(act[i], x[i], m[i], n) })
	p.close(act, "gate and up, %v, ffn %d, %d columns, %d tokens", w, ffn, cols, n)
}

func TestGEMMFormatDiffers(t *testing.T) {
	onlyGEMM(t)
	p := newPair(t, false)
	formats := []backendtest.Storage{backendtest.Plain(backend.F16), backendtest.Plain(backend.BF16),
		backendtest.Plain(backend.F32)}
	for _, f := range []backend.Format{backend.Q4, backend.Q8} {
		for _, group := range []int{32, 64, 128} {
			for _, scales := range []backend.Format{backend.F32, backend.F16, backend.BF16} {
				formats = append(formats, backendtest.Quantised(f, group, scales))
			}
		}
	}
	for _, w := range formats {
		p.out(w, 72, 384, 33)
		p.gateUp(w, 36, 128, 20, 2)
	}
}

// Neither rows nor tokens fill tiles of 64, and columns end within a step of 32.
func TestGEMMEdgeDiffers(t *testing.T) {
	onlyGEMM(t)
	p := newPair(t, false)
	inOrders(t, func() {
		for _, w := range gemmFormats {
			for _, n := range []int{1, 13, 63, 64, 65, 200} {
				for _, rows := range []int{3, 7, 64, 65, 130} {
					cols := 64
					if !w.Format.Quantised() {
						cols = []int{8, 24, 40}[(n+rows)%3]
					}
					p.out(w, rows, cols, n)
					if rows < 100 {
						p.gateUp(w, rows, cols, n, 2)
					}
				}
			}
		}
	})
}

// Slices of GLM-4-9B's matrices, of their full width.
func TestGEMMAtFullWidthDiffers(t *testing.T) {
	onlyGEMM(t)
	p := newPair(t, false)
	q4 := gemmFormats[0]
	p.out(q4, 16, 4096, 600)
	p.gateUp(q4, 40, 4096, 65, 2)
	for _, w := range gemmFormats {
		p.out(w, 130, 4096, 65)
		p.out(w, 72, 13696, 20)
		p.gateUp(w, 32, 4096, 13, 2)
	}
	for _, c := range []struct {
		heads int
		kv    backend.Format
		at    backend.Span
	}{{16, backend.F32, backend.Span{Pos: 300, N: 13}}, {1, backend.F16, backend.Span{Pos: 100000, N: 65}}} {
		p.qkv(qkvCase{
			geometry: backend.Attention{Heads: c.heads, KVHeads: 1, HeadDim: 128, RotaryDims: 64, RopeTheta: 10000},
			cols:     4096, weights: alike(q4), bias: true, kv: c.kv, at: c.at, scale: 1,
		})
	}
}

func TestGEMMQKVDiffers(t *testing.T) {
	onlyGEMM(t)
	p := newPair(t, false)
	q4, q8, bf16 := gemmFormats[0], gemmFormats[1], gemmFormats[2]
	glm := backend.Attention{Heads: 16, KVHeads: 1, HeadDim: 128, RotaryDims: 64, RopeTheta: 10000}
	inOrders(t, func() {
		p.qkv(qkvCase{geometry: glm, cols: 64, weights: alike(q4), bias: true, kv: backend.F16,
			at: backend.Span{Pos: 7, N: 65}, scale: 1})
		for i, g := range []backend.Attention{
			{Heads: 1, KVHeads: 1, HeadDim: 16, RotaryDims: 16, RopeTheta: 10000},
			{Heads: 3, KVHeads: 1, HeadDim: 24, RotaryDims: 10, RopeTheta: 10000}, // q, k and v meet within a tile
			{Heads: 4, KVHeads: 2, HeadDim: 32, RotaryDims: 0, RopeTheta: 10000},
			{Heads: 4, KVHeads: 4, HeadDim: 64, RotaryDims: 32, RopeTheta: 500},
		} {
			for j, w := range gemmFormats {
				n := []int{1, 13, 64, 70}[(i+j)%4]
				p.qkv(qkvCase{
					geometry: g, cols: 96 - 32*(1-j/2), weights: alike(w), bias: j%2 == 0,
					kv: []backend.Format{backend.F32, backend.F16}[(i+j/2)%2], at: backend.Span{Pos: 250 * i, N: n}, scale: 1,
				})
			}
			// Three dispatches, and two of which one has two matrices.
			for _, weights := range [][3]backendtest.Storage{{q4, q8, bf16}, {q8, q8, q4}, {bf16, q4, q4}} {
				p.qkv(qkvCase{geometry: g, cols: 64, weights: weights, bias: true, kv: backend.F32, at: backend.Span{Pos: i, N: 14},
					scale: 1})
			}
		}
	})
}

// Activations of a size that float16 does not have, and weights whose scales or codes are all alike, zero or denormal.
func TestGEMMExtremeNumbersDiffer(t *testing.T) {
	onlyGEMM(t)
	p := newPair(t, false)
	const rows, cols, n = 24, 256, 40
	for _, w := range gemmFormats {
		data := p.Matrix(rows, cols, w)
		row := func(b []byte, r int) []byte { return b[r*len(b)/rows : (r+1)*len(b)/rows] }
		clear(row(data.Data, 0))
		if w.Format.Quantised() {
			clear(row(data.Scales, 1))
			clear(row(data.Biases, 2))
			copy(row(data.Scales, 3), backendtest.Encode([]float32{1e-6, float32(math.Copysign(0, -1)), -2}, w.Scales))
		} else {
			copy(row(data.Data, 1), backendtest.Encode([]float32{1e-39, float32(math.Copysign(0, -1)), -1e-39}, w.Format))
		}
		m := p.place(data)
		v := p.floats(n*cols, 1e6)
		for i := range cols {
			v[i] = 0
			v[cols+i] = float32(math.Copysign(0, -1))
			v[2*cols+i] *= 1e-46
		}
		x, y := p.buffer(v), p.empty(n*rows)
		p.run(func(s backend.Stream, i int) { s.Out(y[i], x[i], m[i], n) })
		p.close(y, "%v", w)
		for i, zero := range y[1].Floats()[:2*rows] {
			require.Zero(t, zero, "number %d of %v", i, w)
		}

		act := p.empty(n * rows / 2)
		p.run(func(s backend.Stream, i int) { s.GateUp(act[i], x[i], m[i], n) })
		p.close(act, "SwiGLU, %v", w)
		for _, kv := range []backend.Format{backend.F16, backend.F32} {
			p.qkv(qkvCase{
				geometry: backend.Attention{Heads: 2, KVHeads: 1, HeadDim: 16, RotaryDims: 8, RopeTheta: 10000},
				cols:     64, weights: alike(w), bias: true, kv: kv, at: backend.Span{Pos: 3, N: 20}, scale: 1e6,
			})
		}
	}
}

func TestGEMMTilesTakeTooMuchMemory(t *testing.T) {
	p := newPair(t, false)
	for _, product := range []shaders.Product{shaders.QKV, shaders.Out, shaders.GateUp} {
		for _, k := range product.For(1000) {
			pipeline, err := p.devices[1].(*Device).kernels.get(variant{kernel: k})
			require.NoError(t, err)
			bytes := pipeline.StaticThreadgroupMemoryLength()
			require.Positive(t, bytes)
			require.LessOrEqual(t, bytes, 16<<10, "two threadgroups of %s do not fit", k.Name)
		}
	}
}
