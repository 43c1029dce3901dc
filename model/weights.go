package model

import (
	"fmt"
	"unsafe"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/gpu"
	"github.com/glm4-metal/glm4-metal/internal/decoder"
	"github.com/glm4-metal/glm4-metal/internal/fault"
	"github.com/glm4-metal/glm4-metal/loader"
)

// matrices gives all matrices of a checkpoint.
func matrices(c *loader.Checkpoint) (all []backend.MatrixData, err error) {
	for _, m := range c.Matrices() {
		data, err := matrixData(m)
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

// CopiedForGPU is how many bytes of a checkpoint a GPU copies when it is loaded, because they do not begin where its
// loads need it, and how many it reads in the mapped files.
func CopiedForGPU(c *loader.Checkpoint) (copied, inPlace int64, err error) {
	all, err := matrices(c)
	for i := range all {
		_, parts := gpu.Reach(&all[i])
		for _, part := range parts {
			copied += int64(len(part))
		}
		inPlace += all[i].Bytes()
	}
	return copied, inPlace - copied, err
}

// inPlaceFor gives the mapped files of which a device reads something in place, and those of which it has copied all.
func inPlaceFor(d backend.Device, c *loader.Checkpoint, all []backend.MatrixData) (inPlace, copied [][]byte) {
	for _, region := range c.Mapped() {
		reads := d.Info().Paged // the CPU copies nothing
		for i := range all {
			parts, _ := gpu.Reach(&all[i])
			for _, part := range parts {
				reads = reads || fault.Within(region, uintptr(unsafe.Pointer(unsafe.SliceData(part))))
			}
		}
		if reads {
			inPlace = append(inPlace, region)
		} else {
			copied = append(copied, region)
		}
	}
	return inPlace, copied
}

// bind places a checkpoint's matrices. placed, if it is not nil, is told how many bytes that makes so far, and may end
// it with an error.
func bind(s backend.Store, c *loader.Checkpoint, placed func(done, total int64) error) (*decoder.Weights, error) {
	b := binder{store: s, checkpoint: c, total: c.Bytes(), placed: placed}
	b.place(0)
	w := &decoder.Weights{
		Embed:  b.matrix("model.embed_tokens"),
		Layers: make([]decoder.Layer, c.Config.Layers),
		Norm:   b.norm("model.norm.weight"),
		Head:   b.matrix("lm_head"),
	}
	for i := range w.Layers {
		w.Layers[i] = b.layer(fmt.Sprintf("model.layers.%d.", i))
	}
	b.place(b.total) // with the vectors, and without what nobody reads
	return w, b.err
}

// binder keeps the first error, so that the names can be read as a list.
type binder struct {
	store      backend.Store
	checkpoint *loader.Checkpoint
	done       int64 // bytes of the matrices so far
	total      int64
	placed     func(done, total int64) error // may be nil
	err        error
}

// place counts bytes that are on the device.
func (b *binder) place(bytes int64) {
	if b.err == nil && b.placed != nil {
		b.done = min(b.done+bytes, b.total) // tied matrices come twice
		b.err = b.placed(b.done, b.total)
	}
}

func (b *binder) layer(at string) decoder.Layer {
	l := decoder.Layer{
		Input: b.norm(at + "input_layernorm.weight"),
		QKV: backend.QKV{
			Q: b.matrix(at + "self_attn.q_proj"),
			K: b.matrix(at + "self_attn.k_proj"),
			V: b.matrix(at + "self_attn.v_proj"),
		},
		Out:    b.matrix(at + "self_attn.o_proj"),
		MLP:    b.norm(at + "post_attention_layernorm.weight"), // the name notwithstanding, it stands before the MLP
		GateUp: b.matrix(at + "mlp.gate_up_proj"),
		Down:   b.matrix(at + "mlp.down_proj"),
	}
	if b.checkpoint.Config.AttentionBias {
		l.QKV.QBias = b.vector(at + "self_attn.q_proj.bias")
		l.QKV.KBias = b.vector(at + "self_attn.k_proj.bias")
		l.QKV.VBias = b.vector(at + "self_attn.v_proj.bias")
	}
	if b.checkpoint.Config.SandwichNorms {
		postAttn, postMLP := b.norm(at+"post_self_attn_layernorm.weight"), b.norm(at+"post_mlp_layernorm.weight")
		l.PostAttn, l.PostMLP = &postAttn, &postMLP
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
	v, err := b.store.NewVector(values)
	b.err = err
	return v
}

func (b *binder) matrix(name string) backend.Matrix {
	if b.err != nil {
		return nil
	}
	found, err := b.checkpoint.Matrix(name)
	var data backend.MatrixData
	if err == nil {
		data, err = matrixData(found)
		data.Copied = b.checkpoint.Evict
	}
	var m backend.Matrix
	if err == nil {
		m, err = b.store.NewMatrix(data)
	}
	b.err = err
	b.place(data.Bytes())
	return m
}

// matrixData says in the backend's terms what the loader found.
func matrixData(m loader.Matrix) (d backend.MatrixData, err error) {
	d = backend.MatrixData{
		Name: m.Name, Rows: m.Rows, Cols: m.Cols, Data: m.Data, GroupSize: m.GroupSize, Scales: m.Scales, Biases: m.Biases,
	}
	switch {
	case !m.Quantized():
		d.Format, err = plainFormat(m.DType)
	case m.DType == loader.U32 && m.Bits == 4:
		d.Format = backend.Q4
	case m.DType == loader.U32 && m.Bits == 8:
		d.Format = backend.Q8
	default:
		err = fmt.Errorf("%d bits packed in %v; expected 4 or 8 bits in U32", m.Bits, m.DType)
	}
	if err == nil && m.Quantized() {
		d.ScaleFormat, err = plainFormat(m.ScaleDType)
	}
	if err != nil {
		err = fmt.Errorf("%s: matrix %s: %w", m.File, m.Name, err)
	}
	return d, err
}

func plainFormat(t loader.DType) (backend.Format, error) {
	switch t {
	case loader.F32:
		return backend.F32, nil
	case loader.F16:
		return backend.F16, nil
	case loader.BF16:
		return backend.BF16, nil
	}
	return 0, fmt.Errorf("numbers of type %v; expected F32, F16 or BF16", t)
}
