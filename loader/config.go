package loader

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// Config is what config.json says about a model, under one set of names whatever the family. Every value has been
// validated.
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

// Limits far above any GLM-4. They keep every product of two sizes, and every allocation that follows from one, in
// bounds.
const (
	maxLayers    = 1 << 10
	maxWidth     = 1 << 20
	maxHeads     = 1 << 12
	maxHeadDim   = 1 << 10
	maxPositions = 1 << 24
	maxVocab     = 1 << 24
)

// ParseConfig reads the text of a config.json. dir is the folder that errors name.
func ParseConfig(dir string, config []byte) (Config, error) { return parseConfig(dir, config, nil) }

// parseConfig reads config.json and, if it is not nil, generation_config.json, which only adds end-of-sequence ids.
// dir is the folder that errors name.
func parseConfig(dir string, config, generation []byte) (Config, error) {
	f, err := parseFields(dir+"/config.json", config)
	if err != nil {
		return Config{}, err
	}
	var c Config
	c.ModelType = f.text("model_type")
	family := c.family()
	if f.err == nil && family == nil {
		f.fail("model_type", "one of "+strings.Join(ModelTypes(), ", "))
		f.err = &namedError{f.err.Error(), errors.ErrUnsupported}
	}
	if f.err != nil {
		return Config{}, f.err
	}
	family.read(&c, f)
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
	if len(c.EOS) == 0 && c.Vocab > int(slices.Max(family.eos)) {
		c.EOS = slices.Clone(family.eos)
	}
	slices.Sort(c.EOS)
	c.EOS = slices.Compact(c.EOS)
	return c, nil
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
