package model

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/glm4-metal/glm4-metal/internal/jsonmask"
	"github.com/glm4-metal/glm4-metal/internal/tokenizer"
)

// maxCallDepth is how deep the objects and arrays of a forced call may be within each other.
const maxCallDepth = 64

// callMasks knows which ids may come at each place of a JSON object. For most ids that depends on the innermost
// container alone: these are one set for each of the few kinds of places (jsonmask.Local), made when the first call
// comes there. The zero callMasks belongs to the Text that holds it and is safe for concurrent use.
type callMasks struct {
	once   sync.Once
	tokens []maskToken // in the order of their bytes
	plain  []maskToken // of these, what changes nothing within a string
	others []maskToken
	nested int // the most brackets that open in one token
	mu     sync.Mutex
	sets   map[jsonmask.Local]*localSet
}

// maskToken is a token that is text.
type maskToken struct {
	text   string
	id     int32
	shared int // bytes that it begins with as the token before it does
}

// localSet is what may come at a kind of place.
type localSet struct {
	allowed idSet
	// depends are the tokens for which the containers around the innermost one count, or how many there are, or a
	// number's digits.
	depends []maskToken
}

// idSet is a set of ids, a bit for each.
type idSet []uint64

func newIDSet(size int) idSet { return make(idSet, (size+63)/64) }

func (s idSet) add(id int32) { s[id/64] |= 1 << (id % 64) }

func (s idSet) remove(id int32) { s[id/64] &^= 1 << (id % 64) }

// mask forbids every id that is not in the set.
func (s idSet) mask(logits []float32) {
	forbidden := float32(math.Inf(-1))
	for i := 0; i < len(logits); i += 64 {
		part := logits[i:min(i+64, len(logits))]
		word := uint64(0)
		if i/64 < len(s) {
			word = s[i/64]
		}
		if bits.OnesCount64(word) <= 32 {
			var kept [64]float32
			for w := word; w != 0; w &= w - 1 {
				if j := bits.TrailingZeros64(w); j < len(part) {
					kept[j] = part[j]
				}
			}
			for j := range part {
				part[j] = forbidden
			}
			for w := word; w != 0; w &= w - 1 {
				if j := bits.TrailingZeros64(w); j < len(part) {
					part[j] = kept[j]
				}
			}
			continue
		}
		for w := ^word; w != 0; w &= w - 1 {
			if j := bits.TrailingZeros64(w); j < len(part) {
				part[j] = forbidden
			}
		}
	}
}

// init reads the vocabulary.
func (m *callMasks) init(t *tokenizer.Tokenizer) {
	m.once.Do(func() {
		for id := range int32(t.Size()) {
			if text := string(t.DecodeBytes([]int32{id})); text != "" && !t.IsSpecial(id) {
				m.tokens = append(m.tokens, maskToken{text: text, id: id})
			}
		}
		m.order()
	})
}

func (m *callMasks) order() {
	slices.SortFunc(m.tokens, func(a, b maskToken) int { return cmp.Compare(a.text, b.text) })
	for _, t := range m.tokens {
		m.nested = max(m.nested, strings.Count(t.text, "{")+strings.Count(t.text, "["))
		if isPlain(t.text) {
			m.plain = append(m.plain, t)
		} else {
			m.others = append(m.others, t)
		}
	}
	share(m.tokens)
	share(m.others)
	m.sets = map[jsonmask.Local]*localSet{}
}

func isPlain(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return r < ' ' || r == '"' || r == '\\'
	})
}

// share fills in what sorted tokens have in common.
func share(tokens []maskToken) {
	for i := 1; i < len(tokens); i++ {
		tokens[i].shared = sharedPrefix(tokens[i-1].text, tokens[i].text)
	}
}

func sharedPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// eachToken calls accept for each token that step takes whole, with the state behind it.
func eachToken[S any](tokens []maskToken, start S, step func(S, byte) (S, bool), accept func(maskToken, S)) {
	states := []S{start} // behind each byte of the last token, as far as it was taken
	for _, t := range tokens {
		if t.shared >= len(states) {
			continue // it begins with what was not taken
		}
		states = states[:t.shared+1]
		for len(states) <= len(t.text) {
			next, ok := step(states[len(states)-1], t.text[len(states)-1])
			if !ok {
				break
			}
			states = append(states, next)
		}
		if len(states) > len(t.text) {
			accept(t, states[len(t.text)])
		}
	}
}

// local gives what may come at the kind of place where a state is.
func (m *callMasks) local(s jsonmask.State, size int) *localSet {
	m.mu.Lock()
	defer m.mu.Unlock()
	if set := m.sets[s.Local()]; set != nil {
		return set
	}
	type place struct {
		state   jsonmask.State
		outside bool // beyond the innermost container
		unknown bool
		counts  bool // some container was opened, or a number has more digits
	}
	set, depth := &localSet{allowed: newIDSet(size)}, s.Depth()
	step := func(p place, c byte) (place, bool) {
		switch {
		case p.unknown:
			return p, true
		case p.outside:
			p.unknown = true
			return p, true
		}
		var ok bool
		p.state, ok = p.state.Step(c)
		p.outside = p.state.Depth() < depth
		p.counts = p.counts || p.state.Depth() > depth || p.state.InNumber()
		return p, ok
	}
	eachToken(m.walked(s, set.allowed), place{state: s}, step, func(t maskToken, p place) {
		if p.unknown || p.counts {
			set.depends = append(set.depends, t)
		} else {
			set.allowed.add(t.id)
		}
	})
	m.sets[s.Local()] = set
	return set
}

// walked gives the tokens that are to be looked at in a state, and puts into the set those that are not.
func (m *callMasks) walked(s jsonmask.State, set idSet) []maskToken {
	if !s.AtCharacter() {
		return m.tokens
	}
	for _, t := range m.plain {
		set.add(t.id)
	}
	return m.others
}

// object puts into the set what may come at a place in an object.
func (m *callMasks) object(s jsonmask.State, set idSet) {
	local := m.local(s, len(set)*64)
	copy(set, local.allowed)
	for _, t := range local.depends {
		if _, ok := objectText(s, t.text); ok {
			set.add(t.id)
		}
	}
}

// ending is object with as much as leaves the rest of the object no longer than some bytes, or at least shorter than it
// is.
func (m *callMasks) ending(s jsonmask.State, missing int, set idSet) {
	if s.Missing() > missing {
		missing = s.Missing() - 1 // there was no room from the beginning
	}
	tokens := m.tokens
	if s.Missing() <= missing {
		tokens = m.walked(s, set)
	}
	eachToken(tokens, s, objectByte, func(t maskToken, s jsonmask.State) {
		if s.Missing() <= missing {
			set.add(t.id)
		}
	})
}

// objectByte is Step within what a forced call may be.
func objectByte(s jsonmask.State, c byte) (jsonmask.State, bool) {
	s, ok := s.Step(c)
	return s, ok && s.Depth() <= maxCallDepth && !s.Extreme()
}

// objectText is objectByte for each byte of a text.
func objectText(s jsonmask.State, text string) (jsonmask.State, bool) {
	ok := true
	for i := 0; i < len(text) && ok; i++ {
		s, ok = objectByte(s, text[i])
	}
	return s, ok
}

// withoutBlanks takes out of the set what begins with white space.
func (m *callMasks) withoutBlanks(set idSet) {
	for _, blank := range []string{" ", "\t", "\n", "\r"} {
		at, _ := slices.BinarySearchFunc(m.tokens, blank, func(t maskToken, text string) int {
			return cmp.Compare(t.text, text)
		})
		for ; at < len(m.tokens) && m.tokens[at].text[0] == blank[0]; at++ {
			set.remove(m.tokens[at].id)
		}
	}
}
