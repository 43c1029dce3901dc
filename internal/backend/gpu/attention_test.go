package gpu

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/x448/float16"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// attention is one dispatch, or two where it is split, with the choices that stream.Attend would make.
type attention struct {
	pos, n, heads, kvHeads, dim int

	format  backend.Format
	prefill bool // the kernel for 32 rows instead of 16
	chunk   int  // 0: one pass
	empty   int  // splits behind the last key
	large   bool // numbers that make scores of up to a million, without a rounding error
}

func (a attention) number(p *pair) float32 {
	if a.large {
		return float32(p.IntN(65) - 32)
	}
	return float32(p.NormFloat64())
}

// cache fills one with random numbers, and what is behind the tokens with what must not be used. It returns the keys
// and values as the cache holds them.
func (a attention) cache(p *pair) (c *cache, rows [2][]float32) {
	made, err := p.devices[1].NewCache(1, backend.Attention{Heads: a.heads, KVHeads: a.kvHeads, HeadDim: a.dim}, a.format)
	require.NoError(p, err)
	require.NoError(p, made.Grow(a.pos+a.n))
	c = made.(*cache)
	width := a.kvHeads * a.dim
	for i, at := range []binding{c.keys(0), c.values(0)} {
		rows[i] = make([]float32, (a.pos+a.n)*width)
		memory := at.buffer.Contents()[at.offset:]
		f32, f16 := metal.Slice[float32](memory), metal.Slice[uint16](memory)
		for j := range c.cap * width {
			x := a.number(p)
			if j >= len(rows[i]) {
				x = float32(math.NaN())
				if j%3 == 0 {
					x = float32(math.Inf(1 - j%2*2))
				}
			}
			if a.format == backend.F32 {
				f32[j] = x
			} else {
				h := float16.Fromfloat32(x)
				f16[j], x = h.Bits(), h.Float32()
			}
			if j < len(rows[i]) {
				rows[i][j] = x
			}
		}
	}
	return c, rows
}

// run holds the kernels' results against the definition.
func (a attention) run(p *pair) {
	p.Helper()
	d, s := p.devices[1].(*Device), p.gpu
	c, rows := a.cache(p)
	defer c.Close()
	width := a.heads * a.dim
	q, out := p.buffer(make([]float32, a.n*width))[1].(*buffer), p.empty(a.n * width)[1].(*buffer)
	defer q.Close()
	defer out.Close()
	for i := range q.floats {
		q.floats[i] = a.number(p)
		if a.large {
			q.floats[i] *= 1000
		}
	}

	k := shaders.AttendFor(1)[c.stored]
	if a.prefill {
		k = shaders.AttendFor(1 << 20)[c.stored]
	}
	args := shaders.AttendArgs{
		Pos: uint32(a.pos), N: uint32(a.n), Heads: uint32(a.heads), KVHeads: uint32(a.kvHeads), Splits: 1,
		Chunk: uint32(roundUp(a.pos+a.n, 32)), Scale: float32(1 / math.Sqrt(float64(a.dim))),
	}
	partials, stats := binding{d.none, 0}, binding{d.none, 0}
	if a.chunk > 0 {
		splits := (a.pos+a.n+a.chunk-1)/a.chunk + a.empty
		args.Chunk, args.Splits = uint32(a.chunk), uint32(splits)
		partials, stats = s.partial.take(s, 4*splits*a.n*width), s.stats.take(s, 8*splits*a.n*a.heads)
		for _, b := range []binding{partials, stats} {
			dirty := metal.Slice[float32](b.buffer.Contents())
			for i := range dirty {
				dirty[i] = float32(math.NaN())
			}
		}
	}
	result := binding{out.metal, 0}
	v := variant{kernel: k, constants: shaders.Constants{KVFormat: c.stored, HeadDim: uint32(a.dim)}}
	add(s, v, args, [3]int{a.n * a.heads / a.kvHeads, a.kvHeads, int(args.Splits)}, 0, binding{q.metal, 0}, c.keys(0),
		c.values(0), result, partials, stats)
	if args.Splits > 1 {
		v.kernel = shaders.AttendCombine
		add(s, v, shaders.CombineArgs{Rows: uint32(a.n * a.heads), Splits: args.Splits}, [3]int{a.n * a.heads, 1, 1}, 0,
			partials, stats, result)
	}
	require.NoError(p, s.Submit(), "%+v", a)
	require.NoError(p, s.Wait(0), "%+v", a)

	want, got := make([]float32, 0, a.n*width), make([]float32, 0, a.n*width)
	step := 1
	if a.n > 40 {
		step = 7 // a prime, so that every head and place in a tile comes up
	}
	for i := 0; i < a.n*a.heads; i += step {
		query := q.floats[i*a.dim : (i+1)*a.dim]
		want = append(want, a.attend(query, rows, i/a.heads, i%a.heads*a.kvHeads/a.heads)...)
		got = append(got, out.floats[i*a.dim:(i+1)*a.dim]...)
	}
	p.closeFloats(want, got, "%+v", a)
}

// attend is the definition, in float64.
func (a attention) attend(query []float32, rows [2][]float32, token, kvHead int) []float32 {
	row := func(of, key int) []float32 {
		at := (key*a.kvHeads + kvHead) * a.dim
		return rows[of][at : at+a.dim]
	}
	scores := make([]float64, a.pos+token+1)
	top, total := math.Inf(-1), 0.0
	for key := range scores {
		for d, x := range row(0, key) {
			scores[key] += float64(x) * float64(query[d])
		}
		scores[key] /= math.Sqrt(float64(a.dim))
		top = max(top, scores[key])
	}
	sums := make([]float64, a.dim)
	for key, score := range scores {
		weight := math.Exp(score - top)
		total += weight
		for d, x := range row(1, key) {
			sums[d] += weight * float64(x)
		}
	}
	out := make([]float32, a.dim)
	for d := range out {
		out[d] = float32(sums[d] / total)
	}
	return out
}

// glm4Attention is one token of GLM-4-9B at a position.
func glm4Attention(pos int, f backend.Format) attention {
	return attention{pos: pos, n: 1, heads: 32, kvHeads: 2, dim: 128, format: f}
}

func TestDecodeAttentionWrong(t *testing.T) {
	p := newPair(t, false)
	for _, f := range []backend.Format{backend.F16, backend.F32} {
		for _, keys := range []int{1, 31, 32, 33, 64, 65, 255, 256, 257, 1000} {
			inOrders(t, func() { glm4Attention(keys-1, f).run(p) })
		}
		for _, a := range [][2]int{{1, 64}, {255, 64}, {256, 128}, {257, 256}, {257, 32}, {1000, 96}, {1000, 256}, {4097, 0},
			{4097, 64}, {4097, 256}} {
			split := glm4Attention(a[0]-1, f)
			split.chunk, split.empty = a[1], a[0]%3
			split.run(p)
		}
	}
}

func TestFewTokensAttentionWrong(t *testing.T) {
	p := newPair(t, false)
	for _, prefill := range []bool{false, true} {
		for _, n := range []int{2, 5, 12} {
			for _, pos := range []int{0, 62, 301} {
				a := attention{pos: pos, n: n, heads: 32, kvHeads: 2, dim: 128, format: backend.F16, prefill: prefill}
				inOrders(t, func() { a.run(p) })
				a.chunk, a.empty = 64, 1
				a.run(p)
			}
		}
	}
}

func TestPrefillAttentionWrong(t *testing.T) {
	p := newPair(t, false)
	for i, n := range []int{1, 16, 17, 33, 200, 600} {
		for _, pos := range []int{0, 300} {
			a := attention{pos: pos, n: n, heads: 2, kvHeads: 1, dim: 128, format: backend.Format(i % 2), prefill: true}
			a.run(p)
		}
	}
	inOrders(t, func() {
		attention{pos: 30, n: 37, heads: 32, kvHeads: 2, dim: 128, format: backend.F16, prefill: true}.run(p)
	})
}

func TestOddHeadsAttentionWrong(t *testing.T) {
	p := newPair(t, false)
	for _, group := range []int{1, 2, 3, 4, 6, 16} {
		for _, dim := range []int{8, 16, 24, 32, 64, 96, 104, 128} {
			for _, prefill := range []bool{false, true} {
				a := attention{pos: 13, n: 21, heads: 2 * group, kvHeads: 2, dim: dim, format: backend.Format((group + dim/8) % 2),
					prefill: prefill}
				a.run(p)
				a.chunk = 32 // of which some tokens see only the first
				a.run(p)
			}
		}
	}
}

func TestLargeScoresOverflow(t *testing.T) {
	p := newPair(t, false)
	for _, a := range []attention{
		{pos: 256, n: 1, heads: 32, kvHeads: 2, dim: 64},
		{pos: 256, n: 1, heads: 32, kvHeads: 2, dim: 64, chunk: 64},
		{pos: 100, n: 40, heads: 4, kvHeads: 2, dim: 64, prefill: true},
		{pos: 100, n: 40, heads: 4, kvHeads: 2, dim: 64, prefill: true, chunk: 32},
	} {
		a.format, a.large = backend.F16, true
		a.run(p)
	}
}

// The op as a step runs it: what QKV left in the cache, the kernel and the splits that Attend chooses. The projections
// only pick and negate, so that both devices round the same numbers to f16.
func TestAttendDiffersFromTheCPU(t *testing.T) {
	p := newPair(t, false)
	for _, f := range []backend.Format{backend.F16, backend.F32} {
		g := backend.Attention{Heads: 32, KVHeads: 2, HeadDim: 128}
		const hidden, tokens = 64, 616
		picks := func(rows int) [2]backend.Matrix {
			w := make([]float32, rows*hidden)
			for r := range rows {
				w[r*hidden+p.IntN(hidden)] = float32(1 - 2*p.IntN(2))
			}
			return p.place(backend.MatrixData{Name: "picks", Rows: rows, Cols: hidden, Format: backend.F32,
				Data: backendtest.Encode(w, backend.F32)})
		}
		width := g.Heads * g.HeadDim
		wq, wk, wv := picks(width), picks(g.KVHeads*g.HeadDim), picks(g.KVHeads*g.HeadDim)
		kv := p.cache(1, g, f, tokens)
		pos := 0
		for _, n := range []int{33, 1, 2, 12, 480, 1, 3, 40} { // to where it splits
			x, q, a := p.buffer(p.floats(n*hidden, 1)), p.empty(n*width), p.empty(n*width)
			p.run(func(s backend.Stream, i int) {
				s.QKV(q[i], kv[i], 0, x[i], &backend.QKV{Q: wq[i], K: wk[i], V: wv[i]}, backend.Span{Pos: pos, N: n})
				if n < 100 { // else only to fill the cache
					s.Attend(a[i], q[i], kv[i], 0, backend.Span{Pos: pos, N: n})
				}
			})
			p.close(a, fmt.Sprintf("%v, %d tokens at %d", f, n, pos))
			pos += n
		}
	}
}
