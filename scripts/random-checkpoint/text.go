package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
)

// chatTemplate is that of GLM-4-0414.
//
//go:embed chat_template.jinja
var chatTemplate []byte

type object = map[string]any

// writeText writes every file but the weights.
func writeText(dir string, o options) error {
	end := o.endTokens()
	config := object{
		"architectures": []string{"Glm4ForCausalLM"}, "attention_bias": true, "attention_dropout": 0.0, "eos_token_id": end,
		"head_dim":   headDim,
		"hidden_act": "silu", "hidden_size": hidden, "initializer_range": 0.02, "intermediate_size": ffn,
		"max_position_embeddings": 32768,
		"model_type":              "glm4", "num_attention_heads": heads, "num_hidden_layers": o.layers,
		"num_key_value_heads": kvHeads, "pad_token_id": end[0],
		"partial_rotary_factor": 0.5, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": false,
		"torch_dtype":          "bfloat16",
		"transformers_version": "4.52.0.dev0", "use_cache": true, "vocab_size": o.vocab,
	}
	if o.bits == 4 {
		quantization := object{"group_size": o.group, "bits": o.bits, "mode": "affine"}
		config["quantization"], config["quantization_config"] = quantization, quantization
	}
	var added []string
	decoder := object{}
	for i, s := range specialTokens {
		added = append(added, s)
		decoder[strconv.Itoa(o.firstSpecial()+i)] = object{"content": s, "lstrip": false, "normalized": false,
			"rstrip": false, "single_word": false, "special": true}
	}
	for name, content := range map[string]any{
		"config.json": config,
		"generation_config.json": object{"_from_model_config": true, "eos_token_id": end, "pad_token_id": end[0],
			"transformers_version": "4.52.0.dev0"},
		"tokenizer.json": tokenizer(o),
		"tokenizer_config.json": object{
			"added_tokens_decoder": decoder, "additional_special_tokens": added, "clean_up_tokenization_spaces": false,
			"do_lower_case": false,
			"eos_token":     "<|user|>", "model_input_names": []string{"input_ids", "attention_mask"},
			"model_max_length": 128000,
			"pad_token":        "<|endoftext|>", "padding_side": "left", "remove_space": false,
			"tokenizer_class": "PreTrainedTokenizerFast",
		},
	} {
		if err := writeJSON(filepath.Join(dir, name), content); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "chat_template.jinja"), chatTemplate, 0o644)
}

func writeJSON(path string, content any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(content); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
