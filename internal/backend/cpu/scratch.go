package cpu

// scratch is the memory that a worker computes in. What is in it counts for one task.
type scratch struct {
	rows  []float32 // widened rows of a matrix
	tile  []float32 // products of some rows with the tokens
	panel []int16   // unpacked rows of a quantised matrix
	acc   []float32 // sums of a panel with the tokens
	scale []float32 // weight scales of a panel, then its biases
	eight [8]float32
	few   [64]float32 // scales of eight rows of less than eight groups
	attn  attendScratch
}

// attendScratch is that of the attention.
type attendScratch struct {
	keys, values []float32
	scores       []float32
	sums         []float32 // [queries][dim], weighted values so far
	top, total   []float32 // [queries], largest score and sum of weights so far

	// Of the SIMD form, where the sums are a chunk's too.
	queries, tile        []float32
	chunkTop, chunkTotal []float32
}

// margin, in numbers, lies on both sides of what grow gives: a processor that fetches ahead of one worker's scratch
// memory would take the lines behind it, which may be another's, from the core that writes them. It is a page of
// float32s.
const margin = 1024

// grow gives a slice of n numbers, reusing the memory of buf.
func grow[T int16 | float32](buf *[]T, n int) []T {
	if cap(*buf) < n {
		*buf = make([]T, n+2*margin)[margin : margin+n : margin+n]
	}
	return (*buf)[:n]
}
