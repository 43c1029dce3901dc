package loader

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A family of other names, with ChatGLM's fused projection and GLM-4-0414's norms, is an entry of the table.
func TestAnotherFamilyNeedsCode(t *testing.T) {
	chatglm := (&Config{ModelType: "chatglm"}).family()
	other := *chatglm
	other.modelType, other.sandwichNorms, other.layers, other.headDimOptional = "other", true, "net.blocks.", true
	other.fields = fieldNames{
		layers: "depth", ffn: "ffn", kvHeads: "groups", headDim: "head_dim", positions: "n_ctx", vocab: "n_vocab", eps: "eps",
		bias: "qkv_bias",
	}
	other.rotary = transformersRotary
	other.check = nil
	before := families
	families = append(slices.Clone(families), &other)
	t.Cleanup(func() { families = before })

	var tensors []Tensor
	for _, tensor := range chatglmTensors() {
		tensor.Name = strings.Replace(tensor.Name, chatglm.layers, other.layers, 1)
		tensors = append(tensors, tensor)
		if at, ok := strings.CutSuffix(tensor.Name, frontNorms[0]+".weight"); ok {
			for _, norm := range sandwichNorms {
				tensors = append(tensors, random(at+norm+".weight", 64))
			}
		}
	}
	c := tiny(object{
		"model_type": "other", "depth": 2, "hidden_size": 64, "ffn": 96, "num_attention_heads": 4, "groups": 2, "n_ctx": 128,
		"n_vocab": 48, "eps": 1e-5, "qkv_bias": true,
	}, tensors).open(t)
	require.True(t, c.Config.AttentionBias && c.Config.SandwichNorms)
	require.Equal(t, 16, c.Config.HeadDim)
	want := tiny(tinyChatGLM, chatglmTensors()).open(t)
	for m := range want.Config.modules() {
		for _, suffix := range []string{".weight", ".bias"} {
			require.Equal(t, want.Has(m.name+suffix), c.Has(m.name+suffix), m.name)
		}
	}
	v, err := c.Matrix("model.layers.1.self_attn.v_proj")
	require.NoError(t, err)
	require.Equal(t, random(other.layers+"1.self_attention.query_key_value.weight", 128, 64).Data[96*128:], v.Data)
	require.True(t, c.Has("model.layers.1.post_mlp_layernorm.weight"))
	require.Equal(t, []string{"glm4", "glm", "chatglm", "other"}, ModelTypes())
}
