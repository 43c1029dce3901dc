package cpu

import (
	"math"

	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
)

// attendChunk is how many keys the SIMD form takes together: all their scores are known before the first weight, and
// each query's 2 KiB of them stay in a second-level cache. Chunks are what decoding computes at the same time, so the
// sum over the context is cut alike whatever the number of workers and of tokens. It is a multiple of blockTokens.
const attendChunk = 512

// scoreStride keeps the scores of neighbouring queries out of the same set of a cache.
const scoreStride = attendChunk + 16

// chunks is how many chunks a query at a position sees.
func chunks(pos int) int { return pos/attendChunk + 1 }

// padded is how many queries a task has for the kernels, a multiple of four. What pads them may be anything, and so may what
// comes of it.
func (t *attendTask) padded() int { return (t.queries() + 3) &^ 3 }

// part is what a chunk gives to some queries: weighted values [queries][dim], the largest score and the sum of weights of
// each.
type part struct{ sums, top, total []float32 }

// attendSIMD computes a task's queries over all chunks that they see.
func (j *attendJob) attendSIMD(w *attnScratch, t attendTask) {
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

// attendPart computes a task's queries over one chunk and leaves what they get in parts.
func (j *attendJob) attendPart(w *attnScratch, t attendTask, chunk int) {
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

// join adds what a query gets of a chunk to the sums of the chunks before, which have the largest score top and the sum of
// weights total. The part is scratch.
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

// loadQueries copies a task's queries, divided by √dim, to w.queries. The scores are to be exponents of 2.
func (j *attendJob) loadQueries(w *attnScratch, t *attendTask) {
	dim := j.keys.dim
	q := grow(&w.queries, t.padded()*dim)
	for i := range t.at.N {
		copy(q[i*t.heads*dim:(i+1)*t.heads*dim], t.row(j.q, i*t.heads, dim, t.heads*dim))
	}
	j.kernels.Times(&q[0], len(q), float32(math.Log2E/math.Sqrt(float64(dim))))
}

// attendChunk leaves what a task's queries get of a chunk in p. All share the keys and values of a tile: four at a time once
// it is widened, or 16 that widen it as they read it. Those are heads of one token, so a query's numbers do not depend on the
// others: keys behind its own position weigh 0.
func (j *attendJob) attendChunk(w *attnScratch, t *attendTask, chunk int, p part) {
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
func weighTile(k *simd.Kernels, sums *float32, sstride int, p *float32, pstride int, v tile, vstride, columns, rows int, fresh bool, ahead *byte) {
	if v.halves != nil {
		k.WeighHalves(sums, 4*sstride, p, 4*pstride, v.halves, 2*vstride, columns, rows, fresh, ahead)
	} else {
		k.Weigh(sums, 4*sstride, p, 4*pstride, v.floats, 4*vstride, columns, rows, ahead)
	}
}
