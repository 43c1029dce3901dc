package tokenizer

import "sync/atomic"

// Up to this many bytes, a scan over all pairs is faster than a heap of them.
const shortPiece = 96

// appendPiece appends the tokens of one piece of the split, which has at most shortPiece bytes.
func (t *Tokenizer) appendPiece(dst []int32, piece string) []int32 {
	if len(piece) == 1 {
		return append(dst, t.merges.byteID[piece[0]])
	}
	id, found := t.vocabulary.lookup(piece)
	if !found {
		return t.merges.appendShort(dst, piece)
	}
	if t.wholeFirst {
		return append(dst, id)
	}
	// Merges need not lead to a token just because the vocabulary has it. What they lead to is found out once for each
	// token.
	known, reached := t.reachable.get(id)
	if known && reached {
		return append(dst, id)
	}
	start := len(dst)
	dst = t.merges.appendShort(dst, piece)
	if !known {
		t.reachable.set(id, len(dst) == start+1)
	}
	return dst
}

// reachability remembers for each token whether merges make it out of its own bytes: two bits, known and reached.
type reachability []uint32

func newReachability(tokens int) reachability { return make(reachability, tokens/16+1) }

func (r reachability) get(id int32) (known, reached bool) {
	bits := atomic.LoadUint32(&r[id/16]) >> (id % 16 * 2)
	return bits&1 != 0, bits&2 != 0
}

func (r reachability) set(id int32, reached bool) {
	bits := uint32(1)
	if reached {
		bits |= 2
	}
	atomic.OrUint32(&r[id/16], bits<<(id%16*2))
}

// appendShort appends the tokens of a piece of at least two bytes, and at most shortPiece: starting from its bytes, the
// pair of lowest rank is merged, the leftmost of several, until no pair merges.
func (m *merges) appendShort(dst []int32, piece string) []int32 {
	var symbols [shortPiece]int32
	var ranks [shortPiece]uint32 // of symbol i and i+1
	n, bytes := m.start(symbols[:], piece)
	for i := range n - 1 {
		if bytes {
			ranks[i] = m.bytePair[int(piece[i])<<8|int(piece[i+1])]
		} else {
			ranks[i] = m.rank(symbols[i], symbols[i+1])
		}
	}
	for n > 1 {
		at, lowest := 0, uint32(noRank)
		for i, rank := range ranks[:n-1] {
			if rank < lowest {
				at, lowest = i, rank
			}
		}
		if lowest == noRank {
			break
		}
		symbols[at] = m.result[lowest]
		copy(symbols[at+1:n-1], symbols[at+2:n])
		if at < n-2 {
			copy(ranks[at:n-2], ranks[at+1:n-1])
			ranks[at] = m.rank(symbols[at], symbols[at+1])
		}
		n--
		if at > 0 {
			ranks[at-1] = m.rank(symbols[at-1], symbols[at])
		}
	}
	return append(dst, symbols[:n]...)
}
