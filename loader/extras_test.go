package loader

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTensorsAreLeftOutInSilence(t *testing.T) {
	good := glm4Tensors()
	with := func(names ...string) []Tensor {
		ts := slices.Clone(good)
		for _, name := range names {
			ts = append(ts, random(name, 64))
		}
		return ts
	}
	const take = "take the config.json that belongs to these weights"
	const noPart = ": no part of a glm4 model, which would compute something else without it; " + take +
		", or a program that supports this architecture"
	const unknown = ": no part of a glm4 model, nor known as an extra that may be left out; " + take +
		", or remove the tensor if it is not needed"
	chatglm := append(chatglmTensors(), random("transformer.encoder.layers.2.input_layernorm.weight", 64))
	for _, tt := range []struct {
		name    string
		config  object
		tensors []Tensor
		want    string
	}{
		{"glm4 as glm", tinyGLM4.with(object{"model_type": "glm"}), good,
			`"model.layers.0.post_mlp_layernorm.weight", "model.layers.0.post_self_attn_layernorm.weight", "model.layers.1.post_mlp_layernorm.weight" and 1 more: part of a glm4 model, but model_type is "glm" in config.json; ` + take},
		{"one layer less", tinyGLM4.with(object{"num_hidden_layers": 1}), good,
			`"model.layers.1.input_layernorm.weight", "model.layers.1.mlp.down_proj.weight", "model.layers.1.mlp.gate_up_proj.weight" and 10 more: layer 1 is there, but num_hidden_layers in config.json is 1; ` + take},
		{"one layer less of ChatGLM", tinyChatGLM, chatglm,
			`"transformer.encoder.layers.2.input_layernorm.weight": layer 2 is there, but num_layers in config.json is 2; ` +
				take},
		{"one layer less, before multi-token prediction", tinyGLM4.with(object{"num_hidden_layers": 1,
			"num_nextn_predict_layers": 1}), with("model.layers.2.eh_proj.weight"),
			`"model.layers.1.input_layernorm.weight", "model.layers.1.mlp.down_proj.weight", "model.layers.1.mlp.gate_up_proj.weight" and 10 more: layer 1 is there, but num_hidden_layers in config.json is 1; ` + take},
		{"norms of queries", tinyGLM4, with("model.layers.1.self_attn.q_norm.weight"),
			`"model.layers.1.self_attn.q_norm.weight"` + noPart},
		{"multi-token prediction in a decoder layer", tinyGLM4, with("model.layers.1.eh_proj.weight"),
			`"model.layers.1.eh_proj.weight"` + noPart},
		{"bias of the output", tinyGLM4, with("model.layers.0.self_attn.o_proj.bias"),
			`"model.layers.0.self_attn.o_proj.bias"` + noPart},
		{"experts", tinyGLM4, with("model.layers.0.mlp.experts.0.up_proj.weight", "model.layers.0.mlp.gate.weight"),
			`"model.layers.0.mlp.experts.0.up_proj.weight", "model.layers.0.mlp.gate.weight"` + noPart},
		{"bias of the head", tinyGLM4, with("lm_head.bias"), `"lm_head.bias"` + unknown},
		{"another model beside it", tinyGLM4, with("draft.layers.0.weight"), `"draft.layers.0.weight"` + unknown},
		{"control characters", tinyGLM4, with("\x1b[2J"), `"\x1b[2J"` + unknown},
		{"adapter", tinyGLM4, with("model.layers.0.self_attn.q_proj.lora_A.weight"),
			`"model.layers.0.self_attn.q_proj.lora_A.weight" belongs to a LoRA adapter, which cannot be applied here; merge it into its model with mlx_lm.fuse or peft's merge_and_unload`},
		{"GPTQ", tinyGLM4, replace(with("lm_head.qweight", "lm_head.g_idx"), "lm_head.weight"),
			`"lm_head.g_idx" is of a model packed by GPTQ: ` + wayOut},
		{"AWQ", tinyGLM4, replace(with("lm_head.qweight", "lm_head.qzeros"), "lm_head.weight"),
			`"lm_head.qweight" is of a model packed by GPTQ or AWQ: ` + wayOut},
		{"FP8", tinyGLM4, with("lm_head.weight_scale_inv"),
			`"lm_head.weight_scale_inv" is of a model in FP8 or another scaled format: ` + wayOut},
		{"bitsandbytes", tinyGLM4, with("lm_head.weight.quant_state.bitsandbytes__nf4"),
			`"lm_head.weight.quant_state.bitsandbytes__nf4" is of a model packed by bitsandbytes: ` + wayOut},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tiny(tt.config, tt.tensors).refused(t, "DIR/model.safetensors: tensor "+
				tt.want)
		})
	}
}

func TestKnownExtraIsRefused(t *testing.T) {
	for config, names := range map[string][]string{
		"glm4": {
			"model.rotary_emb.inv_freq", "model.layers.0.self_attn.rotary_emb.inv_freq", "model.visual.blocks.0.attn.qkv.weight",
			"vision_tower.a", "visual.b",
			"model.layers.2.eh_proj.weight", "model.layers.2.enorm.weight", "model.layers.2.input_layernorm.weight",
			"model.layers.2.mlp.experts.0.up_proj.weight",
		},
		"chatglm": {"transformer.vision.transformer.layers.0.mlp.fc1.weight"},
	} {
		base, ts := tinyGLM4.with(object{"num_nextn_predict_layers": 1}), glm4Tensors()
		if config == "chatglm" {
			base, ts = tinyChatGLM, replace(chatglmTensors(), "transformer.rotary_pos_emb.inv_freq")
		}
		for _, name := range names {
			ts = append(ts, random(name, 8))
		}
		require.Len(t, tiny(base, ts).open(t).Unused(), len(names))
	}
}

func TestTiedHeadOfItsOwn(t *testing.T) {
	tied := tinyGLM4.with(object{"tie_word_embeddings": true})
	embed := random("model.embed_tokens.weight", 48, 64)
	for name, tt := range map[string]struct {
		config object
		edit   func(head *Tensor)
		tied   bool
	}{
		"same":             {tied, func(*Tensor) {}, true},
		"last bit differs": {tied, func(h *Tensor) { h.Data[len(h.Data)-1] ^= 1 }, false},
		"different":        {tied, func(h *Tensor) { *h = random("lm_head.weight", 48, 64) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			head := Tensor{Name: "lm_head.weight", DType: BF16, Shape: []int{48, 64}, Data: slices.Clone(embed.Data)}
			tt.edit(&head)
			c := tiny(tt.config, replace(glm4Tensors(), "lm_head.weight", head)).open(t)
			m, err := c.Matrix("lm_head")
			require.NoError(t, err)
			require.Equal(t, head.Data, m.Data)
			require.Equal(t, tt.tied, c.Config.TieEmbeddings)
			require.Equal(t, tt.tied, m.Name == "model.embed_tokens")
			if tt.tied {
				require.Empty(t, c.Notes())
				return
			}
			require.Equal(t,
				[]string{"DIR: tie_word_embeddings is true in config.json, but lm_head.weight differs from " +
					"model.embed_tokens.weight; they are not tied, as in transformers"}, c.Notes())
			require.Empty(t, c.Unused())
		})
	}
	packed := quantise(glm4Tensors(), "lm_head", 48, 64, 4, 32)
	c := tiny(tied.with(object{"quantization": object{"bits": 4, "group_size": 32}}), packed).open(t)
	m, err := c.Matrix("lm_head")
	require.NoError(t, err)
	require.True(t, m.Quantized())
	require.Len(t, c.Notes(), 1)
}

func TestComparisonIgnoresItsContext(t *testing.T) {
	a := make([]byte, 40<<20)
	same, err := equal(t.Context(), a, slices.Clone(a))
	require.NoError(t, err)
	require.True(t, same)
	_, err = equal(&stop{Context: t.Context(), n: 2}, a, slices.Clone(a))
	require.ErrorIs(t, err, context.Canceled)
	b := slices.Clone(a)
	b[39<<20+17] = 1
	same, err = equal(t.Context(), a, b)
	require.NoError(t, err)
	require.False(t, same)
}

func TestFieldOfAnotherArchitectureIsIgnored(t *testing.T) {
	const suffix = ", as other values are of an architecture that is not supported"
	const window = ": attention to a part of the context is not supported"
	parse := func(base object, field string, value any) error {
		_, err := parseConfig("DIR", base.with(object{field: value}).bytes(), nil)
		return err
	}
	for field, values := range map[string]map[string][]any{ // what is said, of which values
		"use_qk_norm":             {"absent or false" + suffix: {true, 1, "yes"}},
		"mlp_bias":                {"absent or false" + suffix: {true}},
		"attention_multiplier":    {"absent or 0.25" + suffix: {1.0, 0.125}},
		"logit_scale":             {"absent or 1" + suffix: {0.0625}},
		"residual_multiplier":     {"absent or 1" + suffix: {0.22}},
		"final_logit_softcapping": {"absent or false" + suffix: {30.0}},
		"clip_qkv":                {"absent" + suffix: {8.0, 0}},
		"layernorm_type":          {"absent or rmsnorm" + suffix: {"layernorm"}},
		"hidden_activation":       {"absent or silu" + suffix: {"gelu_pytorch_tanh"}},
		"rope_interleaved":        {"absent or true" + suffix: {false}},
		"n_routed_experts":        {"absent or false" + suffix: {128}},
		"first_k_dense_replace":   {"absent, 0 or at least 2: the later layers would have experts, which are not supported": {1, -1}},
		"sliding_window":          {"null or at least the context of 128" + window: {64}},
		"layer_types": {"full_attention for every layer" +
			window: {[]string{"full_attention", "sliding_attention"}}},
		"num_nextn_predict_layers": {"a whole number, not negative": {-1, "x"}},
		"compression_config":       {"absent: " + wayOut: {object{}}},
	} {
		for want, list := range values {
			for _, v := range list {
				text := string(object{"v": v}.bytes())
				text = text[len(`{"v":`) : len(text)-1]
				require.EqualError(t, parse(tinyGLM4, field, v), fmt.Sprintf("DIR/config.json: %s is %s; it must be %s", field,
					text, want))
			}
		}
	}
	for field, values := range map[string][]any{
		"use_qk_norm": {false, 0}, "attention_multiplier": {0.25}, "logit_scale": {1, 1.0}, "final_logit_softcapping": {0},
		"layernorm_type":    {"RMSNorm"},
		"hidden_activation": {"silu"}, "rope_interleaved": {true}, "n_routed_experts": {0}, "first_k_dense_replace": {2, 0},
		"sliding_window": {128, 4096, 0},
		"layer_types":    {[]string{"full_attention", "full_attention"}}, "num_nextn_predict_layers": {0, 1},
		"rope_ratio":        {1},
		"attention_dropout": {0.1}, "an_unknown_field": {7},
	} {
		for _, v := range values {
			require.NoError(t, parse(tinyGLM4, field, v), field)
		}
	}
	unused := tinyGLM4.with(object{"sliding_window": 64})
	require.NoError(t, parse(unused, "use_sliding_window", false))
	require.Error(t, parse(unused, "use_sliding_window", true))
	require.NoError(t, parse(unused, "layer_types", []string{"full_attention", "full_attention"}))
	require.ErrorContains(t, parse(tinyChatGLM, "use_qk_norm", true), "use_qk_norm is true")
	require.ErrorContains(t, parse(tinyGLM4, "rope_ratio", 500), "rope_ratio is 500")
	for _, method := range []string{"gptq", "awq", "fp8", "bitsandbytes", "compressed-tensors"} {
		err := parse(tinyGLM4.with(object{"quantization": object{"bits": 4, "group_size": 64}}), "quantization_config",
			object{"quant_method": method})
		require.EqualError(t, err, `DIR/config.json: quantization_config.quant_method is "`+method+`"; it must be absent: `+
			wayOut)
	}
	require.ErrorContains(t, parse(tinyGLM4, "quantization_config", object{"load_in_4bit": true}),
		"quantization_config.load_in_4bit is true; it must be absent")
}

// What the table takes for off must be off by its own check, and no name may stand there twice.
func TestFieldIsListedTwice(t *testing.T) {
	for _, base := range []object{tinyGLM4, tinyChatGLM} {
		c, err := parseConfig("DIR", base.bytes(), nil)
		require.NoError(t, err)
		seen := map[string]bool{}
		for _, f := range c.otherFields() {
			require.False(t, seen[f.name], f.name)
			seen[f.name] = true
			for _, off := range f.off {
				_, err := parseConfig("DIR", base.with(object{f.name: off}).bytes(), nil)
				require.NoError(t, err, f.name)
			}
		}
	}
}
