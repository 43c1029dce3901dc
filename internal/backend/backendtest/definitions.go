package backendtest

import (
	"math"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// dotRows is x[n][cols]·wᵀ.
func dotRows(x []float32, w [][]float64, n int) []float64 {
	cols := len(w[0])
	y := make([]float64, 0, n*len(w))
	for t := range n {
		for _, row := range w {
			sum := 0.0
			for i, v := range row {
				sum += v * float64(x[t*cols+i])
			}
			y = append(y, sum)
		}
	}
	return y
}

// swiglu is silu(gate)·up; the first half of w is gate, the second is up.
func swiglu(x []float32, w [][]float64, n int) []float64 {
	gate, up := dotRows(x, w[:len(w)/2], n), dotRows(x, w[len(w)/2:], n)
	for i, g := range gate {
		gate[i] = g / (1 + math.Exp(-g)) * up[i]
	}
	return gate
}

// rms is x·weight / sqrt(mean(x²) + eps).
func rms(x []float64, weight []float32, eps float64) []float64 {
	sum := 0.0
	for _, v := range x {
		sum += v * v
	}
	scale := 1 / math.Sqrt(sum/float64(len(x))+eps)
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = v * scale * float64(weight[i])
	}
	return out
}

// project is x·wᵀ + bias, with interleaved pairs rotated by pos·theta^(-2i/rotary).
func project(x []float32, w [][]float64, bias []float32, a backend.Attention, rotary int) []float64 {
	n := len(x) / len(w[0])
	y := dotRows(x, w, n)
	for i := range y {
		y[i] += float64(bias[i%len(w)])
	}
	for row := 0; row < len(y); row += a.HeadDim {
		for i := 0; i < rotary; i += 2 {
			angle := float64(row/len(w)) * math.Pow(a.RopeTheta, -float64(i)/float64(rotary))
			sin, cos := math.Sincos(angle)
			v := y[row+i:]
			v[0], v[1] = v[0]*cos-v[1]*sin, v[1]*cos+v[0]*sin
		}
	}
	return y
}

// Attend is softmax(q·kᵀ/√dim)·v for a span's tokens; q, k and v hold those of all positions.
func Attend(q, k, v []float64, a backend.Attention, at backend.Span) []float64 {
	out := make([]float64, 0, at.N*a.Heads*a.HeadDim)
	for t := at.Pos; t < at.Pos+at.N; t++ {
		for h := range a.Heads {
			g := h / (a.Heads / a.KVHeads)
			query := q[(t*a.Heads+h)*a.HeadDim:][:a.HeadDim]
			weights, high, total := make([]float64, t+1), math.Inf(-1), 0.0
			for j := range weights {
				for i, x := range query {
					weights[j] += x * k[(j*a.KVHeads+g)*a.HeadDim+i]
				}
				weights[j] /= math.Sqrt(float64(a.HeadDim))
				high = max(high, weights[j])
			}
			for j, score := range weights {
				weights[j] = math.Exp(score - high)
				total += weights[j]
			}
			for i := range a.HeadDim {
				sum := 0.0
				for j, p := range weights {
					sum += p * v[(j*a.KVHeads+g)*a.HeadDim+i]
				}
				out = append(out, sum/total)
			}
		}
	}
	return out
}

func largest(v []float64) (high float64) {
	for _, x := range v {
		high = max(high, math.Abs(x))
	}
	return high
}
