package loader

import (
	"fmt"
	"slices"
)

// resolve finds every tensor that the config implies, checks its shape and type and files it under its canonical name.
func (c *Checkpoint) resolve() error {
	r := resolver{
		dir: c.Dir, config: &c.Config, stored: c.stored, used: map[string]bool{},
		matrices: map[string]Matrix{}, vectors: map[string]Tensor{},
	}
	for m := range c.Config.modules() {
		if err := r.module(m); err != nil {
			return err
		}
	}
	c.Config.AttentionBias = r.withBias != ""
	c.matrices, c.vectors = r.matrices, r.vectors
	if c.Config.TieEmbeddings {
		c.matrices[lmHead] = c.matrices[embedTokens]
	}
	for _, t := range c.stored {
		if !r.used[t.Name] {
			c.unused = append(c.unused, t)
		}
	}
	sortByName(c.unused)
	return nil
}

// resolver goes from the stored tensors to the canonical ones.
type resolver struct {
	dir    string
	config *Config
	stored map[string]Tensor
	used   map[string]bool // stored names

	matrices map[string]Matrix
	vectors  map[string]Tensor

	withBias, withoutBias string // stored names of the first projection of each kind
}

func (r *resolver) module(m module) error {
	p := r.config.place(m)
	if m.cols == 0 {
		return r.vector(m, p, ".weight")
	}
	if err := r.matrix(m, p); err != nil || !m.bias {
		return err
	}
	return r.bias(m, p)
}

// matrix finds a weight and, if it is packed, its scales and biases.
func (r *resolver) matrix(m module, p place) error {
	q, override := r.config.Quantization.module(m.name, p.stored)
	scales, packed := r.stored[p.stored+".scales"]
	switch {
	case packed && q.Bits == 0 && override:
		return fmt.Errorf("%s/%s: tensor %s belongs to a quantised module, but quantization in config.json says false for it",
			r.dir, scales.File, scales.Name)
	case packed && q.Bits == 0:
		return fmt.Errorf("%s/%s: tensor %s belongs to a quantised module, but config.json has no quantization block; it "+
			"must give group_size and bits", r.dir, scales.File, scales.Name)
	}
	w, err := r.find(p.stored + ".weight")
	if err != nil {
		return err
	}
	out := Matrix{Name: m.name, File: w.File, Rows: m.rows, Cols: m.cols, DType: w.DType}
	// A module without scales is a plain one, unless an override or its own type says that it is packed.
	if !packed && !(override && q.Bits > 0) && !(w.DType == U32 && q.Bits > 0) {
		if err := r.check(w, "BF16, F16 or F32", w.DType.float(), p.total, m.cols); err != nil {
			return err
		}
		out.Data = rows(w, p.first, m.rows)
		r.matrices[m.name] = out
		return nil
	}
	if scales, err = r.find(p.stored + ".scales"); err != nil {
		return err
	}
	biases, err := r.find(p.stored + ".biases")
	if err != nil {
		return err
	}
	if m.cols%q.GroupSize != 0 {
		return fmt.Errorf("%s/config.json: quantization has groups of %d but the rows of %s have %d values, which is no "+
			"multiple", r.dir, q.GroupSize, p.stored, m.cols)
	}
	packing := fmt.Sprintf(" for %d bits in groups of %d", q.Bits, q.GroupSize)
	groups := m.cols / q.GroupSize
	if err := r.check(w, "U32"+packing, w.DType == U32, p.total, m.cols*q.Bits/32); err != nil {
		return err
	}
	if err := r.check(scales, "BF16, F16 or F32"+packing, scales.DType.float(), p.total, groups); err != nil {
		return err
	}
	if err := r.check(biases, scales.DType.String()+" like the scales"+packing, biases.DType == scales.DType, p.total,
		groups); err != nil {
		return err
	}
	out.Bits, out.GroupSize, out.ScaleDType = q.Bits, q.GroupSize, scales.DType
	out.Data, out.Scales, out.Biases = rows(w, p.first, m.rows), rows(scales, p.first, m.rows), rows(biases, p.first,
		m.rows)
	r.matrices[m.name] = out
	return nil
}

// bias finds the bias of a projection. All projections have one or none has.
func (r *resolver) bias(m module, p place) error {
	name := p.stored + ".bias"
	t, found := r.stored[name]
	if found && r.withBias == "" {
		r.withBias = name
	} else if !found && r.withoutBias == "" {
		r.withoutBias = name
	}
	field := r.config.biasField
	switch {
	case field != "" && found && !r.config.AttentionBias:
		return fmt.Errorf("%s/%s: tensor %s is there, but %s is false in config.json", r.dir, t.File, name, field)
	case field != "" && !found && r.config.AttentionBias:
		return fmt.Errorf("%s: tensor %s is missing from the weights, but %s is true in config.json", r.dir, name, field)
	case r.withBias != "" && r.withoutBias != "":
		return fmt.Errorf("%s: tensor %s is missing from the weights, but %s is there; all of q_proj, k_proj and v_proj "+
			"must have a bias, or none", r.dir, r.withoutBias, r.withBias)
	case !found:
		return nil
	}
	return r.vector(m, p, ".bias")
}

// vector finds a norm's weight or a bias.
func (r *resolver) vector(m module, p place, suffix string) error {
	t, err := r.find(p.stored + suffix)
	if err != nil {
		return err
	}
	if err := r.check(t, "BF16, F16 or F32", t.DType.float(), p.total); err != nil {
		return err
	}
	t.Data = rows(t, p.first, m.rows)
	t.Offset += int64(p.first * t.DType.Size())
	t.Shape = []int{m.rows}
	r.vectors[m.name+suffix] = t
	return nil
}

func (r *resolver) find(name string) (Tensor, error) {
	t, ok := r.stored[name]
	if !ok {
		return t, fmt.Errorf("%s: tensor %s is missing from the weights, but config.json implies it", r.dir, name)
	}
	r.used[name] = true
	return t, nil
}

// check refuses a tensor of another type or shape. want describes the type, which the caller has compared.
func (r *resolver) check(t Tensor, want string, typeOK bool, shape ...int) error {
	if typeOK && slices.Equal(t.Shape, shape) {
		return nil
	}
	return fmt.Errorf("%s/%s: tensor %s is %s %v; config.json implies %v of %s", r.dir, t.File, t.Name, t.DType, t.Shape,
		shape, want)
}

// rows returns rows [first, first+n) of a tensor whose shape has been checked.
func rows(t Tensor, first, n int) []byte {
	stride := len(t.Data) / t.Shape[0]
	return t.Data[first*stride : (first+n)*stride : (first+n)*stride]
}
