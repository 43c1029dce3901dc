package model

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/nlpodyssey/safetensors"
	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/loader"
)

// golden is what an original implementation computed for a checkpoint; scripts/goldens/model makes it.
type golden struct {
	Prompts []struct {
		Name string
		IDs  []int32
	}
	Greedy []struct {
		Name string
		IDs  []int32
		Next []int32
	}
	BF16Distance float64 `json:"bf16_distance_to_f32"`

	tensors safetensors.SafeTensors
}

func readGolden(t *testing.T, dir string) golden {
	t.Helper()
	var g golden
	text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &g))
	data, err := os.ReadFile(filepath.Join(dir, "golden.safetensors"))
	require.NoError(t, err)
	g.tensors, err = safetensors.Deserialize(data)
	require.NoError(t, err)
	return g
}

func (g golden) floats(t *testing.T, name string) []float32 {
	t.Helper()
	view, ok := g.tensors.Tensor(name)
	require.True(t, ok, "golden.safetensors lacks %s", name)
	require.Equal(t, safetensors.F32, view.DType())
	values := make([]float32, len(view.Data())/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(view.Data()[4*i:]))
	}
	return values
}

func openTestdata(t *testing.T, dir string, o loadOptions) *Model {
	t.Helper()
	c, err := loader.Open(t.Context(), dir)
	require.NoError(t, err)
	m, err := newModel(c, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

// distance is the largest difference of two vectors, relative to the largest of the second.
func distance(got, want []float32) float64 {
	var diff, high float64
	for i := range want {
		d := math.Abs(float64(got[i]) - float64(want[i]))
		if math.IsNaN(d) {
			return math.Inf(1)
		}
		diff = max(diff, d)
		high = max(high, math.Abs(float64(want[i])))
	}
	return diff / high
}

var transformersGoldens = []struct{ model, golden string }{
	{"glm4-a", "glm4-a"},
	{"glm4-a-large", "glm4-a-large"},
	{"glm4-b", "glm4-b"},
	{"glm4-c", "glm4-c"},
	{"glm-d", "glm-d"},
	{"glm-e", "glm-e"},
	{"chatglm-f", "glm-d"}, // the same weights under the original names
}

// logits runs a prompt in pieces of the given size and returns the last token's logits.
func logits(t *testing.T, m *Model, ids []int32, piece int) []float32 {
	t.Helper()
	s := m.NewSession()
	defer s.Close()
	var last []float32
	for len(ids) > 0 {
		n := min(piece, len(ids))
		rows, err := s.Logits(context.Background(), ids[:n], 1)
		require.NoError(t, err)
		last, ids = rows[0], ids[n:]
	}
	return last
}

func TestLogitsLeaveTransformers(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		for _, c := range transformersGoldens {
			t.Run(c.model, func(t *testing.T) {
				g := readGolden(t, filepath.Join("testdata", c.golden))
				m := openTestdata(t, filepath.Join("testdata", c.model), on)
				for _, p := range g.Prompts {
					pieces := []int{1000, 100, 1}
					if on.open != nil { // the stand-in is too slow for all of them
						switch {
						case len(p.IDs) > 300:
							pieces = []int{100}
						case len(p.IDs) > 20:
							pieces = []int{1000, 50}
						}
					}
					for _, piece := range pieces {
						got := logits(t, m, p.IDs, piece)
						d := distance(got, g.floats(t, p.Name+".last"))
						require.LessOrEqual(t, d, 1e-4, "%s in pieces of %d", p.Name, piece)
					}
				}
				ids := g.Prompts[2].IDs
				require.Equal(t, "prompt_17", g.Prompts[2].Name)
				s := m.NewSession()
				defer s.Close()
				rows, err := s.Logits(context.Background(), ids, len(ids))
				require.NoError(t, err)
				var all []float32
				for _, row := range rows {
					all = append(all, row...)
				}
				require.LessOrEqual(t, distance(all, g.floats(t, "prompt_17.all")), 1e-4, "logits of all positions")
			})
		}
	})
}

func TestGreedyTokensLeaveTransformers(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		for _, c := range transformersGoldens {
			for _, chunk := range []int{0, 7} {
				t.Run(fmt.Sprintf("%s/chunk=%d", c.model, chunk), func(t *testing.T) {
					g := readGolden(t, filepath.Join("testdata", c.golden))
					m := openTestdata(t, filepath.Join("testdata", c.model), on.with(func(o *loadOptions) { o.chunk = chunk }))
					for _, run := range g.Greedy {
						require.Len(t, run.Next, 64)
						s := m.NewSession()
						defer s.Close()
						var got []int32
						for tok, err := range s.GenerateTokens(context.Background(), run.IDs, Options{MaxTokens: 64, IgnoreEOS: true}) {
							require.NoError(t, err)
							got = append(got, tok.Token.ID)
						}
						require.Equal(t, run.Next, got, run.Name)
					}
				})
			}
		}
	})
}
