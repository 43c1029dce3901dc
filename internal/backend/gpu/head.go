package gpu

import (
	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// pendingHead is the head of one token, which waits for the Sample that may follow it: sampling is then the end of the
// product, and the logits are not read again.
type pendingHead struct {
	logits, xn backend.Buffer // nil: none waits
	w          *matrix
	row        int

	picked *tokens // where this step writes an id
	at     int
}

// Head implements [backend.Stream].
func (s *stream) Head(logits, xn backend.Buffer, w backend.Matrix, first, rows int) {
	s.flushHead()
	switch {
	case s.err != nil:
	case rows == 1:
		s.head.logits, s.head.xn, s.head.w, s.head.row = logits, xn, w.(*matrix), first
	default:
		s.matmul(logits, xn, w.(*matrix), first, rows)
	}
}

// flushHead writes down the head that waits, without sampling.
func (s *stream) flushHead() {
	if s.head.logits != nil {
		s.addHead(shaders.HeadArgs{})
	}
}

// addHead writes down the head that waits and gives the number of its pairs.
func (s *stream) addHead(args shaders.HeadArgs) (pairs int) {
	h := &s.head
	work := [3]int{h.w.rows, 1, 1}
	v := h.w.product(shaders.Head, s.tuning, "head", h.w.rows, 1)
	pairs = v.kernel.Groups(work)[0]
	args.Rows, args.Cols = uint32(h.w.rows), uint32(h.w.cols)
	add(s, v, args, work, 0,
		floats(h.xn, h.row, h.w.cols), floats(h.logits, 0, h.w.rows), s.pairs.take(s, 8*pairs),
		h.w.data, h.w.scales, h.w.biases)
	h.logits, h.xn, h.w = nil, nil, nil
	return pairs
}

// Sample implements [backend.Stream].
func (s *stream) Sample(out backend.Tokens, at int, logits backend.Buffer, how backend.Sampling) {
	if s.err != nil {
		return
	}
	t := out.(*tokens)
	key := backend.GumbelKey(how.Seed, how.Step)
	var pairs int
	if s.head.logits == logits && how.Valid <= s.head.w.rows {
		pairs = s.addHead(shaders.HeadArgs{Valid: uint32(how.Valid), Pick: 1, Key: key, Temperature: how.Temperature})
	} else {
		s.flushHead()
		work := [3]int{how.Valid, 1, 1}
		pairs = shaders.SampleScan.Groups(work)[0]
		args := shaders.ScanArgs{Valid: uint32(how.Valid), Temperature: how.Temperature, Key: key}
		add(s, variant{kernel: shaders.SampleScan}, args, work, 0,
			floats(logits, 0, how.Valid), s.pairs.take(s, 8*pairs))
	}
	args := shaders.PickArgs{Pairs: uint32(pairs), At: uint32(at), Valid: uint32(how.Valid)}
	add(s, variant{kernel: shaders.SamplePick}, args, [3]int{1, 1, 1}, 0,
		s.pairs.take(s, 0), floats(logits, 0, how.Valid), binding{t.metal, 0})
	s.head.picked, s.head.at = t, at
}
