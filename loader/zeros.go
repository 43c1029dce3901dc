package loader

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A download that gives a file its full size before its content leaves zeros where it ended, or a hole, which the file
// system knows. Zeros that a model may have must not be taken for that: those of biases, and of an embedding's or
// head's rows that no token uses. So only these count:
//   - a matrix of a decoder layer whose last eighth is zeros,
//   - an embedding or head with more rows of zeros at its end than padding explains,
//   - a norm in front of a projection that is zeros from end to end, behind which a model would see nothing.

const (
	zeroProbes = 16      // in how many places zeros are looked for, from the end to the beginning
	zeroProbe  = 4 << 10 // bytes in one place
	maxPadding = 4 << 10 // rows of a vocabulary, far above GLM-4's 209
	maxHoles   = 1 << 10 // of one file that are looked at
)

// span is the bytes of a file, or of a tensor, from begin to end.
type span struct{ begin, end int64 }

// unfillable gives the part of a tensor that a model does not have as zeros; false if there is none.
func (c *Checkpoint) unfillable(t Tensor) (span, bool) {
	n := int64(len(t.Data))
	if n == 0 || strings.HasSuffix(t.Name, ".bias") {
		return span{}, false
	}
	if c.Config.frontNorm(t.Name) {
		return span{0, n}, true
	}
	if len(t.Shape) != 2 {
		return span{}, false
	}
	if _, _, inLayer := c.layerOf(t.Name); inLayer {
		return span{n - n/8, n}, true
	}
	for _, name := range []string{embedTokens, lmHead} {
		if strings.HasPrefix(t.Name, c.Config.place(module{name: name}).stored+".") {
			rows := int64(t.Shape[0])
			return span{n / rows * (rows - max(rows/16, min(rows/2, maxPadding))), n}, true
		}
	}
	return span{}, false
}

// frontNorm reports whether a tensor is the weight of a norm that the rest of the model sees everything through, by its
// stored name.
func (c *Config) frontNorm(name string) bool {
	f := c.family()
	return name == f.stored(finalNorm)+".weight" || slices.ContainsFunc(frontNorms, func(norm string) bool {
		return strings.HasSuffix(name, "."+f.stored(norm)+".weight")
	})
}

// checkFilled refuses a file with a hole, or with zeros at its end, where a model has none. The tensors are those of
// the file, in the order of their data. Of the content only the last one is looked at.
func (c *Checkpoint) checkFilled(tensors []Tensor, holes []span) error {
	for _, t := range tensors {
		part, ok := c.unfillable(t)
		if !ok {
			continue
		}
		// A hole ends at the blocks of the file system, which are not those of tensors.
		missing := int64(0)
		for _, h := range holes {
			missing += max(0, min(h.end, t.Offset+part.end)-max(h.begin, t.Offset+part.begin))
		}
		if 2*missing >= part.end-part.begin {
			return c.unfilled(t)
		}
	}
	for _, t := range slices.Backward(tensors) {
		if part, ok := c.unfillable(t); ok {
			if zeros(t.Data[part.begin:part.end]) {
				return c.unfilled(t)
			}
			break
		}
	}
	return nil
}

// unfilled is the error about a tensor of zeros.
func (c *Checkpoint) unfilled(t Tensor) error {
	return fmt.Errorf("%s/%s: tensor %s is zeros where a model has none: the file has its size but not all of its "+
		"content, as after a download that did not end; download it again",
		c.Dir, t.File, quote(t.Name))
}

// zeros looks at places all over the data, the last one first.
func zeros(data []byte) bool {
	for i := range zeroProbes {
		end := len(data) - len(data)/zeroProbes*i
		if slices.ContainsFunc(data[max(0, end-zeroProbe):end], func(b byte) bool { return b != 0 }) {
			return false
		}
	}
	return true
}

// holes gives the parts of the file that were never written; none where it was not mapped or the file system does not
// tell.
func (r *region) holes() []span {
	var holes []span
	for at, size := int64(0), int64(len(r.data)); r.file != nil && at < size && len(holes) < maxHoles; {
		hole, err := r.file.Seek(at, unix.SEEK_HOLE)
		if err != nil || hole >= size {
			break
		}
		if at, err = r.file.Seek(hole, unix.SEEK_DATA); err != nil {
			at = size // a hole to the end
		}
		holes = append(holes, span{hole, at})
	}
	return holes
}
