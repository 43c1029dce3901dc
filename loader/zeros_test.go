package loader

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// ordered returns the tensors with the named ones last.
func ordered(ts []Tensor, names ...string) []Tensor {
	var last []Tensor
	for _, name := range names {
		i := slices.IndexFunc(ts, func(t Tensor) bool { return t.Name == name })
		last = append(last, ts[i])
		ts = replace(ts, name)
	}
	return append(slices.Clone(ts), last...)
}

const unfilledText = " is zeros where a model has none: the file has its size but not all of its content, as after a " +
	"download that did not end; download it again"

func TestPreallocatedWeightsAreComputedOn(t *testing.T) {
	good := glm4Tensors()
	const down = "model.layers.1.mlp.down_proj.weight"
	for _, tt := range []struct {
		name  string
		last  []string
		zeros int    // bytes of them at the end of the file
		want  string // tensor that is named, "" if the zeros may be a model's own
	}{
		{"norm", []string{"model.norm.weight"}, 128, "model.norm.weight"},
		{"half a norm", []string{"model.norm.weight"}, 64, ""},
		{"decoder matrix", []string{down}, 64 * 96 * 2 / 7, down},
		{"a row of a decoder matrix", []string{down}, 96 * 2, ""},
		{"most of the head", []string{"lm_head.weight"}, 25 * 64 * 2, "lm_head.weight"},
		{"rows that pad the head", []string{"lm_head.weight"}, 23 * 64 * 2, ""},
		{"biases", []string{"model.layers.1.self_attn.k_proj.bias", "model.layers.1.self_attn.v_proj.bias"}, 128, ""},
		{"norm and biases", []string{"model.norm.weight", "model.layers.1.self_attn.v_proj.bias"}, 128 + 64,
			"model.norm.weight"},
		{"norm behind the attention", []string{"model.layers.1.post_self_attn_layernorm.weight"}, 128, ""},
		{"nearly everything", []string{"model.norm.weight"}, 60_000, "model.norm.weight"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder := tiny(tinyGLM4, ordered(good, tt.last...))
			weights := folder[singleName]
			clear(weights[len(weights)-tt.zeros:])
			if tt.want == "" {
				folder.open(t)
				return
			}
			folder.refused(t, `DIR/model.safetensors: tensor "`+tt.want+`"`+unfilledText)
		})
	}
}

func TestNormOfZerosIsComputedWith(t *testing.T) {
	for _, name := range []string{"model.norm.weight", "model.layers.0.input_layernorm.weight",
		"model.layers.1.post_attention_layernorm.weight", "model.layers.0.post_mlp_layernorm.weight"} {
		ts := glm4Tensors()
		for _, tensor := range ts {
			if tensor.Name == name {
				clear(tensor.Data)
			}
		}
		c := tiny(tinyGLM4, ts).open(t)
		_, err := c.Vector(name)
		if name == "model.layers.0.post_mlp_layernorm.weight" {
			require.NoError(t, err, "it may switch a layer off")
			continue
		}
		require.EqualError(t, err, `DIR/model.safetensors: tensor "`+name+`"`+unfilledText)
	}
}

func TestHoleIsComputedOn(t *testing.T) {
	config := tinyGLM4.with(object{"intermediate_size": 16384})
	ts := glm4Tensors()
	for _, l := range []string{"model.layers.0.mlp.", "model.layers.1.mlp."} {
		ts = replace(ts, l+"gate_up_proj.weight", random(l+"gate_up_proj.weight", 2*16384, 64))
		ts = replace(ts, l+"down_proj.weight", random(l+"down_proj.weight", 64, 16384))
	}
	dir := tiny(config, ordered(ts, "model.norm.weight")).save(t)
	c, err := Open(t.Context(), dir)
	require.NoError(t, err)
	var hole Tensor
	for _, tensor := range c.Tensors() {
		if tensor.Name == "model.layers.0.mlp.gate_up_proj.weight" {
			hole = tensor
		}
	}
	require.NoError(t, c.Close())

	// The file is written again, but for the second half of one matrix.
	path := filepath.Join(dir, singleName)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	from, to := hole.Offset+1<<21, hole.Offset+1<<22
	_, err = f.WriteAt(data[:from], 0)
	require.NoError(t, err)
	_, err = f.WriteAt(data[to:], to)
	require.NoError(t, err)
	r, err := mapFile(path, mapMemory)
	require.NoError(t, err)
	defer func() { require.NoError(t, errors.Join(unmap(r.data), r.file.Close())) }()
	if len(r.holes()) == 0 {
		t.Log("the file system does not tell of holes")
		return
	}
	_, err = Open(t.Context(), dir)
	require.EqualError(t, err, dir+`/model.safetensors: tensor "`+hole.Name+`"`+unfilledText)
}
