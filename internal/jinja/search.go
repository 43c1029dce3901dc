package jinja

import "strings"

// find is the offset in bytes of part in s, or -1.
func (e *evaluator) find(s, part string) (int, error) {
	f, err := e.newFinder(part)
	if err != nil {
		return -1, err
	}
	return f.next(s)
}

// finder looks for a text in linear time, whatever the two are.
type finder struct {
	budget *budget
	part   string
	// borders is the table of Knuth, Morris and Pratt: the length of the longest proper prefix of part[:i+1] that is also
	// its suffix. Short parts do without.
	borders []int32
}

const shortPart = 32

func (e *evaluator) newFinder(part string) (*finder, error) {
	f := &finder{budget: &e.budget, part: part}
	if len(part) <= shortPart {
		return f, nil
	}
	if err := e.budget.pay(len(part)/4, 4*len(part)); err != nil {
		return nil, err
	}
	f.borders = make([]int32, len(part))
	for i, k := 1, 0; i < len(part); i++ {
		for k > 0 && part[i] != part[k] {
			k = int(f.borders[k-1])
		}
		if part[i] == part[k] {
			k++
		}
		f.borders[i] = int32(k)
	}
	return f, nil
}

// next is the offset of the first occurrence, or -1. It looks at growing windows, so that no more is paid for than what
// it looks at.
func (f *finder) next(s string) (int, error) {
	k, from := 0, 0
	for window := 256; ; window *= 2 {
		to := min(from+window, len(s))
		if err := f.budget.payScan(to - from); err != nil {
			return -1, err
		}
		if f.borders == nil {
			// The windows overlap by what an occurrence needs.
			if at := strings.Index(s[from:to], f.part); at >= 0 {
				return from + at, nil
			}
			if to == len(s) {
				return -1, nil
			}
			from = to - max(len(f.part)-1, 0)
			continue
		}
		for i := from; i < to; i++ {
			for k > 0 && s[i] != f.part[k] {
				k = int(f.borders[k-1])
			}
			if s[i] == f.part[k] {
				k++
			}
			if k == len(f.part) {
				return i + 1 - k, nil
			}
		}
		if from = to; to == len(s) {
			return -1, nil
		}
	}
}
