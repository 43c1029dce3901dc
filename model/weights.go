package model

import (
	"fmt"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/loader"
)

// bind places a checkpoint's matrices on the device, which may read them where they are mapped.
func bind(d backend.Device, c *loader.Checkpoint) (weights, error) {
	var tensors [][]byte
	for _, t := range c.Tensors() {
		tensors = append(tensors, t.Data)
	}
	d.Map(c.Mapped(), tensors)
	b := binder{device: d, checkpoint: c}
	w := weights{
		embed:  b.matrix("model.embed_tokens"),
		layers: make([]layer, c.Config.Layers),
		norm:   b.norm("model.norm.weight"),
		head:   b.matrix("lm_head"),
	}
	for i := range w.layers {
		w.layers[i] = b.layer(fmt.Sprintf("model.layers.%d.", i))
	}
	return w, b.err
}

// binder keeps the first error, so that the names can be read as a list.
type binder struct {
	device     backend.Device
	checkpoint *loader.Checkpoint
	err        error
}

func (b *binder) layer(at string) layer {
	l := layer{
		input: b.norm(at + "input_layernorm.weight"),
		qkv: backend.QKV{
			Q: b.matrix(at + "self_attn.q_proj"),
			K: b.matrix(at + "self_attn.k_proj"),
			V: b.matrix(at + "self_attn.v_proj"),
		},
		out:    b.matrix(at + "self_attn.o_proj"),
		mlp:    b.norm(at + "post_attention_layernorm.weight"), // the name notwithstanding, it stands before the MLP
		gateUp: b.matrix(at + "mlp.gate_up_proj"),
		down:   b.matrix(at + "mlp.down_proj"),
	}
	if b.checkpoint.Config.AttentionBias {
		l.qkv.QBias = b.vector(at + "self_attn.q_proj.bias")
		l.qkv.KBias = b.vector(at + "self_attn.k_proj.bias")
		l.qkv.VBias = b.vector(at + "self_attn.v_proj.bias")
	}
	if b.checkpoint.Config.SandwichNorms {
		postAttn, postMLP := b.norm(at+"post_self_attn_layernorm.weight"), b.norm(at+"post_mlp_layernorm.weight")
		l.postAttn, l.postMLP = &postAttn, &postMLP
	}
	return l
}

func (b *binder) norm(name string) backend.Norm {
	return backend.Norm{Weight: b.vector(name), Eps: float32(b.checkpoint.Config.RMSEps)}
}

func (b *binder) vector(name string) backend.Vector {
	if b.err != nil {
		return nil
	}
	values, err := b.checkpoint.Vector(name)
	if err != nil {
		b.err = err
		return nil
	}
	v, err := b.device.NewVector(values)
	b.err = err
	return v
}

func (b *binder) matrix(name string) backend.Matrix {
	if b.err != nil {
		return nil
	}
	data, err := b.checkpoint.Matrix(name)
	if err != nil {
		b.err = err
		return nil
	}
	m, err := b.device.NewMatrix(matrixData(data))
	b.err = err
	return m
}

// matrixData says in the backend's terms what the loader found.
func matrixData(m loader.Matrix) backend.MatrixData {
	d := backend.MatrixData{Name: m.Name, Rows: m.Rows, Cols: m.Cols, Format: format(m.DType), Data: m.Data}
	if m.Quantized() {
		d.Format = backend.Q4
		if m.Bits == 8 {
			d.Format = backend.Q8
		}
		d.GroupSize, d.Scales, d.Biases, d.ScaleFormat = m.GroupSize, m.Scales, m.Biases, format(m.ScaleDType)
	}
	return d
}

// format is for the types that the loader lets pass as weights or scales.
func format(t loader.DType) backend.Format {
	switch t {
	case loader.BF16:
		return backend.BF16
	case loader.F16:
		return backend.F16
	}
	return backend.F32
}
