package cpu

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
)

// withWorkers is a device with its own number of workers.
func withWorkers(t *testing.T, k *simd.Kernels, workers int) *bench {
	b := newBench(t, k)
	b.d.pool.close()
	b.d.pool = newPool(workers)
	b.raw = b.d.newStream()
	b.s = backend.Checked(b.raw)
	return b
}

// guardedCache is a cache of one layer whose blocks end, or with front begin, at a page that cannot be touched. Every
// position holds keys and values of NaN, as those of a session that was rewound may.
func (b *bench) guardedCache(a backend.Attention, f backend.Format, tokens int, front bool) *cache {
	kv, err := b.d.NewCache(1, a, f)
	require.NoError(b, err)
	require.NoError(b, kv.Grow(tokens))
	c := kv.(*cache)
	broken := make([]float32, c.Cap()*a.KVHeads*a.HeadDim)
	for i := range broken {
		broken[i] = float32(math.NaN())
	}
	for _, s := range []*store{&c.keys[0], &c.values[0]} {
		for i := range s.f32 {
			s.f32[i] = backendtest.At(b.T, s.f32[i], front)
		}
		for i, v := range s.f16 {
			s.f16[i] = backendtest.At(b.T, v, front)
		}
		s.write(broken, backend.Span{N: c.Cap()})
	}
	return c
}

func TestSIMDAttentionIsWrongOrSeesStaleKeysOrLeavesItsMemory(t *testing.T) {
	simdPaths(t, func(t *testing.T, b, _ *bench) {
		i := 0
		for _, dim := range []int{16, 24, 32, 64, 80, 96, 128} {
			for _, total := range []int{1, 8, 17, 31, 33, 64, 255, 257, 511, 513, 1030} {
				group := []int{1, 2, 3, 16}[b.IntN(4)]
				n, format, front := 1+b.IntN(min(9, total)), backend.F32, i%2 == 0
				if b.IntN(2) == 0 {
					format = backend.F16
				}
				if group == 16 {
					n = min(n, 3) // the reference is slow
				}
				i++
				a := backend.Attention{Heads: 2 * group, KVHeads: 2, HeadDim: dim, RopeTheta: 1}
				at := backend.Span{Pos: total - n, N: n}
				c := b.guardedCache(a, format, total, front)
				width := a.KVHeads * dim
				keys, values := b.floats(total*width), b.floats(total*width)
				c.keys[0].write(keys, backend.Span{N: total})
				c.values[0].write(values[:total/2*width], backend.Span{N: total / 2})
				c.values[0].write(values[total/2*width:], backend.Span{Pos: total / 2, N: total - total/2})
				if format == backend.F16 {
					for _, x := range [][]float32{keys, values} {
						for i, v := range x {
							x[i] = half()[toHalf(v)]
						}
					}
				}
				q := b.floats(total * a.Heads * dim)
				want := backendtest.Attend(backendtest.Doubles(q), backendtest.Doubles(keys), backendtest.Doubles(values), a, at)
				query := backendtest.At(t, q[at.Pos*a.Heads*dim:], front)
				out := backendtest.At(t, make([]float32, len(query)), front)
				b.s.Attend(buffer(out), buffer(query), c, 0, at)
				b.run()
				backendtest.Close(t, want, out, 1e-5, "%+v of %+v in %v", at, a, format)
			}
		}
	})
}

func TestAttentionDependsOnHowManyTokensShareIt(t *testing.T) {
	eachPath(t, func(t *testing.T, b *bench) {
		for _, c := range []struct{ group, from, n int }{{6, 0, 300}, {1, attendChunk - 5, 12}, {16, 2*attendChunk - 5, 12}} {
			a := backend.Attention{Heads: 2 * c.group, KVHeads: 2, HeadDim: 16, RopeTheta: 1}
			total := c.from + c.n
			kv, err := b.d.NewCache(1, a, backend.F16)
			require.NoError(t, err)
			require.NoError(t, kv.Grow(total))
			kv.(*cache).keys[0].write(b.floats(total*32), backend.Span{N: total})
			kv.(*cache).values[0].write(b.floats(total*32), backend.Span{N: total})
			width := a.Heads * a.HeadDim
			q := b.floats(c.n * width)
			whole := b.buffer(make([]float32, c.n*width))
			b.s.Attend(whole, b.buffer(q), kv, 0, backend.Span{Pos: c.from, N: c.n})
			for _, piece := range []int{1, 5, 13} {
				for from := 0; from < c.n; from += piece {
					k := min(piece, c.n-from)
					part := b.buffer(make([]float32, k*width))
					b.s.Attend(part, b.buffer(q[from*width:(from+k)*width]), kv, 0, backend.Span{Pos: c.from + from, N: k})
					b.run()
					require.Equal(t, whole.Floats()[from*width:(from+k)*width], part.Floats(), "%+v: %d tokens from %d on", c, k, from)
				}
			}
		}
	})
}

func TestSIMDAttentionDependsOnTheNumberOfWorkers(t *testing.T) {
	for _, k := range simd.Paths() {
		for i, at := range []backend.Span{{Pos: 100, N: 1}, {Pos: 1100, N: 1}, {Pos: 2*attendChunk - 3, N: 7},
			{Pos: attendChunk, N: 7}, {Pos: 40, N: 20}} {
			heads := 32
			if i == 3 {
				heads = 24 // 12 do not part into equal fours
			}
			a := backend.Attention{Heads: heads, KVHeads: 2, HeadDim: 16, RopeTheta: 1}
			total := at.Pos + at.N
			var want []float32
			for _, workers := range []int{1, 2, 5, 40} {
				b := withWorkers(t, k, workers)
				kv, err := b.d.NewCache(1, a, backend.F16)
				require.NoError(t, err)
				require.NoError(t, kv.Grow(total))
				kv.(*cache).keys[0].write(b.floats(total*32), backend.Span{N: total})
				kv.(*cache).values[0].write(b.floats(total*32), backend.Span{N: total})
				out := b.buffer(make([]float32, at.N*16*heads))
				b.s.Attend(out, b.buffer(b.floats(at.N*16*heads)), kv, 0, at)
				b.run()
				if want == nil {
					want = out.Floats()
				}
				require.Equal(t, want, out.Floats(), "%s, %+v, %d workers", k.Name, at, workers)
			}
		}
	}
}

func TestLongContextAllocates(t *testing.T) {
	eachPath(t, func(t *testing.T, b *bench) {
		b = withWorkers(t, b.d.kernels, 3) // chunks are tasks
		a := backend.Attention{Heads: 4, KVHeads: 2, HeadDim: 16, RopeTheta: 1}
		const total = 3 * attendChunk
		kv, err := b.d.NewCache(1, a, backend.F16)
		require.NoError(t, err)
		require.NoError(t, kv.Grow(total))
		x := b.buffer(b.floats(3 * 64))
		for _, n := range []int{1, 3} {
			pos := attendChunk - 20
			step := func() {
				b.s.Attend(x, x, kv, 0, backend.Span{Pos: pos % total, N: n})
				pos += n
			}
			for range 20 {
				step()
			}
			require.Zero(t, testing.AllocsPerRun(500, step), "%d tokens", n)
		}
		b.run()
	})
}

// A key or value that is no number shows in the tokens that see it, and in no other.
func TestBrokenKeysAndValuesPassForNumbers(t *testing.T) {
	eachPath(t, func(t *testing.T, b *bench) {
		b = withWorkers(t, b.d.kernels, 1) // one task has all heads of both tokens
		a := backend.Attention{Heads: 8, KVHeads: 1, HeadDim: 16, RopeTheta: 1}
		const total = attendChunk + 40
		for _, bad := range []int{3, attendChunk - 1, attendChunk, total - 2} {
			for i, f := range []backend.Format{backend.F16, backend.F32, backend.F16, backend.F32} {
				c := b.guardedCache(a, f, total, false)
				keys, values := b.floats(total*16), b.floats(total*16)
				if i < 2 {
					keys[bad*16+5] = float32(math.NaN())
				} else {
					values[bad*16+5] = float32(math.NaN())
				}
				c.keys[0].write(keys, backend.Span{N: total})
				c.values[0].write(values, backend.Span{N: total})
				out := b.buffer(make([]float32, 2*8*16))
				for _, pos := range []int{bad - 1, bad, total - 2} {
					b.s.Attend(out, b.buffer(b.floats(2*8*16)), c, 0, backend.Span{Pos: pos, N: 2})
					b.run()
					for t := range 2 {
						for h := range 8 {
							v := out.Floats()[(t*8+h)*16+5]
							require.Equal(b, pos+t >= bad, v != v, "%v: position %d, head %d, broken at %d", f, pos+t, h, bad)
						}
					}
				}
			}
		}
	})
}

func TestStoppedAttentionReadsTheWholeContext(t *testing.T) {
	eachPath(t, func(t *testing.T, b *bench) {
		a := backend.Attention{Heads: 4, KVHeads: 2, HeadDim: 32, RotaryDims: 16, RopeTheta: 10000}
		kv, err := b.d.NewCache(1, a, backend.F16)
		require.NoError(t, err)
		at := backend.Span{Pos: 2000, N: 9}
		require.NoError(t, kv.Grow(at.Pos+at.N))
		q, out := b.buffer(b.floats(at.N*128)), b.buffer(make([]float32, at.N*128))
		b.s.Attend(out, q, kv, 0, at)
		b.run()
		// The task that runs when the step is stopped.
		s := b.raw
		for i := range out.Floats() {
			out.Floats()[i] = 7
		}
		s.Stop()
		s.attend.do(s.pool.workers[0], 0)
		for _, v := range out.Floats() {
			require.EqualValues(t, 7, v)
		}
		require.ErrorIs(t, s.Wait(0), backend.ErrStopped)
	})
}
