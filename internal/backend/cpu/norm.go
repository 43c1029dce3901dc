package cpu

import (
	"fmt"
	"math"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// Embed implements [backend.Stream].
func (s *stream) Embed(h, xn backend.Buffer, ids backend.Tokens, n int, embed backend.Matrix, norm backend.Norm) {
	m := s.weights(embed)
	if s.err != nil {
		return
	}
	weight := s.vector(norm.Weight, m.Cols)
	hs, xs := s.floats(h, n*m.Cols), s.floats(xn, n*m.Cols)
	id, ok := ids.(tokens)
	if s.err == nil && (!ok || len(id) < n) {
		s.err = fmt.Errorf("cpu: the ids hold %d tokens, the op needs %d", len(id), n)
	}
	if s.err != nil {
		return
	}
	for t, v := range id[:n] {
		if v < 0 || int(v) >= m.Rows {
			s.err = fmt.Errorf("cpu: token %d is outside the vocabulary of %d", v, m.Rows)
			return
		}
		row := hs[t*m.Cols : (t+1)*m.Cols]
		m.row(row, int(v))
		rms(xs[t*m.Cols:(t+1)*m.Cols], row, weight, norm.Eps)
	}
}

// AddNorm implements [backend.Stream].
func (s *stream) AddNorm(h, xn, y backend.Buffer, post *backend.Norm, next backend.Norm, n int) {
	if s.err != nil {
		return
	}
	width := next.Weight.Len()
	hs, xs, ys := s.floats(h, n*width), s.floats(xn, n*width), s.floats(y, n*width)
	weight := s.vector(next.Weight, width)
	var postWeight []float32
	if post != nil {
		postWeight = s.vector(post.Weight, width)
	}
	if s.err != nil {
		return
	}
	s.pool.run(n, func(_ *worker, t int) {
		h, x, y := hs[t*width:(t+1)*width], xs[t*width:(t+1)*width], ys[t*width:(t+1)*width]
		if post != nil {
			rms(y, y, postWeight, post.Eps)
		}
		for i := range h {
			h[i] += y[i]
		}
		rms(x, h, weight, next.Eps)
	})
}

// rms writes out = x·weight / sqrt(mean(x²) + eps); out may be x.
func rms(out, x, weight []float32, eps float32) {
	scale := float32(1 / math.Sqrt(float64(dot(x, x)/float32(len(x))+eps)))
	for i := range out {
		out[i] = weight[i] * (x[i] * scale)
	}
}
