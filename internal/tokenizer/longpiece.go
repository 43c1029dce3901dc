package tokenizer

import (
	"context"
	"slices"
	"sync"
)

// The windows of a long piece. The memory for one, some 30 KB, stays in the processor's cache.
const (
	windowBytes = 1024
	tailBytes   = 64
)

// appendLong appends the tokens of one piece of the split, of any length.
func (t *Tokenizer) appendLong(ctx context.Context, dst []int32, piece string) ([]int32, error) {
	if t.wholeFirst && len(piece) <= t.vocabulary.longest {
		if id, found := t.vocabulary.lookup(piece); found {
			return append(dst, id), nil
		}
	}
	return t.appendWindows(ctx, dst, piece, windowBytes, tailBytes)
}

// appendWindows appends the tokens that the merges make of a piece, in time in proportion to its length: window by
// window, each of which leaves the tokens in its last tail bytes to the next one, as they may be others where more text
// follows.
//
// Tokens in a row are what the merges make of their text if and only if each two neighbours are what the merges make of
// the text of the two: merges inside of two neighbours come in the same order whatever is around them, and so does the
// first one across their border, where there is one. So windows can be merged by themselves, as long as the two tokens
// stay apart where one window meets the next. Where they do not, or where a window is too small for a token to be sure,
// it is merged again, larger and from further back.
// Source: Berglund and van der Merwe, Formalizing BPE Tokenization, https://arxiv.org/abs/2309.08715. Another algorithm
// on the same ground is https://github.com/github/rust-gems/blob/main/crates/bpe/README.md
func (t *Tokenizer) appendWindows(ctx context.Context, dst []int32, piece string, window, tail int) ([]int32, error) {
	l := longPieces.Get().(*longPiece)
	defer l.release()
	first := len(dst)
	size := window
	for start := 0; ; {
		if err := ctx.Err(); err != nil {
			return dst, err
		}
		end := min(start+size, len(piece))
		at := len(dst)
		var err error
		if dst, err = l.merge(ctx, dst, piece[start:end], t.merges); err != nil {
			return dst, err
		}
		if at > first {
			before, after := t.vocabulary.length(dst[at-1]), t.vocabulary.length(dst[at])
			l.pair, err = l.merge(ctx, l.pair[:0], piece[start-before:start+after], t.merges)
			if err != nil {
				return dst, err
			}
			if !slices.Equal(l.pair, dst[at-1:at+1]) {
				var back int
				dst, back = t.dropLast(dst[:at], first, start, size)
				start, size = back, 4*max(size, start-back) // of which half, the least that is kept, ends well behind start
				continue
			}
		}
		if end == len(piece) {
			return dst, nil
		}
		sure, next := t.dropLast(dst, at, end, tail)
		if next-start < size/2 {
			dst = dst[:at]
			size *= 2
			continue
		}
		dst, start = sure, next
		size = max(window, size/2)
	}
}

// dropLast takes tokens of at least so many bytes from the end of ids, but none before first. end is where their text
// ends, before and after.
func (t *Tokenizer) dropLast(ids []int32, first, end, bytes int) ([]int32, int) {
	for stop := end - bytes; end > stop && len(ids) > first; {
		end -= t.vocabulary.length(ids[len(ids)-1])
		ids = ids[:len(ids)-1]
	}
	return ids, end
}

// longPiece is the memory of appendWindows: a linked list of symbols and a heap of pairs.
type longPiece struct {
	start   []int32
	symbols []symbol
	heap    []uint64 // rank<<32 | index of the left symbol, lowest first
	pair    []int32
}

type symbol struct {
	id         int32
	prev, next int32  // -1 at the ends
	rank       uint32 // of this symbol and the next; a heap entry with another rank is out of date
}

var longPieces = sync.Pool{New: func() any { return new(longPiece) }}

// keptSymbols bounds the memory that stays in the pool, about 1.5 MB each.
const keptSymbols = 1 << 16

func (l *longPiece) release() {
	if cap(l.start) <= keptSymbols {
		longPieces.Put(l)
	}
}

// mergesBetweenLooks are between two looks at the context, about a millisecond.
const mergesBetweenLooks = 1 << 13

// merge appends the tokens of a text, in time in proportion to n log n.
func (l *longPiece) merge(ctx context.Context, dst []int32, piece string, m *merges) ([]int32, error) {
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
	for n := 1; len(l.heap) > 0; n++ {
		if n%mergesBetweenLooks == 0 {
			if err := ctx.Err(); err != nil {
				return dst, err
			}
		}
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
	return dst, nil
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
