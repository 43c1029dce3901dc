package tokenizer

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Up to this many bytes, a scan over all pairs is faster than a heap of them.
const shortPiece = 96

// appendPiece appends the tokens of one piece of the split.
func (t *Tokenizer) appendPiece(dst []int32, piece string) []int32 {
	if len(piece) == 1 {
		return append(dst, t.merges.byteID[piece[0]])
	}
	id, whole := t.vocabulary.lookup(piece)
	if !whole {
		return t.merges.append(dst, piece)
	}
	if t.wholeFirst {
		return append(dst, id)
	}
	// Merges need not lead to a token just because the vocabulary has it. What they lead to is found out once for each token.
	known, reached := t.reachable.get(id)
	if known && reached {
		return append(dst, id)
	}
	start := len(dst)
	dst = t.merges.append(dst, piece)
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

// append appends the tokens of a piece of at least two bytes: starting from its bytes, the pair of lowest rank is merged,
// the leftmost of several, until no pair merges.
func (m *merges) append(dst []int32, piece string) []int32 {
	if len(piece) <= shortPiece {
		return m.appendShort(dst, piece)
	}
	return m.appendLong(dst, piece)
}

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

// longPiece is the memory of appendLong: a linked list of symbols and a heap of pairs.
type longPiece struct {
	start   []int32
	symbols []symbol
	heap    []uint64 // rank<<32 | index of the left symbol, lowest first
}

type symbol struct {
	id         int32
	prev, next int32  // -1 at the ends
	rank       uint32 // of this symbol and the next; a heap entry with another rank is out of date
}

var longPieces = sync.Pool{New: func() any { return new(longPiece) }}

// keptSymbols bounds the memory that stays in the pool, about 1.5 MB each.
const keptSymbols = 1 << 16

// appendLong takes time in proportion to n log n.
func (m *merges) appendLong(dst []int32, piece string) []int32 {
	l := longPieces.Get().(*longPiece)
	dst = l.merge(dst, piece, m)
	if len(piece) <= keptSymbols {
		longPieces.Put(l)
	}
	return dst
}

func (l *longPiece) merge(dst []int32, piece string, m *merges) []int32 {
	l.start = slices.Grow(l.start[:0], len(piece))[:len(piece)]
	n, _ := m.start(l.start, piece)
	l.symbols, l.heap = l.symbols[:0], l.heap[:0]
	for i, id := range l.start[:n] {
		s := symbol{id: id, prev: int32(i - 1), next: int32(i + 1), rank: noRank}
		if i < n-1 {
			s.rank = m.rank(id, l.start[i+1])
		} else {
			s.next = -1
		}
		l.symbols = append(l.symbols, s)
		if s.rank != noRank {
			l.heap = append(l.heap, uint64(s.rank)<<32|uint64(i))
		}
	}
	for i := len(l.heap)/2 - 1; i >= 0; i-- {
		l.down(i)
	}
	for len(l.heap) > 0 {
		top := l.heap[0]
		left := int32(uint32(top))
		s := &l.symbols[left]
		if s.rank != uint32(top>>32) {
			l.pop()
			continue
		}
		right := &l.symbols[s.next]
		s.id = m.result[s.rank]
		s.next = right.next
		right.rank = noRank // an entry of the symbol that is gone is out of date
		s.rank = noRank
		if s.next >= 0 {
			l.symbols[s.next].prev = left
			s.rank = m.rank(s.id, l.symbols[s.next].id)
		}
		if s.rank != noRank {
			l.heap[0] = uint64(s.rank)<<32 | uint64(left)
			l.down(0)
		} else {
			l.pop()
		}
		if s.prev >= 0 {
			before := &l.symbols[s.prev]
			before.rank = m.rank(before.id, s.id)
			if before.rank != noRank {
				l.push(uint64(before.rank)<<32 | uint64(s.prev))
			}
		}
	}
	for i := int32(0); i >= 0; i = l.symbols[i].next {
		dst = append(dst, l.symbols[i].id)
	}
	return dst
}

func (l *longPiece) push(entry uint64) {
	l.heap = append(l.heap, entry)
	i := len(l.heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if l.heap[parent] <= entry {
			break
		}
		l.heap[i] = l.heap[parent]
		i = parent
	}
	l.heap[i] = entry
}

func (l *longPiece) pop() {
	last := len(l.heap) - 1
	l.heap[0] = l.heap[last]
	l.heap = l.heap[:last]
	if last > 0 {
		l.down(0)
	}
}

func (l *longPiece) down(i int) {
	heap := l.heap
	entry := heap[i]
	for {
		child := 2*i + 1
		if child >= len(heap) {
			break
		}
		if child+1 < len(heap) && heap[child+1] < heap[child] {
			child++
		}
		if entry <= heap[child] {
			break
		}
		heap[i] = heap[child]
		i = child
	}
	heap[i] = entry
}
