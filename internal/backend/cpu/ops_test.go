package cpu

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
)

// The ops are held against their definitions, computed here in float64 from the stored numbers.

// bench is a device with a source of random numbers.
type bench struct {
	*testing.T
	backendtest.Random
	d   *Device
	s   backend.Stream
	raw *stream // behind s
}

func newBench(t *testing.T, k *simd.Kernels) *bench {
	b := &bench{T: t, Random: backendtest.NewRandom(), d: openPath(k)}
	b.raw = b.d.newStream()
	b.s = backend.Checked(b.raw)
	t.Cleanup(func() { require.NoError(t, b.d.Close()) })
	return b
}

// eachPath runs a test in plain Go and on every SIMD path of this machine.
func eachPath(t *testing.T, test func(t *testing.T, b *bench)) {
	for _, k := range append(simd.Paths(), nil) {
		name := "plain"
		if k != nil {
			name = k.Name
		}
		t.Run(name, func(t *testing.T) { test(t, newBench(t, k)) })
	}
}

func (b *bench) run() {
	b.Helper()
	require.NoError(b, b.s.Submit())
	require.NoError(b, b.s.Wait(0))
}

func (b *bench) floats(n int) []float32 { return b.Floats(n, 1) }

func (b *bench) buffer(v []float32) backend.Buffer {
	x, err := b.d.NewBuffer(len(v))
	require.NoError(b, err)
	copy(x.Floats(), v)
	return x
}

func (b *bench) vector(v []float32) backend.Vector {
	x, err := b.d.NewVector(v)
	require.NoError(b, err)
	return x
}

// matrix makes random weights and gives their exact values, [rows][cols].
func (b *bench) matrix(rows, cols int, f backend.Format, group int, scales backend.Format) (backend.Matrix, [][]float64) {
	b.Helper()
	data := b.Matrix(rows, cols, backendtest.Storage{Format: f, Group: group, Scales: scales})
	m, err := b.d.NewMatrix(data)
	require.NoError(b, err)
	return m, backendtest.Weights(data)
}

// dotRows computes x[n][cols]·wᵀ in float64.
func dotRows(x []float32, w [][]float64, n int) []float64 {
	cols := len(w[0])
	y := make([]float64, 0, n*len(w))
	for t := range n {
		for _, row := range w {
			sum := 0.0
			for i, v := range row {
				sum += v * float64(x[t*cols+i])
			}
			y = append(y, sum)
		}
	}
	return y
}

const exact = 2e-6 // what float32 sums over GLM-4's widths lose

// loss is what a product with weights of a format loses: the SIMD paths round activations to 16 bits a group, which
// shows most where a product of few numbers comes near 0.
func (b *bench) loss(f backend.Format) float64 {
	if b.d.kernels != nil && f.Quantised() {
		return 1.5e-4
	}
	return exact
}

func TestProductIsWrong(t *testing.T) {
	eachPath(t, func(t *testing.T, b *bench) {
		type shape struct {
			rows, cols int
			format     backend.Format
			group      int
			scales     backend.Format
		}
		shapes := []shape{
			{5, 7, backend.F32, 0, 0}, {33, 129, backend.F16, 0, 0}, {17, 64, backend.BF16, 0, 0},
			{40, 4096, backend.BF16, 0, 0}, {40, 13696, backend.Q4, 64, backend.BF16}, {18, 4096, backend.Q8, 64, backend.F16},
		}
		for _, f := range []backend.Format{backend.Q4, backend.Q8} {
			for _, group := range []int{32, 64, 128} {
				for _, scales := range []backend.Format{backend.F32, backend.F16, backend.BF16} {
					shapes = append(shapes, shape{19, 384, f, group, scales})
				}
			}
		}
		for _, c := range shapes {
			m, w := b.matrix(c.rows, c.cols, c.format, c.group, c.scales)
			for _, n := range []int{1, 3, 4, 9} {
				x := b.floats(n * c.cols)
				y := b.buffer(make([]float32, n*c.rows))
				b.s.Out(y, b.buffer(x), m, n)
				b.run()
				backendtest.Close(t, dotRows(x, w, n), y.Floats(), b.loss(c.format), "%+v with %d tokens", c, n)
			}
		}
	})
}

func TestProductDependsOnHowManyTokensShareIt(t *testing.T) {
	eachPath(t, func(t *testing.T, b *bench) {
		m, _ := b.matrix(21, 333, backend.F32, 0, 0)
		x := b.floats(11 * 333)
		together := b.buffer(make([]float32, 11*21))
		b.s.Out(together, b.buffer(x), m, 11)
		b.run()
		for i := range 11 {
			alone := b.buffer(make([]float32, 21))
			b.s.Out(alone, b.buffer(x[i*333:(i+1)*333]), m, 1)
			b.run()
			require.Equal(t, together.Floats()[i*21:(i+1)*21], alone.Floats(), "token %d", i)
		}
	})
}

func TestHeadStartsAtTheWrongToken(t *testing.T) {
	eachPath(t, func(t *testing.T, b *bench) {
		m, w := b.matrix(50, 64, backend.Q4, 64, backend.BF16)
		x := b.floats(6 * 64)
		logits := b.buffer(make([]float32, 2*50))
		b.s.Head(logits, b.buffer(x), m, 4, 2)
		b.run()
		backendtest.Close(t, dotRows(x[4*64:], w, 2), logits.Floats(), b.loss(backend.Q4), "logits")
	})
}

// rmsOf is the definition of the norm.
func rmsOf(x []float64, weight []float32, eps float64) []float64 {
	sum := 0.0
	for _, v := range x {
		sum += v * v
	}
	scale := 1 / math.Sqrt(sum/float64(len(x))+eps)
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = v * scale * float64(weight[i])
	}
	return out
}

func TestAddNormIsWrong(t *testing.T) {
	eachPath(t, func(t *testing.T, b *bench) {
		for _, width := range []int{5, 4096} {
			for _, sandwich := range []bool{true, false} {
				const n, eps = 3, 1e-2 // large enough to matter
				h, y, w1, w2 := b.floats(n*width), b.floats(n*width), b.floats(width), b.floats(width)
				var wantH, wantX []float64
				for i := range n {
					block, sum := make([]float64, width), make([]float64, width)
					for j := range block {
						block[j] = float64(y[i*width+j])
					}
					if sandwich {
						block = rmsOf(block, w1, eps)
					}
					for j := range sum {
						sum[j] = float64(h[i*width+j]) + block[j]
					}
					wantH = append(wantH, sum...)
					wantX = append(wantX, rmsOf(sum, w2, eps)...)
				}
				var post *backend.Norm
				if sandwich {
					post = &backend.Norm{Weight: b.vector(w1), Eps: eps}
				}
				hb, xb := b.buffer(h), b.buffer(make([]float32, n*width))
				b.s.AddNorm(hb, xb, b.buffer(y), post, backend.Norm{Weight: b.vector(w2), Eps: eps}, n)
				b.run()
				backendtest.Close(t, wantH, hb.Floats(), exact, "residual")
				backendtest.Close(t, wantX, xb.Floats(), exact, "norm")
			}
		}
	})
}

func TestEmbedTakesTheWrongRow(t *testing.T) {
	eachPath(t, func(t *testing.T, b *bench) {
		m, w := b.matrix(20, 64, backend.Q8, 32, backend.F16)
		weight := b.floats(64)
		ids, err := b.d.NewTokens(3)
		require.NoError(t, err)
		copy(ids.IDs(), []int32{19, 0, 7})
		h, xn := b.buffer(make([]float32, 3*64)), b.buffer(make([]float32, 3*64))
		b.s.Embed(h, xn, ids, 3, m, backend.Norm{Weight: b.vector(weight), Eps: 1e-5})
		b.run()
		var wantH, wantX []float64
		for _, id := range []int{19, 0, 7} {
			wantH = append(wantH, w[id]...)
			wantX = append(wantX, rmsOf(w[id], weight, 1e-5)...)
		}
		backendtest.Close(t, wantH, h.Floats(), exact, "rows")
		backendtest.Close(t, wantX, xn.Floats(), exact, "norm")
	})
}

func TestGateAndUpAreMixedUp(t *testing.T) {
	eachPath(t, func(t *testing.T, b *bench) {
		const cols, ffn = 96, 37
		for _, f := range []backend.Format{backend.BF16, backend.Q4, backend.Q8} {
			for _, n := range []int{2, 5} {
				m, w := b.matrix(2*ffn, cols, f, 32, backend.BF16)
				x := b.floats(n * cols)
				act := b.buffer(make([]float32, n*ffn))
				b.s.GateUp(act, b.buffer(x), m, n)
				b.run()
				gate, up := dotRows(x, w[:ffn], n), dotRows(x, w[ffn:], n)
				want := make([]float64, n*ffn)
				for i := range want {
					want[i] = gate[i] / (1 + math.Exp(-gate[i])) * up[i]
				}
				backendtest.Close(t, want, act.Floats(), b.loss(f), "silu(gate)·up in %v, %d tokens", f, n)
			}
		}
	})
}

func TestMLPProductOverflowsHalfPrecision(t *testing.T) {
	eachPath(t, func(t *testing.T, b *bench) {
		m, _ := b.matrix(2, 4, backend.F32, 0, 0)
		x := []float32{3e4, -3e4, 2e4, 1e4}
		act := b.buffer(make([]float32, 1))
		b.s.GateUp(act, b.buffer(x), m, 1)
		b.run()
		_, w := newBench(t, nil).matrix(2, 4, backend.F32, 0, 0) // the same random numbers
		y := dotRows(x, w, 1)
		want := y[0] / (1 + math.Exp(-y[0])) * y[1]
		require.Greater(t, math.Abs(want), 65504.0, "the test must leave the range of f16")
		backendtest.Close(t, []float64{want}, act.Floats(), exact, "large product")
	})
}

func TestAttentionIsWrong(t *testing.T) {
	for _, c := range []struct {
		heads, kvHeads, dim, rotary int
		bias                        bool
		before, n                   int
		format                      backend.Format
	}{
		{4, 2, 16, 8, true, 0, 1, backend.F32},
		{4, 4, 6, 6, false, 3, 9, backend.F32},
		{32, 2, 128, 64, true, 0, 20, backend.F32},
		{32, 2, 128, 64, true, 250, 17, backend.F32}, // over the edge of a block
		{16, 1, 128, 64, false, 600, 1, backend.F32},
		{16, 1, 128, 64, false, 600, 5, backend.F16},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			eachPath(t, func(t *testing.T, b *bench) {
				const hidden = 24
				a := backend.Attention{Heads: c.heads, KVHeads: c.kvHeads, HeadDim: c.dim, RotaryDims: c.rotary, RopeTheta: 10000}
				var w backend.QKV
				var wq, wk, wv [][]float64
				w.Q, wq = b.matrix(c.heads*c.dim, hidden, backend.F32, 0, 0)
				w.K, wk = b.matrix(c.kvHeads*c.dim, hidden, backend.F32, 0, 0)
				w.V, wv = b.matrix(c.kvHeads*c.dim, hidden, backend.F32, 0, 0)
				bq, bk, bv := make([]float32, len(wq)), make([]float32, len(wk)), make([]float32, len(wv))
				if c.bias {
					bq, bk, bv = b.floats(len(wq)), b.floats(len(wk)), b.floats(len(wv))
					w.QBias, w.KBias, w.VBias = b.vector(bq), b.vector(bk), b.vector(bv)
				}
				total := c.before + c.n
				x := b.floats(total * hidden)
				for i := range x {
					x[i] *= 0.3
				}

				kv, err := b.d.NewCache(2, a, c.format)
				require.NoError(t, err)
				require.NoError(t, kv.Grow(total))
				q, out := b.buffer(make([]float32, total*c.heads*c.dim)), b.buffer(make([]float32, total*c.heads*c.dim))
				if c.before > 0 {
					b.s.QKV(q, kv, 1, b.buffer(x[:c.before*hidden]), &w, backend.Span{Pos: 0, N: c.before})
				}
				at := backend.Span{Pos: c.before, N: c.n}
				b.s.QKV(q, kv, 1, b.buffer(x[c.before*hidden:]), &w, at)
				b.s.Attend(out, q, kv, 1, at)
				b.run()

				queries := project(x, wq, bq, a, c.heads, total, true)
				keys := project(x, wk, bk, a, c.kvHeads, total, true)
				values := project(x, wv, bv, a, c.kvHeads, total, false)
				width := c.heads * c.dim
				backendtest.Close(t, queries[c.before*width:], q.Floats()[:c.n*width], 1e-5, "rotated queries")
				tolerance := 1e-5
				if c.format == backend.F16 {
					tolerance = 1e-3 // keys and values keep 11 bits
				}
				backendtest.Close(t, attentionOf(queries, keys, values, a, at), out.Floats()[:c.n*width], tolerance, "attention")
			})
		})
	}
}

// project computes x·wᵀ + bias and rotates interleaved pairs by pos·theta^(-2i/rotary).
func project(x []float32, w [][]float64, bias []float32, a backend.Attention, heads, n int, rotate bool) []float64 {
	y := dotRows(x, w, n)
	for t := range n {
		for h := range heads {
			v := y[(t*heads+h)*a.HeadDim:]
			for i := range a.HeadDim {
				v[i] += float64(bias[h*a.HeadDim+i])
			}
			for i := 0; rotate && i < a.RotaryDims; i += 2 {
				sin, cos := math.Sincos(float64(t) * math.Pow(a.RopeTheta, -float64(i)/float64(a.RotaryDims)))
				v[i], v[i+1] = v[i]*cos-v[i+1]*sin, v[i+1]*cos+v[i]*sin
			}
		}
	}
	return y
}

func attentionOf(q, k, v []float64, a backend.Attention, at backend.Span) []float64 {
	out := make([]float64, 0, at.N*a.Heads*a.HeadDim)
	for t := at.Pos; t < at.Pos+at.N; t++ {
		for h := range a.Heads {
			g := h / (a.Heads / a.KVHeads)
			query := q[(t*a.Heads+h)*a.HeadDim:][:a.HeadDim]
			weights, total := make([]float64, t+1), 0.0
			for j := range weights {
				score := 0.0
				for i, x := range query {
					score += x * k[(j*a.KVHeads+g)*a.HeadDim+i]
				}
				weights[j] = math.Exp(score / math.Sqrt(float64(a.HeadDim)))
				total += weights[j]
			}
			for i := range a.HeadDim {
				sum := 0.0
				for j, p := range weights {
					sum += p * v[(j*a.KVHeads+g)*a.HeadDim+i]
				}
				out = append(out, sum/total)
			}
		}
	}
	return out
}

func TestFarPositionsLoseTheirAngle(t *testing.T) {
	var r rope
	const pos = 131071
	r.prepare(backend.Attention{RotaryDims: 64, RopeTheta: 10000}, backend.Span{Pos: pos, N: 1})
	x := make([]float32, 64)
	for i := range x {
		x[i] = float32(1 - i%2) // (1, 0) in every pair turns to (cos, sin)
	}
	r.rotate(x, 1, 64)
	for i := range 32 {
		angle := pos * math.Pow(10000, -float64(i)/32)
		require.InDelta(t, math.Cos(angle), x[2*i], 1e-7)
		require.InDelta(t, math.Sin(angle), x[2*i+1], 1e-7)
	}
}

func TestHugeKeysBecomeInfinite(t *testing.T) {
	require.Equal(t, float32(65504), half()[toHalf(1e9)])
	require.Equal(t, float32(-65504), half()[toHalf(-1e9)])
	for bits := range uint16(0x7C00) { // every finite positive number comes back
		require.Equal(t, bits, toHalf(half()[bits]))
	}
}

func TestSampleTakesPaddingOrTheWrongOfEquals(t *testing.T) {
	eachPath(t, func(t *testing.T, b *bench) {
		logits := b.buffer([]float32{1, 5, 2, 5, 9, 9})
		ids, err := b.d.NewTokens(2)
		require.NoError(t, err)
		b.s.Sample(ids, 1, logits, backend.Sampling{Valid: 4})
		b.run()
		require.Equal(t, []int32{0, 1}, ids.IDs())
	})
}

func TestSampleDrawsAnotherDistribution(t *testing.T) {
	eachPath(t, func(t *testing.T, b *bench) {
		probabilities := []float64{0.5, 0.25, 0.2, 0.05}
		const temperature, draws = 2.0, 20000
		x := make([]float32, 5)
		for i, p := range probabilities {
			x[i] = float32(temperature * math.Log(p))
		}
		x[4] = 100 // padding
		logits := b.buffer(x)
		ids, err := b.d.NewTokens(1)
		require.NoError(t, err)
		counts := make([]float64, len(probabilities))
		for step := range uint64(draws) {
			b.s.Sample(ids, 0, logits, backend.Sampling{Temperature: temperature, Seed: 7, Step: step, Valid: 4})
			b.run()
			counts[ids.IDs()[0]]++
		}
		for i, p := range probabilities {
			deviation := math.Sqrt(p * (1 - p) / draws)
			require.InDelta(t, p, counts[i]/draws, 4*deviation, "id %d", i)
		}
	})
}

func TestCacheLosesTokensWhenItGrows(t *testing.T) {
	for _, f := range []backend.Format{backend.F32, backend.F16} {
		b := newBench(t, nil)
		a := backend.Attention{Heads: 2, KVHeads: 2, HeadDim: 4, RotaryDims: 2, RopeTheta: 10000}
		kv, err := b.d.NewCache(1, a, f)
		require.NoError(t, err)
		require.Zero(t, kv.Bytes())
		c := kv.(*cache)
		for pos := 0; pos < 600; pos += 100 {
			require.NoError(t, kv.Grow(pos+100))
			x := make([]float32, 100*8)
			for i := range x {
				x[i] = float32(pos + i/8)
			}
			c.keys[0].write(x, backend.Span{Pos: pos, N: 100})
		}
		require.Equal(t, 768, kv.Cap(), "grows in steps of 256")
		require.EqualValues(t, 768*2*2*4*f.Bits()/8, kv.Bytes())
		var scratch []float32
		for pos := range 600 {
			row := c.keys[0].rows(pos/256, 1, pos%256+1, &scratch)
			require.Equal(t, float32(pos), row[len(row)-1])
		}
		require.NoError(t, kv.Close())
		require.Zero(t, kv.Bytes())
	}
}

func TestBadArgumentsPanic(t *testing.T) {
	eachPath(t, func(t *testing.T, b *bench) {
		m, _ := b.matrix(4, 8, backend.F32, 0, 0)
		norm := backend.Norm{Weight: b.vector(b.floats(8)), Eps: 1}
		ids, err := b.d.NewTokens(1)
		require.NoError(t, err)
		kv, err := b.d.NewCache(1, backend.Attention{Heads: 1, KVHeads: 1, HeadDim: 4, RotaryDims: 4, RopeTheta: 1}, backend.F32)
		require.NoError(t, err)
		small, large := b.buffer(make([]float32, 3)), b.buffer(make([]float32, 64))
		qkv := backend.QKV{Q: m, K: m, V: m}
		for name, op := range map[string]func(){
			"short buffer":    func() { b.s.Out(small, large, m, 1) },
			"id out of range": func() { ids.IDs()[0] = 4; b.s.Embed(large, large, ids, 1, m, norm) },
			"negative id":     func() { ids.IDs()[0] = -1; b.s.Embed(large, large, ids, 1, m, norm) },
			"too few ids":     func() { b.s.Embed(large, large, ids, 2, m, norm) },
			"one bias": func() {
				b.s.QKV(large, kv, 0, large, &backend.QKV{Q: m, K: m, V: m, QBias: norm.Weight}, backend.Span{N: 1})
			},
			"wrong norm":        func() { b.s.AddNorm(large, large, large, &backend.Norm{Weight: b.vector(nil)}, norm, 1) },
			"cache not grown":   func() { b.s.QKV(large, kv, 0, large, &qkv, backend.Span{N: 1}) },
			"no such layer":     func() { b.s.Attend(large, large, kv, 1, backend.Span{N: 1}) },
			"foreign matrix":    func() { b.s.Out(large, large, nil, 1) },
			"sample from short": func() { b.s.Sample(ids, 0, small, backend.Sampling{Valid: 4}) },
			"NaN logits": func() {
				x := b.buffer([]float32{1, float32(math.NaN())})
				b.s.Sample(ids, 0, x, backend.Sampling{Valid: 2})
			},
		} {
			require.NotPanics(t, op, name)
			err := b.s.Submit()
			require.Error(t, err, name)
			require.Error(t, b.s.Wait(0), name)
			require.NoError(t, b.s.Wait(0), "%s: the stream must recover", name)
		}
	})
}

func TestMatrixOfTheWrongSizeIsTaken(t *testing.T) {
	good := backend.MatrixData{Name: "w", Rows: 2, Cols: 64, Format: backend.Q4, GroupSize: 64, ScaleFormat: backend.BF16,
		Data: make([]byte, 64), Scales: make([]byte, 4), Biases: make([]byte, 4)}
	d := openPath(nil)
	defer d.Close()
	_, err := d.NewMatrix(good)
	require.NoError(t, err)
	for want, change := range map[string]func(*backend.MatrixData){
		"matrix w: shape [0, 64] must be positive":                     func(m *backend.MatrixData) { m.Rows = 0 },
		"matrix w: 63 bytes of q4 for shape [2, 64], expected 64":      func(m *backend.MatrixData) { m.Data = m.Data[1:] },
		"matrix w: group size 16, expected 32, 64 or 128":              func(m *backend.MatrixData) { m.GroupSize = 16 },
		"matrix w: 64 columns are no multiple of the group size 128":   func(m *backend.MatrixData) { m.GroupSize = 128 },
		"matrix w: scales in q8, expected f32, f16 or bf16":            func(m *backend.MatrixData) { m.ScaleFormat = backend.Q8 },
		"matrix w: 4 bytes of scales and 2 of biases, expected 4 each": func(m *backend.MatrixData) { m.Biases = m.Biases[2:] },
	} {
		m := good
		change(&m)
		_, err := d.NewMatrix(m)
		require.EqualError(t, err, want)
	}
}
