package cpu

import (
	"math"
	"sync/atomic"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
)

// Attention is an online softmax (Milakov, Gimelshein 2018) over pieces of the cache: blocks in plain Go, which come
// first here, and chunks in the SIMD form. The op, which cuts it into tasks, is at the end.

// attention is what the tasks of an op share.
type attention struct {
	kernels        *simd.Kernels // nil for plain Go
	stop           *atomic.Bool
	out, q         []float32
	keys, values   *store
	at             backend.Span
	kvHeads, group int // group is the heads that share a KV head
}

func (j *attention) heads() int { return j.kvHeads * j.group }

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

// attendGo computes a task in plain Go.
func (j *attention) attendGo(w *attendScratch, task attendTask) {
	dim, at, heads := j.keys.dim, task.at, task.heads
	scale := float32(1 / math.Sqrt(float64(dim)))
	queries := at.N * heads
	sums, top, total := grow(&w.sums, queries*dim), grow(&w.top, queries), grow(&w.total, queries)
	clear(sums)
	clear(total)
	for i := range top {
		top[i] = float32(math.Inf(-1))
	}
	for begin := 0; begin < at.Pos+at.N; begin += blockTokens {
		if j.stop.Load() { // a long context takes long
			return
		}
		n := min(blockTokens, at.Pos+at.N-begin)
		k := j.keys.rows(begin/blockTokens, task.kvHead, n, &w.keys)
		v := j.values.rows(begin/blockTokens, task.kvHead, n, &w.values)
		for t := range at.N {
			visible := min(n, at.Pos+t+1-begin) // causal
			if visible <= 0 {
				continue
			}
			scores := grow(&w.scores, visible)
			for h := range heads {
				i := t*heads + h
				query := task.row(j.q, i, dim, dim)
				sum := sums[i*dim : (i+1)*dim]
				high := top[i]
				for r := range scores {
					scores[r] = dot(k[r*dim:(r+1)*dim], query) * scale
					high = max(high, scores[r])
				}
				if shrink := float32(math.Exp(float64(top[i] - high))); shrink != 1 {
					total[i] *= shrink
					for d := range sum {
						sum[d] *= shrink
					}
				}
				top[i] = high
				for r, score := range scores {
					p := float32(math.Exp(float64(score - high)))
					total[i] += p
					for d, x := range v[r*dim : (r+1)*dim] {
						sum[d] += p * x
					}
				}
			}
		}
	}
	for i := range queries {
		to := task.row(j.out, i, dim, dim)
		for d, x := range sums[i*dim : (i+1)*dim] {
			to[d] = x / total[i]
		}
	}
}

// attendChunk is how many keys the SIMD form takes together: all their scores are known before the first weight, and
// each query's 2 KiB of them stay in a second-level cache. Chunks are what decoding computes at the same time, so the
// sum over the context is cut alike whatever the number of workers and of tokens. It is a multiple of blockTokens.
const attendChunk = 512

// scoreStride keeps the scores of neighbouring queries out of the same set of a cache.
const scoreStride = attendChunk + 16

// chunks is how many chunks a query at a position sees.
func chunks(pos int) int { return pos/attendChunk + 1 }

// padded is how many queries a task has for the kernels, a multiple of four. What pads them may be anything, and so may
// what comes of it.
func (t *attendTask) padded() int { return (t.queries() + 3) &^ 3 }

// part is what a chunk gives to some queries: weighted values [queries][dim], the largest score and the sum of weights
// of each.
type part struct{ sums, top, total []float32 }

// loadQueries copies a task's queries, divided by √dim, to w.queries. The scores are to be exponents of 2.
func (j *attention) loadQueries(w *attendScratch, t *attendTask) {
	dim := j.keys.dim
	q := grow(&w.queries, t.padded()*dim)
	for i := range t.at.N {
		copy(q[i*t.heads*dim:(i+1)*t.heads*dim], t.row(j.q, i*t.heads, dim, t.heads*dim))
	}
	j.kernels.Times(&q[0], len(q), float32(math.Log2E/math.Sqrt(float64(dim))))
}

// attendChunk leaves what a task's queries get of a chunk in p. All share the keys and values of a tile: four at a time
// once it is widened, or 16 that widen it as they read it. Those are heads of one token, so a query's numbers do not
// depend on the others: keys behind its own position weigh 0.
func (j *attention) attendChunk(w *attendScratch, t *attendTask, chunk int, p part) {
	k, dim, queries, padded := j.kernels, j.keys.dim, t.queries(), t.padded()
	step, halves := 4, k.WeighHalves != nil && j.keys.f16 != nil && t.heads%16 == 0
	if halves {
		step = 16
	}
	begin := chunk * attendChunk
	n := min(attendChunk, t.at.Pos+t.at.N-begin)
	visible := func(query int) int { // causal
		return min(n, t.at.Pos+min(query, queries-1)/t.heads+1-begin)
	}
	scores := grow(&w.scores, padded*scoreStride)
	if !halves {
		for i := range padded {
			clear(scores[i*scoreStride:][:(n+keyTile-1)/keyTile*keyTile])
		}
		clear(p.sums)
	}

	// Each tile's products fetch the next one from memory: the processor follows the cache too late by itself.
	for from := 0; from < n; from += keyTile {
		tile := j.keys.tile(begin+from, t.kvHead, keyTile, halves, &w.tile)
		next := j.values.bytes(begin, t.kvHead)
		if from+keyTile < n {
			next = j.keys.bytes(begin+from+keyTile, t.kvHead)
		}
		for i := 0; i < padded; i += step {
			if n := visible(i+step-1) - from; n > 0 {
				weighTile(k, &scores[i*scoreStride+from], scoreStride, &w.queries[i*dim], dim,
					tile, keyTile, min(keyTile, (n+15)&^15), dim, true, &next[4*i*dim%len(next)])
			}
		}
	}
	inf := float32(math.Inf(-1))
	for i := range queries {
		seen := visible(i)
		if seen <= 0 {
			continue
		}
		x := scores[i*scoreStride:][:attendChunk]
		whole := (seen + 7) &^ 7
		for j := seen; j < whole; j++ {
			x[j] = inf
		}
		p.top[i] = k.Maximum(&x[0], whole)
		p.total[i] = k.Exp2Sum(&x[0], whole, p.top[i])
		clear(x[whole:max(whole, n)])
	}
	for from := 0; from < n; from += keyTile {
		tile := j.values.tile(begin+from, t.kvHead, min(keyTile, n-from), halves, &w.tile)
		next := j.keys.bytes(min(begin+n, t.at.Pos), t.kvHead)
		if from+keyTile < n {
			next = j.values.bytes(begin+from+keyTile, t.kvHead)
		}
		for i := 0; i < padded; i += step {
			if rows := min(keyTile, visible(i+step-1)-from); rows > 0 {
				weighTile(k, &p.sums[i*dim], dim, &scores[i*scoreStride+from], scoreStride,
					tile, dim, dim, rows, from == 0, &next[4*i*dim%len(next)])
			}
		}
	}
}

// weighTile is weigh, or weighHalves where the tile is of float16; strides are in numbers.
func weighTile(k *simd.Kernels, sums *float32, sstride int, p *float32, pstride int, v tile, vstride, columns, rows int,
	fresh bool, ahead *byte) {
	if v.halves != nil {
		k.WeighHalves(sums, 4*sstride, p, 4*pstride, v.halves, 2*vstride, columns, rows, fresh, ahead)
	} else {
		k.Weigh(sums, 4*sstride, p, 4*pstride, v.floats, 4*vstride, columns, rows, ahead)
	}
}

// join adds what a query gets of a chunk to the sums of the chunks before, which have the largest score top and the sum
// of weights total. The part is scratch.
func join(k *simd.Kernels, sums []float32, top, total *float32, p part, query, chunk int) {
	add, addTop, addTotal := p.sums[query*len(sums):][:len(sums)], p.top[query], p.total[query]
	if chunk == 0 {
		copy(sums, add)
		*top, *total = addTop, addTotal
		return
	}
	high := max(*top, addTop)
	if *top != high { // or one is NaN
		shrink := float32(math.Exp2(float64(*top - high)))
		*total *= shrink
		k.Times(&sums[0], len(sums), shrink)
	}
	if addTop != high {
		shrink := float32(math.Exp2(float64(addTop - high)))
		addTotal *= shrink
		k.Times(&add[0], len(add), shrink)
	}
	*top = high
	*total += addTotal
	k.Add(&sums[0], &add[0], len(sums))
}

// attendSIMD computes a task's queries over all chunks that they see.
func (j *attention) attendSIMD(w *attendScratch, t attendTask) {
	dim, n := j.keys.dim, t.padded()
	j.loadQueries(w, &t)
	top, total := grow(&w.top, n), grow(&w.total, n)
	p := part{grow(&w.sums, n*dim), grow(&w.chunkTop, n), grow(&w.chunkTotal, n)}
	for chunk := range chunks(t.at.Pos + t.at.N - 1) {
		if j.stop.Load() { // a long context takes long
			return
		}
		j.attendChunk(w, &t, chunk, p)
		for i := range t.queries() {
			if chunk < chunks(t.at.Pos+i/t.heads) {
				join(j.kernels, t.row(j.out, i, dim, dim), &top[i], &total[i], p, i, chunk)
			}
		}
	}
	for i := range t.queries() {
		j.kernels.Times(&t.row(j.out, i, dim, dim)[0], dim, 1/total[i])
	}
}

// tileTokens is how many queries in a row share the loads of a block of keys.
const tileTokens = 8

// attendJob has a task for each tile of tokens, KV head, chunk and part of the heads that share the KV head.
type attendJob struct {
	attention
	share, splits int // heads of a task, and tasks that a KV head's are split into

	// Where the chunks are tasks: [chunks][kvHeads][partRows][dim] weighted values, and the largest score and the sum of
	// weights of each row. In partRows one split follows another, each [at.N][its heads].
	chunks              int
	parts, tops, totals []float32
	merge               mergeJob
}

// compute cuts the op into tasks and merges the chunks where they are tasks. The cache has room for some tokens.
func (j *attendJob) compute(r *runner, tokens int) {
	j.chunks = 1
	if j.keys.dim%16 != 0 {
		j.kernels = nil
	}
	// With one tile of tokens the chunks of a long context are tasks of their own, unless the KV heads occupy all
	// workers alike and nothing need be merged. The heads that share a KV head are split only as far as every worker
	// needs something to do, and for kernels in fours.
	tiles, wanted := (j.at.N+tileTokens-1)/tileTokens, len(r.pool.workers)
	if j.kernels != nil && tiles == 1 && j.kvHeads%wanted != 0 {
		j.chunks = chunks(j.at.Pos + j.at.N - 1)
	}
	tasks := tiles * j.kvHeads * j.chunks
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
		rows := chunks(tokens-1) * j.kvHeads * j.partRows() // grows with the cache, not with a step
		j.parts, j.tops, j.totals = grow(&j.parts, rows*j.keys.dim), grow(&j.tops, rows), grow(&j.totals, rows)
	}
	r.run(tasks*j.splits, j)
	if j.chunks > 1 && r.err == nil {
		j.merge.attendJob = j
		r.run(j.at.N*j.heads(), &j.merge)
	}
}

func (j *attendJob) do(w *worker, task int) {
	split, rest := task%j.splits, task/j.splits
	chunk, rest := rest%j.chunks, rest/j.chunks
	kvHead, tile := rest%j.kvHeads, rest/j.kvHeads
	// The last tile sees most keys: it comes first, so that no worker is left alone with it.
	token := ((j.at.N-1)/tileTokens - tile) * tileTokens
	t := attendTask{
		at: backend.Span{Pos: j.at.Pos + token, N: min(tileTokens, j.at.N-token)}, token: token, kvHead: kvHead,
		first: kvHead*j.group + split*j.share, heads: min(j.share, j.group-split*j.share), width: j.heads() * j.keys.dim,
	}
	switch {
	case j.kernels == nil:
		j.attendGo(&w.attn, t)
	case j.chunks > 1:
		j.attendPart(&w.attn, t, chunk)
	default:
		j.attendSIMD(&w.attn, t)
	}
}

// attendPart computes a task's queries over one chunk and leaves what they get in parts.
func (j *attendJob) attendPart(w *attendScratch, t attendTask, chunk int) {
	j.loadQueries(w, &t)
	j.attendChunk(w, &t, chunk, j.part(chunk, t.first, t.padded()))
}

// part is that of the n queries of a task in parts; head is its first.
func (j *attendJob) part(chunk, head, n int) part {
	dim, at := j.keys.dim, (chunk*j.kvHeads+head/j.group)*j.partRows()+head%j.group*j.at.N
	return part{j.parts[at*dim:][:n*dim], j.tops[at:][:n], j.totals[at:][:n]}
}

// partRows is how many rows of parts the heads of a KV head have in a chunk, whatever the splits.
func (j *attendJob) partRows() int { return (j.at.N*j.group + 3) &^ 3 }

// mergeJob adds up the parts of a query; it has a task for each token and head.
type mergeJob struct{ *attendJob }

func (j *mergeJob) do(_ *worker, task int) {
	dim := j.keys.dim
	out := j.out[task*dim : (task+1)*dim]
	token, head := task/j.heads(), task%j.heads()
	inSplit := head % j.group % j.share
	heads := min(j.share, j.group-head%j.group+inSplit)
	query := token*heads + inSplit
	var top, total float32
	for chunk := range chunks(j.at.Pos + token) {
		join(j.kernels, out, &top, &total, j.part(chunk, head-inSplit, query+1), query, chunk)
	}
	j.kernels.Times(&out[0], dim, 1/total)
}
