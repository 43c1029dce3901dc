package cpu

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
)

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
func (b *bench) matrix(
	rows, cols int, f backend.Format, group int, scales backend.Format,
) (backend.Matrix, [][]float64) {
	b.Helper()
	data := b.Matrix(rows, cols, backendtest.Quantised(f, group, scales))
	m, err := b.d.NewMatrix(data)
	require.NoError(b, err)
	return m, backendtest.Weights(data)
}

const exact = 2e-6 // what float32 sums over GLM-4's widths lose

// loss is what a product with quantised weights loses on the SIMD paths, which round activations to 16 bits a group.
const loss = 1e-4

func (b *bench) loss(f backend.Format) float64 {
	if b.d.kernels != nil && f.Quantised() {
		return loss
	}
	return exact
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
