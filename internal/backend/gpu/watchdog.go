package gpu

import (
	"iter"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// The system's watchdog kills a command buffer that keeps the GPU for long, and while one runs nothing else is drawn.
// So a step is cut where it would take longer than `longest` on the slowest GPU that the kernels run on, an M1 with 8
// cores: 2.6 Tflop/s, of which a product reaches about 60 percent. The model counts what takes the time in a prefill:
// products and attention. A faster GPU ends sooner and pays about 20 µs for each cut.
//
// A single token is never cut: it reads the weights and the cache once, which fit in memory, and no Mac takes more than
// 0.3 s to read its memory.
const (
	longest = 0.1    // seconds
	flops   = 1.5e12 // a second
)

// productSeconds is the time of a product with one token.
func productSeconds(rows, cols int) float64 { return 2 * float64(rows) * float64(cols) / flops }

// attendSeconds is the time of one token's attention to some keys, in a layer.
func attendSeconds(a backend.Attention, keys int) float64 {
	return 4 * float64(a.Heads) * float64(a.HeadDim) * float64(keys) / flops
}

// part is some tokens of an op: n from the first on.
type part struct {
	first, n int
	seconds  float64
}

// parts cuts an op with n tokens, each of which takes some seconds, into dispatches short enough for the watchdog.
func (s *stream) parts(n int, each float64) iter.Seq[part] {
	return func(yield func(part) bool) {
		if n == 1 {
			yield(part{0, 1, 0})
			return
		}
		most := max(int(s.longest/each)/shaders.GEMMTokens, 1) * shaders.GEMMTokens // whole tiles of the GEMM
		for first := 0; first < n; first += most {
			p := part{first, min(most, n-first), 0}
			p.seconds = each * float64(p.n)
			if !yield(p) {
				return
			}
		}
	}
}
