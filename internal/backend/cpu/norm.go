package cpu

import (
	"fmt"
	"runtime/debug"

	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
	"github.com/glm4-metal/glm4-metal/internal/fault"
)

// norm is an RMS norm.
type norm struct {
	weight []float32
	eps    float32
}

// embed writes h[n][Cols], the rows of a matrix, and x = norm(h). Faults of the mapped memory are errors.
func embed(k *simd.Kernels, h, x []float32, ids []int32, m *matrix, norm norm, mapped [][]byte) (err error) {
	defer fault.Catch(mapped, debug.SetPanicOnFault(true), &err)
	for t, id := range ids {
		if id < 0 || int(id) >= m.Rows {
			return fmt.Errorf("cpu: token %d is outside the vocabulary of %d", id, m.Rows)
		}
		row := h[t*m.Cols : (t+1)*m.Cols]
		m.row(row, int(id))
		rms(k, x[t*m.Cols:(t+1)*m.Cols], row, norm.weight, norm.eps)
	}
	return nil
}

// addNormJob has a task a token.
type addNormJob struct {
	kernels    *simd.Kernels
	h, x, y    []float32
	post, next norm // post may be without a weight
}

func (j *addNormJob) do(_ *worker, t int) {
	width := len(j.next.weight)
	h, x, y := j.h[t*width:(t+1)*width], j.x[t*width:(t+1)*width], j.y[t*width:(t+1)*width]
	if j.post.weight != nil {
		rms(j.kernels, y, y, j.post.weight, j.post.eps)
	}
	addTo(j.kernels, h, y)
	rms(j.kernels, x, h, j.next.weight, j.next.eps)
}
