package loader

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The sizes are those of the published models.
func TestPublishedConfigs(t *testing.T) {
	glm9b := Config{
		ModelType: "glm4", Layers: 40, Hidden: 4096, FFN: 13696, Heads: 32, KVHeads: 2, HeadDim: 128, RotaryDims: 64,
		MaxPositions: 32768, Vocab: 151552, RopeTheta: 10000, RMSEps: 1e-5, SandwichNorms: true, AttentionBias: true,
		EOS: []int32{151329, 151336, 151338}, Pad: 151329, DType: "bfloat16", biasField: "attention_bias",
	}
	change := func(f func(*Config)) Config {
		c := glm9b
		f(&c)
		return c
	}
	const eos = `"eos_token_id":[151329,151336,151338],"pad_token_id":151329`
	tests := []struct {
		name, config, generation string
		want                     Config
	}{
		{"GLM-4-9B-0414", `{"architectures":["Glm4ForCausalLM"],"attention_bias":true,"attention_dropout":0.0,` + eos +
			`,"head_dim":128,"hidden_act":"silu",
			"hidden_size":4096,"initializer_range":0.02,"intermediate_size":13696,"max_position_embeddings":32768,"model_type":"glm4","num_attention_heads":32,
			"num_hidden_layers":40,"num_key_value_heads":2,"partial_rotary_factor":0.5,"rms_norm_eps":1e-05,"rope_theta":10000.0,"tie_word_embeddings":false,
			"torch_dtype":"bfloat16","transformers_version":"4.52.0.dev0","use_cache":true,"vocab_size":151552}`, "", glm9b},
		{"GLM-4-32B-0414", `{"attention_bias":false,` + eos +
			`,"head_dim":128,"hidden_act":"silu","hidden_size":6144,"intermediate_size":23040,
			"max_position_embeddings":32768,"model_type":"glm4","num_attention_heads":48,"num_hidden_layers":61,"num_key_value_heads":2,
			"partial_rotary_factor":0.5,"rms_norm_eps":1e-05,"rope_theta":10000.0,"torch_dtype":"bfloat16","vocab_size":151552}`, "",
			change(func(c *Config) {
				c.Layers, c.Hidden, c.FFN, c.Heads, c.AttentionBias = 61, 6144, 23040, 48, false
			})},
		{"saved by transformers 5", `{"attention_bias":true,"dtype":"bfloat16",` + eos +
			`,"head_dim":128,"hidden_act":"silu","hidden_size":4096,
			"intermediate_size":13696,"max_position_embeddings":32768,"model_type":"glm4","num_attention_heads":32,"num_hidden_layers":40,"num_key_value_heads":2,
			"rms_norm_eps":1e-05,"rope_parameters":{"partial_rotary_factor":0.5,"rope_theta":10000.0,"rope_type":"default"},"bos_token_id":null,"vocab_size":151552}`, "", glm9b},
		{"glm-4-9b-chat-hf, rotary factor absent, end ids in both files",
			`{"attention_bias":true,"eos_token_id":151329,"pad_token_id":151329,"head_dim":128,"hidden_act":"silu",
			"hidden_size":4096,"intermediate_size":13696,"max_position_embeddings":131072,"model_type":"glm","num_attention_heads":32,"num_hidden_layers":40,
			"num_key_value_heads":2,"rms_norm_eps":1.5625e-07,"rope_theta":5000000.0,"rope_scaling":null,"torch_dtype":"bfloat16","vocab_size":151552}`,
			`{"do_sample":true,"eos_token_id":[151338,151336,151329],"temperature":0.8}`,
			change(func(c *Config) {
				c.ModelType, c.SandwichNorms, c.MaxPositions, c.RMSEps, c.RopeTheta = "glm", false, 131072, 1.5625e-07, 5e6
			})},
		{"GLM-Edge rotates whole heads",
			`{"attention_bias":false,"eos_token_id":[59246,59253,59255],"pad_token_id":59246,"hidden_act":"silu","hidden_size":2048,
			"intermediate_size":6144,"max_position_embeddings":8192,"model_type":"glm","num_attention_heads":16,"num_hidden_layers":28,"num_key_value_heads":4,
			"partial_rotary_factor":1.0,"rms_norm_eps":1e-05,"rope_theta":10000.0,"tie_word_embeddings":true,"torch_dtype":"bfloat16","vocab_size":59264}`, "",
			Config{
				ModelType: "glm", Layers: 28, Hidden: 2048, FFN: 6144, Heads: 16, KVHeads: 4, HeadDim: 128, RotaryDims: 128,
				MaxPositions: 8192,
				Vocab:        59264, RopeTheta: 10000, RMSEps: 1e-5, TieEmbeddings: true, EOS: []int32{59246, 59253, 59255},
				Pad:   59246,
				DType: "bfloat16", biasField: "attention_bias",
			}},
		{"glm-4-9b-chat, original",
			`{"_name_or_path":"THUDM/glm-4-9b-chat","model_type":"chatglm","architectures":["ChatGLMModel"],"add_bias_linear":false,"add_qkv_bias":true,
			"apply_query_key_layer_scaling":true,"apply_residual_connection_post_layernorm":false,"attention_dropout":0.0,"attention_softmax_in_fp32":true,
			"attn_implementation":"sdpa","bias_dropout_fusion":true,"ffn_hidden_size":13696,"fp32_residual_connection":false,"hidden_dropout":0.0,"hidden_size":4096,
			"kv_channels":128,"layernorm_epsilon":1.5625e-07,"multi_query_attention":true,"multi_query_group_num":2,"num_attention_heads":32,"num_hidden_layers":40,
			"num_layers":40,"rope_ratio":500,"original_rope":true,"padded_vocab_size":151552,"post_layer_norm":true,"rmsnorm":true,"seq_length":131072,
			"use_cache":true,"torch_dtype":"bfloat16","tie_word_embeddings":false,` + eos + `}`, "",
			change(func(c *Config) {
				c.ModelType, c.SandwichNorms, c.MaxPositions, c.RMSEps, c.RopeTheta, c.biasField = "chatglm", false, 131072, 1.5625e-07, 5e6, "add_qkv_bias"
			})},
		{"no end ids anywhere",
			`{"attention_bias":true,"pad_token_id":151329,"head_dim":128,"hidden_size":4096,"intermediate_size":13696,"max_position_embeddings":32768,
			"model_type":"glm4","num_attention_heads":32,"num_hidden_layers":40,"num_key_value_heads":2,"rms_norm_eps":1e-05,"torch_dtype":"bfloat16","vocab_size":151552}`, "", glm9b},
		{"MLX, mixed precision", `{"attention_bias":true,` + eos +
			`,"head_dim":128,"hidden_size":4096,"intermediate_size":13696,"max_position_embeddings":32768,
			"model_type":"glm4","num_attention_heads":32,"num_hidden_layers":40,"num_key_value_heads":2,"rms_norm_eps":1e-05,"torch_dtype":"bfloat16","vocab_size":151552,
			"quantization":{"group_size":64,"bits":4,"mode":"affine","lm_head":{"group_size":32,"bits":8},"model.embed_tokens":false,"model.layers.0.mlp.down_proj":true},
			"quantization_config":{"group_size":64,"bits":4,"mode":"affine","lm_head":{"group_size":32,"bits":8},"model.embed_tokens":false,"model.layers.0.mlp.down_proj":true}}`, "",
			change(func(c *Config) {
				c.Quantization = Quantization{Bits: 4, GroupSize: 64, Modules: map[string]ModuleQuantization{"lm_head": {8, 32},
					"model.embed_tokens": {}}}
			})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var generation []byte
			if tt.generation != "" {
				generation = []byte(tt.generation)
			}
			got, err := parseConfig("DIR", []byte(tt.config), generation)
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

// badConfigs are changes to a good config and what is said of them.
var badConfigs = []struct {
	base   object
	change object
	want   string
}{
	{tinyGLM4, object{"model_type": nil}, `model_type is missing; it must be a string`},
	{tinyGLM4, object{"model_type": 4}, `model_type is 4; it must be a string`},
	{tinyGLM4, object{"model_type": "llama"}, `model_type is "llama"; it must be one of glm4, glm, chatglm`},
	{tinyGLM4, object{"model_type": "glm4_moe"}, `model_type is "glm4_moe"; it must be one of glm4, glm, chatglm`},
	{tinyGLM4, object{"num_hidden_layers": nil}, `num_hidden_layers is missing; it must be a positive number`},
	{tinyGLM4, object{"num_hidden_layers": -3}, `num_hidden_layers is -3; it must be a positive number`},
	{tinyGLM4, object{"num_hidden_layers": 0}, `num_hidden_layers is 0; it must be a positive number`},
	{tinyGLM4, object{"num_hidden_layers": 2.5}, `num_hidden_layers is 2.5; it must be a positive number`},
	{tinyGLM4, object{"num_hidden_layers": "2"}, `num_hidden_layers is "2"; it must be a positive number`},
	{tinyGLM4, object{"num_hidden_layers": 1 << 40}, `num_hidden_layers is 1099511627776; it must be at most 1024`},
	{tinyGLM4, object{"num_hidden_layers": json.Number("99999999999999999999")},
		`num_hidden_layers is 99999999999999999999; it must be a positive number`},
	{tinyGLM4, object{"hidden_size": nil}, `hidden_size is missing; it must be a positive number`},
	{tinyGLM4, object{"intermediate_size": -1}, `intermediate_size is -1; it must be a positive number`},
	{tinyGLM4, object{"num_key_value_heads": 3},
		`num_attention_heads is 4; it must be a multiple of num_key_value_heads, 3`},
	{tinyGLM4, object{"head_dim": nil, "hidden_size": 66},
		`hidden_size is 66; it must be a multiple of num_attention_heads, 4`},
	{tinyGLM4, object{"head_dim": 4096}, `head_dim is 4096; it must be at most 1024`},
	{tinyGLM4, object{"max_position_embeddings": nil}, `max_position_embeddings is missing; it must be a positive number`},
	{tinyGLM4, object{"vocab_size": 1 << 30}, `vocab_size is 1073741824; it must be at most 16777216`},
	{tinyGLM4, object{"rms_norm_eps": nil}, `rms_norm_eps is missing; it must be a number above 0 and at most 1`},
	{tinyGLM4, object{"rms_norm_eps": 0}, `rms_norm_eps is 0; it must be a number above 0 and at most 1`},
	{tinyGLM4, object{"hidden_act": "gelu"},
		`hidden_act is "gelu"; it must be absent or silu, as other values are of an architecture that is not supported`},
	{tinyGLM4, object{"rope_theta": -1}, `rope_theta is -1; it must be a number above 0 and at most 1e+12`},
	{tinyGLM4, object{"partial_rotary_factor": 1.5},
		`partial_rotary_factor is 1.5; it must be a number above 0 and at most 1`},
	{tinyGLM4, object{"partial_rotary_factor": 0.2},
		`partial_rotary_factor 0.2 of head_dim 16 makes 3 rotary dimensions; it must be an even number of at least 2`},
	{tinyGLM4, object{"rope_parameters": object{"rope_type": "yarn", "factor": 4}},
		`rope_parameters.rope_type is "yarn"; it must be default: other ways to compute positions are not supported`},
	{tinyGLM4, object{"rope_parameters": object{"rope_theta": 5e6}},
		`rope_theta is 10000; it must be the same as rope_parameters.rope_theta, 5e+06`},
	{tinyGLM4, object{"rope_parameters": 3}, `rope_parameters is 3; it must be an object`},
	{tinyGLM4, object{"rope_scaling": object{"type": "linear", "factor": 2}},
		`rope_scaling.type is "linear"; it must be default: other ways to compute positions are not supported`},
	{tinyGLM4, object{"rope_scaling": object{"factor": 2}},
		`rope_scaling is {"factor":2}; it must be null, or have the rope_type default`},
	{tinyGLM4, object{"eos_token_id": []int{1, 48}}, `eos_token_id is [1,48]; it must be made of token ids from 0 to 47`},
	{tinyGLM4, object{"eos_token_id": []any{nil}}, `eos_token_id is [null]; it must be a token id or a list of them`},
	{tinyGLM4, object{"eos_token_id": "eos"}, `eos_token_id is "eos"; it must be a token id or a list of them`},
	{tinyGLM4, object{"pad_token_id": -1}, `pad_token_id is -1; it must be made of token ids from 0 to 47`},
	{tinyGLM4, object{"attention_bias": "yes"}, `attention_bias is "yes"; it must be true or false`},
	{tinyGLM4, object{"torch_dtype": 16}, `torch_dtype is 16; it must be a string`},
	{tinyGLM4, object{"quantization": object{"bits": 3, "group_size": 64}},
		`quantization.bits is 3; it must be one of [4 8]: ` + wayOut},
	{tinyGLM4, object{"quantization": object{"bits": 4, "group_size": 16}},
		`quantization.group_size is 16; it must be one of [32 64 128]: ` + wayOut},
	{tinyGLM4, object{"quantization": object{"bits": 4}},
		`quantization.group_size is missing; it must be one of [32 64 128]: ` + wayOut},
	{tinyGLM4, object{"quantization": object{"bits": 4, "group_size": 32, "mode": "mxfp4"}},
		`quantization.mode is "mxfp4"; it must be affine: ` + wayOut},
	{tinyGLM4, object{"quantization": object{"bits": 4, "group_size": 64, "lm_head": object{"bits": 6, "group_size": 64}}},
		`quantization.lm_head.bits is 6; it must be one of [4 8]: ` + wayOut},
	{tinyGLM4, object{"quantization": object{"bits": 4, "group_size": 64, "rotate": 1}},
		`quantization.rotate is 1; it must be an object or false, if it is a module; other settings are not known`},
	{tinyGLM4, object{"quantization_config": object{"quant_method": "gptq", "bits": 4}},
		`quantization_config.quant_method is "gptq"; it must be absent: ` + wayOut},
	{tinyGLM4, object{"quantization": "4bit"}, `quantization is "4bit"; it must be an object`},
	{tinyChatGLM, object{"num_layers": nil}, `num_layers is missing; it must be a positive number`},
	{tinyChatGLM, object{"num_hidden_layers": 3}, `num_hidden_layers is 3; it must be the same as num_layers, 2`},
	{tinyChatGLM, object{"kv_channels": 18},
		`kv_channels is 18; it must be divisible by 4, since half of it rotates in pairs`},
	{tinyChatGLM, object{"multi_query_group_num": 0}, `multi_query_group_num is 0; it must be a positive number`},
	{tinyChatGLM, object{"multi_query_attention": false}, `multi_query_attention is false; it must be true`},
	{tinyChatGLM, object{"multi_query_attention": nil}, `multi_query_attention is missing; it must be true`},
	{tinyChatGLM, object{"add_bias_linear": true},
		`add_bias_linear is true; it must be absent or false, as other values are of an architecture that is not supported`},
	{tinyChatGLM, object{"rmsnorm": false},
		`rmsnorm is false; it must be absent or true, as other values are of an architecture that is not supported`},
	{tinyChatGLM, object{"post_layer_norm": false}, `post_layer_norm is false; it must be true`},
	{tinyChatGLM, object{"apply_residual_connection_post_layernorm": true},
		`apply_residual_connection_post_layernorm is true; it must be absent or false, as other values are of an architecture that is not supported`},
	{tinyChatGLM, object{"rope_ratio": 0}, `rope_ratio is 0; it must be a number above 0 and at most 1e+08`},
	{tinyChatGLM, object{"rope_scaling": object{"type": "yarn"}},
		`rope_scaling is {"type":"yarn"}; it must be null: other ways to compute positions are not supported`},
	{tinyChatGLM, object{"pre_seq_len": 128},
		`pre_seq_len is 128; it must be absent or 0, as other values are of an architecture that is not supported`},
	{tinyChatGLM, object{"quantization_bit": 4},
		`quantization_bit is 4; it must be absent or 0, as other values are of an architecture that is not supported`},
}

func TestBadConfigIsNamed(t *testing.T) {
	for _, tt := range badConfigs {
		t.Run(tt.want[:min(len(tt.want), 60)], func(t *testing.T) {
			_, err := parseConfig("DIR", tt.base.with(tt.change).bytes(), nil)
			require.EqualError(t, err, "DIR/config.json: "+tt.want)
		})
	}
}

func TestConfigThatIsNoObject(t *testing.T) {
	for text, want := range map[string]string{
		``: "DIR/config.json: not valid JSON at byte 0: unexpected end of JSON input",
		`{"model_type": NaN}`: "DIR/config.json: not valid JSON at byte 16: invalid character 'N' looking for beginning " +
			"of value",
		`{"model_type": "glm4",`: "DIR/config.json: not valid JSON at byte 22: unexpected end of JSON input",
		`null`:                   "DIR/config.json: not a JSON object",
		`[1]`:                    "DIR/config.json: not a JSON object",
	} {
		_, err := parseConfig("DIR", []byte(text), nil)
		require.EqualError(t, err, want, text)
	}
	_, err := parseConfig("DIR", tinyGLM4.bytes(), []byte(`{"eos_token_id": 99}`))
	require.EqualError(t, err, "DIR/generation_config.json: eos_token_id is 99; it must be made of token ids from 0 to 47")
}

func TestErrorQuotesAtMostOneShortLine(t *testing.T) {
	long := "[\n" + strings.Repeat("1,\n", 1000) + "1]"
	_, err := parseConfig("DIR", []byte(strings.Replace(string(tinyGLM4.bytes()), `"num_hidden_layers":2`,
		`"num_hidden_layers":`+long, 1)), nil)
	require.EqualError(t, err, "DIR/config.json: num_hidden_layers is ["+strings.Repeat("1,", 39)+
		"1…; it must be a positive number")
}

// FuzzConfig looks for panics and for accepted configs that break what the rest of the program relies on.
func FuzzConfig(f *testing.F) {
	for _, tt := range badConfigs {
		f.Add(tt.base.with(tt.change).bytes(), []byte(`{"eos_token_id":[1]}`))
	}
	f.Add(tinyGLM4.bytes(), []byte(nil))
	f.Add(tinyChatGLM.bytes(), []byte(nil))
	f.Add(tinyGLM4.with(object{"quantization": object{"bits": 4, "group_size": 64, "mode": "affine",
		"lm_head": false}}).bytes(), []byte(`null`))
	f.Fuzz(func(t *testing.T, config, generation []byte) {
		c, err := parseConfig("DIR", config, generation)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		for _, n := range []int{c.Layers, c.Hidden, c.FFN, c.Heads, c.KVHeads, c.HeadDim, c.MaxPositions, c.Vocab} {
			require.Positive(t, n)
			require.LessOrEqual(t, n, maxVocab)
		}
		require.Zero(t, c.Heads%c.KVHeads)
		require.Zero(t, c.RotaryDims%2)
		require.Positive(t, c.RotaryDims)
		require.LessOrEqual(t, c.RotaryDims, c.HeadDim)
		require.Greater(t, c.RopeTheta, 0.0)
		require.Greater(t, c.RMSEps, 0.0)
		for _, id := range c.EOS {
			require.True(t, id >= 0 && int(id) < c.Vocab)
		}
		for range c.modules() {
		}
	})
}
