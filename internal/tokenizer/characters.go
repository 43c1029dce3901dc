package tokenizer

import "unicode/utf8"

// A Chinese word is a piece of some 30 bytes of which BPE makes 10 characters before much else happens. Starting from
// the characters instead gives the same tokens where all merges that make the character out of its bytes come before
//
//  1. any that joins a part of it to a neighbour: so its bytes merge with each other and with nothing else until the
//     character is whole, as a merge of theirs is always there and comes first;
//  2. any that joins the whole of it to a neighbour: so having it whole too early puts no merge before its turn.
//
// The first is checked for neighbours beyond ASCII: merges of a space and the first byte of a character are common.
const (
	firstCharacter = 0x3000 // CJK punctuation, kana, ideographs, hangul: all of three bytes
	lastCharacter  = 0xD7FF
)

// characters holds the token id + 1 of each character to start from, by code point - firstCharacter; 0 for the others.
type characters []int32

// at returns the token of the character at piece[i], if one may start from it there.
func (c characters) at(piece string, i int) (id int32, ok bool) {
	if len(c) == 0 || piece[i] < 0xE3 || i+2 >= len(piece) || i > 0 && piece[i-1] < utf8.RuneSelf || i+3 < len(piece) &&
		piece[i+3] < 0xC0 {
		return 0, false
	}
	r, size := utf8.DecodeRuneInString(piece[i:])
	if size != 3 || r < firstCharacter || r > lastCharacter {
		return 0, false
	}
	id = c[r-firstCharacter]
	return id - 1, id > 0
}

// newCharacters finds the characters for which both conditions hold.
func newCharacters(pairs []mergePair, m *merges, v *vocabulary) characters {
	// The lowest ranks of a merge that joins the first one or two bytes of a character to what is before it, the last ones
	// to what follows, and a whole token to anything.
	before, after := newPartRanks(), newPartRanks()
	whole := make([]uint32, len(v.spans))
	for i := range whole {
		whole[i] = noRank
	}
	for _, p := range pairs {
		left, right := v.token(p.left), v.token(p.right)
		if left[len(left)-1] >= utf8.RuneSelf {
			before.lower(right, p.rank)
		}
		if right[0] >= 0xC0 {
			after.lower(left, p.rank)
		}
		whole[p.left] = min(whole[p.left], p.rank)
		whole[p.right] = min(whole[p.right], p.rank)
	}
	table := make(characters, lastCharacter-firstCharacter+1)
	for r := rune(firstCharacter); r <= lastCharacter; r++ {
		text := string(r)
		id, last, ok := m.character(text)
		if ok && last < min(before.of(text[:1]), before.of(text[:2]), after.of(text[1:]), after.of(text[2:]), whole[id]) {
			table[r-firstCharacter] = id + 1
		}
	}
	return table
}

// character returns the token that BPE makes of a character of three bytes, and the higher rank of the two merges.
func (m *merges) character(text string) (id int32, rank uint32, ok bool) {
	first, second, third := m.byteID[text[0]], m.byteID[text[1]], m.byteID[text[2]]
	left, right := m.rank(first, second), m.rank(second, third)
	if left == noRank && right == noRank {
		return 0, 0, false
	}
	var last uint32
	if left <= right {
		last = m.rank(m.result[left], third)
	} else {
		last = m.rank(first, m.result[right])
	}
	if last == noRank {
		return 0, 0, false
	}
	return m.result[last], max(last, min(left, right)), true
}

// partRanks holds a rank for each text of one or two bytes.
type partRanks struct {
	one [1 << 8]uint32
	two []uint32
}

func newPartRanks() *partRanks {
	p := &partRanks{two: make([]uint32, 1<<16)}
	for i := range p.one {
		p.one[i] = noRank
	}
	for i := range p.two {
		p.two[i] = noRank
	}
	return p
}

func (p *partRanks) lower(part string, rank uint32) {
	switch len(part) {
	case 1:
		p.one[part[0]] = min(p.one[part[0]], rank)
	case 2:
		i := int(part[0])<<8 | int(part[1])
		p.two[i] = min(p.two[i], rank)
	}
}

func (p *partRanks) of(part string) uint32 {
	if len(part) == 1 {
		return p.one[part[0]]
	}
	return p.two[int(part[0])<<8|int(part[1])]
}
