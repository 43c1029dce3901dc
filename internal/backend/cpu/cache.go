package cpu

import (
	"fmt"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// blockTokens is the step in which a cache grows. Blocks are never moved, so growing copies nothing.
const blockTokens = 256

// cache holds the keys and values of all layers.
type cache struct {
	attention    backend.Attention
	format       backend.Format
	keys, values []store // a layer each
}

// store is the keys or the values of one layer, in blocks of blockTokens tokens. A block is
// [KVHeads][blockTokens][HeadDim], so that a head reads its rows in sequence.
type store struct {
	heads, dim int
	f32        [][]float32
	f16        [][]uint16
}

// NewCache implements [backend.Device] for the formats F32 and F16.
func (d *Device) NewCache(layers int, a backend.Attention, f backend.Format) (backend.Cache, error) {
	if f != backend.F32 && f != backend.F16 {
		return nil, fmt.Errorf("cpu: a KV cache in %v is not supported; the formats are f32 and f16", f)
	}
	if a.KVHeads <= 0 || a.Heads%a.KVHeads != 0 || a.RotaryDims > a.HeadDim || a.RotaryDims%2 != 0 {
		return nil, fmt.Errorf("cpu: impossible attention geometry %+v", a)
	}
	c := &cache{attention: a, format: f, keys: make([]store, layers), values: make([]store, layers)}
	for i := range layers {
		c.keys[i] = store{heads: a.KVHeads, dim: a.HeadDim}
		c.values[i] = store{heads: a.KVHeads, dim: a.HeadDim}
	}
	return c, nil
}

func (c *cache) Grow(n int) error {
	for c.Cap() < n {
		for i := range c.keys {
			c.keys[i].grow(c.format)
			c.values[i].grow(c.format)
		}
	}
	return nil
}

func (c *cache) Cap() int { return c.keys[0].blocks() * blockTokens }

func (c *cache) Bytes() int64 {
	perToken := 2 * len(c.keys) * c.attention.KVHeads * c.attention.HeadDim * c.format.Bits() / 8
	return int64(c.Cap()) * int64(perToken)
}

func (c *cache) Close() error {
	for i := range c.keys {
		c.keys[i].f32, c.keys[i].f16 = nil, nil
		c.values[i].f32, c.values[i].f16 = nil, nil
	}
	return nil
}

// cache checks that the layer and the span are inside.
func (s *stream) cache(kv backend.Cache, layer int, at backend.Span) *cache {
	c, ok := kv.(*cache)
	switch {
	case s.err != nil:
	case !ok:
		s.err = errForeign
	case layer < 0 || layer >= len(c.keys) || at.Pos < 0 || at.N <= 0 || at.Pos+at.N > c.Cap():
		s.err = fmt.Errorf("cpu: layer %d, positions %d to %d are outside the cache of %d layers, %d tokens", layer, at.Pos, at.Pos+at.N, len(c.keys), c.Cap())
	}
	return c
}

func (s *store) blocks() int { return max(len(s.f32), len(s.f16)) }

func (s *store) grow(f backend.Format) {
	n := s.heads * blockTokens * s.dim
	if f == backend.F32 {
		s.f32 = append(s.f32, make([]float32, n))
	} else {
		s.f16 = append(s.f16, make([]uint16, n))
	}
}

// write stores x[at.N][heads][dim].
func (s *store) write(x []float32, at backend.Span) {
	for t := range at.N {
		block, row := (at.Pos+t)/blockTokens, (at.Pos+t)%blockTokens
		for h := range s.heads {
			from := x[(t*s.heads+h)*s.dim : (t*s.heads+h+1)*s.dim]
			to := (h*blockTokens + row) * s.dim
			if s.f32 != nil {
				copy(s.f32[block][to:], from)
				continue
			}
			for i, v := range from {
				s.f16[block][to+i] = toHalf(v)
			}
		}
	}
}

// rows gives the first n rows of a head in a block as [n][dim] float32s, in scratch where they must be widened.
func (s *store) rows(block, head, n int, scratch *[]float32) []float32 {
	from := head * blockTokens * s.dim
	if s.f32 != nil {
		return s.f32[block][from : from+n*s.dim]
	}
	out, t := grow(scratch, n*s.dim), half()
	for i, v := range s.f16[block][from : from+n*s.dim] {
		out[i] = t[v]
	}
	return out
}
