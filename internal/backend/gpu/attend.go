package gpu

import (
	"math"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// Attend implements [backend.Stream].
func (s *stream) Attend(a, q backend.Buffer, kv backend.Cache, layer int, at backend.Span) {
	s.flushHead()
	c := kv.(*cache)
	g := c.attention
	width, group := g.Heads*g.HeadDim, g.Heads/g.KVHeads
	first := len(s.list)
	for t := range s.parts(at.N, attendSeconds(g, at.Pos+at.N)) {
		keys := at.Pos + t.first + t.n
		rows := t.n * group
		k := shaders.AttendFor(rows)[c.stored]
		chunk, splits := shaders.Split(keys, k.Groups([3]int{rows, 1, 1})[0]*g.KVHeads)
		v := variant{kernel: k, constants: shaders.Constants{KVFormat: c.stored, HeadDim: uint32(g.HeadDim)}}
		out, partials, stats := floats(a, t.first, width), binding{s.d.none, 0}, binding{s.d.none, 0}
		if splits > 1 {
			partials, stats = s.partial.take(s, 4*splits*t.n*width), s.stats.take(s, 8*splits*t.n*g.Heads)
		}
		add(s, v, shaders.AttendArgs{
			Pos: uint32(at.Pos + t.first), N: uint32(t.n), Heads: uint32(g.Heads), KVHeads: uint32(g.KVHeads),
			Chunk: uint32(chunk), Splits: uint32(splits), Scale: float32(1 / math.Sqrt(float64(g.HeadDim))),
		}, [3]int{rows, g.KVHeads, splits}, t.seconds,
			floats(q, t.first, width), c.keys(layer), c.values(layer), out, partials, stats)
		if splits > 1 {
			v.kernel = shaders.AttendCombine
			args := shaders.CombineArgs{Rows: uint32(t.n * g.Heads), Splits: uint32(splits)}
			add(s, v, args, [3]int{t.n * g.Heads, 1, 1}, 0, partials, stats, out)
			first = len(s.list) // the next part takes the same memory
		}
		s.apart(first)
	}
}
