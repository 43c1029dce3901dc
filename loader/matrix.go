package loader

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Matrix is the weight of a linear layer or an embedding, [Rows, Cols] in row-major order: y = W·x has Rows values.
// The slices belong to the Checkpoint and are read-only; reading them may fault: see [Checkpoint.Guard].
type Matrix struct {
	Name       string // canonical module name, such as "model.layers.0.mlp.down_proj"
	File       string // that holds Data, inside the checkpoint's folder
	Rows, Cols int
	DType      DType  // of Data: F32, F16 or BF16, or U32 when quantised
	Data       []byte // Rows × Cols values, or Rows × Cols·Bits/32 words when quantised

	Bits, GroupSize int    // 0 when not quantised
	Scales, Biases  []byte // Rows × Cols/GroupSize values each; nil when not quantised
	ScaleDType      DType  // of Scales and Biases
}

// Quantized reports whether the values are packed.
func (m Matrix) Quantized() bool { return m.Bits > 0 }

// Dequantize writes the Cols exact values of one row to dst. A quantised one is scale·q + bias, product and sum each
// rounded once to float32, as mx.dequantize computes it from scales and biases cast to float32.
func (m Matrix) Dequantize(dst []float32, row int) {
	dst = dst[:m.Cols]
	if !m.Quantized() {
		data := m.Data[row*m.Cols*m.DType.Size():]
		for i := range dst {
			dst[i] = m.DType.at(data, i)
		}
		return
	}
	words := m.Data[row*m.Cols*m.Bits/8:]
	groups := row * (m.Cols / m.GroupSize)
	perWord, mask := 32/m.Bits, uint32(1)<<m.Bits-1
	for i := range dst {
		scale := m.ScaleDType.at(m.Scales, groups+i/m.GroupSize)
		bias := m.ScaleDType.at(m.Biases, groups+i/m.GroupSize)
		q := binary.LittleEndian.Uint32(words[i/perWord*4:]) >> (i % perWord * m.Bits) & mask
		// The conversion keeps the compiler from fusing the two operations, which would round differently.
		dst[i] = float32(scale*float32(q)) + bias
	}
}

// Matrix returns a matrix by its canonical module name, such as "model.layers.0.self_attn.q_proj", "model.embed_tokens"
// or "lm_head". A tied lm_head is embed_tokens.
func (c *Checkpoint) Matrix(name string) (Matrix, error) {
	m, ok := c.matrices[name]
	if !ok {
		return Matrix{}, fmt.Errorf("%s: the model has no matrix %s", c.Dir, quote(name))
	}
	return m, nil
}

// Matrices returns all matrices, sorted by name; tied ones once.
func (c *Checkpoint) Matrices() []Matrix {
	var all []Matrix
	for name, m := range c.matrices {
		if m.Name == name {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b Matrix) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Vector returns a norm's weight or a bias as float32, by its canonical tensor name, such as "model.norm.weight" or
// "model.layers.0.self_attn.q_proj.bias". A value that is not finite is an error, and so is a norm of zeros that
// leaves a model nothing to see, and a file that can no longer be read, a [FaultError].
func (c *Checkpoint) Vector(name string) ([]float32, error) {
	t, ok := c.vectors[name]
	if !ok {
		return nil, fmt.Errorf("%s: the model has no vector %s", c.Dir, quote(name))
	}
	v := make([]float32, t.Shape[0])
	empty := c.Config.frontNorm(t.Name)
	err := c.Guard(func() error {
		for i := range v {
			v[i] = t.DType.at(t.Data, i)
			if math.IsNaN(float64(v[i])) || math.IsInf(float64(v[i]), 0) {
				return fmt.Errorf("%s/%s: tensor %s has %v at index %d; every value must be finite: the file is damaged", c.Dir,
					t.File, t.Name, v[i], i)
			}
			empty = empty && v[i] == 0
		}
		if empty {
			return c.unfilled(t)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return v, nil
}
