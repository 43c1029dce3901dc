package tokenizer

import (
	"context"
	"slices"
)

// matcher finds added tokens in a text: the leftmost, and of those that start there the longest. It is an Aho-Corasick
// automaton of the reversed texts, which reads from right to left, so that at each place it knows the longest that
// starts there. Its time is in proportion to the text, whatever the tokens are. Source: Aho and Corasick, Efficient
// string matching: an aid to bibliographic search, CACM 18(6), 1975.
type matcher struct {
	patterns []pattern
	longest  int // bytes of the longest pattern

	// By state, which stands for the end of one or more patterns. State 0 is for the empty one.
	first [256]int32 // from state 0, by byte
	next  pairTable  // from another state, by byte
	fail  []int32    // the state of the longest shorter end that matches too
	found []int32    // index of the longest pattern that is whole there, -1 when none is
}

type pattern struct {
	text string
	id   int32
}

// newMatcher makes the automaton, state by state in the order of their length. Of equal patterns the first counts.
func newMatcher(patterns []pattern) *matcher {
	m := &matcher{patterns: patterns, fail: []int32{0}, found: []int32{-1}}
	total := 0
	for _, p := range patterns {
		m.longest = max(m.longest, len(p.text))
		total += len(p.text)
	}
	m.next = newPairTable(total)
	states := make([]int32, len(patterns))
	growing := make([]int32, len(patterns)) // those with bytes left
	for i := range growing {
		growing[i] = int32(i)
	}
	for length := 1; len(growing) > 0; length++ {
		longer := growing[:0]
		for _, i := range growing {
			text := patterns[i].text
			state := m.child(states[i], text[len(text)-length])
			states[i] = state
			if length < len(text) {
				longer = append(longer, i)
			} else if old := m.found[state]; old < 0 || len(patterns[old].text) < length {
				m.found[state] = i
			}
		}
		growing = longer
	}
	return m
}

// child returns the state of one byte more, which it makes where there is none.
func (m *matcher) child(state int32, b byte) int32 {
	child := m.get(state, b)
	if child > 0 {
		return child
	}
	child = int32(len(m.fail))
	if state == 0 {
		m.first[b] = child
		m.fail = append(m.fail, 0)
	} else {
		m.next.put(state, int32(b), uint32(child))
		m.fail = append(m.fail, m.step(m.fail[state], b))
	}
	m.found = append(m.found, m.found[m.fail[child]])
	return child
}

// get returns the state of one byte more, 0 where there is none.
func (m *matcher) get(state int32, b byte) int32 {
	if state == 0 {
		return m.first[b]
	}
	if next := m.next.rank(state, int32(b)); next != noRank {
		return int32(next)
	}
	return 0
}

// step returns the state of the longest end that matches when b comes before what state has seen.
func (m *matcher) step(state int32, b byte) int32 {
	for {
		next := m.get(state, b)
		if next > 0 || state == 0 {
			return next
		}
		state = m.fail[state]
	}
}

// searchedAtOnce is how many bytes of text are searched from right to left before the tokens in them are used.
const searchedAtOnce = 1 << 16

// split calls yield with the parts of text in order, a token with its id, the text between tokens with -1, until it or
// the context has an error.
func (m *matcher) split(ctx context.Context, text string, yield func(part string, id int32) error) error {
	start := 0 // of the text behind the last token
	var starts []patternAt
	for from := 0; from < len(text) && m.longest > 0; from += searchedAtOnce {
		if err := ctx.Err(); err != nil {
			return err
		}
		starts = m.search(starts[:0], text, from, min(from+searchedAtOnce, len(text)))
		for _, found := range slices.Backward(starts) {
			if found.at < start {
				continue
			}
			if start < found.at {
				if err := yield(text[start:found.at], -1); err != nil {
					return err
				}
			}
			p := m.patterns[found.pattern]
			if err := yield(p.text, p.id); err != nil {
				return err
			}
			start = found.at + len(p.text)
		}
	}
	if start < len(text) {
		return yield(text[start:], -1)
	}
	return nil
}

type patternAt struct {
	at      int
	pattern int32
}

// search appends the longest pattern at each place of text[from:to], the last place first.
func (m *matcher) search(dst []patternAt, text string, from, to int) []patternAt {
	state := int32(0)
	for i := min(to+m.longest-1, len(text)) - 1; i >= from; i-- {
		if state = m.step(state, text[i]); state == 0 {
			continue
		}
		if found := m.found[state]; found >= 0 && i < to {
			dst = append(dst, patternAt{i, found})
		}
	}
	return dst
}
