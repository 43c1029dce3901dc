package model

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

var mlxGoldens = []string{"mlx-4bit-g64", "mlx-8bit-g32", "mlx-4bit-g128-mixed"}

func TestDequantisedWeightsLeaveMLX(t *testing.T) {
	for _, name := range mlxGoldens {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("testdata", name)
			var g struct {
				Matrices []struct {
					Module string
					Shape  [2]int
					SHA256 string
				}
			}
			text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(text, &g))
			require.NotEmpty(t, g.Matrices)
			m := openTestdata(t, dir, loadOptions{})
			for _, want := range g.Matrices {
				data, err := m.checkpoint.Matrix(want.Module)
				require.NoError(t, err)
				require.Equal(t, want.Shape, [2]int{data.Rows, data.Cols}, want.Module)

				placed, err := matrixData(data)
				require.NoError(t, err)
				onDevice := hashFloats(deviceRows(t, m.device, placed))
				require.Equal(t, want.SHA256, onDevice, "%s on the device", want.Module)

				var all []float32
				row := make([]float32, data.Cols)
				for r := range data.Rows {
					data.Dequantize(row, r)
					all = append(all, row...)
				}
				require.Equal(t, want.SHA256, hashFloats(all), "%s in the loader", want.Module)
			}
		})
	}
}

// deviceRows reads all rows of a matrix back through the Embed op.
func deviceRows(t *testing.T, d backend.Device, data backend.MatrixData) []float32 {
	t.Helper()
	m, err := d.NewMatrix(data)
	require.NoError(t, err)
	ones, err := d.NewVector(slices.Repeat([]float32{1}, data.Cols))
	require.NoError(t, err)
	h, err := d.NewBuffer(data.Rows * data.Cols)
	require.NoError(t, err)
	xn, err := d.NewBuffer(data.Rows * data.Cols)
	require.NoError(t, err)
	ids, err := d.NewTokens(data.Rows)
	require.NoError(t, err)
	for i := range ids.IDs() {
		ids.IDs()[i] = int32(i)
	}
	s, err := d.NewStream()
	require.NoError(t, err)
	defer s.Close()
	s.Embed(h, xn, ids, data.Rows, m, backend.Norm{Weight: ones, Eps: 1e-5})
	require.NoError(t, s.Submit())
	require.NoError(t, s.Wait(0))
	return h.Floats()
}

func hashFloats(v []float32) string {
	h := sha256.New()
	var b [4]byte
	for _, f := range v {
		binary.LittleEndian.PutUint32(b[:], math.Float32bits(f))
		h.Write(b[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// mlx-lm computes in bfloat16; the golden also has its logits with every parameter in float32, which the exact
// arithmetic of the CPU must meet, and the distance between the two, which says what bfloat16 costs.
func TestLogitsLeaveMLX(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		t.Setenv("GLM4_CPU", "plain")
		logitsLeaveMLX(t, on, 1e-4)
	})
}

// The SIMD paths of the CPU round the activations of a quantised product to 16 bits; what that may cost is the contract
// of the fast paths, 2e-3, and not what bfloat16 costs.
func TestSIMDLogitsLeaveMLX(t *testing.T) {
	t.Setenv("GLM4_CPU", "")
	logitsLeaveMLX(t, loadOptions{}, 2e-3)
}

func logitsLeaveMLX(t *testing.T, on loadOptions, tolerance float64) {
	for _, name := range mlxGoldens {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("testdata", name)
			g := readGolden(t, dir)
			require.Greater(t, g.BF16Distance, 0.0)
			exact := openTestdata(t, dir, on.with(func(o *loadOptions) { o.kvBits = 32 }))
			for _, p := range g.Prompts {
				got := logits(t, exact, p.IDs, 100)
				require.LessOrEqual(t, distance(got, g.floats(t, p.Name+".last.f32")), tolerance, "%s, float32", p.Name)
				require.LessOrEqual(t, distance(got, g.floats(t, p.Name+".last.bf16")), 1.5*g.BF16Distance, "%s, bfloat16", p.Name)
			}
			// The 16-bit KV cache, the default here, costs far less than bfloat16 does.
			half := openTestdata(t, dir, on)
			require.Equal(t, backend.F16, half.kvFormat)
			for _, p := range g.Prompts {
				got := logits(t, half, p.IDs, 100)
				require.LessOrEqual(t, distance(got, g.floats(t, p.Name+".last.f32")), g.BF16Distance/10, "%s, 16-bit KV", p.Name)
			}
		})
	}
}

func TestFalseInQuantizationIsReadAsQuantised(t *testing.T) {
	t.Setenv("GLM4_CPU", "plain")
	dir := filepath.Join("testdata", "mlx-4bit-g128-mixed")
	copied := t.TempDir()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(copied, e.Name()), data, 0o600))
	}
	require.NoError(t, os.Rename(filepath.Join(copied, "config_false.json"), filepath.Join(copied, "config.json")))
	g := readGolden(t, copied)
	m := openTestdata(t, copied, loadOptions{kvBits: 32})
	for _, p := range g.Prompts {
		require.LessOrEqual(t, distance(logits(t, m, p.IDs, 100), g.floats(t, p.Name+".last.f32")), 1e-4, p.Name)
	}
}
