package cpu

import (
	"math"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// tileTokens is how many queries in a row share the loads of a block of keys.
const tileTokens = 8

type attnScratch struct {
	queries      []float32 // of the SIMD form
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
	s.attend = attendJob{kernels: s.kernels, out: out, q: qs, keys: &c.keys[layer], values: &c.values[layer], at: at,
		kvHeads: g.KVHeads, group: group, share: share, splits: splits}
	s.pool.run(tiles*g.KVHeads*splits, &s.attend)
}

// attendJob has a task for each tile of tokens, KV head and part of the heads that share it.
type attendJob struct {
	kernels                       *kernels
	out, q                        []float32
	keys, values                  *store
	at                            backend.Span
	kvHeads, group, share, splits int
}

func (j *attendJob) do(w *worker, task int) {
	tile, head, split := task/(j.kvHeads*j.splits), task/j.splits%j.kvHeads, task%j.splits
	span := backend.Span{Pos: j.at.Pos + tile*tileTokens, N: min(tileTokens, j.at.N-tile*tileTokens)}
	width := j.kvHeads * j.group * j.keys.dim
	out, q := j.out[tile*tileTokens*width:], j.q[tile*tileTokens*width:]
	first := head*j.group + split*j.share
	heads := min(j.share, j.group-split*j.share)
	if j.kernels != nil && j.keys.dim%16 == 0 {
		w.attn.attendSIMD(j.kernels, out, q, j.keys, j.values, span, head, first, heads, width)
		return
	}
	w.attn.attend(out, q, j.keys, j.values, span, head, first, heads, width)
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
