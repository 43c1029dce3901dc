package loader

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
)

// otherField is a field by which models of other architectures change the arithmetic, and the values at which it
// changes nothing. null, or no such field, changes nothing either.
type otherField struct {
	name string
	off  []any // bool, float64 or string
}

// otherFields are the fields that transformers and mlx-lm know in models near GLM (Llama, Qwen, Cohere, Granite, Gemma,
// OLMo, MiniCPM, Phi, DeepSeek, GLM-4.5 and others), for a config whose own fields have been read.
func (c *Config) otherFields() []otherField {
	zero := []any{false, 0.0}
	one := []any{1.0}
	dim, layers := float64(c.HeadDim), float64(c.Layers)
	scale := 1 / math.Sqrt(dim) // of attention scores
	return []otherField{
		// Softmax and logits.
		{"attention_multiplier", []any{scale}}, {"attention_scale", []any{scale}}, {"softmax_scale", []any{scale}},
		{"query_pre_attn_scalar", []any{dim}},
		{"attn_logit_softcapping", zero}, {"final_logit_softcapping", zero}, {"logit_softcap", zero},
		{"logits_soft_cap", zero},
		{"logit_scale", one}, {"logits_scaling", one}, {"output_multiplier_scale", one}, {"lm_head_multiplier", one},
		{"scale_attn_by_inverse_layer_idx", zero}, {"attn_temperature_tuning", zero},
		// Residual stream and embedding.
		{"residual_multiplier", one}, {"embedding_multiplier", one}, {"embedding_multiplier_scale", one}, {"scale_emb", one},
		{"scale_depth", []any{math.Sqrt(layers)}},
		{"dim_model_base", []any{float64(c.Hidden)}}, {"scale_embedding", zero}, {"scale_embeddings", zero},
		{"normalize_embedding", zero},
		{"use_parallel_residual", zero}, {"parallel_residual", zero}, {"parallel_attn", zero},
		{"parallel_attn_mlp_res", zero},
		// Norms.
		{"use_qk_norm", zero}, {"qk_norm", zero}, {"use_qk_layernorm", zero}, {"qk_layernorm", zero},
		{"apply_layernorm_1p", zero},
		{"layernorm_zero_centered", zero},
		{"layernorm_type", []any{"rmsnorm", "rms_norm"}}, {"layer_norm_type", []any{"rmsnorm", "rms_norm"}},
		{"norm_type", []any{"rmsnorm", "rms_norm"}},
		{"normalization", []any{"rmsnorm", "rms_norm"}}, {"use_rmsnorm", []any{true}}, {"use_rms_norm", []any{true}},
		// Projections and activations.
		{"mlp_bias", zero}, {"use_mlp_bias", zero}, {"attention_out_bias", zero}, {"attention_output_bias", zero},
		{"o_bias", zero},
		{"o_proj_bias", zero}, {"use_bias", zero}, {"lm_head_bias", zero},
		{"clip_qkv", nil}, {"swiglu_limit", nil}, {"swiglu_alpha", nil}, {"attn_output_gate", zero},
		{"attention_output_gate", zero},
		{"hidden_activation", []any{"silu", "swish"}}, {"activation_function", []any{"silu", "swish"}},
		{"mlp_hidden_act", []any{"silu", "swish"}},
		{"v_head_dim", []any{dim}}, {"kv_lora_rank", zero}, {"q_lora_rank", zero}, {"qk_rope_head_dim", zero},
		{"qk_nope_head_dim", zero},
		// Positions. GLM rotates pairs that lie side by side.
		{"rope_interleaved", []any{true}}, {"rope_interleave", []any{true}}, {"rope_traditional", []any{true}},
		{"rotary_interleaved", []any{true}},
		{"rope_is_neox_style", zero}, {"is_neox_style", zero}, {"alibi", zero}, {"use_alibi", zero},
		{"use_rope", []any{true}},
		{"use_rotary", []any{true}},
		{"rotary_dim", []any{float64(c.RotaryDims)}}, {"rotary_pct", []any{float64(c.RotaryDims) / dim}},
		{"rotary_percent", []any{float64(c.RotaryDims) / dim}},
		{"position_embedding_type", []any{"rope", "rotary"}}, {"rope_local_base_freq", []any{c.RopeTheta}},
		{"no_rope_layer_interval", zero}, {"use_dynamic_ntk", zero}, {"use_logn_attn", zero},
		// Which tokens and layers attend.
		{"attention_chunk_size", zero}, {"use_bidirectional_attention", zero}, {"is_causal", []any{true}},
		{"add_cross_attention", zero},
		{"is_encoder_decoder", zero},
		{"num_kv_shared_layers", zero}, {"hidden_size_per_layer_input", zero},
		// Experts.
		{"n_routed_experts", zero}, {"num_local_experts", zero}, {"num_experts", zero}, {"moe_num_experts", zero},
		{"n_shared_experts", zero}, {"num_shared_experts", zero},
		// The families' own.
		{"hidden_act", []any{"silu", "swish"}}, {"rope_ratio", []any{1.0, c.RopeTheta / 10000}},
		{"add_bias_linear", zero}, {"rmsnorm", []any{true}}, {"apply_residual_connection_post_layernorm", zero},
		{"pre_seq_len", []any{0.0}}, {"quantization_bit", []any{0.0}},
	}
}

// checkOtherFields refuses a config that asks for the arithmetic of another architecture.
func (c *Config) checkOtherFields(f *fields) {
	if f.err != nil {
		return
	}
	for _, field := range c.otherFields() {
		if f.has(field.name) && !field.isOff(f.values[field.name]) {
			f.fail(field.name, field.want()+", as other values are of an architecture that is not supported")
		}
	}
	c.checkWindow(f)
	if f.has("first_k_dense_replace") {
		var n int
		if json.Unmarshal(f.values["first_k_dense_replace"], &n) != nil || n != 0 && n < c.Layers {
			f.fail("first_k_dense_replace",
				fmt.Sprintf("absent, 0 or at least %d: the later layers would have experts, which are not supported", c.Layers))
		}
	}
	if f.has("num_nextn_predict_layers") {
		if n := -1; json.Unmarshal(f.values["num_nextn_predict_layers"], &n) != nil || n < 0 {
			f.fail("num_nextn_predict_layers", "a whole number, not negative")
		}
	}
}

// checkWindow refuses attention that sees a part of the context only, as in some or all layers of other models.
func (c *Config) checkWindow(f *fields) {
	const explain = ": attention to a part of the context is not supported"
	var kinds []string
	if f.has("layer_types") {
		if json.Unmarshal(f.values["layer_types"], &kinds) != nil ||
			slices.ContainsFunc(kinds, func(s string) bool { return s != "full_attention" }) {
			f.fail("layer_types", "full_attention for every layer"+explain)
		}
	}
	window := 0
	switch {
	case !f.has("sliding_window") || len(kinds) > 0 || f.has("use_sliding_window") && !f.flag("use_sliding_window", false):
		return // none, or one that no layer uses
	case json.Unmarshal(f.values["sliding_window"], &window) != nil && string(f.values["sliding_window"]) != "false":
		f.fail("sliding_window", "null or a number")
	case window > 0 && window < c.MaxPositions:
		f.fail("sliding_window", fmt.Sprintf("null or at least the context of %d%s", c.MaxPositions, explain))
	}
}

// isOff reports whether a value changes nothing.
func (o otherField) isOff(raw json.RawMessage) bool {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return false
	}
	return slices.ContainsFunc(o.off, func(off any) bool {
		switch off := off.(type) {
		case float64:
			n, ok := v.(float64)
			return ok && math.Abs(n-off) <= 1e-6*math.Abs(off)
		case string:
			s, ok := v.(string)
			return ok && strings.EqualFold(s, off)
		}
		return v == off
	})
}

// want says which values a field may have.
func (o otherField) want() string {
	if len(o.off) == 0 {
		return "absent"
	}
	return fmt.Sprintf("absent or %v", o.off[0])
}
