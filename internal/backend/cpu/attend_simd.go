package cpu

import (
	"math"
	"unsafe"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// attnKeys is how many keys the SIMD form takes at a time: 32 of 128 dimensions in float32 are half a first-level
// cache. It divides blockTokens.
const attnKeys = 32

// attendSIMD is attend with kernels. All queries of the span, four at a time, share the widened keys and values of a
// part of the cache. A query's numbers do not depend on the others: keys behind its own position weigh 0.
func (w *attnScratch) attendSIMD(k *kernels, out, q []float32, keys, values *store, at backend.Span, kvHead, first, heads, width int) {
	dim := keys.dim
	queries := at.N * heads
	padded := (queries + 3) &^ 3
	query, sums := grow(&w.queries, padded*dim), grow(&w.sums, padded*dim)
	top, total := grow(&w.top, padded), grow(&w.total, padded)
	score := grow(&w.scores, padded*attnKeys)
	clear(query[queries*dim:])
	clear(score)
	clear(sums)
	clear(total)
	for t := range at.N {
		copy(query[t*heads*dim:(t+1)*heads*dim], q[t*width+first*dim:])
	}
	k.times(&query[0], len(query), float32(1/math.Sqrt(float64(dim))))
	inf := float32(math.Inf(-1))
	for i := range top {
		top[i] = inf
	}

	for begin := 0; begin < at.Pos+at.N; begin += attnKeys {
		n := min(attnKeys, at.Pos+at.N-begin)
		block := keys.part(k, begin, kvHead, (n+3)&^3, &w.keys)
		for i := 0; i < queries; i += 2 {
			k.scores(&score[i*attnKeys], 4*attnKeys, &query[i*dim], &block[0], dim, (n+3)&^3)
		}
		for i := range queries {
			p := score[i*attnKeys : (i+1)*attnKeys]
			visible := min(n, at.Pos+i/heads+1-begin) // causal
			if visible <= 0 {
				clear(p)
				continue
			}
			whole := (visible + 7) &^ 7
			for j := visible; j < whole; j++ {
				p[j] = inf
			}
			high := max(top[i], k.maximum(&p[0], whole))
			if high != top[i] && begin > 0 {
				shrink := float32(math.Exp(float64(top[i] - high)))
				total[i] *= shrink
				k.times(&sums[i*dim], dim, shrink)
			}
			top[i] = high
			total[i] += k.expSum(&p[0], whole, high)
			clear(p[whole:])
		}
		block = values.part(k, begin, kvHead, n, &w.keys) // the keys are done with
		for i := 0; i < queries; i += 4 {
			k.weigh(&sums[i*dim], &score[i*attnKeys], 4*attnKeys, &block[0], dim, n)
		}
	}
	for i := range queries {
		k.times(&sums[i*dim], dim, 1/total[i])
	}
	for t := range at.N {
		copy(out[t*width+first*dim:][:heads*dim], sums[t*heads*dim:])
	}
}

// part gives n rows of a head from a position on as [n][dim] float32s, in scratch where they must be widened. They
// lie in one block.
func (s *store) part(k *kernels, pos, head, n int, scratch *[]float32) []float32 {
	block, from := pos/blockTokens, (head*blockTokens+pos%blockTokens)*s.dim
	if s.f32 != nil {
		return s.f32[block][from : from+n*s.dim]
	}
	out, half := grow(scratch, n*s.dim), s.f16[block][from:from+n*s.dim]
	k.widen[backend.F16](&out[0], (*byte)(unsafe.Pointer(&half[0])), len(half))
	return out
}
