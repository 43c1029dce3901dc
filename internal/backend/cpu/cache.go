package cpu

import (
	"slices"
	"unsafe"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
)

// blockTokens is the step in which a cache grows. Blocks are never moved, so growing copies nothing.
const blockTokens = backend.CacheStep

// cache holds the keys and values of all layers.
type cache struct {
	attention    backend.Attention
	format       backend.Format
	keys, values []store // a layer each
}

// keyTile is how many keys lie next to each other in each dimension. It divides blockTokens.
const keyTile = 32

// store is the keys or the values of one layer, in blocks of blockTokens tokens; a head reads its part of a block in
// sequence. Values are [KVHeads][blockTokens][HeadDim]. Keys are [KVHeads][blockTokens/keyTile][HeadDim][keyTile], so
// that a product with a query adds up vectors of keyTile scores and no lanes.
type store struct {
	kernels    *simd.Kernels // nil for plain Go
	keys       bool
	heads, dim int
	f32        [][]float32
	f16        [][]uint16
	row        []uint16 // scratch
}

func newCache(k *simd.Kernels, layers int, a backend.Attention, f backend.Format) *cache {
	c := &cache{attention: a, format: f, keys: make([]store, layers), values: make([]store, layers)}
	for i := range layers {
		c.keys[i] = store{kernels: k, keys: true, heads: a.KVHeads, dim: a.HeadDim, row: make([]uint16, a.HeadDim)}
		c.values[i] = store{kernels: k, heads: a.KVHeads, dim: a.HeadDim, row: make([]uint16, a.HeadDim)}
	}
	return c
}

func (c *cache) Grow(n int) error {
	layers, size := len(c.keys), c.attention.KVHeads*blockTokens*c.attention.HeadDim
	for c.Cap() < n {
		if c.format == backend.F32 {
			added := blocks[float32](2*layers, size)
			for i := range layers {
				c.keys[i].f32, c.values[i].f32 = append(c.keys[i].f32, added[2*i]), append(c.values[i].f32, added[2*i+1])
			}
		} else {
			added := blocks[uint16](2*layers, size)
			for i := range layers {
				c.keys[i].f16, c.values[i].f16 = append(c.keys[i].f16, added[2*i]), append(c.values[i].f16, added[2*i+1])
			}
		}
	}
	return nil
}

// blocks gives n blocks of size numbers from one piece of memory, which may then lie in huge pages: a processor does
// not keep the addresses of all the small pages of a long context.
func blocks[T uint16 | float32](n, size int) [][]T {
	all := make([]T, n*size)
	adviseHugePages(unsafe.Slice((*byte)(unsafe.Pointer(&all[0])), len(all)*int(unsafe.Sizeof(all[0]))))
	return slices.Collect(slices.Chunk(all, size))
}

func (c *cache) Shape() (layers int, a backend.Attention) { return len(c.keys), c.attention }

func (c *cache) Cap() int { return c.keys[0].blocks() * blockTokens }

func (c *cache) Bytes() int64 { return c.attention.CacheBytes(len(c.keys), c.Cap(), c.format) }

func (c *cache) Close() error {
	for i := range c.keys {
		c.keys[i].f32, c.keys[i].f16 = nil, nil
		c.values[i].f32, c.values[i].f16 = nil, nil
	}
	return nil
}

func (s *store) blocks() int { return max(len(s.f32), len(s.f16)) }

// place gives the block of a position and where in it a head's row begins; its dimensions are step apart.
func (s *store) place(pos, head int) (block, from, step int) {
	row := head*blockTokens + pos%blockTokens
	if s.keys {
		return pos / blockTokens, row/keyTile*keyTile*s.dim + row%keyTile, keyTile
	}
	return pos / blockTokens, row * s.dim, 1
}

// write stores x[at.N][heads][dim].
func (s *store) write(x []float32, at backend.Span) {
	for t := range at.N {
		for h := range s.heads {
			row := x[(t*s.heads+h)*s.dim : (t*s.heads+h+1)*s.dim]
			block, from, step := s.place(at.Pos+t, h)
			if s.f32 != nil {
				scatter(s.f32[block][from:], row, step)
				continue
			}
			toHalves(s.kernels, s.row, row)
			scatter(s.f16[block][from:], s.row, step)
		}
	}
}

func scatter[T uint16 | float32](to, from []T, step int) {
	if step == 1 {
		copy(to, from)
		return
	}
	for i, v := range from {
		to[i*step] = v
	}
}

// rows gives the first n rows of a head in a block as [n][dim] float32s, in scratch where they must be gathered or
// widened.
func (s *store) rows(block, head, n int, scratch *[]float32) []float32 {
	_, from, _ := s.place(0, head)
	if s.f32 != nil && !s.keys {
		return s.f32[block][from : from+n*s.dim]
	}
	out, t := grow(scratch, n*s.dim), half()
	for row := range n {
		_, from, step := s.place(row, head)
		for d := range s.dim {
			if s.f32 != nil {
				out[row*s.dim+d] = s.f32[block][from+d*step]
			} else {
				out[row*s.dim+d] = t[s.f16[block][from+d*step]]
			}
		}
	}
	return out
}

// tile is where the numbers of a head at some positions of one keyTile begin: values are [n][dim], keys [dim][keyTile]
// whatever n is, with anything behind the last position.
type tile struct {
	floats *float32
	halves *uint16 // not nil: they are float16
}

// tile gives a head's numbers at n positions of one keyTile: in the cache itself if they are float32 or halves asks for
// float16 as it is, else widened in scratch.
func (s *store) tile(pos, head, n int, halves bool, scratch *[]float32) tile {
	if s.keys {
		n = keyTile
	}
	block, from, _ := s.place(pos, head)
	switch {
	case s.f32 != nil:
		return tile{floats: &s.f32[block][from]}
	case halves:
		return tile{halves: &s.f16[block][from]}
	}
	out, half := grow(scratch, n*s.dim), s.f16[block][from:from+n*s.dim]
	s.kernels.Widen[backend.F16](&out[0], (*byte)(unsafe.Pointer(&half[0])), len(half))
	return tile{floats: &out[0]}
}

// bytes gives the memory of the whole keyTile that a position lies in.
func (s *store) bytes(pos, head int) []byte {
	block, from, _ := s.place(pos&^(keyTile-1), head)
	if s.f32 != nil {
		return unsafe.Slice((*byte)(unsafe.Pointer(&s.f32[block][from])), 4*keyTile*s.dim)
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&s.f16[block][from])), 2*keyTile*s.dim)
}
