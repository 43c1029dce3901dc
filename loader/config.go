package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// Config is what config.json says about a model, under one set of names whatever the family. Every value has been validated.
type Config struct {
	ModelType     string  // "glm4" (GLM-4-0414, GLM-Z1), "glm" (glm-4-9b-chat-hf, GLM-Edge) or "chatglm" (glm-4-9b-chat)
	Layers        int     // decoder layers
	Hidden        int     // width of the residual stream
	FFN           int     // width of the MLP; gate_up_proj has twice as many rows
	Heads         int     // query heads
	KVHeads       int     // key/value heads; divides Heads
	HeadDim       int     // width of one head
	RotaryDims    int     // how many leading dimensions of a head rotate, in interleaved pairs; even
	MaxPositions  int     // context limit in tokens
	Vocab         int     // rows of embed_tokens and lm_head; may be padded beyond the tokenizer's tokens
	RopeTheta     float64 // base of the rotary frequencies
	RMSEps        float64
	SandwichNorms bool    // four norms a layer (glm4) instead of two
	AttentionBias bool    // q_proj, k_proj and v_proj have biases, as config.json says and the tensors confirm
	TieEmbeddings bool    // embed_tokens is also lm_head: config.json says so and the weights have no other
	EOS           []int32 // sorted union of config.json and generation_config.json; may be empty
	Pad           int32   // -1 when there is none
	DType         string  // as declared, such as "bfloat16"; the tensors' own types decide
	Quantization  Quantization

	// biasField is the field that AttentionBias was read from; "" if config.json has none, then the tensors alone decide.
	biasField string
}

// modelTypes are the families that can be loaded.
var modelTypes = []string{"glm4", "glm", "chatglm"}

// publishedEOS are <|endoftext|>, <|user|> and <|observation|>, which transformers' GlmConfig and Glm4Config imply when a config names no eos_token_id.
var publishedEOS = []int32{151329, 151336, 151338}

// Limits far above any GLM-4. They keep every product of two sizes, and every allocation that follows from one, in bounds.
const (
	maxLayers    = 1 << 10
	maxWidth     = 1 << 20
	maxHeads     = 1 << 12
	maxHeadDim   = 1 << 10
	maxPositions = 1 << 24
	maxVocab     = 1 << 24
)

// parseConfig reads config.json and, if it is not nil, generation_config.json, which only adds end-of-sequence ids.
// dir is the folder that errors name.
func parseConfig(dir string, config, generation []byte) (Config, error) {
	f, err := parseFields(dir+"/config.json", config)
	if err != nil {
		return Config{}, err
	}
	var c Config
	c.ModelType = f.text("model_type")
	if f.err == nil && !slices.Contains(modelTypes, c.ModelType) {
		f.fail("model_type", "one of "+strings.Join(modelTypes, ", "))
		f.err = &namedError{f.err.Error(), errors.ErrUnsupported}
	}
	if f.err != nil {
		return Config{}, f.err
	}
	if c.ModelType == "chatglm" {
		chatglmConfig(&c, f)
	} else {
		glmConfig(&c, f)
	}
	c.Pad = -1
	if ids := f.ids("pad_token_id", c.Vocab); len(ids) > 0 {
		c.Pad = ids[0]
	}
	if f.has("torch_dtype") {
		c.DType = f.text("torch_dtype")
	} else if f.has("dtype") {
		c.DType = f.text("dtype")
	}
	c.EOS = f.ids("eos_token_id", c.Vocab)
	c.Quantization = quantization(f)
	c.checkOtherFields(f)
	if f.err != nil {
		return Config{}, f.err
	}
	if generation != nil {
		g, err := parseFields(dir+"/generation_config.json", generation)
		if err != nil {
			return Config{}, err
		}
		c.EOS = append(c.EOS, g.ids("eos_token_id", c.Vocab)...)
		if g.err != nil {
			return Config{}, g.err
		}
	}
	if len(c.EOS) == 0 && c.Vocab > int(slices.Max(publishedEOS)) {
		c.EOS = slices.Clone(publishedEOS)
	}
	slices.Sort(c.EOS)
	c.EOS = slices.Compact(c.EOS)
	return c, nil
}

// glmConfig reads the fields of transformers' GlmConfig and Glm4Config.
func glmConfig(c *Config, f *fields) {
	c.SandwichNorms = c.ModelType == "glm4"
	c.Layers = f.positive("num_hidden_layers", maxLayers)
	c.Hidden = f.positive("hidden_size", maxWidth)
	c.FFN = f.positive("intermediate_size", maxWidth)
	c.Heads = f.positive("num_attention_heads", maxHeads)
	c.KVHeads = f.positive("num_key_value_heads", maxHeads)
	f.divides("num_key_value_heads", c.KVHeads, "num_attention_heads", c.Heads)
	if f.has("head_dim") {
		c.HeadDim = f.positive("head_dim", maxHeadDim)
	} else if f.divides("num_attention_heads", c.Heads, "hidden_size", c.Hidden) {
		c.HeadDim = c.Hidden / c.Heads
	}
	c.MaxPositions = f.positive("max_position_embeddings", maxPositions)
	c.Vocab = f.positive("vocab_size", maxVocab)
	c.RMSEps = f.number("rms_norm_eps", 0, 1)
	f.mustBe("hidden_act", "silu", "silu")
	c.TieEmbeddings = f.flag("tie_word_embeddings", false)
	c.readBias(f, "attention_bias")
	rope(c, f)
}

func (c *Config) readBias(f *fields, name string) {
	if f.has(name) {
		c.biasField = name
		c.AttentionBias = f.flag(name, false)
	}
}

// rope reads the rotary settings, which transformers 5 nests in rope_parameters and older versions keep beside the other fields.
func rope(c *Config, f *fields) {
	nested := f.object("rope_parameters")
	for _, place := range []*fields{f, nested, f.object("rope_scaling")} {
		if place == nil {
			continue
		}
		const explain = "default: other ways to compute positions are not supported"
		place.mustBe("rope_type", "default", explain)
		if place != f {
			place.mustBe("type", "default", explain)
			f.adopt(place)
		}
	}
	if s := f.object("rope_scaling"); s != nil && !s.has("rope_type") && !s.has("type") {
		f.fail("rope_scaling", "null, or have the rope_type default")
	}
	c.RopeTheta = f.either(nested, "rope_theta", 10000, 1e12)
	factor := f.either(nested, "partial_rotary_factor", 0.5, 1)
	if f.err != nil {
		return
	}
	c.RotaryDims = int(float64(c.HeadDim) * factor)
	if c.RotaryDims < 2 || c.RotaryDims%2 != 0 {
		f.err = fmt.Errorf("%s: partial_rotary_factor %v of head_dim %d makes %d rotary dimensions; it must be an even number of at least 2", f.file, factor, c.HeadDim, c.RotaryDims)
	}
}

// chatglmConfig reads the fields of the original ChatGLMConfig (configuration_chatglm.py beside the published weights).
func chatglmConfig(c *Config, f *fields) {
	c.Layers = f.positive("num_layers", maxLayers)
	f.agrees("num_hidden_layers", c.Layers, "num_layers")
	c.Hidden = f.positive("hidden_size", maxWidth)
	c.FFN = f.positive("ffn_hidden_size", maxWidth)
	c.Heads = f.positive("num_attention_heads", maxHeads)
	c.KVHeads = f.positive("multi_query_group_num", maxHeads)
	f.divides("multi_query_group_num", c.KVHeads, "num_attention_heads", c.Heads)
	c.HeadDim = f.positive("kv_channels", maxHeadDim)
	// modeling_chatglm.py rotates half of a head, fixed in its code.
	c.RotaryDims = c.HeadDim / 2
	if f.err == nil && c.RotaryDims%2 != 0 {
		f.fail("kv_channels", "divisible by 4, since half of it rotates in pairs")
	}
	c.MaxPositions = f.positive("seq_length", maxPositions)
	c.Vocab = f.positive("padded_vocab_size", maxVocab)
	c.RMSEps = f.number("layernorm_epsilon", 0, 1)
	c.RopeTheta = 10000
	if f.has("rope_ratio") {
		c.RopeTheta *= f.number("rope_ratio", 0, 1e8)
	}
	c.readBias(f, "add_qkv_bias")
	c.TieEmbeddings = f.flag("tie_word_embeddings", false)
	// What the other values would mean is another architecture.
	for _, fixed := range []struct {
		name string
		want bool
	}{
		{"add_bias_linear", false},
		{"apply_residual_connection_post_layernorm", false},
		{"multi_query_attention", true},
		{"original_rope", true},
		{"post_layer_norm", true},
		{"rmsnorm", true},
	} {
		if f.has(fixed.name) && f.flag(fixed.name, fixed.want) != fixed.want {
			f.fail(fixed.name, strconv.FormatBool(fixed.want))
		}
	}
	if !f.has("multi_query_attention") {
		f.fail("multi_query_attention", "true")
	}
	if f.has("pre_seq_len") {
		f.fail("pre_seq_len", "null: prefix tuning is not supported")
	}
	if f.has("quantization_bit") {
		f.mustBeNumber("quantization_bit", 0)
	}
	if f.has("rope_scaling") {
		f.fail("rope_scaling", "null: other ways to compute positions are not supported")
	}
}

// readConfig reads config.json and generation_config.json from a folder.
func readConfig(dir string, fsys fs.FS) (Config, error) {
	config, err := textfile.ReadFS(fsys, dir, "config.json", maxConfig)
	if err != nil {
		return Config{}, err
	}
	generation, err := textfile.ReadFS(fsys, dir, "generation_config.json", maxConfig)
	if err != nil && !textfile.Absent(err) {
		return Config{}, err
	}
	return parseConfig(dir, config, generation)
}
