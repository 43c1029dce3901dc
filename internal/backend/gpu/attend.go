package gpu

import (
	"math"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// Sizes of the attention.
const (
	keyTurn = 64  // keys that a threadgroup takes at a time
	onePass = 256 // up to here a context is not split
	fill    = 64  // threadgroups that keep a large GPU busy
	fewRows = 128 // up to here attend, which loads each key once for 16 rows, beats the many rows of prefill_attend
)

// Attend implements [backend.Stream].
func (s *stream) Attend(a, q backend.Buffer, kv backend.Cache, layer int, at backend.Span) {
	s.flushHead()
	c := s.cache(kv, layer, at)
	if s.err != nil {
		return
	}
	g := c.attention
	width, group := g.Heads*g.HeadDim, g.Heads/g.KVHeads
	for t := range s.parts(at.N, attendSeconds(g, at.Pos+at.N)) {
		keys := at.Pos + t.first + t.n
		k, rows := attendF16, t.n*group
		if rows > fewRows {
			k = prefillAttendF16
		}
		if c.format == backend.F32 {
			k++
		}
		groups := table[k][0].Groups([3]int{rows, 1, 1})[0] * g.KVHeads
		chunk, splits := split(keys, groups)
		v := variant{kernel: k, constants: shaders.Constants{KVFormat: uint32(c.format), HeadDim: uint32(g.HeadDim)}}
		out, partials, stats := s.floats(a, t.first, t.n, width), binding{s.d.none, 0}, binding{s.d.none, 0}
		if splits > 1 {
			partials, stats = s.partial.take(s, 4*splits*t.n*width), s.stats.take(s, 8*splits*t.n*g.Heads)
		}
		add(s, v, shaders.AttendArgs{
			Pos: uint32(at.Pos + t.first), N: uint32(t.n), Heads: uint32(g.Heads), KVHeads: uint32(g.KVHeads),
			Chunk: uint32(chunk), Splits: uint32(splits), Scale: float32(1 / math.Sqrt(float64(g.HeadDim))),
		}, [3]int{rows, g.KVHeads, splits}, t.seconds, s.floats(q, t.first, t.n, width), c.keys(layer), c.values(layer), out, partials, stats)
		if splits > 1 {
			v.kernel = attendCombine
			add(s, v, shaders.CombineArgs{Rows: uint32(t.n * g.Heads), Splits: uint32(splits)}, [3]int{t.n * g.Heads, 1, 1}, 0, partials, stats, out)
		}
	}
}

// split cuts the keys so that there are about `fill` threadgroups, where one split has `groups` of them.
func split(keys, groups int) (chunk, splits int) {
	if keys <= onePass || groups >= fill {
		return roundUp(keys, keyTurn), 1
	}
	chunk = roundUp((keys*groups+fill-1)/fill, keyTurn)
	return chunk, (keys + chunk - 1) / chunk
}
