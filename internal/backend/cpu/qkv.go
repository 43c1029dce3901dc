package cpu

import (
	"fmt"
	"math"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// QKV implements [backend.Stream].
func (s *stream) QKV(q backend.Buffer, kv backend.Cache, layer int, xn backend.Buffer, w *backend.QKV, at backend.Span) {
	c := s.cache(kv, layer, at)
	if s.err != nil {
		return
	}
	a := c.attention
	s.rope.prepare(a, at)
	width := a.KVHeads * a.HeadDim
	step := grow(&s.kv, 2*at.N*width)
	keys, values := step[:at.N*width], step[at.N*width:]
	qs := s.floats(q, at.N*a.Heads*a.HeadDim)
	s.project(qs, xn, w.Q, w.QBias, at.N)
	s.project(keys, xn, w.K, w.KBias, at.N)
	s.project(values, xn, w.V, w.VBias, at.N)
	if s.err != nil {
		s.product.parts = s.product.parts[:0]
		return
	}
	if s.runProducts(); s.err != nil {
		return
	}
	s.rope.rotate(qs, a.Heads, a.HeadDim)
	s.rope.rotate(keys, a.KVHeads, a.HeadDim)
	c.keys[layer].write(keys, at)
	c.values[layer].write(values, at)
}

// project adds y[n][rows] = x·wᵀ + bias to the products, and runs those before it if they read x in another form.
func (s *stream) project(y []float32, xn backend.Buffer, w backend.Matrix, bias backend.Vector, n int) {
	m := s.weights(w)
	if s.err != nil {
		return
	}
	if n*m.Rows != len(y) {
		s.err = fmt.Errorf("cpu: matrix %s has %d rows, the op needs %d", m.Name, m.Rows, len(y)/n)
		return
	}
	x := s.floats(xn, n*m.Cols)
	var b []float32
	if bias != nil {
		b = s.vector(bias, m.Rows)
	}
	if s.err != nil {
		return
	}
	if len(s.product.parts) == 0 {
		s.input.set(x, n, m.Cols)
	} else if !s.input.suits(m) {
		s.runProducts()
		s.input.set(x, n, m.Cols)
	}
	s.prepare(m)
	s.product.add(y, b, m)
}

// rope holds the rotations of one span, which all layers of a step share.
type rope struct {
	span     backend.Span
	dims     int
	theta    float64
	cos, sin []float32 // [span.N][dims/2]
}

// prepare computes the angles in float64, so that they stay exact at any position.
func (r *rope) prepare(a backend.Attention, at backend.Span) {
	if r.span == at && r.dims == a.RotaryDims && r.theta == a.RopeTheta {
		return
	}
	r.span, r.dims, r.theta = at, a.RotaryDims, a.RopeTheta
	half := r.dims / 2
	cos, sin := grow(&r.cos, at.N*half), grow(&r.sin, at.N*half)
	for i := range half {
		frequency := math.Pow(r.theta, -2*float64(i)/float64(r.dims))
		for t := range at.N {
			sn, cs := math.Sincos(float64(at.Pos+t) * frequency)
			cos[t*half+i], sin[t*half+i] = float32(cs), float32(sn)
		}
	}
}

// rotate turns the interleaved pairs of x[n][heads][dim]; the dimensions from RotaryDims on stay.
func (r *rope) rotate(x []float32, heads, dim int) {
	half := r.dims / 2
	for t := range r.span.N {
		cos, sin := r.cos[t*half:(t+1)*half], r.sin[t*half:(t+1)*half]
		for h := range heads {
			v := x[(t*heads+h)*dim : (t*heads+h+1)*dim]
			for i := range half {
				a, b := v[2*i], v[2*i+1]
				v[2*i] = a*cos[i] - b*sin[i]
				v[2*i+1] = b*cos[i] + a*sin[i]
			}
		}
	}
}
