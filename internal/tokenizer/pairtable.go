package tokenizer

import (
	"math/bits"
	"math/rand/v2"
)

// noRank is the rank of a pair that is not in the table: higher than any.
const noRank = 1<<22 - 1

// freeSlot can be no entry: ids are below maxTokens.
const freeSlot = ^uint64(0)

// pairTable maps two numbers below maxTokens to one below noRank.
type pairTable struct {
	// slots is an open-addressing table of left<<43 | right<<22 | rank.
	slots []uint64
	shift int
	// factor is odd and another one in each table, so that no file can be made of pairs that collide. Source:
	// Dietzfelbinger et al., A reliable randomized algorithm for the closest-pair problem, Journal of Algorithms 25, 1997,
	// section 2.
	factor uint64
}

// newPairTable makes a table for at most n pairs. Most pairs that are looked up are not in it, which is found fastest
// in a table with much room.
func newPairTable(n int) pairTable {
	t := pairTable{slots: make([]uint64, tableSize(2*n)), factor: rand.Uint64() | 1}
	t.shift = 65 - bits.Len(uint(len(t.slots)))
	for i := range t.slots {
		t.slots[i] = freeSlot
	}
	return t
}

func (t *pairTable) slot(key uint64) uint64 { return key * t.factor >> t.shift }

// put sets the rank of a pair.
func (t *pairTable) put(left, right int32, rank uint32) {
	key := uint64(left)<<21 | uint64(right)
	i := t.slot(key)
	for t.slots[i] != freeSlot && t.slots[i]>>22 != key {
		i = (i + 1) & uint64(len(t.slots)-1)
	}
	t.slots[i] = key<<22 | uint64(rank)
}

// rank returns the rank of a pair, noRank when it has none.
func (t *pairTable) rank(left, right int32) uint32 {
	key := uint64(left)<<21 | uint64(right)
	for i := t.slot(key); ; i = (i + 1) & uint64(len(t.slots)-1) {
		entry := t.slots[i]
		if entry>>22 == key {
			return uint32(entry & noRank)
		}
		if entry == freeSlot {
			return noRank
		}
	}
}
