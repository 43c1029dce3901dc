package tokenizer

import (
	"fmt"
	"math/bits"
)

// noRank is the rank of a pair that does not merge: higher than any.
const noRank = 1<<22 - 1

// freeSlot can be no entry: ids are below maxTokens.
const freeSlot = ^uint64(0)

// merges says which two neighbouring tokens become one, and in which order: lowest rank first.
type merges struct {
	// slots is an open-addressing table of left<<43 | right<<22 | rank.
	slots  []uint64
	shift  int
	result []int32 // by rank

	byteID   [256]int32
	bytePair []uint32 // rank of two single bytes, at first<<8 | second
	whole    characters
}

// mergePair is an entry of the table.
type mergePair struct {
	left, right int32
	rank        uint32
}

// newMerges makes the table; results are the merged tokens by rank. Of entries for the same pair the last one counts,
// as in the tokenizers library.
func newMerges(pairs []mergePair, results []int32, v *vocabulary) (*merges, error) {
	if len(results) >= noRank {
		return nil, fmt.Errorf("there are %d; at most %d are supported", len(results), noRank-1)
	}
	// Most pairs that are looked up do not merge, which is found fastest in a table with much room.
	m := &merges{slots: make([]uint64, tableSize(2*len(pairs))), result: results, bytePair: make([]uint32, 1<<16)}
	m.shift = 65 - bits.Len(uint(len(m.slots)))
	for i := range m.slots {
		m.slots[i] = freeSlot
	}
	for _, p := range pairs {
		key := uint64(p.left)<<21 | uint64(p.right)
		i := m.slot(key)
		for m.slots[i] != freeSlot && m.slots[i]>>22 != key {
			i = (i + 1) & uint64(len(m.slots)-1)
		}
		m.slots[i] = key<<22 | uint64(p.rank)
	}
	m.byteID = v.byteID
	for first := range 256 {
		for second := range 256 {
			m.bytePair[first<<8|second] = m.rank(m.byteID[first], m.byteID[second])
		}
	}
	m.whole = newCharacters(pairs, m, v)
	return m, nil
}

// start writes the symbols that the merging of a piece starts from, one for each byte or character, and returns how many
// there are and whether all are bytes. There must be room for len(piece).
func (m *merges) start(symbols []int32, piece string) (n int, bytes bool) {
	bytes = true
	for i := 0; i < len(piece); n++ {
		if piece[i] >= 0xE3 {
			if id, ok := m.whole.at(piece, i); ok {
				symbols[n] = id
				i += 3
				bytes = false
				continue
			}
		}
		symbols[n] = m.byteID[piece[i]]
		i++
	}
	return n, bytes
}

func (m *merges) slot(key uint64) uint64 { return key * 0x9E3779B97F4A7C15 >> m.shift }

// rank returns the rank of a pair, noRank when the two do not merge.
func (m *merges) rank(left, right int32) uint32 {
	key := uint64(left)<<21 | uint64(right)
	for i := m.slot(key); ; i = (i + 1) & uint64(len(m.slots)-1) {
		entry := m.slots[i]
		if entry>>22 == key {
			return uint32(entry & noRank)
		}
		if entry == freeSlot {
			return noRank
		}
	}
}
