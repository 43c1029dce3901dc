package cpu

import (
	"math"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// qkv computes the queries, keys and values of a layer.
type qkv struct {
	rope rope
	kv   []float32 // keys and values of a step before they go into the cache
}

// compute writes q and the layer's keys and values at a span, where w and bias are those of queries, keys and values.
func (o *qkv) compute(p *products, q []float32, c *cache, layer int, x []float32, w [3]*matrix, bias [3][]float32,
	at backend.Span) {
	a := c.attention
	width := at.N * a.KVHeads * a.HeadDim
	step := grow(&o.kv, 2*width)
	keys, values := step[:width], step[width:]
	for i, y := range [3][]float32{q, keys, values} {
		p.add(y, bias[i], x, at.N, w[i])
	}
	if p.runAll(); p.err != nil {
		return
	}
	o.rope.prepare(a, at)
	o.rope.rotate(q, a.Heads, a.HeadDim)
	o.rope.rotate(keys, a.KVHeads, a.HeadDim)
	c.keys[layer].write(keys, at)
	c.values[layer].write(values, at)
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
