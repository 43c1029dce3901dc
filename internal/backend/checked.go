package backend

import (
	"errors"
	"fmt"
)

// Ops are a device's side of a [Stream]: it takes the ops after [Checked] has looked at their operands, all of which it
// owns, are as long as the op needs, and belong together.
type Ops interface {
	Stream
	// Owns tells whether an object was made by the stream's device and can be used.
	Owns(object any) bool
	// Fail makes an error the stream's, unless it has one.
	Fail(err error)
}

// ErrForeign is the error of an op with an object of another device, or with none.
var ErrForeign = errors.New("an object that belongs to another device")

// Checked is the stream that a device gives its users: what is wrong with the operands of an op becomes the stream's
// error, and the device does not see the op.
func Checked(ops Ops) Stream { return &checked{Ops: ops} }

type checked struct {
	Ops
	op  string // that is looked at
	err error  // what is wrong with it
}

func (c *checked) Embed(h, xn Buffer, ids Tokens, n int, embed Matrix, norm Norm) {
	c.begin("Embed", n)
	_, width := c.matrix(embed)
	c.floats("h", h, n*width)
	c.floats("xn", xn, n*width)
	c.vector("the norm", norm.Weight, width)
	if c.owns(ids) && len(ids.IDs()) < n {
		c.fail("%d ids, the op needs %d", len(ids.IDs()), n)
	}
	if c.passes() {
		c.Ops.Embed(h, xn, ids, n, embed, norm)
	}
}

func (c *checked) QKV(q Buffer, kv Cache, layer int, xn Buffer, w *QKV, at Span) {
	c.begin("QKV", at.N)
	a := c.cache(kv, layer, at)
	_, cols := c.matrix(w.Q)
	c.project(w.Q, w.QBias, a.Heads*a.HeadDim, cols)
	c.project(w.K, w.KBias, a.KVHeads*a.HeadDim, cols)
	c.project(w.V, w.VBias, a.KVHeads*a.HeadDim, cols)
	if (w.QBias == nil) != (w.KBias == nil) || (w.QBias == nil) != (w.VBias == nil) {
		c.fail("of the three biases some are missing")
	}
	c.floats("q", q, at.N*a.Heads*a.HeadDim)
	c.floats("xn", xn, at.N*cols)
	if c.passes() {
		c.Ops.QKV(q, kv, layer, xn, w, at)
	}
}

func (c *checked) Attend(a, q Buffer, kv Cache, layer int, at Span) {
	c.begin("Attend", at.N)
	g := c.cache(kv, layer, at)
	c.floats("a", a, at.N*g.Heads*g.HeadDim)
	c.floats("q", q, at.N*g.Heads*g.HeadDim)
	if c.passes() {
		c.Ops.Attend(a, q, kv, layer, at)
	}
}

func (c *checked) Out(y, a Buffer, w Matrix, n int) {
	if c.product("Out", y, a, w, 0, n) {
		c.Ops.Out(y, a, w, n)
	}
}

func (c *checked) Down(y, act Buffer, w Matrix, n int) {
	if c.product("Down", y, act, w, 0, n) {
		c.Ops.Down(y, act, w, n)
	}
}

func (c *checked) Head(logits, xn Buffer, w Matrix, first, rows int) {
	if c.product("Head", logits, xn, w, first, rows) {
		c.Ops.Head(logits, xn, w, first, rows)
	}
}

func (c *checked) AddNorm(h, xn, y Buffer, post *Norm, next Norm, n int) {
	c.begin("AddNorm", n)
	width := 0
	if c.owns(next.Weight) {
		width = next.Weight.Len()
	}
	c.floats("h", h, n*width)
	c.floats("xn", xn, n*width)
	c.floats("y", y, n*width)
	if post != nil {
		c.vector("the first norm", post.Weight, width)
	}
	if c.passes() {
		c.Ops.AddNorm(h, xn, y, post, next, n)
	}
}

func (c *checked) GateUp(act, xn Buffer, w Matrix, n int) {
	c.begin("GateUp", n)
	rows, cols := c.matrix(w)
	if rows%2 != 0 {
		c.fail("%d rows are no two halves", rows)
	}
	c.floats("act", act, n*rows/2)
	c.floats("xn", xn, n*cols)
	if c.passes() {
		c.Ops.GateUp(act, xn, w, n)
	}
}

func (c *checked) Sample(out Tokens, at int, logits Buffer, s Sampling) {
	c.begin("Sample", 1)
	if s.Valid <= 0 {
		c.fail("%d valid ids, the op needs at least 1", s.Valid)
	}
	c.floats("logits", logits, s.Valid)
	if c.owns(out) && (at < 0 || at >= len(out.IDs())) {
		c.fail("place %d of %d ids", at, len(out.IDs()))
	}
	if c.passes() {
		c.Ops.Sample(out, at, logits, s)
	}
}

// begin starts the checks of an op with n tokens.
func (c *checked) begin(op string, n int) {
	c.op, c.err = op, nil
	if n <= 0 {
		c.fail("%d tokens, the op needs at least 1", n)
	}
}

func (c *checked) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("op %s: "+format, append([]any{c.op}, args...)...)
	}
}

// passes tells whether all checks of an op held; else what was wrong becomes the stream's error.
func (c *checked) passes() bool {
	if c.err != nil {
		c.Fail(c.err)
	}
	return c.err == nil
}

func (c *checked) owns(object any) bool {
	if c.err == nil && !c.Owns(object) {
		c.fail("%w", ErrForeign)
	}
	return c.err == nil
}

func (c *checked) floats(name string, b Buffer, n int) {
	if c.owns(b) && len(b.Floats()) < n {
		c.fail("%s has %d numbers, the op needs %d", name, len(b.Floats()), n)
	}
}

func (c *checked) vector(name string, v Vector, n int) {
	if c.owns(v) && v.Len() != n {
		c.fail("%s has %d numbers, the op needs %d", name, v.Len(), n)
	}
}

func (c *checked) matrix(m Matrix) (rows, cols int) {
	if !c.owns(m) {
		return 0, 0
	}
	return m.Shape()
}

// product checks y[n] = x[first:first+n]·wᵀ.
func (c *checked) product(op string, y, x Buffer, w Matrix, first, n int) bool {
	c.begin(op, n)
	rows, cols := c.matrix(w)
	if first < 0 {
		c.fail("a first token of %d", first)
	}
	c.floats("the output", y, n*rows)
	c.floats("the input", x, (first+n)*cols)
	return c.passes()
}

// project checks one of the projections of QKV.
func (c *checked) project(m Matrix, bias Vector, rows, cols int) {
	if r, k := c.matrix(m); r != rows || k != cols {
		c.fail("a projection of shape [%d, %d], the op needs [%d, %d]", r, k, rows, cols)
	}
	if bias != nil {
		c.vector("a bias", bias, rows)
	}
}

// cache checks that the layer and the span are inside, and gives the geometry.
func (c *checked) cache(kv Cache, layer int, at Span) Attention {
	if !c.owns(kv) {
		return Attention{}
	}
	layers, a := kv.Shape()
	if layer < 0 || layer >= layers || at.Pos < 0 || at.Pos+at.N > kv.Cap() {
		c.fail("layer %d, positions %d to %d are outside the cache of %d layers, %d tokens",
			layer, at.Pos, at.Pos+at.N, layers, kv.Cap())
	}
	return a
}
