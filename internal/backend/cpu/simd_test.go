package cpu

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
)

// simdPaths runs a test on every SIMD path of this machine, next to a device in plain Go.
func simdPaths(t *testing.T, test func(t *testing.T, b, plain *bench)) {
	for _, k := range simd.Paths() {
		t.Run(k.Name, func(t *testing.T) { test(t, newBench(t, k), newBench(t, nil)) })
	}
}

// productLeavesPlainGo multiplies n tokens with a matrix, on memory that ends or begins at a guard page.
func productLeavesPlainGo(t *testing.T, b, plain *bench, data backend.MatrixData, n int, front bool) {
	data.Data, data.Scales = backendtest.At(t, data.Data, front), backendtest.At(t, data.Scales, front)
	data.Biases = backendtest.At(t, data.Biases, front)
	m, err := b.d.NewMatrix(data)
	require.NoError(t, err)
	p, err := plain.d.NewMatrix(data)
	require.NoError(t, err)
	x := backendtest.At(t, b.floats(n*data.Cols), front)
	y, want := backendtest.At(t, make([]float32, n*data.Rows), front), make([]float32, n*data.Rows)
	b.s.Out(buffer(y), buffer(x), m, n)
	plain.s.Out(buffer(want), buffer(x), p, n)
	b.run()
	plain.run()
	backendtest.Close(t, backendtest.Doubles(want), y, 2*b.loss(data.Format), "%v in groups of %d with %v scales, %dx%d, "+
		"%d tokens", data.Format, data.GroupSize, data.ScaleFormat, data.Rows, data.Cols, n)
}

func TestSIMDProductLeavesPlainGoOrItsMemory(t *testing.T) {
	type shape struct {
		rows, cols int
		format     backend.Format
		group      int
		scales     backend.Format
	}
	var shapes []shape
	for _, f := range []backend.Format{backend.Q4, backend.Q8} {
		for _, group := range []int{32, 64, 128} {
			for _, scales := range []backend.Format{backend.F32, backend.F16, backend.BF16} {
				for _, rows := range []int{7, 8, 9, 16, 27, 48} {
					shapes = append(shapes, shape{rows, group, f, group, scales}, shape{rows, 9 * group, f, group, scales})
				}
			}
			shapes = append(shapes, shape{35, 13696, f, group, backend.BF16}, shape{32, 4096, f, group, backend.F16})
		}
	}
	for _, f := range []backend.Format{backend.F32, backend.F16, backend.BF16} {
		for _, rows := range []int{3, 8, 9, 13, 16, 17, 35} {
			for _, cols := range []int{8, 31, 32, 104, 4096} {
				shapes = append(shapes, shape{rows, cols, f, 0, 0})
			}
		}
		for _, cols := range []int{plainColumns - 8, plainColumns, plainColumns + 8, 1016, 1024, 1032, 2048, 2056} {
			shapes = append(shapes, shape{11, cols, f, 0, 0})
		}
		shapes = append(shapes, shape{18, 13696, f, 0, 0})
	}
	simdPaths(t, func(t *testing.T, b, plain *bench) {
		for i, c := range shapes {
			m, _ := b.matrix(c.rows, c.cols, c.format, c.group, c.scales)
			data := m.(*matrix).MatrixData
			if c.format.Quantised() { // as large as each other, so that the codes decide the sums and few cancel
				data.Scales = backendtest.Encode(b.floats(len(data.Scales)*8/c.scales.Bits()), c.scales)
				data.Biases = backendtest.Encode(b.floats(len(data.Biases)*8/c.scales.Bits()), c.scales)
			}
			tokens := []int{1, 2, 3, 4, 5, 11}
			if c.group == 0 {
				tokens = append(tokens, widenTokens+3)
			}
			for _, n := range tokens {
				productLeavesPlainGo(t, b, plain, data, n, i%2 == 1)
			}
		}
	})
}

// Every number of tokens around the borders between the ways that a product takes.
func TestSIMDProductOfSomeTokensLeavesPlainGoOrItsMemory(t *testing.T) {
	type shape struct {
		format backend.Format
		group  int
		cols   []int
	}
	shapes := []shape{
		{backend.F32, 0, []int{24, plainColumns + 8}}, {backend.F16, 0, []int{8, 1032}}, {backend.BF16, 0, []int{104, 1032}},
	}
	for _, group := range []int{32, 64, 128} {
		for _, f := range []backend.Format{backend.Q4, backend.Q8} {
			shapes = append(shapes, shape{f, group, []int{group, 3 * group, 7 * group}})
		}
	}
	simdPaths(t, func(t *testing.T, b, plain *bench) {
		for i, c := range shapes {
			for n := 1; n <= 40; n++ {
				rows, cols := []int{8, 9, 16, 23, 45}[n%5], c.cols[n%len(c.cols)]
				m, _ := b.matrix(rows, cols, c.format, c.group, backend.BF16)
				productLeavesPlainGo(t, b, plain, m.(*matrix).MatrixData, n, (i+n)%2 == 1)
			}
		}
	})
}

func TestMatricesOfOneInputReadAnothersForm(t *testing.T) {
	a := backend.Attention{Heads: 2, KVHeads: 1, HeadDim: 32, RotaryDims: 0, RopeTheta: 10000}
	simdPaths(t, func(t *testing.T, b, plain *bench) {
		for _, n := range []int{1, 5, 40} {
			q, _ := b.matrix(64, 128, backend.Q4, 64, backend.BF16)
			k, _ := b.matrix(32, 128, backend.Q8, 64, backend.BF16)
			v, _ := b.matrix(32, 128, backend.Q4, 64, backend.BF16)
			x := b.floats(n * 128)
			project := func(b *bench) (out, keys, values []float32) {
				kv, err := b.d.NewCache(1, a, backend.F32)
				require.NoError(t, err)
				require.NoError(t, kv.Grow(n))
				place := func(m backend.Matrix) backend.Matrix {
					p, err := b.d.NewMatrix(m.(*matrix).MatrixData)
					require.NoError(t, err)
					return p
				}
				to := b.buffer(make([]float32, n*64))
				b.s.QKV(to, kv, 0, b.buffer(x), &backend.QKV{Q: place(q), K: place(k), V: place(v)}, backend.Span{N: n})
				b.run()
				c := kv.(*cache)
				var scratch []float32
				keys = append(keys, c.keys[0].rows(0, 0, n, &scratch)...)
				return to.Floats(), keys, c.values[0].rows(0, 0, n, &scratch)
			}
			out, keys, values := project(b)
			wantOut, wantKeys, wantValues := project(plain)
			backendtest.Close(t, backendtest.Doubles(wantOut), out, 2*b.loss(backend.Q4), "queries")
			backendtest.Close(t, backendtest.Doubles(wantKeys), keys, 2*b.loss(backend.Q8), "keys")
			backendtest.Close(t, backendtest.Doubles(wantValues), values, 2*b.loss(backend.Q4), "values")
		}
	})
}

func TestProductDependsOnHowManyTokensShareIt(t *testing.T) {
	eachPath(t, func(t *testing.T, b *bench) {
		const rows, n = 45, widenTokens + 9
		for _, c := range []struct {
			format backend.Format
			group  int
			cols   int
		}{
			{backend.Q4, 32, 1248}, {backend.Q4, 64, 1216}, {backend.Q4, 128, 1664}, {backend.Q8, 64, 576},
			{backend.BF16, 0, 1000}, {backend.F16, 0, 264}, {backend.F32, 0, 264}, {backend.BF16, 0, 1032},
			{backend.F32, 0, 2056}, {backend.F32, 0, 333},
		} {
			m, _ := b.matrix(rows, c.cols, c.format, c.group, backend.BF16)
			x := b.floats(n * c.cols)
			together := b.buffer(make([]float32, n*rows))
			b.s.Out(together, b.buffer(x), m, n)
			for _, piece := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 17, 24, 25, widenTokens - 1, widenTokens + 1} {
				for from := 0; from < n; from += piece {
					k := min(piece, n-from)
					y := b.buffer(make([]float32, k*rows))
					b.s.Out(y, b.buffer(x[from*c.cols:(from+k)*c.cols]), m, k)
					b.run()
					require.Equal(t, together.Floats()[from*rows:(from+k)*rows], y.Floats(), "%+v, %d tokens from %d on", c, k, from)
				}
			}
		}
	})
}

// With weights that pick one column each, a product is what its activations became: here all int16s, each group with
// the largest, so that every number occurs that a path may round to.
func TestActivationLosesBits(t *testing.T) {
	simdPaths(t, func(t *testing.T, b, _ *bench) {
		const cols, high = 32, 32767
		data := backend.MatrixData{Name: "w", Rows: cols, Cols: cols, Format: backend.Q4, GroupSize: cols,
			ScaleFormat: backend.F32}
		data.Data = make([]byte, cols*cols/2)
		for r := range cols {
			data.Data[r*cols/2+r/2] = 1 << (r % 2 * 4)
		}
		data.Scales = backendtest.Encode(slices.Repeat([]float32{1}, cols), backend.F32)
		data.Biases = make([]byte, 4*cols)
		m, err := b.d.NewMatrix(data)
		require.NoError(t, err)
		var x []float32
		for v := -high; v <= high; v++ {
			if len(x)%cols == len(x)/cols%cols {
				x = append(x, high)
			}
			x = append(x, float32(v))
		}
		x = x[:len(x)/cols*cols]
		for _, n := range []int{1, 7, len(x) / cols} {
			for from := 0; from+n*cols <= len(x); from += 7 * n * cols {
				y := b.buffer(make([]float32, n*cols))
				b.s.Out(y, b.buffer(x[from:from+n*cols]), m, n)
				b.run()
				for i, v := range y.Floats() {
					require.InDelta(t, x[from+i], v, 0.51, "%d tokens", n)
				}
			}
		}
	})
}

func TestLargestCodesOverflow(t *testing.T) {
	simdPaths(t, func(t *testing.T, b, _ *bench) {
		const rows, cols = 16, 384
		for _, f := range []backend.Format{backend.Q4, backend.Q8} {
			for _, group := range []int{32, 64, 128} {
				data := backend.MatrixData{Name: "w", Rows: rows, Cols: cols, Format: f, GroupSize: group, ScaleFormat: backend.F32}
				data.Data = bytes.Repeat([]byte{255}, rows*cols*f.Bits()/8)
				data.Scales = backendtest.Encode(slices.Repeat([]float32{1}, rows*cols/group), backend.F32)
				data.Biases = make([]byte, len(data.Scales))
				m, err := b.d.NewMatrix(data)
				require.NoError(t, err)
				for _, n := range []int{1, 3, 8, 40} {
					for _, x := range []float32{1, -1} {
						y := b.buffer(make([]float32, n*rows))
						b.s.Out(y, b.buffer(slices.Repeat([]float32{x}, n*cols)), m, n)
						b.run()
						for _, v := range y.Floats() {
							require.InEpsilon(t, x*cols*float32(int(1)<<f.Bits()-1), v, 1e-6, "%v, groups of %d, %d tokens", f, group, n)
						}
					}
				}
			}
		}
	})
}

func TestSIMDPlainProductLeavesItsTile(t *testing.T) {
	simdPaths(t, func(t *testing.T, b, _ *bench) {
		m, _ := b.matrix(16, 520, backend.BF16, 0, 0)
		for _, n := range []int{1, 2, 4, 5, 7, 11, widenTokens + 1} {
			tile := backendtest.At(t, make([]float32, n*8), false)
			in := input{x: b.floats(n * 520), n: n, cols: 520}
			if !in.suits(m.(*matrix)) {
				bring := in.bring(m.(*matrix))
				for i := range n {
					bring.do(nil, i)
				}
			}
			m.(*matrix).multiply(&worker{}, &in, 4, 12, tile)
		}
	})
}

func TestSIMDSamplesAnotherID(t *testing.T) {
	for _, k := range simd.Paths() {
		r := rand.New(rand.NewPCG(5, 6))
		for i := range 200 {
			x := make([]float32, 1000+r.IntN(9000))
			for j := range x {
				x[j] = float32(r.NormFloat64() * float64(i%7))
			}
			if i%5 == 0 {
				copy(x[500:], x[:400]) // equals
			}
			for _, temperature := range []float32{0, 0.05, 0.7, 3} {
				how := backend.Sampling{Temperature: temperature, Seed: uint64(i), Step: 3, Valid: len(x)}
				best, bad := sample(k, x, &how)
				want, _ := sample(nil, x, &how)
				require.Equal(t, want, best, "%s at temperature %v", k.Name, temperature)
				require.Negative(t, bad)
			}
			at := r.IntN(len(x))
			x[at] = float32(math.NaN())
			for _, temperature := range []float32{0, 1} {
				_, bad := sample(k, x, &backend.Sampling{Temperature: temperature, Valid: len(x)})
				require.Equal(t, at, bad, k.Name)
			}
		}
	}
}

func TestPrunedNoiseCouldHaveWon(t *testing.T) {
	key := backend.GumbelKey(9, 8)
	for id := range 100000 {
		noise := float64(backend.Gumbel(9, 8, int32(id)))
		u := (float64(backend.GumbelBits(key, int32(id))) + 0.5) / (1 << 24)
		require.InDelta(t, -math.Log(-math.Log(u)), noise, 1e-6)
		// An id is left out only where it stays behind by more than the rounding.
		if need := float64(id%20) - 2; backend.GumbelBits(key, int32(id)) < leastNoise(need, 0) {
			require.Less(t, noise, need)
		}
	}
}

func TestForcedPathIsIgnored(t *testing.T) {
	data := backend.MatrixData{Name: "w", Rows: 1, Cols: 1, Format: backend.F32, Data: make([]byte, 4)}
	for _, name := range []string{"plain", simd.Paths()[0].Name} {
		t.Setenv(simd.Variable, name)
		d := Open()
		require.Contains(t, d.Info().Device, name)
		_, err := d.NewMatrix(data)
		require.NoError(t, err)
		require.NoError(t, d.Close())
	}
	t.Setenv(simd.Variable, "mmx")
	d := Open()
	_, err := d.NewMatrix(data)
	require.ErrorContains(t, err, "GLM4_CPU=mmx, which this machine does not have")
	require.NoError(t, d.Close())
}

func TestStepAllocates(t *testing.T) {
	eachPath(t, func(t *testing.T, b *bench) {
		for _, n := range []int{1, 4, 40} {
			a := backend.Attention{Heads: 4, KVHeads: 2, HeadDim: 32, RotaryDims: 16, RopeTheta: 10000}
			const hidden, ffn, vocab = 128, 192, 512
			kv, err := b.d.NewCache(1, a, backend.F16)
			require.NoError(t, err)
			require.NoError(t, kv.Grow(100))
			embed, _ := b.matrix(vocab, hidden, backend.Q4, 64, backend.BF16)
			q, _ := b.matrix(128, hidden, backend.Q4, 64, backend.BF16)
			k, _ := b.matrix(64, hidden, backend.Q8, 64, backend.BF16)
			v, _ := b.matrix(64, hidden, backend.BF16, 0, 0)
			gateUp, _ := b.matrix(2*ffn, hidden, backend.Q4, 64, backend.BF16)
			down, _ := b.matrix(hidden, ffn, backend.Q4, 64, backend.BF16)
			norm := backend.Norm{Weight: b.vector(b.floats(hidden)), Eps: 1e-5}
			w := &backend.QKV{Q: q, K: k, V: v, QBias: b.vector(b.floats(128)), KBias: b.vector(b.floats(64)),
				VBias: b.vector(b.floats(64))}
			ids, err := b.d.NewTokens(n)
			require.NoError(t, err)
			h, xn, y := b.buffer(make([]float32, n*hidden)), b.buffer(make([]float32, n*hidden)), b.buffer(make([]float32,
				n*hidden))
			qs, as, act, logits := b.buffer(make([]float32, n*128)), b.buffer(make([]float32, n*128)), b.buffer(make([]float32,
				n*ffn)), b.buffer(make([]float32, vocab))
			pos := 0
			step := func() {
				at := backend.Span{Pos: pos % 80, N: n}
				pos++
				b.s.Embed(h, xn, ids, n, embed, norm)
				b.s.QKV(qs, kv, 0, xn, w, at)
				b.s.Attend(as, qs, kv, 0, at)
				b.s.Out(y, as, q, n)
				b.s.AddNorm(h, xn, y, &norm, norm, n)
				b.s.GateUp(act, xn, gateUp, n)
				b.s.Down(y, act, down, n)
				b.s.AddNorm(h, xn, y, nil, norm, n)
				b.s.Head(logits, xn, embed, n-1, 1)
				b.s.Sample(ids, 0, logits, backend.Sampling{Temperature: 1, Valid: vocab})
			}
			for range 100 { // every worker has its memory
				step()
			}
			require.Zero(t, testing.AllocsPerRun(100, step), "%d tokens", n)
			b.run()
		}
	})
}
