package cpu

import (
	"fmt"
	"math"
	"runtime/debug"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
	"github.com/glm4-metal/glm4-metal/internal/fault"
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
	defer fault.Catch(s.pool.mapped, debug.SetPanicOnFault(true), &s.err)
	for t, v := range id[:n] {
		if v < 0 || int(v) >= m.Rows {
			s.err = fmt.Errorf("cpu: token %d is outside the vocabulary of %d", v, m.Rows)
			return
		}
		row := hs[t*m.Cols : (t+1)*m.Cols]
		m.row(row, int(v))
		rms(s.kernels, xs[t*m.Cols:(t+1)*m.Cols], row, weight, norm.Eps)
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
	s.addNorm = addNormJob{kernels: s.kernels, h: hs, x: xs, y: ys, weight: weight, eps: next.Eps, post: postWeight}
	if post != nil {
		s.addNorm.postEps = post.Eps
	}
	s.run(n, &s.addNorm)
}

// addNormJob has a task a token.
type addNormJob struct {
	kernels      *simd.Kernels
	h, x, y      []float32
	weight, post []float32 // post may be nil
	eps, postEps float32
}

func (j *addNormJob) do(_ *worker, t int) {
	width := len(j.weight)
	h, x, y := j.h[t*width:(t+1)*width], j.x[t*width:(t+1)*width], j.y[t*width:(t+1)*width]
	if j.post != nil {
		rms(j.kernels, y, y, j.post, j.postEps)
	}
	if j.kernels != nil && width%8 == 0 {
		j.kernels.Add(&h[0], &y[0], width)
	} else {
		for i := range h {
			h[i] += y[i]
		}
	}
	rms(j.kernels, x, h, j.weight, j.eps)
}

// rms writes out = x·weight / sqrt(mean(x²) + eps); out may be x. Without kernels it is plain Go.
func rms(k *simd.Kernels, out, x, weight []float32, eps float32) {
	width := len(x)
	fits := k != nil && width%8 == 0
	var sum float32
	if fits {
		sum = k.Squares(&x[0], width)
	} else {
		sum = dot(x, x)
	}
	scale := float32(1 / math.Sqrt(float64(sum/float32(width)+eps)))
	if fits {
		k.Scaled(&out[0], &x[0], &weight[0], width, scale)
		return
	}
	for i := range out {
		out[i] = weight[i] * (x[i] * scale)
	}
}
