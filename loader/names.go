package loader

import (
	"fmt"
	"iter"
	"strings"
)

// The canonical names of modules are those of transformers' glm and glm4 models.
const (
	embedTokens = "model.embed_tokens"
	finalNorm   = "model.norm"
	lmHead      = "lm_head"
)

// module is one part of the model that the config implies.
type module struct {
	name       string // canonical
	rows, cols int    // cols is 0 for a norm, which is a vector of rows values
	bias       bool   // may have a bias of rows values
}

// modules yields what a model of this config consists of. lm_head is left out when it is tied.
func (c *Config) modules() iter.Seq[module] {
	return func(yield func(module) bool) {
		if !yield(module{name: embedTokens, rows: c.Vocab, cols: c.Hidden}) {
			return
		}
		for layer := range c.Layers {
			for _, m := range c.layerModules(layer) {
				if !yield(m) {
					return
				}
			}
		}
		if !yield(module{name: finalNorm, rows: c.Hidden}) || c.TieEmbeddings {
			return
		}
		yield(module{name: lmHead, rows: c.Vocab, cols: c.Hidden})
	}
}

func (c *Config) layerModules(layer int) []module {
	at := func(name string) string { return fmt.Sprintf("model.layers.%d.%s", layer, name) }
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	ms := []module{
		{name: at("input_layernorm"), rows: c.Hidden},
		{name: at("self_attn.q_proj"), rows: q, cols: c.Hidden, bias: true},
		{name: at("self_attn.k_proj"), rows: kv, cols: c.Hidden, bias: true},
		{name: at("self_attn.v_proj"), rows: kv, cols: c.Hidden, bias: true},
		{name: at("self_attn.o_proj"), rows: c.Hidden, cols: q},
		{name: at("post_attention_layernorm"), rows: c.Hidden},
		{name: at("mlp.gate_up_proj"), rows: 2 * c.FFN, cols: c.Hidden},
		{name: at("mlp.down_proj"), rows: c.Hidden, cols: c.FFN},
	}
	if c.SandwichNorms {
		ms = append(ms,
			module{name: at("post_self_attn_layernorm"), rows: c.Hidden},
			module{name: at("post_mlp_layernorm"), rows: c.Hidden})
	}
	return ms
}

// place is where a canonical module stands in the files: rows [first, first+n) of a stored module with total rows.
type place struct {
	stored       string
	first, total int
}

// chatglmNames maps the end of a canonical name to that of the original ChatGLM checkpoint.
var chatglmNames = map[string]string{
	embedTokens:                "transformer.embedding.word_embeddings",
	finalNorm:                  "transformer.encoder.final_layernorm",
	lmHead:                     "transformer.output_layer",
	"input_layernorm":          "input_layernorm",
	"post_attention_layernorm": "post_attention_layernorm",
	"self_attn.o_proj":         "self_attention.dense",
	"mlp.gate_up_proj":         "mlp.dense_h_to_4h",
	"mlp.down_proj":            "mlp.dense_4h_to_h",
	"self_attn.q_proj":         "self_attention.query_key_value",
	"self_attn.k_proj":         "self_attention.query_key_value",
	"self_attn.v_proj":         "self_attention.query_key_value",
}

// place finds a module in this family's files. ChatGLM stores q, k and v as one matrix, one under the other.
// Source: convert_glm4_weights_to_hf.py in transformers.
func (c *Config) place(m module) place {
	if c.ModelType != "chatglm" {
		return place{stored: m.name, total: m.rows}
	}
	rest, inLayer := strings.CutPrefix(m.name, "model.layers.")
	if !inLayer {
		return place{stored: chatglmNames[m.name], total: m.rows}
	}
	layer, name, _ := strings.Cut(rest, ".")
	p := place{stored: "transformer.encoder.layers." + layer + "." + chatglmNames[name], total: m.rows}
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	switch name {
	case "self_attn.q_proj":
		p.first, p.total = 0, q+2*kv
	case "self_attn.k_proj":
		p.first, p.total = q, q+2*kv
	case "self_attn.v_proj":
		p.first, p.total = q+kv, q+2*kv
	}
	return p
}
