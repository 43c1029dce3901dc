package loader

import (
	"fmt"
	"slices"
)

// family is what the checkpoints of one model_type have in common. All of them are the same kind of decoder: RMS norms,
// query heads that share KV heads, rotation of pairs that lie side by side, and SwiGLU whose gate and up are one
// matrix. A new one of that kind is another entry of families, and its model type joins the family whose control tokens
// it has, or founds one, in the table of package chatformat. One of another kind needs ops first.
type family struct {
	modelType       string // in config.json
	sandwichNorms   bool   // also norms behind the attention and the MLP
	fields          fieldNames
	headDimOptional bool                       // it is hidden_size / heads where it is missing
	rotary          func(c *Config, f *fields) // reads RopeTheta and RotaryDims
	check           func(f *fields)            // what else the config must say; may be nil
	eos             []int32                    // ids that the family's config class implies where a config names none

	// Names of modules in the files. A layer's begin with layers, then its number. Those that names lacks go by their
	// canonical name.
	layers string
	names  map[string]string // by canonical name, in a layer without what it begins with
	qkv    string            // the module that holds q, k and v, one under the other; "" where each has its own
}

// fieldNames are the fields of a config.json that families call differently.
type fieldNames struct {
	layers, layersToo, ffn, kvHeads, headDim, positions, vocab, eps, bias string // layersToo may repeat layers
}

var transformersFields = fieldNames{
	layers: "num_hidden_layers", ffn: "intermediate_size", kvHeads: "num_key_value_heads", headDim: "head_dim",
	positions: "max_position_embeddings", vocab: "vocab_size", eps: "rms_norm_eps", bias: "attention_bias",
}

// publishedEOS are the ids of GLM-4's tokens that end an answer, as transformers' GlmConfig and Glm4Config have them.
var publishedEOS = []int32{151329, 151336, 151338}

var families = []*family{
	{ // GLM-4-0414 and GLM-Z1, as Glm4Config
		modelType: "glm4", sandwichNorms: true, fields: transformersFields, headDimOptional: true,
		rotary: transformersRotary, eos: publishedEOS, layers: canonicalLayers,
	},
	{ // glm-4-9b-chat-hf and GLM-Edge, as GlmConfig
		modelType: "glm", fields: transformersFields, headDimOptional: true,
		rotary: transformersRotary, eos: publishedEOS, layers: canonicalLayers,
	},
	{ // glm-4-9b-chat, as configuration_chatglm.py beside the published weights
		modelType: "chatglm",
		fields: fieldNames{
			layers: "num_layers", layersToo: "num_hidden_layers", ffn: "ffn_hidden_size", kvHeads: "multi_query_group_num",
			headDim: "kv_channels", positions: "seq_length", vocab: "padded_vocab_size", eps: "layernorm_epsilon",
			bias: "add_qkv_bias",
		},
		rotary: chatglmRotary, check: chatglmCheck, eos: publishedEOS,
		// Source: convert_glm4_weights_to_hf.py in transformers.
		layers: "transformer.encoder.layers.",
		names: map[string]string{
			embedTokens:        "transformer.embedding.word_embeddings",
			finalNorm:          "transformer.encoder.final_layernorm",
			lmHead:             "transformer.output_layer",
			"self_attn.o_proj": "self_attention.dense",
			"mlp.gate_up_proj": "mlp.dense_h_to_4h",
			"mlp.down_proj":    "mlp.dense_4h_to_h",
		},
		qkv: "self_attention.query_key_value",
	},
}

// ModelTypes are the values of model_type in config.json that can be loaded.
func ModelTypes() (types []string) {
	for _, f := range families {
		types = append(types, f.modelType)
	}
	return types
}

// family is the config's; nil for another model type.
func (c *Config) family() *family {
	for _, f := range families {
		if f.modelType == c.ModelType {
			return f
		}
	}
	return nil
}

// sandwichType is a model type that has the norms which others lack.
func sandwichType() string {
	return families[slices.IndexFunc(families, func(f *family) bool { return f.sandwichNorms })].modelType
}

// stored gives a module's name in the files; in a layer both are without what they begin with.
func (f *family) stored(name string) string {
	if stored, ok := f.names[name]; ok {
		return stored
	}
	return name
}

// read reads the shape of a model.
func (f *family) read(c *Config, in *fields) {
	c.SandwichNorms = f.sandwichNorms
	c.Layers = in.positive(f.fields.layers, maxLayers)
	if f.fields.layersToo != "" {
		in.agrees(f.fields.layersToo, c.Layers, f.fields.layers)
	}
	c.Hidden = in.positive("hidden_size", maxWidth)
	c.FFN = in.positive(f.fields.ffn, maxWidth)
	c.Heads = in.positive("num_attention_heads", maxHeads)
	c.KVHeads = in.positive(f.fields.kvHeads, maxHeads)
	in.divides(f.fields.kvHeads, c.KVHeads, "num_attention_heads", c.Heads)
	if !f.headDimOptional || in.has(f.fields.headDim) {
		c.HeadDim = in.positive(f.fields.headDim, maxHeadDim)
	} else if in.divides("num_attention_heads", c.Heads, "hidden_size", c.Hidden) {
		c.HeadDim = c.Hidden / c.Heads
	}
	c.MaxPositions = in.positive(f.fields.positions, maxPositions)
	c.Vocab = in.positive(f.fields.vocab, maxVocab)
	c.RMSEps = in.number(f.fields.eps, 0, 1)
	c.TieEmbeddings = in.flag("tie_word_embeddings", false)
	if in.has(f.fields.bias) {
		c.biasField = f.fields.bias
		c.AttentionBias = in.flag(f.fields.bias, false)
	}
	f.rotary(c, in)
	if f.check != nil {
		f.check(in)
	}
}

// transformersRotary reads the rotary settings, which transformers 5 nests in rope_parameters and older versions keep
// beside the other fields.
func transformersRotary(c *Config, f *fields) {
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
		f.err = fmt.Errorf("%s: partial_rotary_factor %v of head_dim %d makes %d rotary dimensions; it must be an even "+
			"number of at least 2",
			f.file, factor, c.HeadDim, c.RotaryDims)
	}
}

// chatglmRotary is what modeling_chatglm.py does, whose code fixes that half of a head rotates.
func chatglmRotary(c *Config, f *fields) {
	c.RotaryDims = c.HeadDim / 2
	if f.err == nil && c.RotaryDims%2 != 0 {
		f.fail("kv_channels", "divisible by 4, since half of it rotates in pairs")
	}
	c.RopeTheta = 10000
	if f.has("rope_ratio") {
		c.RopeTheta *= f.number("rope_ratio", 0, 1e8)
	}
}

// chatglmCheck refuses values that would be another architecture, of fields that no other family has.
func chatglmCheck(f *fields) {
	for _, name := range []string{"multi_query_attention", "original_rope", "post_layer_norm"} {
		if f.has(name) && !f.flag(name, true) {
			f.fail(name, "true")
		}
	}
	if !f.has("multi_query_attention") {
		f.fail("multi_query_attention", "true")
	}
	if f.has("rope_scaling") {
		f.fail("rope_scaling", "null: other ways to compute positions are not supported")
	}
}
