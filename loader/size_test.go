package loader

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSizesMissTensors(t *testing.T) {
	for _, dir := range []string{
		"../internal/demo/checkpoint", "../model/testdata/glm4-a", "../model/testdata/glm4-b", "../model/testdata/glm4-c",
		"../model/testdata/glm-d", "../model/testdata/glm-e", "../model/testdata/chatglm-f",
		"../model/testdata/mlx-4bit-g64", "../model/testdata/mlx-8bit-g32", "../model/testdata/mlx-4bit-g128-mixed",
	} {
		t.Run(dir, func(t *testing.T) {
			c, err := Open(t.Context(), dir)
			require.NoError(t, err)
			defer c.Close()
			var params, bytes int64
			count := func(tensors []Tensor, sign int64) {
				for _, tensor := range tensors {
					bytes += sign * int64(len(tensor.Data))
					params += sign * int64(len(tensor.Data)/tensor.DType.Size())
				}
			}
			count(c.Tensors(), 1)
			count(c.Unused(), -1)
			got := c.Sizes()
			require.Equal(t, bytes, got.Total().Bytes)
			if c.Config.Quantization.Bits == 0 {
				require.Equal(t, params, got.Total().Params)
			}

			config := c.Config
			if text, err := os.ReadFile(dir + "/config_false.json"); err == nil { // names the plain modules
				config, err = ParseConfig(dir, text)
				require.NoError(t, err)
			}
			require.Equal(t, got, config.Sizes(), "from the config alone")
		})
	}
}

// The parameters are what llama.cpp prints of these models, in billions.
func TestSizesOfPublishedModels(t *testing.T) {
	c := Config{
		ModelType: "glm4", Layers: 40, Hidden: 4096, FFN: 13696, Heads: 32, KVHeads: 2, HeadDim: 128, Vocab: 151552,
		SandwichNorms: true, AttentionBias: true, DType: "bfloat16",
	}
	require.InDelta(t, 9.40e9, c.Sizes().Total().Params, 0.005e9)
	require.EqualValues(t, 40*3*13696*4096, c.Sizes().MLP.Params)
	require.EqualValues(t, 40*(4096+2*256), c.Sizes().Biases.Params)
	c.Layers, c.Hidden, c.FFN, c.Heads, c.AttentionBias = 61, 6144, 23040, 48, false
	require.InDelta(t, 32.57e9, c.Sizes().Total().Params, 0.005e9)
	require.Equal(t, 2*c.Sizes().Total().Params, c.Sizes().Total().Bytes)
	require.Equal(t, BF16, c.Sizes().DType)

	c.Quantization = Quantization{Bits: 8, GroupSize: 64, Modules: map[string]ModuleQuantization{"lm_head": {}}}
	s := c.Sizes()
	require.Equal(t, 8, s.Bits)
	require.Equal(t, U32, s.DType)
	require.Equal(t, 2*s.Head.Params, s.Head.Bytes, "not packed")
	require.Equal(t, s.MLP.Params+s.MLP.Params/64*4, s.MLP.Bytes)
	require.Equal(t, 2*s.Norms.Params, s.Norms.Bytes)
	require.Zero(t, s.Biases)

	c.FFN = 23041 // which makes rows of down_proj that no group divides, and that stay as they are
	require.EqualValues(t, 61*23041*6144*(2+1./8+2), c.Sizes().MLP.Bytes)
}
