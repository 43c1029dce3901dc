package loader

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// readTensors reads a file of goldens.
func readTensors(t *testing.T, name string) map[string]Tensor {
	t.Helper()
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	list, err := readHeader(t.Context(), name, data)
	require.NoError(t, err)
	tensors := map[string]Tensor{}
	for _, tensor := range list {
		tensors[tensor.Name] = tensor
	}
	return tensors
}

func TestQuantisedBytesDifferFromMLX(t *testing.T) {
	golden := readTensors(t, "testdata/quantize.safetensors")
	for _, dtype := range []DType{F32, F16, BF16} {
		input := golden[dtype.String()+".input"]
		require.Equal(t, dtype, input.DType)
		n := len(input.Data) / dtype.Size()
		for _, bits := range []int{4, 8} {
			for _, group := range []int{32, 64, 128} {
				key := fmt.Sprintf("%v.%d.%d.", dtype, bits, group)
				words, scales, biases := make([]byte, n*bits/8), make([]byte, n/group*dtype.Size()),
					make([]byte, n/group*dtype.Size())
				_, err := quantizer{dtype, bits, group}.quantize(words, scales, biases, input.Data)
				require.NoError(t, err)
				for i := range n / group { // scales first: they tell which group differs
					at := fmt.Sprintf("%sgroup %d, row %d", key, i, i*group/input.Shape[1])
					require.Equal(t, dtype.at(golden[key+"scales"].Data, i), dtype.at(scales, i), at)
					require.Equal(t, dtype.at(golden[key+"biases"].Data, i), dtype.at(biases, i), at)
					from, to := i*group*bits/8, (i+1)*group*bits/8
					require.Equal(t, golden[key+"weight"].Data[from:to], words[from:to], at)
				}
				require.Equal(t, golden[key+"scales"].Data, scales, key)
				require.Equal(t, golden[key+"biases"].Data, biases, key)
			}
		}
	}
}

// A value that is not finite would make a group of zeros, or be lost without a word.
func TestQuantiseTakesWhatIsNotFinite(t *testing.T) {
	for _, value := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -math.NaN()} {
		for _, dtype := range []DType{F32, F16, BF16} {
			values := make([]byte, 128*dtype.Size())
			dtype.put(values, 77, float32(value))
			if dtype == BF16 && math.IsNaN(value) {
				binary.LittleEndian.PutUint16(values[2*77:], 0xffc0)
			}
			i, err := quantizer{dtype, 4, 32}.quantize(make([]byte, 64), make([]byte, 16), make([]byte, 16), values)
			require.EqualError(t, err, fmt.Sprintf("has %v; every value must be finite: the file is damaged", float32(value)))
			require.Equal(t, 77, i)
		}
	}
}

func BenchmarkQuantize(b *testing.B) {
	const n = 1 << 21
	rng := rand.New(rand.NewPCG(1, 2))
	for _, dtype := range []DType{BF16, F16, F32} {
		values := make([]byte, n*dtype.Size())
		for i := range n {
			dtype.put(values, i, float32(0.02*rng.NormFloat64()))
		}
		for _, bits := range []int{4, 8} {
			b.Run(fmt.Sprint(dtype, "/", bits), func(b *testing.B) {
				words, scales, biases := make([]byte, n*bits/8), make([]byte, n/16), make([]byte, n/16)
				b.SetBytes(int64(len(values)))
				for b.Loop() {
					if _, err := (quantizer{dtype, bits, 64}).quantize(words, scales, biases, values); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
