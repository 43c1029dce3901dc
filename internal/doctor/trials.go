package doctor

import (
	"encoding/binary"
	"math"

	"github.com/x448/float16"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// trials are all: each format of weights in the ops that read them, and what does not depend on weights.
var trials = []trial{
	{"q4", func(r *run) { r.weights(backend.Q4) }, boundOfQuantised},
	{"q8", func(r *run) { r.weights(backend.Q8) }, boundOfQuantised},
	{"bf16", func(r *run) { r.weights(backend.BF16) }, boundOf(exact)},
	{"f16", func(r *run) { r.weights(backend.F16) }, boundOf(exact)},
	{"f32", func(r *run) { r.weights(backend.F32) }, boundOf(exact)},
	{"attention", (*run).halfCache, boundOf(halves)},
	{"norms", (*run).norms, boundOf(exact)},
	{"sampling", (*run).sampling, boundOf(0)},
}

func boundOf(bound float64) func(string) float64 { return func(string) float64 { return bound } }

func boundOfQuantised(backend string) float64 {
	if backend == "cpu" {
		return rounded
	}
	return exact
}

// sizes are those of the trials that are as wide as a model.
type sizes struct {
	rows        int // of matrices, of which some are enough, as each is computed alike
	hidden, ffn int // columns
	prompt      int // tokens that attend to each other, so many that a GPU splits the keys of the one behind
}

var glm9B = sizes{200, 4096, 13696, 270}

// Other sizes: a shape that is a multiple of little, and ids.
const (
	oddRows, oddColumns = 37, 72
	groupSize           = 64
	vocab, validIDs     = 151552, 151343
)

// tokens make a device take each kind of product.
var tokens = []int{1, 4, 20}

// Attention with GLM-4-9B's heads, and with fewer of them for where the products are as wide as the model's.
var (
	attention = backend.Attention{Heads: 32, KVHeads: 2, HeadDim: 128, RotaryDims: 64, RopeTheta: 10000}
	fewHeads  = backend.Attention{Heads: 2, KVHeads: 1, HeadDim: 128, RotaryDims: 64, RopeTheta: 10000}
)

// weights runs the ops that read weights of a format.
func (r *run) weights(f backend.Format) {
	odd := oddColumns
	if f.Quantised() {
		odd = (odd + groupSize - 1) / groupSize * groupSize
	}
	r.product("Out", (backend.Stream).Out, r.rows, r.hidden, r.rows, f)
	r.product("Out", (backend.Stream).Out, oddRows, odd, oddRows, f)
	r.product("Down", (backend.Stream).Down, r.rows, r.ffn, r.rows, f)
	r.product("GateUp", (backend.Stream).GateUp, 2*r.rows, r.hidden, r.rows, f)
	r.product("GateUp", (backend.Stream).GateUp, 2*oddRows, odd, oddRows, f)
	r.embed(f)
	r.attend(fewHeads, r.hidden, f, backend.F32, backend.Span{Pos: 0, N: 20}, backend.Span{Pos: 20, N: 1},
		backend.Span{Pos: 21, N: 4})
	r.head(f)
}

// product runs an op that multiplies the columns of a matrix with tokens, which gives each some results.
func (r *run) product(name string, op func(s backend.Stream, y, x backend.Buffer, w backend.Matrix, n int),
	rows, columns, results int, f backend.Format) {
	m := r.matrix(rows, columns, f)
	for _, n := range tokens {
		y := r.output(n * results)
		op(r.s, y, r.random(n*columns), m, n)
		r.step()
		r.keep(y, "%s of %d tokens, [%d, %d]", name, n, rows, columns)
	}
}

func (r *run) embed(f backend.Format) {
	ids := must(r.d.NewTokens(2))
	copy(ids.IDs(), []int32{int32(r.rows) - 1, 3})
	h, xn := r.output(2*r.hidden), r.output(2*r.hidden)
	r.s.Embed(h, xn, ids, 2, r.matrix(r.rows, r.hidden, f), backend.Norm{Weight: r.vector(r.hidden), Eps: 1e-5})
	r.step()
	r.keep(h, "Embed")
	r.keep(xn, "Embed's norm")
}

// head takes the second of two tokens, and then the largest logit.
func (r *run) head(f backend.Format) {
	logits, id := r.output(r.rows), must(r.d.NewTokens(1))
	r.s.Head(logits, r.random(2*r.hidden), r.matrix(r.rows, r.hidden, f), 1, 1)
	r.s.Sample(id, 0, logits, backend.Sampling{Valid: r.rows})
	r.step()
	r.keep(logits, "Head")
	r.keepIDs(id, "Sample behind Head")
}

// attend computes some spans of a context, one after the other.
func (r *run) attend(a backend.Attention, columns int, weights, cache backend.Format, spans ...backend.Span) {
	wide, narrow := a.Heads*a.HeadDim, a.KVHeads*a.HeadDim
	w := &backend.QKV{
		Q: r.matrix(wide, columns, weights), K: r.matrix(narrow, columns, weights), V: r.matrix(narrow, columns, weights),
		QBias: r.vector(wide), KBias: r.vector(narrow), VBias: r.vector(narrow),
	}
	kv := must(r.d.NewCache(1, a, cache))
	defer kv.Close()
	for _, at := range spans {
		must(0, kv.Grow(at.Pos+at.N))
		q, out := r.output(at.N*wide), r.output(at.N*wide)
		r.s.QKV(q, kv, 0, r.buffer(r.floats(at.N*columns, 0.5)), w, at)
		r.s.Attend(out, q, kv, 0, at)
		r.step()
		r.keep(q, "QKV of %d tokens, [%d, %d]", at.N, wide+2*narrow, columns)
		r.keep(out, "Attend of %d tokens to %d, %d heads", at.N, at.Pos+at.N, a.Heads)
	}
}

// halfCache attends with all heads: a prompt, and few tokens behind it, to so many keys that a GPU splits them.
func (r *run) halfCache() {
	n := r.prompt
	r.attend(attention, groupSize, backend.F32, backend.F16, backend.Span{Pos: 0, N: n}, backend.Span{Pos: n, N: 1},
		backend.Span{Pos: n + 1, N: 4}, backend.Span{Pos: n + 5, N: 20})
}

func (r *run) norms() {
	const n = 3
	for _, width := range []int{r.hidden, oddColumns} {
		next := backend.Norm{Weight: r.vector(width), Eps: 1e-5}
		for _, post := range []*backend.Norm{nil, {Weight: r.vector(width), Eps: 1e-5}} {
			h, xn := r.random(n*width), r.output(n*width)
			r.s.AddNorm(h, xn, r.random(n*width), post, next, n)
			r.step()
			r.keep(h, "AddNorm's sum of %d numbers", width)
			r.keep(xn, "AddNorm of %d numbers", width)
		}
	}
}

// sampling takes the largest logit and draws by some temperatures.
func (r *run) sampling() {
	logits := r.floats(vocab, 3)
	logits[validIDs] = 100 // padding
	x, ids := r.buffer(logits), must(r.d.NewTokens(4))
	for i := range ids.IDs() {
		r.s.Sample(ids, i, x, backend.Sampling{Temperature: float32(i) / 2, Seed: 7, Step: uint64(i), Valid: validIDs})
	}
	r.step()
	r.keepIDs(ids, "Sample")
}

// matrix makes random weights as large as those of a model: numbers of about 1/√cols, or codes whose scales and biases
// give such.
func (r *run) matrix(rows, cols int, f backend.Format) backend.Matrix {
	m := backend.MatrixData{Name: "trial", Rows: rows, Cols: cols, Format: f}
	size := float32(1 / math.Sqrt(float64(cols)))
	if !f.Quantised() {
		m.Data = encode(r.floats(rows*cols, size), f)
		return must(r.d.NewMatrix(m))
	}
	levels, groups := float32(int(1)<<f.Bits()), rows*cols/groupSize
	m.GroupSize, m.ScaleFormat = groupSize, backend.BF16
	m.Scales = encode(r.floats(groups, 4*size/levels), m.ScaleFormat)
	m.Biases = encode(r.floats(groups, size), m.ScaleFormat)
	m.Data = make([]byte, rows*cols*f.Bits()/8)
	for i := range m.Data {
		m.Data[i] = byte(r.Uint32())
	}
	return must(r.d.NewMatrix(m))
}

// encode stores numbers in a plain format, bfloat16 cut off and float16 rounded.
func encode(v []float32, f backend.Format) (data []byte) {
	for _, x := range v {
		switch f {
		case backend.F16:
			data = binary.LittleEndian.AppendUint16(data, float16.Fromfloat32(x).Bits())
		case backend.BF16:
			data = binary.LittleEndian.AppendUint16(data, uint16(math.Float32bits(x)>>16))
		default:
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		}
	}
	return data
}
