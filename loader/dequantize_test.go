package loader

import (
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDequantizeIsBitIdenticalToMLX compares with testdata/dequantize.safetensors, written by
// scripts/goldens/loader/dequantize.py.
func TestDequantizeIsBitIdenticalToMLX(t *testing.T) {
	buf, err := os.ReadFile("testdata/dequantize.safetensors")
	require.NoError(t, err)
	list, err := readHeader(t.Context(), "dequantize.safetensors", buf)
	require.NoError(t, err)
	tensors := map[string]Tensor{}
	for _, tensor := range list {
		tensors[tensor.Name] = tensor
	}
	for _, bits := range []int{4, 8} {
		for _, group := range []int{32, 64, 128} {
			for _, dtype := range []DType{F32, F16, BF16} {
				key := fmt.Sprintf("%d.%d.%s", bits, group, dtype)
				t.Run(key, func(t *testing.T) {
					want := tensors[key+".float32"]
					require.Equal(t, []int{3, 256}, want.Shape)
					require.Equal(t, dtype, tensors[key+".scales"].DType)
					m := Matrix{
						Rows: 3, Cols: 256, DType: U32, Data: tensors[key+".weight"].Data, Bits: bits, GroupSize: group,
						Scales: tensors[key+".scales"].Data, Biases: tensors[key+".biases"].Data, ScaleDType: dtype,
					}
					got := make([]float32, m.Cols)
					for row := range m.Rows {
						m.Dequantize(got, row)
						for col, v := range got {
							require.Equal(t, math.Float32bits(F32.at(want.Data, row*m.Cols+col)), math.Float32bits(v), "row %d column %d",
								row, col)
						}
					}
				})
			}
		}
	}
}

// TestWideningIsExact checks every F16 and BF16 value against its definition.
func TestWideningIsExact(t *testing.T) {
	for i := range 1 << 16 {
		data := []byte{byte(i), byte(i >> 8)}
		sign, exponent, mantissa := 1-2*float64(i>>15), i>>10&31, float64(i&1023)
		want := sign * math.Ldexp(1024+mantissa, exponent-25)
		if exponent == 0 {
			want = sign * math.Ldexp(mantissa, -24)
		}
		got := float64(F16.at(data, 0))
		switch {
		case exponent == 31 && mantissa == 0:
			require.True(t, math.IsInf(got, int(sign)))
		case exponent == 31:
			require.True(t, math.IsNaN(got))
		default:
			require.Equal(t, math.Float64bits(want), math.Float64bits(got), "%04x", i)
		}
		require.Equal(t, uint32(i)<<16, math.Float32bits(BF16.at(data, 0)))
	}
}

func TestPlainRowsAreWidened(t *testing.T) {
	w := random("w", 3, 5)
	m := Matrix{Rows: 3, Cols: 5, DType: BF16, Data: w.Data}
	row := make([]float32, 5)
	m.Dequantize(row, 2)
	for i, v := range row {
		require.Equal(t, BF16.at(w.Data, 10+i), v)
	}
}
