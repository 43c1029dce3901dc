package loader

import "strings"

// Size is that of some weights.
type Size struct {
	Params int64 // numbers that the model has, however they are packed
	Bytes  int64 // that they take in the files, with the scales and biases of packed ones
}

// Sizes are those of the parts of a model.
type Sizes struct {
	Embedding Size
	Attention Size // the matrices of all layers
	Biases    Size // of the attention's projections
	MLP       Size
	Norms     Size
	Head      Size  // zero when tied to the embedding
	Bits      int   // of a number in most of the matrices
	DType     DType // of most of the matrices: U32 when packed
}

// Total is the sum of all parts.
func (s Sizes) Total() (total Size) {
	for _, part := range []Size{s.Embedding, s.Attention, s.Biases, s.MLP, s.Norms, s.Head} {
		total.add(part)
	}
	return total
}

func (s *Size) add(other Size) {
	s.Params += other.Params
	s.Bytes += other.Bytes
}

// Sizes gives what the tensors of the model take, without those that it has no use for.
func (c *Checkpoint) Sizes() Sizes {
	return c.Config.sizes(func(m module) stored {
		if m.cols == 0 {
			return stored{bytes: len(c.vectors[m.name+".weight"].Data)}
		}
		w := c.matrices[m.name]
		s := stored{
			bytes: len(w.Data) + len(w.Scales) + len(w.Biases), bias: len(c.vectors[m.name+".bias"].Data),
			format: format{w.DType, w.DType.Size() * 8},
		}
		if w.Quantized() {
			s.format.bits = w.Bits
		}
		return s
	})
}

// Sizes gives what the tensors of such a checkpoint take: those that Quantization packs, and the others, scales and
// biases among them, in the declared DType, or in 16 bits where that is none.
func (c Config) Sizes() Sizes {
	plain := BF16
	switch c.DType {
	case "float32":
		plain = F32
	case "float16":
		plain = F16
	}
	return c.sizes(func(m module) stored {
		n := m.rows * max(m.cols, 1)
		s := stored{bytes: n * plain.Size(), bias: m.rows * plain.Size(), format: format{plain, plain.Size() * 8}}
		q, _ := c.Quantization.module(m.name, c.place(m).stored)
		if m.cols > 0 && q.Bits > 0 && m.cols%q.GroupSize == 0 {
			s.bytes = n*q.Bits/8 + n/q.GroupSize*2*plain.Size()
			s.format = format{U32, q.Bits}
		}
		return s
	})
}

// format is how a matrix is stored.
type format struct {
	dtype DType
	bits  int
}

// stored is how a module is stored.
type stored struct {
	bytes, bias int // the bias may be one that the model lacks
	format      format
}

// sizes adds up the modules, of which lookup tells how they are stored.
func (c *Config) sizes(lookup func(module) stored) (s Sizes) {
	var most format
	params := map[format]int64{}
	for m := range c.modules() {
		found := lookup(m)
		part := &s.Norms
		switch {
		case m.cols == 0:
		case m.name == embedTokens:
			part = &s.Embedding
		case m.name == lmHead:
			part = &s.Head
		case strings.Contains(m.name, ".mlp."):
			part = &s.MLP
		default:
			part = &s.Attention
		}
		size := Size{int64(m.rows) * int64(max(m.cols, 1)), int64(found.bytes)}
		part.add(size)
		if m.bias && c.AttentionBias {
			s.Biases.add(Size{int64(m.rows), int64(found.bias)})
		}
		if m.cols > 0 {
			params[found.format] += size.Params
			if params[found.format] > params[most] {
				most = found.format
			}
		}
	}
	s.Bits, s.DType = most.bits, most.dtype
	return s
}
