package cpu

import "github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"

// way is how a product reads its weights, chosen by the number of tokens. See [simd.QuantisedKernels].
type way int

const (
	gemv  way = iota // along the rows, for a token at a time
	gemvs            // along the rows, once for a few tokens
	gemm             // in panels or blocks, which are unpacked once for all
)

// way is that of a product with n tokens, by kernels.
func (m *matrix) way(n int) way {
	most, all := 1, m.kernels.DotsMost
	if m.Format.Quantised() {
		k := m.quantisedKernels()
		most, all = k.GEMVMost, k.GEMVsMost
	}
	switch {
	case n <= most:
		return gemv
	case n <= all:
		return gemvs
	}
	return gemm
}

// input is what a product multiplies: x[n][cols] and, where its matrix has kernels that read another form, that.
type input struct {
	x       []float32
	n, cols int
	form    inputForm

	// The int16 form is cut into blocks of columns, q[cols/block][padded][block] with a last block that may be
	// shorter; scale and sum are cut alike, one number a group. For GEMVs that block is not shorter, scale and sum are
	// [groups][n], and all of it is that of one pass behind that of another.
	q          []int16
	scale, sum []float32
	block      int
	padded     int // n, or for GEMM the next multiple of its tokens; what is behind n is never looked at
	pad        int // numbers behind each token's in q, up to a multiple of simd.GEMVColumns; none for GEMM
	passes     int // of GEMVs, with as many tokens as each other or one more

	blocks []float32 // the form for plain weights: [cols/plainColumns][n][plainColumns], the last may be shorter
}

// inputForm is the zero value where there is only x.
type inputForm struct {
	way       way
	size      int // of a group, where it is of int16
	quantised int // the form of Quantise
	blocks    bool
}

func (in *input) set(x []float32, n, cols int) {
	in.x, in.n, in.cols, in.form = x, n, cols, inputForm{}
}

// form is what m reads n tokens in.
func (m *matrix) form(n int) inputForm {
	if m.kernels == nil {
		return inputForm{}
	}
	way := m.way(n)
	if !m.Format.Quantised() {
		return inputForm{blocks: way == gemvs}
	}
	k := m.quantisedKernels()
	return inputForm{way: way, size: m.GroupSize, quantised: [...]int{k.GEMVForm, k.GEMVsForm, k.GEMMForm}[way]}
}

// suits tells whether m can read the input in the form that it is in.
func (in *input) suits(m *matrix) bool {
	form := m.form(in.n)
	return m.Cols == in.cols && (form == inputForm{} || form == in.form)
}

// bring gives the job that brings the input into the form that m reads.
func (in *input) bring(m *matrix) inputJob {
	in.form = m.form(in.n)
	if in.form.blocks {
		grow(&in.blocks, in.n*in.cols)
		return inputJob{in, m.kernels}
	}
	in.block, in.padded, in.pad = in.cols, in.n, -in.cols&(simd.GEMVColumns-1)
	switch in.form.way {
	case gemvs:
		most := m.quantisedKernels().GEMVsTokens
		in.block, in.passes = simd.GEMVColumns, (in.n+most-1)/most
	case gemm:
		pass := m.kernels.GEMMTokens
		in.block, in.padded, in.pad = min(panelColumns, in.cols), (in.n+pass-1)/pass*pass, 0
	}
	grow(&in.q, in.padded*(in.cols+in.pad))
	grow(&in.scale, in.padded*in.cols/in.form.size)
	grow(&in.sum, in.padded*in.cols/in.form.size)
	return inputJob{in, m.kernels}
}

// pass gives the tokens of one.
func (in *input) pass(i int) (begin, end int) {
	return i * in.n / in.passes, (i + 1) * in.n / in.passes
}

// inputJob has a task a token.
type inputJob struct {
	in      *input
	kernels *simd.Kernels
}

func (j *inputJob) do(w *worker, t int) {
	in := j.in
	x := in.x[t*in.cols : (t+1)*in.cols]
	if in.form.blocks {
		blocks := in.blocks[:in.n*in.cols]
		for from := 0; from < in.cols; from += plainColumns {
			n := min(plainColumns, in.cols-from)
			copy(blocks[in.n*from+t*n:][:n], x[from:])
		}
		return
	}
	size := in.form.size
	groups := in.padded * in.cols / size
	q, scale, sum := in.q[:in.padded*(in.cols+in.pad)], in.scale[:groups], in.sum[:groups]
	for from := 0; from < in.cols; from += in.block {
		n := min(in.block, in.cols-from)
		if in.form.way == gemvs {
			begin, end := in.pass((t*in.passes + in.passes - 1) / in.n)
			q, at := q[begin*(in.cols+in.pad)+from*(end-begin):], begin*in.cols/size+from/size*(end-begin)
			s := &w.eight // at most four groups, their scales and then their sums
			j.kernels.Quantise(&q[(t-begin)*in.block], &s[0], &s[4], &x[from], n/size, size, in.form.quantised)
			for g := range n / size {
				scale[at+t-begin], sum[at+t-begin] = s[g], s[4+g]
				at += end - begin
			}
			continue
		}
		at := in.padded*from + t*n
		j.kernels.Quantise(&q[at+t*in.pad], &scale[at/size], &sum[at/size], &x[from], n/size, size, in.form.quantised)
	}
}
