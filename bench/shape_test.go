package bench

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/hub"
	"github.com/glm4-metal/glm4-metal/model"
)

// known is the shape of a checkpoint in the catalog.
func known(t *testing.T, name string) Shape {
	t.Helper()
	k, ok := hub.Find(name)
	require.True(t, ok, name)
	s, err := ShapeOfConfig(k.Config, 16)
	require.NoError(t, err)
	return s
}

// The bytes of a token are what the counters of the Metal stand-in give, the operations those of its products.
func TestShapeOfGLM4Differs(t *testing.T) {
	s := known(t, "glm4:9b-4bit")
	require.Equal(t, "glm4 9B 4bit", s.Name)
	require.EqualValues(t, 4939696384, s.TokenBytes())
	require.EqualValues(t, 40*(4096*(4096+2*256)+4096*4096+3*13696*4096), s.LayerParams)
	require.EqualValues(t, 151552*4096, s.HeadParams)
	require.EqualValues(t, 151552*4096*9/16, s.HeadBytes)
	require.EqualValues(t, 4096*9/16, s.RowBytes)
	require.Equal(t, s.LayerBytes+s.HeadBytes+151552*s.RowBytes, s.Bytes)
	require.EqualValues(t, 40960, s.KVBytes)
	require.Equal(t, []int{40, 32, 128, 4}, []int{s.Layers, s.Heads, s.HeadDim, s.Bits})
}

func TestShapeNeedsItsFiles(t *testing.T) {
	for dir, name := range map[string]string{
		"": "glm4 6M 4bit", "../model/testdata/glm4-a": "glm4 0.1M f32", "../model/testdata/glm-e": "glm 0.1M f32",
		"../model/testdata/chatglm-f": "chatglm 0.1M f32", "../model/testdata/mlx-8bit-g32": "glm4 0.2M 8bit",
	} {
		c, err := model.OpenCheckpoint(t.Context(), dir)
		require.NoError(t, err)
		for _, bits := range []int{16, 32} {
			files, err := ShapeOf(c, bits)
			require.NoError(t, err)
			config, err := ShapeOfConfig(c.Config, bits)
			require.NoError(t, err)
			require.Equal(t, files, config)
			require.Equal(t, name, files.Name)
		}
		_, err = ShapeOf(c, 8)
		require.EqualError(t, err, "a KV cache of 8 bits; expected 16 or 32")
		require.NoError(t, c.Close())
	}
}

func TestTiedHeadIsForgotten(t *testing.T) {
	s := known(t, "glm-edge:1.5b")
	require.EqualValues(t, 59264*2048, s.HeadParams)
	require.EqualValues(t, 2*59264*2048, s.HeadBytes)
	require.Equal(t, s.LayerBytes+s.HeadBytes, s.Bytes, "it is not there twice")
}

func TestShapesAreMisnamed(t *testing.T) {
	for name, want := range map[string]string{
		"glm4:9b": "glm4 9B bf16", "glm4:9b-8bit": "glm4 9B 8bit", "glm4:32b-4bit": "glm4 32B 4bit",
		"glm-4-chat:9b": "chatglm 9B bf16", "glm-edge:1.5b": "glm 1.5B bf16",
	} {
		require.Equal(t, want, known(t, name).Name)
	}
	for params, want := range map[int64]string{
		4: "0.0M", 123_000: "0.1M", 949e6: "949M", 951e6: "1.0B", 1.99e9: "2.0B", 2.99e9: "2B", 3.3e9: "3B", 9.99e9: "9B",
	} {
		require.Equal(t, want, billions(params), params)
	}
	k, _ := hub.Find("glm4:9b")
	k.Config.DType = "float16"
	s, err := ShapeOfConfig(k.Config, 16)
	require.NoError(t, err)
	require.Equal(t, "glm4 9B f16", s.Name)
}
