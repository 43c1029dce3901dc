package cpu

import (
	"math"
	"sync/atomic"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
)

// tileTokens is how many queries in a row share the loads of a block of keys.
const tileTokens = 8

type attnScratch struct {
	keys, values []float32
	scores       []float32
	sums         []float32 // [queries][dim], weighted values so far
	top, total   []float32 // [queries], largest score and sum of weights so far

	// Of the SIMD form, where the sums are a chunk's too.
	queries, tile        []float32
	chunkTop, chunkTotal []float32
}

// Attend implements [backend.Stream] with an online softmax (Milakov, Gimelshein 2018) over pieces of the cache: blocks
// in plain Go, chunks in the SIMD form.
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
	j := &s.attend
	*j = attendJob{kernels: s.kernels, stop: &s.stopped, out: out, q: qs, keys: &c.keys[layer], values: &c.values[layer], at: at,
		kvHeads: g.KVHeads, group: g.Heads / g.KVHeads, chunks: 1, parts: j.parts, tops: j.tops, totals: j.totals}
	if g.HeadDim%16 != 0 {
		j.kernels = nil
	}
	// With one tile of tokens the chunks of a long context are tasks of their own, unless the KV heads occupy all workers
	// alike and nothing need be merged. The heads that share a KV head are split only as far as every worker needs something
	// to do, and for kernels in fours.
	tiles, wanted := (at.N+tileTokens-1)/tileTokens, len(s.pool.workers)
	if j.kernels != nil && tiles == 1 && g.KVHeads%wanted != 0 {
		j.chunks = chunks(at.Pos + at.N - 1)
	}
	tasks := tiles * g.KVHeads * j.chunks
	if j.chunks > 1 {
		wanted *= 2 // the last chunk may be short
	}
	splits := min(j.group, max(1, wanted/tasks))
	j.share = (j.group + splits - 1) / splits
	if j.kernels != nil {
		j.share = min(j.group, (j.share+3)&^3)
	}
	j.splits = (j.group + j.share - 1) / j.share
	if j.chunks > 1 {
		rows := chunks(c.Cap()-1) * g.KVHeads * j.partRows() // grows with the cache, not with a step
		j.parts, j.tops, j.totals = grow(&j.parts, rows*g.HeadDim), grow(&j.tops, rows), grow(&j.totals, rows)
	}
	s.run(tasks*j.splits, j)
	if j.chunks > 1 && s.err == nil {
		s.merge.attendJob = j
		s.run(at.N*g.Heads, &s.merge)
	}
}

// attendJob has a task for each tile of tokens, KV head, chunk and part of the heads that share the KV head.
type attendJob struct {
	kernels                       *simd.Kernels // nil for plain Go
	stop                          *atomic.Bool
	out, q                        []float32
	keys, values                  *store
	at                            backend.Span
	kvHeads, group, share, splits int

	// Where the chunks are tasks: [chunks][kvHeads][partRows][dim] weighted values, and the largest score and the sum of
	// weights of each row. In partRows one split follows another, each [at.N][its heads].
	chunks              int
	parts, tops, totals []float32
}

func (j *attendJob) heads() int { return j.kvHeads * j.group }

// attendTask is some heads of some tokens, which all read one KV head.
type attendTask struct {
	at                          backend.Span
	token                       int // in the job, the first
	kvHead, first, heads, width int // first of the heads, and the width of a token
}

func (t *attendTask) queries() int { return t.at.N * t.heads }

// row gives n numbers of a query in q or out, [tokens][heads][dim].
func (t *attendTask) row(x []float32, query, dim, n int) []float32 {
	return x[(t.token+query/t.heads)*t.width+(t.first+query%t.heads)*dim:][:n]
}

func (j *attendJob) do(w *worker, task int) {
	split, rest := task%j.splits, task/j.splits
	chunk, rest := rest%j.chunks, rest/j.chunks
	kvHead, tile := rest%j.kvHeads, rest/j.kvHeads
	// The last tile sees most keys: it comes first, so that no worker is left alone with it.
	token := ((j.at.N-1)/tileTokens - tile) * tileTokens
	t := attendTask{at: backend.Span{Pos: j.at.Pos + token, N: min(tileTokens, j.at.N-token)}, token: token, kvHead: kvHead,
		first: kvHead*j.group + split*j.share, heads: min(j.share, j.group-split*j.share), width: j.heads() * j.keys.dim}
	switch {
	case j.kernels == nil:
		w.attn.attend(j.stop, j.out[token*t.width:], j.q[token*t.width:], j.keys, j.values, t.at, kvHead, t.first, t.heads, t.width)
	case j.chunks > 1:
		j.attendPart(&w.attn, t, chunk)
	default:
		j.attendSIMD(&w.attn, t)
	}
}

// attend computes the heads first, ..., first+heads-1 of the span's tokens, which all read kvHead, unless stop is true.
func (w *attnScratch) attend(stop *atomic.Bool, out, q []float32, keys, values *store, at backend.Span, kvHead, first, heads, width int) {
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
		if stop.Load() { // a long context takes long
			return
		}
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
