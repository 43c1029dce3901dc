package loader

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"strconv"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/chatformat"
	"github.com/glm4-metal/glm4-metal/internal/textfile"
	"github.com/glm4-metal/glm4-metal/internal/tokenizer"
)

// writtenType is the model type under which a model is written: that of the family which goes by canonical names.
func (c *Config) writtenType() string {
	for _, f := range families {
		if f.layers == canonicalLayers && f.sandwichNorms == c.SandwichNorms && (c.ModelType == f.modelType ||
			c.family().layers != canonicalLayers) {
			return f.modelType
		}
	}
	return c.ModelType
}

// convertedConfig is config.json as mlx_lm.convert writes it: the source's, with the end tokens of
// generation_config.json and the block of the quantisation. Source: load_config, quantize_model and save_config of
// https://github.com/ml-explore/mlx-lm/blob/main/mlx_lm/utils.py (0.32).
func (c *Checkpoint) convertedConfig(p *conversionPlan) ([]byte, error) {
	data, err := textfile.ReadFS(c.fsys, c.Dir, "config.json", maxConfig)
	if err != nil {
		return nil, err
	}
	f, err := parseFields(c.Dir+"/config.json", data)
	if err != nil {
		return nil, err
	}
	generation, err := optionalFields(c.fsys, c.Dir, "generation_config.json")
	if err != nil {
		return nil, err
	}
	out := f.values
	set := func(name string, value any) {
		out[name], _ = json.Marshal(value) // of numbers and strings cannot fail
	}
	if c.Config.writtenType() != c.Config.ModelType {
		out = map[string]json.RawMessage{}
		c.transformersConfig(f, set)
	}
	delete(out, "_name_or_path")
	delete(out, "vision_config")
	if generation.has("eos_token_id") {
		out["eos_token_id"] = generation.values["eos_token_id"]
	}
	if f.has("tie_word_embeddings") {
		set("tie_word_embeddings", c.Config.TieEmbeddings)
	}
	if p.dtypeAsked {
		name := "torch_dtype"
		if f.has("dtype") && !f.has(name) {
			name = "dtype"
		}
		set(name, map[DType]string{BF16: "bfloat16", F16: "float16"}[p.result.DType])
	}
	switch block := (map[string]any{"group_size": p.result.GroupSize, "bits": p.result.Bits, "mode": "affine"}); {
	case p.result.Realigned:
		for _, name := range []string{"quantization", "quantization_config"} {
			if f.has(name) {
				out[name] = f.values[name]
			}
		}
	case p.result.Bits < 16:
		set("quantization", block)
		set("quantization_config", block)
	default:
		delete(out, "quantization")
		delete(out, "quantization_config")
	}
	return indented(out)
}

// transformersConfig sets the fields of transformers' GlmConfig for a model of a family whose own fields are f.
func (c *Checkpoint) transformersConfig(f *fields, set func(name string, value any)) {
	m := c.Config
	modelType := m.writtenType()
	set("architectures", []string{strings.ToUpper(modelType[:1]) + modelType[1:] + "ForCausalLM"})
	for name, value := range map[string]any{
		"model_type": modelType, "hidden_act": "silu", "initializer_range": 0.02, "use_cache": true,
		"num_hidden_layers": m.Layers, "hidden_size": m.Hidden, "intermediate_size": m.FFN, "num_attention_heads": m.Heads,
		"num_key_value_heads": m.KVHeads, "head_dim": m.HeadDim, "max_position_embeddings": m.MaxPositions,
		"vocab_size": m.Vocab, "rms_norm_eps": decimal(m.RMSEps), "rope_theta": decimal(m.RopeTheta),
		"partial_rotary_factor": decimal(float64(m.RotaryDims) / float64(m.HeadDim)), "attention_bias": m.AttentionBias,
		"attention_dropout": decimal(0), "tie_word_embeddings": m.TieEmbeddings, "eos_token_id": m.EOS,
	} {
		set(name, value)
	}
	if m.Pad >= 0 {
		set("pad_token_id", m.Pad)
	}
	for _, name := range []string{"torch_dtype", "dtype"} {
		if f.has(name) {
			set(name, f.values[name])
		}
	}
}

// decimal writes a number so that Python takes it for a float.
func decimal(v float64) json.RawMessage {
	text := strconv.FormatFloat(v, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return json.RawMessage(text)
}

// convertedTokenizer makes a tokenizer.json and a tokenizer_config.json of a tokenizer.model.
func (c *Checkpoint) convertedTokenizer(ctx context.Context) (file, config []byte, err error) {
	family := chatformat.FamilyOf(c.Config.ModelType)
	control := tokenizer.Control{Tokens: family.Control, Prefix: family.Prefix}
	if file, err = tokenizer.ConvertModel(ctx, c.fsys, c.Dir, control); err != nil {
		return nil, nil, err
	}
	f, err := optionalFields(c.fsys, c.Dir, tokenizerConfigName)
	if err != nil {
		return nil, nil, err
	}
	end := json.RawMessage(`"` + control.Tokens[0] + `"`)
	out := map[string]json.RawMessage{
		"eos_token": end, "pad_token": end, "padding_side": json.RawMessage(`"left"`),
		"clean_up_tokenization_spaces": json.RawMessage("false"),
	}
	maps.Copy(out, f.values)
	delete(out, "auto_map") // code for the other file
	out["tokenizer_class"] = json.RawMessage(`"PreTrainedTokenizerFast"`)
	config, err = indented(out)
	return file, config, err
}

// indented writes a JSON object with sorted names.
func indented(object map[string]json.RawMessage) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "    ")
	err := encoder.Encode(object)
	return b.Bytes(), err
}
