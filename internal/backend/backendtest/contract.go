// Package backendtest is the contract suite of the backends, and test data. A device's tests call [Contract]; what is
// particular to a device, such as which kernel runs when, its own tests look at.
//
// Results are held against the definitions of the ops, computed in float64 from the stored numbers.
package backendtest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// Target is a backend to be tested.
type Target struct {
	Open func(t *testing.T) backend.Device
	// Step is what the columns of a matrix and the dimensions of a head must be a multiple of.
	Step int
	// Loss is what a product with quantised weights may lose, relative to the largest result, where it is more than what
	// float32 sums lose.
	Loss float64
	// InOrders, if it is not nil, runs a test once in each order of threads that can be forced on the device.
	InOrders func(t testing.TB, test func())
	// Faults tells whether a fault of mapped memory can be told from other errors.
	Faults bool
}

type test struct {
	name string // says what is wrong when it fails
	run  func(b *bench)
}

func runTests(t *testing.T, target Target, tests []test) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(newBench(t, target)) })
	}
}

// Contract tests a backend.
func Contract(t *testing.T, target Target) {
	runTests(t, target, []test{
		{"ProductIsWrong", (*bench).products},
		{"HeadStartsAtTheWrongToken", (*bench).head},
		{"GateAndUpAreMixedUp", (*bench).gateAndUp},
		{"MLPProductOverflowsHalfPrecision", (*bench).overflow},
		{"BrokenActivationsPassForNumbers", (*bench).brokenActivations},
		{"EmbedTakesTheWrongRow", (*bench).embed},
		{"AddNormIsWrong", (*bench).addNorm},
		{"QueriesOrAttentionAreWrong", (*bench).attention},
		{"CacheLosesTokensWhenItGrows", (*bench).growth},
		{"ImpossibleCacheIsMade", (*bench).caches},
		{"MatrixOfTheWrongSizeIsTaken", (*bench).matrices},
		{"WrongOperandsAreTaken", (*bench).operands},
		{"StoppedStepRunsOn", (*bench).stop},
		{"MarkComesBeforeItsOps", (*bench).marks},
		{"PartsOfAProductGoBackwards", (*bench).parts},
		{"FaultOfMappedMemoryEndsTheProcess", (*bench).fault},
		{"ClosingInAnotherOrderFails", (*bench).closing},
		{"DrawsAreAnotherDistribution", (*bench).distribution},
		{"ProbeGivesNonsense", (*bench).probe},
		{"ProbeOutlivesItsDevice", (*bench).probeOfAClosedDevice},
	})
	Sampling(t, target)
}

// Sampling is the part of the contract about which id is picked.
func Sampling(t *testing.T, target Target) {
	inOrders := func(f func(b *bench)) func(b *bench) {
		return func(b *bench) {
			if b.InOrders == nil {
				f(b)
			} else {
				b.InOrders(b, func() { f(b) })
			}
		}
	}
	runTests(t, target, []test{
		{"SampleTakesPaddingOrTheWrongOfEquals", inOrders((*bench).ties)},
		{"SampleDrawsAnotherID", inOrders((*bench).draws)},
		{"SamplePicksFromBrokenLogits", inOrders((*bench).brokenLogits)},
	})
}

// exact is what float32 sums over GLM-4's widths lose.
const exact = 5e-6

// bench is a device with a stream and test data.
type bench struct {
	*testing.T
	Random
	Target
	d backend.Device
	s backend.Stream
}

func newBench(t *testing.T, target Target) *bench {
	b := &bench{T: t, Random: NewRandom(), Target: target, d: target.Open(t)}
	var err error
	b.s, err = b.d.NewStream()
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, b.s.Close())
		require.NoError(t, b.d.Close())
	})
	return b
}

func (b *bench) run() {
	b.Helper()
	require.NoError(b, b.s.Submit())
	require.NoError(b, b.s.Wait(0))
}

// untouched is a number that no result is.
const untouched = -12345.678

// output is a buffer for results.
func (b *bench) output(n int) backend.Buffer {
	x := b.buffer(make([]float32, n))
	for i := range x.Floats() {
		x.Floats()[i] = untouched
	}
	return x
}

func (b *bench) buffer(v []float32) backend.Buffer {
	b.Helper()
	x, err := b.d.NewBuffer(len(v))
	require.NoError(b, err)
	copy(x.Floats(), v)
	return x
}

func (b *bench) vector(v []float32) backend.Vector {
	b.Helper()
	x, err := b.d.NewVector(v)
	require.NoError(b, err)
	return x
}

func (b *bench) tokens(ids ...int32) backend.Tokens {
	b.Helper()
	x, err := b.d.NewTokens(len(ids))
	require.NoError(b, err)
	copy(x.IDs(), ids)
	return x
}

func (b *bench) cache(layers int, a backend.Attention, f backend.Format, tokens int) backend.Cache {
	b.Helper()
	kv, err := b.d.NewCache(layers, a, f)
	require.NoError(b, err)
	require.NoError(b, kv.Grow(tokens))
	return kv
}

// matrix makes random weights and gives their values.
func (b *bench) matrix(rows, cols int, s Storage) (backend.Matrix, [][]float64) {
	b.Helper()
	data := b.Random.Matrix(rows, cols, s)
	m, err := b.d.NewMatrix(data)
	require.NoError(b, err)
	return m, Weights(data)
}

func (b *bench) loss(s Storage) float64 {
	if s.Format.Quantised() {
		return max(b.Loss, exact)
	}
	return exact
}

var plain = Storage{Format: backend.F32}

func (b *bench) products() {
	for i, s := range Storages {
		shapes := [][2]int{{19, 384}, {33, s.Columns(136)}}
		if i%4 == 1 {
			shapes = append(shapes, [2]int{40, 4096}, [2]int{18, 13696})
		}
		if s.Group == 0 && b.Step == 1 {
			shapes = append(shapes, [2]int{5, 7}, [2]int{21, 333})
		}
		for _, c := range shapes {
			m, w := b.matrix(c[0], c[1], s)
			for _, n := range []int{1, 3, 4, 13} {
				x, y := b.Floats(n*c[1], 1), b.output(n*c[0]+1)
				b.s.Out(y, b.buffer(x), m, n)
				b.run()
				Close(b, dotRows(x, w, n), y.Floats()[:n*c[0]], b.loss(s), "%+v, shape %v, %d tokens", s, c, n)
				require.EqualValues(b, float32(untouched), y.Floats()[n*c[0]], "what is behind the result")
				b.s.Down(y, b.buffer(x), m, n)
				b.run()
				Close(b, dotRows(x, w, n), y.Floats()[:n*c[0]], b.loss(s), "Down of %+v, shape %v, %d tokens", s, c, n)
			}
		}
	}
}

func (b *bench) head() {
	for _, rows := range []int{1, 2} {
		s := Storages[1]
		m, w := b.matrix(50, 64, s)
		x, logits := b.Floats(6*64, 1), b.output(rows*50)
		b.s.Head(logits, b.buffer(x), m, 4, rows)
		b.run()
		Close(b, dotRows(x[4*64:], w, rows), logits.Floats(), b.loss(s), "%d rows", rows)
	}
}

func (b *bench) gateAndUp() {
	const cols, ffn = 128, 37
	for _, s := range Storages {
		for _, n := range []int{1, 2, 5, 14} {
			m, w := b.matrix(2*ffn, cols, s)
			x, act := b.Floats(n*cols, 1), b.output(n*ffn)
			b.s.GateUp(act, b.buffer(x), m, n)
			b.run()
			// silu'(gate)·up enlarges what a gate loses.
			Close(b, swiglu(x, w, n), act.Floats(), 2*b.loss(s), "%+v, %d tokens", s, n)
		}
	}
}

// overflow has a product of gate and up that float16 does not hold.
func (b *bench) overflow() {
	for _, n := range []int{1, 20} {
		m, w := b.matrix(16, 64, plain)
		x, act := b.Floats(n*64, 3e4), b.output(n*8)
		b.s.GateUp(act, b.buffer(x), m, n)
		b.run()
		want := swiglu(x, w, n)
		require.Greater(b, largest(want), 65504.0)
		Close(b, want, act.Floats(), exact, "%d tokens", n)
	}
}

func (b *bench) brokenActivations() {
	for _, s := range Storages {
		m, _ := b.matrix(16, 128, s)
		for _, n := range []int{1, 5, 33} {
			for _, broken := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
				x, y := b.Floats(n*128, 1), b.output(n*16)
				x[n*128-37] = float32(broken)
				b.s.Out(y, b.buffer(x), m, n)
				b.run()
				for _, v := range y.Floats()[(n-1)*16:] {
					require.False(b, math.Abs(float64(v)) <= math.MaxFloat32, "%+v, %d tokens: %v became %v", s, n, broken, v)
				}
			}
			for _, tiny := range []float32{0, 1e-40} {
				y := b.output(n * 16)
				b.s.Out(y, b.buffer(slices.Repeat([]float32{tiny}, n*128)), m, n)
				b.run()
				for _, v := range y.Floats() {
					require.InDelta(b, 0, v, 1e-30, "%+v, %d tokens of %v", s, n, tiny)
				}
			}
		}
	}
}

func (b *bench) embed() {
	ids := []int32{19, 0, 7}
	for _, s := range Storages {
		for _, width := range []int{s.Columns(40), 4096} {
			m, w := b.matrix(20, width, s)
			weight := b.Floats(width, 1)
			h, xn := b.output(3*width), b.output(3*width)
			b.s.Embed(h, xn, b.tokens(ids...), 3, m, backend.Norm{Weight: b.vector(weight), Eps: 1e-5})
			b.run()
			var wantH, wantX []float64
			for _, id := range ids {
				wantH = append(wantH, w[id]...)
				wantX = append(wantX, rms(w[id], weight, 1e-5)...)
			}
			Close(b, wantH, h.Floats(), exact, "rows of %+v", s)
			Close(b, wantX, xn.Floats(), exact, "norm of %+v", s)
		}
	}
}

func (b *bench) addNorm() {
	const n, eps = 3, 1e-2 // large enough to matter
	for _, width := range []int{5, 40, 4096} {
		if width%b.Step != 0 {
			continue
		}
		for _, sandwich := range []bool{true, false} {
			h, y, first, next := b.Floats(n*width, 1), b.Floats(n*width, 1), b.Floats(width, 1), b.Floats(width, 1)
			var wantH, wantX []float64
			for t := range n {
				row := Doubles(y[t*width : (t+1)*width])
				if sandwich {
					row = rms(row, first, eps)
				}
				for i := range row {
					row[i] += float64(h[t*width+i])
				}
				wantH, wantX = append(wantH, row...), append(wantX, rms(row, next, eps)...)
			}
			var post *backend.Norm
			if sandwich {
				post = &backend.Norm{Weight: b.vector(first), Eps: eps}
			}
			hb, xn := b.buffer(h), b.output(n*width)
			b.s.AddNorm(hb, xn, b.buffer(y), post, backend.Norm{Weight: b.vector(next), Eps: eps}, n)
			b.run()
			Close(b, wantH, hb.Floats(), exact, "residual of %d, sandwich %v", width, sandwich)
			Close(b, wantX, xn.Floats(), exact, "norm of %d, sandwich %v", width, sandwich)
		}
	}
}

func (b *bench) matrices() {
	good := backend.MatrixData{Name: "w", Rows: 2, Cols: 64, Format: backend.Q4, GroupSize: 64, ScaleFormat: backend.BF16,
		Data: make([]byte, 64), Scales: make([]byte, 4), Biases: make([]byte, 4)}
	_, err := b.d.NewMatrix(good)
	require.NoError(b, err)
	type data = backend.MatrixData
	for want, change := range map[string]func(*data){
		"matrix w: shape [0, 64] must be positive":                     func(m *data) { m.Rows = 0 },
		"matrix w: 63 bytes of q4 for shape [2, 64], expected 64":      func(m *data) { m.Data = m.Data[1:] },
		"matrix w: group size 16, expected 32, 64 or 128":              func(m *data) { m.GroupSize = 16 },
		"matrix w: 64 columns are no multiple of the group size 128":   func(m *data) { m.GroupSize = 128 },
		"matrix w: scales in q8, expected f32, f16 or bf16":            func(m *data) { m.ScaleFormat = backend.Q8 },
		"matrix w: 4 bytes of scales and 2 of biases, expected 4 each": func(m *data) { m.Biases = m.Biases[2:] },
	} {
		m := good
		change(&m)
		_, err := b.d.NewMatrix(m)
		require.EqualError(b, err, want)
	}
}

// foreign is of no device.
type foreign struct{}

func (foreign) Shape() (rows, cols int) { return 8, 8 }

func (b *bench) operands() {
	m, _ := b.matrix(8, 8, plain)
	odd, _ := b.matrix(7, 8, plain)
	wide, _ := b.matrix(8, 16, plain)
	eight, sixteen := b.vector(b.Floats(8, 1)), b.vector(b.Floats(16, 1))
	norm, other := backend.Norm{Weight: eight, Eps: 1}, backend.Norm{Weight: sixteen, Eps: 1}
	ids, small, large := b.tokens(0), b.output(3), b.output(640)
	a := backend.Attention{Heads: 1, KVHeads: 1, HeadDim: 8, RotaryDims: 4, RopeTheta: 1}
	empty, kv := b.cache(1, a, backend.F32, 0), b.cache(1, a, backend.F32, 1)
	w, one, s := &backend.QKV{Q: m, K: m, V: m}, backend.Span{N: 1}, b.s
	for _, c := range []struct {
		want string
		op   func()
	}{
		{"op Out: the output has 3 numbers, the op needs 8", func() { s.Out(small, large, m, 1) }},
		{"op Down: the input has 3 numbers, the op needs 8", func() { s.Down(large, small, m, 1) }},
		{"op Out: 0 tokens, the op needs at least 1", func() { s.Out(large, large, m, 0) }},
		{"op Out: an object that belongs to another device", func() { s.Out(large, large, foreign{}, 1) }},
		{"op Down: an object that belongs to another device", func() { s.Down(large, large, nil, 1) }},
		{"op Head: a first token of -1", func() { s.Head(large, large, m, -1, 1) }},
		{"op Head: the input has 640 numbers, the op needs 648", func() { s.Head(large, large, m, 80, 1) }},
		{"op Head: an object that belongs to another device", func() { s.Head(nil, large, m, 0, 1) }},
		{"op GateUp: 7 rows are no two halves", func() { s.GateUp(large, large, odd, 1) }},
		{"op GateUp: act has 3 numbers, the op needs 4", func() { s.GateUp(small, large, m, 1) }},
		{"op GateUp: xn has 3 numbers, the op needs 8", func() { s.GateUp(large, small, m, 1) }},
		{"op Embed: 1 ids, the op needs 2", func() { s.Embed(large, large, ids, 2, m, norm) }},
		{"op Embed: the norm has 16 numbers, the op needs 8", func() { s.Embed(large, large, ids, 1, m, other) }},
		{"op Embed: xn has 3 numbers, the op needs 8", func() { s.Embed(large, small, ids, 1, m, norm) }},
		{"op AddNorm: the first norm has 8 numbers, the op needs 16", func() {
			s.AddNorm(large, large, large, &norm, other, 1)
		}},
		{"op AddNorm: y has 3 numbers, the op needs 8", func() { s.AddNorm(large, large, small, nil, norm, 1) }},
		{"op AddNorm: an object that belongs to another device", func() {
			s.AddNorm(large, large, large, nil, backend.Norm{}, 1)
		}},
		{"op QKV: layer 0, positions 0 to 1 are outside the cache of 1 layers, 0 tokens", func() {
			s.QKV(large, empty, 0, large, w, one)
		}},
		{"op Attend: layer 1, positions 0 to 1 are outside the cache of 1 layers, 256 tokens", func() {
			s.Attend(large, large, kv, 1, one)
		}},
		{"op Attend: layer 0, positions -1 to 0 are outside the cache of 1 layers, 256 tokens", func() {
			s.Attend(large, large, kv, 0, backend.Span{Pos: -1, N: 1})
		}},
		{"op Attend: q has 3 numbers, the op needs 8", func() { s.Attend(large, small, kv, 0, one) }},
		{"op QKV: q has 3 numbers, the op needs 8", func() { s.QKV(small, kv, 0, large, w, one) }},
		{"op QKV: a projection of shape [7, 8], the op needs [8, 8]", func() {
			s.QKV(large, kv, 0, large, &backend.QKV{Q: m, K: odd, V: m}, one)
		}},
		{"op QKV: a projection of shape [8, 16], the op needs [8, 8]", func() {
			s.QKV(large, kv, 0, large, &backend.QKV{Q: m, K: m, V: wide}, one)
		}},
		{"op QKV: a bias has 16 numbers, the op needs 8", func() {
			s.QKV(large, kv, 0, large, &backend.QKV{Q: m, K: m, V: m, QBias: eight, KBias: eight, VBias: sixteen}, one)
		}},
		{"op QKV: of the three biases some are missing", func() {
			s.QKV(large, kv, 0, large, &backend.QKV{Q: m, K: m, V: m, QBias: eight}, one)
		}},
		{"op Sample: place 1 of 1 ids", func() { s.Sample(ids, 1, large, backend.Sampling{Valid: 8}) }},
		{"op Sample: 0 valid ids, the op needs at least 1", func() { s.Sample(ids, 0, large, backend.Sampling{}) }},
		{"op Sample: logits has 3 numbers, the op needs 4", func() { s.Sample(ids, 0, small, backend.Sampling{Valid: 4}) }},
		{"op Sample: an object that belongs to another device", func() {
			s.Sample(nil, 0, large, backend.Sampling{Valid: 4})
		}},
	} {
		want := c.want
		require.NotPanics(b, c.op, want)
		require.EqualError(b, s.Submit(), want)
		require.EqualError(b, s.Wait(0), want)
		for i := range large.Floats() {
			require.EqualValues(b, float32(untouched), large.Floats()[i], want)
		}
		s.Out(large, large, m, 0) // the first error is kept
		s.Sample(nil, 0, nil, backend.Sampling{})
		require.ErrorContains(b, s.Wait(0), "op Out: 0 tokens")
		require.NoError(b, s.Wait(0), "%s: the stream must recover", want)
	}
	s.Out(large, large, foreign{}, 1)
	require.True(b, errors.Is(s.Wait(0), backend.ErrForeign))
	y := b.output(8)
	s.Out(y, b.buffer(b.Floats(8, 1)), m, 1)
	b.run()
	require.NotEqual(b, float32(untouched), y.Floats()[0])
}

func (b *bench) stop() {
	m, _ := b.matrix(64, 64, plain)
	x := b.buffer(b.Floats(64, 1))
	for range 2 {
		b.s.Stop()
		y := b.output(64)
		b.s.Out(y, x, m, 1)
		b.s.Mark(func() { b.Error("a mark of a stopped step") })
		require.ErrorIs(b, b.s.Submit(), backend.ErrStopped)
		require.ErrorIs(b, b.s.Wait(0), backend.ErrStopped)

		reached := false
		b.s.Out(y, x, m, 1)
		b.s.Mark(func() { reached = true })
		b.run()
		require.True(b, reached, "the next step is one as any other")
		require.NotEqual(b, float32(untouched), y.Floats()[0])

		b.s.Stop()
		require.ErrorIs(b, b.s.Wait(0), backend.ErrStopped)
		require.NoError(b, b.s.Wait(0))
	}
}

// marks are reached in order, also those of a step that is submitted before the one before is waited for.
func (b *bench) marks() {
	m, _ := b.matrix(64, 64, plain)
	x := b.buffer(b.Floats(64, 1))
	var order []int
	for n := range 4 {
		if n > 1 {
			require.NoError(b, b.s.Wait(1))
		}
		y := b.output(64)
		b.s.Out(y, x, m, 1)
		b.s.Mark(func() {
			require.NotEqual(b, float32(untouched), y.Floats()[0])
			order = append(order, n)
		})
		require.NoError(b, b.s.Submit())
		require.LessOrEqual(b, len(order), n+1)
	}
	require.NoError(b, b.s.Wait(0))
	require.Equal(b, []int{0, 1, 2, 3}, order)
}

func (b *bench) parts() {
	const rows, n = 2000, 8
	m, _ := b.matrix(rows, 64, plain)
	x, y := b.buffer(b.Floats(n*64, 1)), b.output(n*rows)
	var shares []float64
	b.s.OnPart(func(share float64) { shares = append(shares, share) })
	b.s.Out(y, x, m, n)
	b.run()
	require.Equal(b, !b.d.Info().Async, len(shares) > 0)
	if len(shares) > 0 {
		require.EqualValues(b, 1, shares[len(shares)-1])
	}
	for i, share := range shares {
		require.True(b, share > 0 && share <= 1 && (i == 0 || share > shares[i-1]), "%v", shares)
	}
	told := len(shares)
	b.s.OnPart(nil)
	b.s.Out(y, x, m, n)
	b.run()
	require.Len(b, shares, told)
}

// closing closes a device's objects before it and after it, some of them twice.
func (b *bench) closing() {
	for deviceAt := range 6 {
		d := b.Open(b.T)
		s, err := d.NewStream()
		require.NoError(b, err)
		of := &bench{T: b.T, Random: b.Random, Target: b.Target, d: d, s: s}
		m, _ := of.matrix(8, 8, plain)
		x, q, ids := of.buffer(b.Floats(8, 1)), of.buffer(b.Floats(8, 1)), of.tokens(0)
		kv := of.cache(1, backend.Attention{Heads: 1, KVHeads: 1, HeadDim: 8, RopeTheta: 1}, backend.F16, 1)
		s.QKV(q, kv, 0, x, &backend.QKV{Q: m, K: m, V: m}, backend.Span{N: 1})
		require.NoError(b, s.Submit())
		closers := []func() error{kv.Close, x.Close, q.Close, ids.Close, func() error {
			_ = s.Close() // may tell that the device was closed in a step
			return nil
		}}
		for i, c := range slices.Insert(closers, deviceAt, d.Close, d.Close) {
			require.NoError(b, c(), "the device as number %d: number %d", deviceAt, i)
		}
	}
}

func (b *bench) caches() {
	good := backend.Attention{Heads: 4, KVHeads: 2, HeadDim: 8, RotaryDims: 4, RopeTheta: 1}
	_, err := b.d.NewCache(1, good, backend.Q4)
	require.ErrorIs(b, err, backend.ErrUnsupported)
	require.ErrorContains(b, err, "a KV cache in q4: not supported; the formats are f32 and f16")
	for name, change := range map[string]func(a *backend.Attention, layers *int){
		"no layers":              func(_ *backend.Attention, layers *int) { *layers = 0 },
		"no heads":               func(a *backend.Attention, _ *int) { a.Heads = 0 },
		"no KV heads":            func(a *backend.Attention, _ *int) { a.KVHeads = 0 },
		"heads that do not part": func(a *backend.Attention, _ *int) { a.Heads = 5 },
		"no dimensions":          func(a *backend.Attention, _ *int) { a.HeadDim, a.RotaryDims = 0, 0 },
		"half a pair":            func(a *backend.Attention, _ *int) { a.RotaryDims = 3 },
		"too many rotated":       func(a *backend.Attention, _ *int) { a.RotaryDims = 10 },
	} {
		a, layers := good, 1
		change(&a, &layers)
		_, err := b.d.NewCache(layers, a, backend.F16)
		require.ErrorContains(b, err, fmt.Sprintf("impossible attention geometry %+v with %d layers", a, layers), name)
	}
}
