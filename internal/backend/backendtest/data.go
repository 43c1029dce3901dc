package backendtest

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"github.com/x448/float16"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// Random makes test data, the same in every run.
type Random struct{ *rand.Rand }

// NewRandom starts a sequence.
func NewRandom() Random { return Random{rand.New(rand.NewPCG(1, 2))} }

// Floats gives n numbers of a normal distribution, times size.
func (r Random) Floats(n int, size float32) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = size * float32(r.NormFloat64())
	}
	return v
}

// A Storage is how a matrix is stored.
type Storage struct {
	Format backend.Format
	Group  int            // of a quantised one
	Scales backend.Format // of a quantised one
}

// Plain stores numbers as they are.
func Plain(f backend.Format) Storage { return Storage{Format: f} }

// Quantised stores codes, and scales and biases for groups of them.
func Quantised(f backend.Format, group int, scales backend.Format) Storage {
	return Storage{f, group, scales}
}

// Storages has every kind of weights, group size and format of scales.
var Storages = []Storage{
	{backend.Q4, 32, backend.F16}, {backend.Q4, 64, backend.BF16}, {backend.Q4, 128, backend.F32},
	{backend.Q8, 32, backend.F32}, {backend.Q8, 64, backend.F16}, {backend.Q8, 128, backend.BF16},
	{backend.F16, 0, 0}, {backend.BF16, 0, 0}, {backend.F32, 0, 0},
}

// Columns gives the number of columns, from some on, that can be stored so on every device.
func (s Storage) Columns(cols int) int {
	step := max(s.Group, 8)
	return (cols + step - 1) / step * step
}

// Matrix makes random weights, as large as those of a model: plain numbers of about 1/√cols, or codes whose scales and
// biases give such.
func (r Random) Matrix(rows, cols int, s Storage) backend.MatrixData {
	m := backend.MatrixData{Name: "test", Rows: rows, Cols: cols, Format: s.Format}
	size := float32(1 / math.Sqrt(float64(cols)))
	if !s.Format.Quantised() {
		m.Data = Encode(r.Floats(rows*cols, size), s.Format)
		return m
	}
	levels := float32(int(1) << s.Format.Bits())
	m.GroupSize, m.ScaleFormat = s.Group, s.Scales
	m.Scales = Encode(r.Floats(rows*cols/s.Group, 4*size/levels), s.Scales)
	m.Biases = Encode(r.Floats(rows*cols/s.Group, size), s.Scales)
	m.Data = make([]byte, rows*cols*s.Format.Bits()/8)
	for i := range m.Data {
		m.Data[i] = byte(r.Uint32())
	}
	return m
}

// Encode stores numbers in a plain format, bfloat16 cut off and float16 rounded.
func Encode(v []float32, f backend.Format) []byte {
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

// Decode gives the numbers that were stored in a plain format.
func Decode(data []byte, f backend.Format) []float64 {
	v := make([]float64, 0, len(data)*8/f.Bits())
	for i := 0; i < len(data); i += f.Bits() / 8 {
		switch f {
		case backend.F32:
			v = append(v, float64(math.Float32frombits(binary.LittleEndian.Uint32(data[i:]))))
		case backend.F16:
			v = append(v, float64(float16.Frombits(binary.LittleEndian.Uint16(data[i:])).Float32()))
		case backend.BF16:
			v = append(v, float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(data[i:]))<<16)))
		}
	}
	return v
}

// Weights gives the values of a matrix, [rows][cols].
func Weights(m backend.MatrixData) [][]float64 {
	var values []float64
	if !m.Format.Quantised() {
		values = Decode(m.Data, m.Format)
	} else {
		scales, biases := Decode(m.Scales, m.ScaleFormat), Decode(m.Biases, m.ScaleFormat)
		bits := m.Format.Bits()
		for i := range m.Rows * m.Cols {
			code := m.Data[i*bits/8] >> (i * bits % 8) & (1<<bits - 1)
			values = append(values, scales[i/m.GroupSize]*float64(code)+biases[i/m.GroupSize])
		}
	}
	rows := make([][]float64, m.Rows)
	for r := range rows {
		rows[r] = values[r*m.Cols : (r+1)*m.Cols]
	}
	return rows
}

// Doubles widens numbers.
func Doubles(v []float32) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x)
	}
	return out
}

// At copies numbers to memory that ends, or with front begins, at a page that cannot be touched.
func At[T any](t testing.TB, v []T, front bool) []T {
	if len(v) == 0 {
		return nil
	}
	memory := Guarded(t, len(v)*int(unsafe.Sizeof(v[0])), front)
	at := unsafe.Slice((*T)(unsafe.Pointer(&memory[0])), len(v))
	copy(at, v)
	return at
}

// Close holds numbers against what they should be, relative to the largest.
func Close(t testing.TB, want []float64, got []float32, tolerance float64, what string, args ...any) {
	t.Helper()
	require.Len(t, got, len(want), append([]any{what}, args...)...)
	high := 0.0
	for _, w := range want {
		high = max(high, math.Abs(w))
	}
	for i, w := range want {
		if d := math.Abs(float64(got[i]) - w); !(d <= tolerance*high) {
			const number = ": number %d is %v, expected %v: off by %.2g of the largest, allowed %.2g"
			require.Failf(t, "the result is wrong", what+number, append(args, i, got[i], w, d/high, tolerance)...)
		}
	}
}
