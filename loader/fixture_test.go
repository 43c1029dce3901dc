package loader

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// object is a JSON object under construction.
type object map[string]any

// with returns a copy with some fields replaced; nil removes one.
func (o object) with(changes object) object {
	c := maps.Clone(o)
	for k, v := range changes {
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
	}
	return c
}

func (o object) bytes() []byte {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return b
}

// tinyGLM4 and tinyChatGLM are models of the same size: hidden 64, FFN 96, 4 query heads and 2 KV heads of 16, 48
// tokens.
var (
	tinyGLM4 = object{
		"model_type": "glm4", "num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4,
		"num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 128, "vocab_size": 48, "rms_norm_eps": 1e-5,
		"rope_theta": 10000.0, "partial_rotary_factor": 0.5, "attention_bias": true, "hidden_act": "silu",
		"eos_token_id": []int{1, 2}, "pad_token_id": 1, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
	}
	tinyChatGLM = object{
		"model_type": "chatglm", "num_layers": 2, "hidden_size": 64, "ffn_hidden_size": 96, "num_attention_heads": 4,
		"multi_query_attention": true, "multi_query_group_num": 2, "kv_channels": 16, "seq_length": 128,
		"padded_vocab_size": 48,
		"layernorm_epsilon": 1e-5, "rope_ratio": 500, "add_qkv_bias": true, "add_bias_linear": false, "rmsnorm": true,
		"post_layer_norm": true, "apply_residual_connection_post_layernorm": false, "original_rope": true,
		"eos_token_id": []int{1, 2}, "pad_token_id": 1, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
	}
)

// random returns a BF16 tensor of small random values.
func random(name string, shape ...int) Tensor {
	n := 1
	for _, d := range shape {
		n *= d
	}
	seed := [32]byte{}
	copy(seed[:], name[max(0, len(name)-32):])
	rng := rand.New(rand.NewChaCha8(seed))
	data := make([]byte, 0, 2*n)
	for range n {
		data = binary.LittleEndian.AppendUint16(data, uint16(math.Float32bits(float32(rng.NormFloat64()))>>16))
	}
	return Tensor{Name: name, DType: BF16, Shape: shape, Data: data}
}

// quantised returns weight, scales and biases of a module, of random bits.
func quantised(name string, rows, cols, bits, group int) []Tensor {
	w := random(name+".weight", rows, cols*bits/16)
	w.DType, w.Shape = U32, []int{rows, cols * bits / 32}
	return []Tensor{w, random(name+".scales", rows, cols/group), random(name+".biases", rows, cols/group)}
}

// glm4Tensors are the tensors of tinyGLM4.
func glm4Tensors() []Tensor {
	ts := []Tensor{random("model.embed_tokens.weight", 48, 64), random("model.norm.weight", 64),
		random("lm_head.weight", 48, 64)}
	for i := range 2 {
		l := fmt.Sprintf("model.layers.%d.", i)
		ts = append(ts,
			random(l+"input_layernorm.weight", 64), random(l+"post_attention_layernorm.weight", 64),
			random(l+"post_self_attn_layernorm.weight", 64), random(l+"post_mlp_layernorm.weight", 64),
			random(l+"self_attn.q_proj.weight", 64, 64), random(l+"self_attn.q_proj.bias", 64),
			random(l+"self_attn.k_proj.weight", 32, 64), random(l+"self_attn.k_proj.bias", 32),
			random(l+"self_attn.v_proj.weight", 32, 64), random(l+"self_attn.v_proj.bias", 32),
			random(l+"self_attn.o_proj.weight", 64, 64),
			random(l+"mlp.gate_up_proj.weight", 192, 64), random(l+"mlp.down_proj.weight", 64, 96))
	}
	return ts
}

// chatglmTensors are the tensors of tinyChatGLM.
func chatglmTensors() []Tensor {
	ts := []Tensor{
		random("transformer.embedding.word_embeddings.weight", 48, 64),
		random("transformer.encoder.final_layernorm.weight", 64),
		random("transformer.output_layer.weight", 48, 64), random("transformer.rotary_pos_emb.inv_freq", 4),
	}
	for i := range 2 {
		l := fmt.Sprintf("transformer.encoder.layers.%d.", i)
		ts = append(ts,
			random(l+"input_layernorm.weight", 64), random(l+"post_attention_layernorm.weight", 64),
			random(l+"self_attention.query_key_value.weight", 128, 64), random(l+"self_attention.query_key_value.bias", 128),
			random(l+"self_attention.dense.weight", 64, 64),
			random(l+"mlp.dense_h_to_4h.weight", 192, 64), random(l+"mlp.dense_4h_to_h.weight", 64, 96))
	}
	return ts
}

// replace returns the tensors with the one of that name replaced, or removed if there is no replacement.
func replace(ts []Tensor, name string, by ...Tensor) []Tensor {
	var out []Tensor
	for _, t := range ts {
		if t.Name != name {
			out = append(out, t)
		}
	}
	if len(out) == len(ts) {
		panic("no tensor " + name)
	}
	return append(out, by...)
}

// encode writes a safetensors file whose header is padded with spaces so that the data begins at a multiple of align.
func encode(tensors []Tensor, align int) []byte {
	header := map[string]any{"__metadata__": map[string]string{"format": "pt"}}
	var data []byte
	for _, t := range tensors {
		header[t.Name] = object{"dtype": t.DType.String(), "shape": t.Shape,
			"data_offsets": []int{len(data), len(data) + len(t.Data)}}
		data = append(data, t.Data...)
	}
	text := object(header).bytes()
	for (8+len(text))%align != 0 {
		text = append(text, ' ')
	}
	return file(string(text), data)
}

// file writes a safetensors file with any header.
func file(header string, data []byte) []byte {
	return bytes.Join([][]byte{binary.LittleEndian.AppendUint64(nil, uint64(len(header))), []byte(header), data}, nil)
}

// files is a checkpoint's folder.
type files map[string][]byte

// tiny returns a folder with a config and one weights file.
func tiny(config object, tensors []Tensor) files {
	return files{"config.json": config.bytes(), singleName: encode(tensors, 8)}
}

// with returns a copy with some files replaced; nil removes one.
func (f files) with(changes files) files {
	c := maps.Clone(f)
	for k, v := range changes {
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
	}
	return c
}

// fs returns the folder in memory.
func (f files) fs() fstest.MapFS {
	m := fstest.MapFS{}
	for name, data := range f {
		m[name] = &fstest.MapFile{Data: data, Mode: 0o644}
	}
	return m
}

// save writes the folder to disk.
func (f files) save(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range f {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, data, 0o644))
	}
	return dir
}

// open opens the folder in memory under the name DIR.
func (f files) open(t *testing.T) *Checkpoint {
	t.Helper()
	c, err := OpenFS(t.Context(), f.fs(), "DIR")
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// refused checks the exact error of opening the folder, in memory under the name DIR.
func (f files) refused(t *testing.T, want string) {
	t.Helper()
	c, err := OpenFS(t.Context(), f.fs(), "DIR")
	if err == nil {
		c.Close()
	}
	require.EqualError(t, err, want)
}
