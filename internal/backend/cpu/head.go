package cpu

import (
	"fmt"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// Head implements [backend.Stream].
func (s *stream) Head(logits, xn backend.Buffer, w backend.Matrix, first, rows int) {
	m := s.weights(w)
	if s.err != nil {
		return
	}
	x, out := s.floats(xn, (first+rows)*m.Cols), s.floats(logits, rows*m.Rows)
	if s.err == nil {
		s.product(out, x[first*m.Cols:], m, rows)
	}
}

// Sample implements [backend.Stream].
func (s *stream) Sample(out backend.Tokens, at int, logits backend.Buffer, how backend.Sampling) {
	x := s.floats(logits, how.Valid)
	id, ok := out.(tokens)
	if s.err == nil && (!ok || at < 0 || at >= len(id) || how.Valid <= 0) {
		s.err = fmt.Errorf("cpu: cannot sample from %d logits into place %d of %d ids", how.Valid, at, len(id))
	}
	if s.err != nil {
		return
	}
	best, top := 0, float32(0)
	for i, v := range x {
		if how.Temperature > 0 {
			v = v/how.Temperature + backend.Gumbel(how.Seed, how.Step, int32(i))
		}
		if v != v {
			s.err = fmt.Errorf("cpu: the logit of id %d is not a number; the checkpoint is broken or its weights overflow", i)
			return
		}
		if i == 0 || v > top {
			best, top = i, v
		}
	}
	id[at] = int32(best)
}
