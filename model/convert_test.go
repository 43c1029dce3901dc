package model

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/loader"
)

// The tokens are what mlx-lm takes behind mlx_lm.convert, and behind our own conversion (scripts/goldens/convert).
func TestConvertedModelAnswersOtherwise(t *testing.T) {
	var g struct {
		SourceConfig json.RawMessage `json:"source_config"`
		Prompt       []int32
		Conversions  map[string]struct {
			Config struct{ Quantization loader.ModuleQuantization }
			Greedy []int32
		}
	}
	text, err := os.ReadFile("../loader/testdata/convert.json")
	require.NoError(t, err)
	// The block has the names of config.json.
	require.NoError(t, json.Unmarshal([]byte(strings.ReplaceAll(string(text), "group_size", "GroupSize")), &g))
	weights, err := os.ReadFile("testdata/glm4-a/model.safetensors")
	require.NoError(t, err)
	src := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(src, "config.json"), g.SourceConfig, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(src, "model.safetensors"), weights, 0o600))
	require.Len(t, g.Conversions, 4)
	for name, want := range g.Conversions {
		t.Run(name, func(t *testing.T) {
			dst := filepath.Join(t.TempDir(), "dst")
			o := loader.ConvertOptions{Bits: want.Config.Quantization.Bits, GroupSize: want.Config.Quantization.GroupSize}
			if o.Bits == 0 {
				o.Bits = 16
			}
			for dtype, d := range map[string]loader.DType{"bfloat16": loader.BF16, "float16": loader.F16} {
				if strings.HasSuffix(name, "-"+dtype) {
					o.DType = d
				}
			}
			_, err := loader.Convert(t.Context(), src, dst, o)
			require.NoError(t, err)
			s := openTestdata(t, dst, loadOptions{kvBits: 32}).NewSession()
			defer s.Close()
			var got []int32
			options := Options{MaxTokens: len(want.Greedy), IgnoreEOS: true}
			for tok, err := range s.GenerateTokens(context.Background(), g.Prompt, options) {
				require.NoError(t, err)
				got = append(got, tok.Token.ID)
			}
			require.Equal(t, want.Greedy, got)
		})
	}
}
