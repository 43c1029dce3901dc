package tokenizer

import "context"

// merges says which two neighbouring tokens become one, and in which order: lowest rank first.
type merges struct {
	pairTable         // ranks
	result    []int32 // by rank

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
// as in the tokenizers library. All ranks must be below noRank.
func newMerges(ctx context.Context, pairs []mergePair, results []int32, v *vocabulary) (*merges, error) {
	m := &merges{pairTable: newPairTable(len(pairs)), result: results, bytePair: make([]uint32, 1<<16)}
	for i, p := range pairs {
		if i%tokensBetweenLooks == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		m.put(p.left, p.right, p.rank)
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

// start writes the symbols that the merging of a piece starts from, one for each byte or character, and returns how
// many there are and whether all are bytes. There must be room for len(piece).
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
