package cpu

import (
	"math"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// tileTokens is how many queries in a row share the loads of a block of keys.
const tileTokens = 8

type attnScratch struct {
	keys, values []float32
	scores       []float32
	sums         []float32 // [queries][dim], weighted values so far
	top, total   []float32 // [queries], largest score and sum of weights so far
}

// Attend implements [backend.Stream] with an online softmax (Milakov, Gimelshein 2018) over blocks of the cache.
func (s *stream) Attend(a, q backend.Buffer, kv backend.Cache, layer int, at backend.Span) {
	c := s.cache(kv, layer, at)
	if s.err != nil {
		return
	}
	g := c.attention
	width := g.Heads * g.HeadDim
	out, qs := s.floats(a, at.N*width), s.floats(q, at.N*width)
	if s.err != nil {
		return
	}
	// A task is a tile of tokens and some of the heads that share a KV head; the heads are split only as far as
	// every worker needs something to do.
	group := g.Heads / g.KVHeads
	tiles := (at.N + tileTokens - 1) / tileTokens
	splits := min(group, max(1, len(s.pool.workers)/(tiles*g.KVHeads)))
	share := (group + splits - 1) / splits
	splits = (group + share - 1) / share
	s.pool.run(tiles*g.KVHeads*splits, func(w *worker, task int) {
		tile, head, split := task/(g.KVHeads*splits), task/splits%g.KVHeads, task%splits
		span := backend.Span{Pos: at.Pos + tile*tileTokens, N: min(tileTokens, at.N-tile*tileTokens)}
		from := tile * tileTokens * width
		first := head*group + split*share
		heads := min(share, group-split*share)
		w.attn.attend(out[from:], qs[from:], &c.keys[layer], &c.values[layer], span, head, first, heads, width)
	})
}

// attend computes the heads first, ..., first+heads-1 of the span's tokens, which all read kvHead.
func (w *attnScratch) attend(out, q []float32, keys, values *store, at backend.Span, kvHead, first, heads, width int) {
	dim := keys.dim
	scale := float32(1 / math.Sqrt(float64(dim)))
	queries := at.N * heads
	sums, top, total := grow(&w.sums, queries*dim), grow(&w.top, queries), grow(&w.total, queries)
	clear(sums)
	clear(total)
	for i := range top {
		top[i] = float32(math.Inf(-1))
	}
	for begin := 0; begin < at.Pos+at.N; begin += blockTokens {
		n := min(blockTokens, at.Pos+at.N-begin)
		k := keys.rows(begin/blockTokens, kvHead, n, &w.keys)
		v := values.rows(begin/blockTokens, kvHead, n, &w.values)
		for t := range at.N {
			visible := min(n, at.Pos+t+1-begin) // causal
			if visible <= 0 {
				continue
			}
			scores := grow(&w.scores, visible)
			for h := range heads {
				i := t*heads + h
				query := q[t*width+(first+h)*dim : t*width+(first+h+1)*dim]
				sum := sums[i*dim : (i+1)*dim]
				high := top[i]
				for j := range scores {
					scores[j] = dot(k[j*dim:(j+1)*dim], query) * scale
					high = max(high, scores[j])
				}
				if shrink := float32(math.Exp(float64(top[i] - high))); shrink != 1 {
					total[i] *= shrink
					for d := range sum {
						sum[d] *= shrink
					}
				}
				top[i] = high
				for j, score := range scores {
					p := float32(math.Exp(float64(score - high)))
					total[i] += p
					for d, x := range v[j*dim : (j+1)*dim] {
						sum[d] += p * x
					}
				}
			}
		}
	}
	for t := range at.N {
		for h := range heads {
			i := t*heads + h
			to := out[t*width+(first+h)*dim : t*width+(first+h+1)*dim]
			for d, x := range sums[i*dim : (i+1)*dim] {
				to[d] = x / total[i]
			}
		}
	}
}
