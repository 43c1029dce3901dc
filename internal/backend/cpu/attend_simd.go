package cpu

import "math"

// attendChunk is how many keys the SIMD form takes together: all their scores are known before the first weight, and
// each query's 2 KiB of them stay in a second-level cache. Chunks are what decoding computes at the same time, so the
// sum over the context is cut alike whatever the number of workers and of tokens. It is a multiple of blockTokens.
const attendChunk = 512

// scoreStride keeps the scores of neighbouring queries out of the same set of a cache.
const scoreStride = attendChunk + 16

// chunks is how many chunks a query at a position sees.
func chunks(pos int) int { return pos/attendChunk + 1 }

// attendSIMD computes a task's queries over all chunks that they see.
func (j *attendJob) attendSIMD(w *attnScratch, t attendTask) {
	dim := j.keys.dim
	j.loadQueries(w, &t)
	for chunk := range chunks(t.at.Pos + t.at.N - 1) {
		j.attendChunk(w, &t, chunk)
		for i := range t.queries() {
			if chunk < chunks(t.at.Pos+i/t.heads) {
				j.kernels.join(t.row(j.out, i, dim, dim), &w.top[i], &w.total[i],
					w.sums[i*dim:(i+1)*dim], w.chunkTop[i], w.chunkTotal[i], chunk)
			}
		}
	}
	for i := range t.queries() {
		j.kernels.times(&t.row(j.out, i, dim, dim)[0], dim, 1/w.total[i])
	}
}

// attendPart computes a task's queries over one chunk and leaves the sums in parts.
func (j *attendJob) attendPart(w *attnScratch, t attendTask, chunk int) {
	dim := j.keys.dim
	j.loadQueries(w, &t)
	j.attendChunk(w, &t, chunk)
	for i := range t.queries() {
		at := (chunk*j.at.N+i/t.heads)*j.heads() + t.first + i%t.heads
		copy(j.parts[at*dim:(at+1)*dim], w.sums[i*dim:])
		j.tops[at], j.totals[at] = w.chunkTop[i], w.chunkTotal[i]
	}
}

// mergeJob adds up the parts of a query; it has a task for each token and head.
type mergeJob struct{ *attendJob }

func (j *mergeJob) do(_ *worker, task int) {
	dim := j.keys.dim
	out := j.out[task*dim : (task+1)*dim]
	var top, total float32
	for chunk := range chunks(j.at.Pos + task/j.heads()) {
		at := chunk*j.at.N*j.heads() + task
		j.kernels.join(out, &top, &total, j.parts[at*dim:(at+1)*dim], j.tops[at], j.totals[at], chunk)
	}
	j.kernels.times(&out[0], dim, 1/total)
}

// join adds the sum of a chunk to the sums of those before it, which have the largest score top and the sum of weights
// total. The part is scratch.
func (k *kernels) join(sums []float32, top, total *float32, part []float32, partTop, partTotal float32, chunk int) {
	if chunk == 0 {
		copy(sums, part)
		*top, *total = partTop, partTotal
		return
	}
	high := max(*top, partTop)
	if *top != high { // or one is NaN
		shrink := float32(math.Exp(float64(*top - high)))
		*total *= shrink
		k.times(&sums[0], len(sums), shrink)
	}
	if partTop != high {
		shrink := float32(math.Exp(float64(partTop - high)))
		partTotal *= shrink
		k.times(&part[0], len(part), shrink)
	}
	*top = high
	*total += partTotal
	k.add(&sums[0], &part[0], len(sums))
}

// loadQueries copies a task's queries, divided by √dim, to w.queries. What pads them to a multiple of four may be
// anything, and so may what comes of it.
func (j *attendJob) loadQueries(w *attnScratch, t *attendTask) {
	dim, n := j.keys.dim, t.queries()
	padded := (n + 3) &^ 3
	grow(&w.top, padded)
	grow(&w.total, padded)
	q := grow(&w.queries, padded*dim)
	for i := range t.at.N {
		copy(q[i*t.heads*dim:(i+1)*t.heads*dim], t.row(j.q, i*t.heads, dim, t.heads*dim))
	}
	j.kernels.times(&q[0], len(q), float32(1/math.Sqrt(float64(dim))))
}

// attendChunk leaves the largest score of each query in w.chunkTop, the sum of its weights in w.chunkTotal and its
// weighted values in w.sums. All queries share the keys and values of a tile: four at a time once it is widened, or 16 that
// widen it as they read it. Those are heads of one token, so a query's numbers do not depend on the others: keys behind its
// own position weigh 0.
func (j *attendJob) attendChunk(w *attnScratch, t *attendTask, chunk int) {
	k, dim, queries := j.kernels, j.keys.dim, t.queries()
	padded := (queries + 3) &^ 3
	step, halves := 4, k.weighHalves != nil && j.keys.f16 != nil && t.heads%16 == 0
	if halves {
		step = 16
	}
	begin := chunk * attendChunk
	n := min(attendChunk, t.at.Pos+t.at.N-begin)
	visible := func(query int) int { // causal
		return min(n, t.at.Pos+min(query, queries-1)/t.heads+1-begin)
	}
	scores, sums := grow(&w.scores, padded*scoreStride), grow(&w.sums, padded*dim)
	tops, totals := grow(&w.chunkTop, padded), grow(&w.chunkTotal, padded)
	for i := range padded {
		clear(scores[i*scoreStride:][:(n+keyTile-1)/keyTile*keyTile])
	}
	clear(sums)

	// Each tile's products fetch the next one from memory: the processor follows the cache too late by itself.
	for from := 0; from < n; from += keyTile {
		tile := j.keys.tile(begin+from, t.kvHead, keyTile, halves, &w.tile)
		next := j.values.bytes(begin, t.kvHead)
		if from+keyTile < n {
			next = j.keys.bytes(begin+from+keyTile, t.kvHead)
		}
		for i := 0; i < padded; i += step {
			if n := visible(i+step-1) - from; n > 0 {
				k.weighTile(&scores[i*scoreStride+from], scoreStride, &w.queries[i*dim], dim,
					tile, keyTile, min(keyTile, (n+15)&^15), dim, &next[4*i*dim%len(next)])
			}
		}
	}
	inf := float32(math.Inf(-1))
	for i := range queries {
		seen := visible(i)
		if seen <= 0 {
			continue
		}
		p := scores[i*scoreStride:][:attendChunk]
		whole := (seen + 7) &^ 7
		for j := seen; j < whole; j++ {
			p[j] = inf
		}
		tops[i] = k.maximum(&p[0], whole)
		totals[i] = k.expSum(&p[0], whole, tops[i])
		clear(p[whole:max(whole, n)])
	}
	for from := 0; from < n; from += keyTile {
		tile := j.values.tile(begin+from, t.kvHead, min(keyTile, n-from), halves, &w.tile)
		next := j.keys.bytes(min(begin+n, t.at.Pos), t.kvHead)
		if from+keyTile < n {
			next = j.values.bytes(begin+from+keyTile, t.kvHead)
		}
		for i := 0; i < padded; i += step {
			if rows := min(keyTile, visible(i+step-1)-from); rows > 0 {
				k.weighTile(&sums[i*dim], dim, &scores[i*scoreStride+from], scoreStride,
					tile, dim, dim, rows, &next[4*i*dim%len(next)])
			}
		}
	}
}

// weighTile is weigh, or weighHalves where the tile is of float16; strides are in numbers.
func (k *kernels) weighTile(sums *float32, sstride int, p *float32, pstride int, v tile, vstride, columns, rows int, ahead *byte) {
	if v.halves != nil {
		k.weighHalves(sums, 4*sstride, p, 4*pstride, v.halves, 2*vstride, columns, rows, ahead)
	} else {
		k.weigh(sums, 4*sstride, p, 4*pstride, v.floats, 4*vstride, columns, rows, ahead)
	}
}
