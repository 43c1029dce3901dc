package hub

import (
	"fmt"
	"slices"
	"sync"

	"github.com/glm4-metal/glm4-metal/loader"
)

// Known is a published checkpoint.
type Known struct {
	Name       string // short: "glm4:9b-4bit"
	Repository string // on the hub: "mlx-community/GLM-4-9B-0414-4bit"
	Config     loader.Config
}

// Catalog lists the checkpoints that have short names, those of a model one after the other. The list is the caller's;
// the slices in it are not.
func Catalog() []Known { return slices.Clone(catalog()) }

// Find gives the checkpoint of a short name, which must be exact: [Names] has all.
func Find(name string) (Known, bool) {
	for _, k := range catalog() {
		if k.Name == name {
			return k, true
		}
	}
	return Known{}, false
}

// Names lists the short names in the order of the catalog.
func Names() (names []string) {
	for _, k := range catalog() {
		names = append(names, k.Name)
	}
	return names
}

var catalog = sync.OnceValue(func() (list []Known) {
	for _, p := range published {
		config, err := loader.ParseConfig(p.repository, []byte(p.config))
		if err != nil {
			panic(fmt.Sprintf("hub: the catalog is wrong: %v", err))
		}
		if p.bits > 0 {
			// mlx_lm.convert takes groups of 64 where nothing else is asked for.
			config.Quantization = loader.Quantization{Bits: p.bits, GroupSize: 64}
		}
		list = append(list, Known{p.name, p.repository, config})
	}
	return list
})

// published are the checkpoints: bf16 as the makers publish them, 8 and 4 bit as mlx-community converted them. The
// makers' names are those that ms-swift and others list, once under THUDM, which is zai-org now; mlx-community's are
// those in the model lists of several programs for MLX.
var published = []struct {
	name, repository string
	bits             int // of the quantisation, 0 where there is none
	config           string
}{
	{"glm4:9b", "zai-org/GLM-4-9B-0414", 0, glm4With9B},
	{"glm4:9b-8bit", "mlx-community/GLM-4-9B-0414-8bit", 8, glm4With9B},
	{"glm4:9b-4bit", "mlx-community/GLM-4-9B-0414-4bit", 4, glm4With9B},
	{"glm4:32b", "zai-org/GLM-4-32B-0414", 0, glm4With32B},
	{"glm4:32b-8bit", "mlx-community/GLM-4-32B-0414-8bit", 8, glm4With32B},
	{"glm4:32b-4bit", "mlx-community/GLM-4-32B-0414-4bit", 4, glm4With32B},
	{"glm-z1:9b", "zai-org/GLM-Z1-9B-0414", 0, glm4With9B},
	{"glm-z1:9b-4bit", "mlx-community/GLM-Z1-9B-0414-4bit", 4, glm4With9B},
	{"glm-z1:32b", "zai-org/GLM-Z1-32B-0414", 0, glm4With32B},
	{"glm-4-chat:9b", "zai-org/glm-4-9b-chat", 0, chatGLM},
	{"glm-4-chat:9b-hf", "zai-org/glm-4-9b-chat-hf", 0, chatGLMHF},
	{"glm-edge:1.5b", "zai-org/glm-edge-1.5b-chat", 0, edge},
}

// The fields of config.json that decide size and arithmetic.
const (
	// Sizes as Glm4Config of transformers defaults to; epsilon and context as training scripts for it have them.
	glm4With9B = `{"model_type": "glm4", "num_hidden_layers": 40, "hidden_size": 4096, "intermediate_size": 13696,
		"num_attention_heads": 32, "num_key_value_heads": 2, "head_dim": 128, "partial_rotary_factor": 0.5,
		"rope_theta": 10000.0, "rms_norm_eps": 1e-05, "max_position_embeddings": 32768, "vocab_size": 151552,
		"attention_bias": true, "tie_word_embeddings": false, "hidden_act": "silu", "torch_dtype": "bfloat16",
		"eos_token_id": [151329, 151336, 151338], "pad_token_id": 151329}`
	// What llama.cpp prints of GLM-Z1-32B-0414 (ikawrakow/ik_llama.cpp#344), whose 613 tensors leave none for biases.
	glm4With32B = `{"model_type": "glm4", "num_hidden_layers": 61, "hidden_size": 6144, "intermediate_size": 23040,
		"num_attention_heads": 48, "num_key_value_heads": 2, "head_dim": 128, "partial_rotary_factor": 0.5,
		"rope_theta": 10000.0, "rms_norm_eps": 1e-05, "max_position_embeddings": 32768, "vocab_size": 151552,
		"attention_bias": false, "tie_word_embeddings": false, "hidden_act": "silu", "torch_dtype": "bfloat16",
		"eos_token_id": [151329, 151336, 151338], "pad_token_id": 151329}`
	// The published file, as the log of a LLaMA-Factory run has it.
	chatGLM = `{"model_type": "chatglm", "num_layers": 40, "hidden_size": 4096, "ffn_hidden_size": 13696,
		"num_attention_heads": 32, "multi_query_attention": true, "multi_query_group_num": 2, "kv_channels": 128,
		"original_rope": true, "rope_ratio": 500, "layernorm_epsilon": 1.5625e-07, "rmsnorm": true, "post_layer_norm": true,
		"seq_length": 131072, "padded_vocab_size": 151552, "add_qkv_bias": true, "add_bias_linear": false,
		"apply_residual_connection_post_layernorm": false, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
		"eos_token_id": [151329, 151336, 151338], "pad_token_id": 151329}`
	// The same in the fields of transformers, as convert_glm4_weights_to_hf.py there writes them.
	chatGLMHF = `{"model_type": "glm", "num_hidden_layers": 40, "hidden_size": 4096, "intermediate_size": 13696,
		"num_attention_heads": 32, "num_key_value_heads": 2, "head_dim": 128, "rope_theta": 5000000.0,
		"rms_norm_eps": 1.5625e-07, "max_position_embeddings": 131072, "vocab_size": 151552, "attention_bias": true,
		"tie_word_embeddings": false, "hidden_act": "silu", "torch_dtype": "bfloat16",
		"eos_token_id": [151329, 151336, 151338], "pad_token_id": 151329}`
	// The published file, as programs that read it have it in their tests.
	edge = `{"model_type": "glm", "num_hidden_layers": 28, "hidden_size": 2048, "intermediate_size": 6144,
		"num_attention_heads": 16, "num_key_value_heads": 4, "head_dim": 128, "partial_rotary_factor": 1.0,
		"rope_theta": 10000.0, "rms_norm_eps": 1e-05, "max_position_embeddings": 8192, "vocab_size": 59264,
		"attention_bias": false, "tie_word_embeddings": true, "hidden_act": "silu", "torch_dtype": "bfloat16",
		"eos_token_id": [59246, 59253, 59255], "pad_token_id": 59246}`
)
