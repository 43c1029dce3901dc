package gpu

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu"
)

// pair is the CPU in plain Go, which is the reference, and the GPU, in this order, and a source of random numbers.
// Tests hold the objects of both in arrays of two.
type pair struct {
	testing.TB
	backendtest.Random
	devices [2]backend.Device
	streams [2]backend.Stream
	gpu     *stream // behind the second
}

// newPair opens both devices for a test; counted checks every access of the GPU, and is slow.
func newPair(t testing.TB, counted bool) *pair {
	t.Setenv("GLM4_CPU", "plain")
	p := &pair{TB: t, Random: backendtest.NewRandom()}
	g, err := Open(openMetal(t, counted))
	require.NoError(t, err)
	p.devices = [2]backend.Device{cpu.Open(), g}
	p.streams[0], err = p.devices[0].NewStream()
	require.NoError(t, err)
	p.gpu, err = g.newStream()
	require.NoError(t, err)
	p.streams[1] = backend.Checked(p.gpu)
	t.Cleanup(func() {
		for i, d := range p.devices {
			require.NoError(t, p.streams[i].Close())
			require.NoError(t, d.Close())
		}
	})
	return p
}

// run records the same ops on both devices and waits for them.
func (p *pair) run(f func(s backend.Stream, i int)) {
	p.Helper()
	for i, s := range p.streams {
		f(s, i)
		require.NoError(p, s.Submit())
		require.NoError(p, s.Wait(0))
	}
}

func (p *pair) floats(n int, size float32) []float32 { return p.Floats(n, size) }

// buffer gives both devices the same numbers.
func (p *pair) buffer(v []float32) (b [2]backend.Buffer) {
	p.Helper()
	var err error
	for i, d := range p.devices {
		b[i], err = d.NewBuffer(len(v))
		require.NoError(p, err)
		copy(b[i].Floats(), v)
	}
	return b
}

// empty gives both devices a buffer for results, filled with a number that no result is.
func (p *pair) empty(n int) [2]backend.Buffer {
	v := make([]float32, n)
	for i := range v {
		v[i] = -12345.678
	}
	return p.buffer(v)
}

func (p *pair) vector(v []float32) (b [2]backend.Vector) {
	p.Helper()
	var err error
	for i, d := range p.devices {
		b[i], err = d.NewVector(v)
		require.NoError(p, err)
	}
	return b
}

func (p *pair) tokens(ids []int32) (b [2]backend.Tokens) {
	p.Helper()
	var err error
	for i, d := range p.devices {
		b[i], err = d.NewTokens(len(ids))
		require.NoError(p, err)
		copy(b[i].IDs(), ids)
	}
	return b
}

func (p *pair) cache(layers int, a backend.Attention, f backend.Format, tokens int) (b [2]backend.Cache) {
	p.Helper()
	var err error
	for i, d := range p.devices {
		b[i], err = d.NewCache(layers, a, f)
		require.NoError(p, err)
		require.NoError(p, b[i].Grow(tokens))
	}
	return b
}

// place gives both devices a matrix.
func (p *pair) place(data backend.MatrixData) (b [2]backend.Matrix) {
	p.Helper()
	var err error
	for i, d := range p.devices {
		b[i], err = d.NewMatrix(data)
		require.NoError(p, err)
	}
	return b
}

func (p *pair) matrix(rows, cols int, s backendtest.Storage) [2]backend.Matrix {
	p.Helper()
	return p.place(p.Matrix(rows, cols, s))
}

// tolerance is the relative error that a sum of float32 products may have, against the largest result.
const tolerance = 1e-5

// close holds the GPU's numbers against the CPU's.
func (p *pair) close(b [2]backend.Buffer, what string, args ...any) {
	p.Helper()
	p.closeFloats(b[0].Floats(), b[1].Floats(), what, args...)
}

func (p *pair) closeFloats(want, got []float32, what string, args ...any) {
	p.Helper()
	require.Len(p, got, len(want))
	high := 0.0
	for _, w := range want {
		high = max(high, math.Abs(float64(w)))
	}
	for i, w := range want {
		if d := math.Abs(float64(got[i]) - float64(w)); !(d <= tolerance*high) {
			require.Failf(p, "the GPU differs", what+": number %d is %v, expected %v, off by %.2g of the largest",
				append(args, i, got[i], w, d/high)...)
		}
	}
}
