package gpu

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/x448/float16"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu"
)

// pair is the CPU in plain Go, which is the reference, and the GPU, in this order, and a source of random numbers. Tests hold the
// objects of both in arrays of two.
type pair struct {
	testing.TB
	*rand.Rand
	devices [2]backend.Device
	streams [2]backend.Stream
	gpu     *stream // behind the second
}

// newPair opens both devices for a test; counted checks every access of the GPU, and is slow.
func newPair(t testing.TB, counted bool) *pair {
	t.Setenv("GLM4_CPU", "plain")
	p := &pair{TB: t, Rand: rand.New(rand.NewPCG(1, 2))}
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

// floats gives n numbers of a normal distribution, times scale.
func (p *pair) floats(n int, scale float32) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = scale * float32(p.NormFloat64())
	}
	return v
}

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

// store writes numbers in a plain format.
func store(v []float32, f backend.Format) []byte {
	var data []byte
	for _, x := range v {
		switch f {
		case backend.F32:
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		case backend.F16:
			data = binary.LittleEndian.AppendUint16(data, float16.Fromfloat32(x).Bits())
		case backend.BF16:
			data = binary.LittleEndian.AppendUint16(data, uint16(math.Float32bits(x)>>16))
		}
	}
	return data
}

// matrixData makes random weights: plain numbers of about 1/√cols, or codes whose scales and biases give such.
func (p *pair) matrixData(rows, cols int, f backend.Format, group int, scales backend.Format) backend.MatrixData {
	m := backend.MatrixData{Name: "test", Rows: rows, Cols: cols, Format: f, GroupSize: group, ScaleFormat: scales}
	size := float32(1 / math.Sqrt(float64(cols)))
	if !f.Quantised() {
		m.Data = store(p.floats(rows*cols, size), f)
		return m
	}
	levels := float32(int(1) << f.Bits())
	m.Scales = store(p.floats(rows*cols/group, 4*size/levels), scales)
	m.Biases = store(p.floats(rows*cols/group, size), scales)
	m.Data = make([]byte, rows*cols*f.Bits()/8)
	for i := range m.Data {
		m.Data[i] = byte(p.Uint32())
	}
	return m
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

func (p *pair) matrix(rows, cols int, f backend.Format, group int, scales backend.Format) [2]backend.Matrix {
	p.Helper()
	return p.place(p.matrixData(rows, cols, f, group, scales))
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
			require.Failf(p, "the GPU differs", what+": number %d is %v, expected %v, off by %.2g of the largest", append(args, i, got[i], w, d/high)...)
		}
	}
}
