package loader

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// The canonical names of modules are those of transformers' glm and glm4 models.
const (
	embedTokens = "model.embed_tokens"
	finalNorm   = "model.norm"
	lmHead      = "lm_head"

	canonicalLayers = "model.layers." // in front of the layer's number
)

// Modules of a layer, by their canonical names in it.
var (
	frontNorms    = []string{"input_layernorm", "post_attention_layernorm"}
	sandwichNorms = []string{"post_self_attn_layernorm", "post_mlp_layernorm"}
	projections   = [3]string{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}
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
	at := func(name string) string { return fmt.Sprintf("%s%d.%s", canonicalLayers, layer, name) }
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	var ms []module
	norms := frontNorms
	if c.SandwichNorms {
		norms = slices.Concat(frontNorms, sandwichNorms)
	}
	for _, name := range norms {
		ms = append(ms, module{name: at(name), rows: c.Hidden})
	}
	return append(ms,
		module{name: at(projections[0]), rows: q, cols: c.Hidden, bias: true},
		module{name: at(projections[1]), rows: kv, cols: c.Hidden, bias: true},
		module{name: at(projections[2]), rows: kv, cols: c.Hidden, bias: true},
		module{name: at("self_attn.o_proj"), rows: c.Hidden, cols: q},
		module{name: at("mlp.gate_up_proj"), rows: 2 * c.FFN, cols: c.Hidden},
		module{name: at("mlp.down_proj"), rows: c.Hidden, cols: c.FFN})
}

// place is where a canonical module stands in the files: rows [first, first+n) of a stored module with total rows.
type place struct {
	stored       string
	first, total int
}

// place finds a module in this family's files.
func (c *Config) place(m module) place {
	f, p := c.family(), place{total: m.rows}
	rest, inLayer := strings.CutPrefix(m.name, canonicalLayers)
	if !inLayer {
		p.stored = f.stored(m.name)
		return p
	}
	layer, name, _ := strings.Cut(rest, ".")
	stored := f.stored(name)
	if f.qkv != "" {
		q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
		for i, first := range []int{0, q, q + kv} {
			if name == projections[i] {
				stored, p.first, p.total = f.qkv, first, q+2*kv
			}
		}
	}
	p.stored = f.layers + layer + "." + stored
	return p
}
