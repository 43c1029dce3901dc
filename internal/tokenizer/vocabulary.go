package tokenizer

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/bits"
)

// maxTokens bounds the ids so that a pair of them and a rank fit into 64 bits (merges.go).
const maxTokens = 1<<21 - 1

// tokensBetweenLooks are read, or merges, between two looks at the context.
const tokensBetweenLooks = 1 << 12

// vocabulary holds the bytes of each token, and a hash table from bytes to id.
type vocabulary struct {
	text  string // the bytes of all tokens
	spans []span // by id
	// longest is the length of the longest token in bytes.
	longest int
	// slots is an open-addressing table: the upper half of the hash in the upper 32 bits, id+1 in the lower, 0 when free.
	slots []uint64
	seed  maphash.Seed
	// byteID is the token of each single byte.
	byteID [256]int32
}

// span is a token's place in vocabulary.text. No token is empty: a length of 0 means that there is no such token.
type span struct{ start, length uint32 }

func (v *vocabulary) has(id int32) bool {
	return id >= 0 && int(id) < len(v.spans) && v.spans[id].length > 0
}

func (v *vocabulary) token(id int32) string {
	s := v.spans[id]
	return v.text[s.start : s.start+s.length]
}

// length returns the bytes of a token.
func (v *vocabulary) length(id int32) int { return int(v.spans[id].length) }

// lookup returns the id of the ordinary token that stands for text.
func (v *vocabulary) lookup(text string) (int32, bool) {
	return find(v, maphash.String(v.seed, text), text)
}

func (v *vocabulary) lookupBytes(text []byte) (int32, bool) {
	return find(v, maphash.Bytes(v.seed, text), text)
}

func find[T string | []byte](v *vocabulary, hash uint64, text T) (int32, bool) {
	mask := uint64(len(v.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		slot := v.slots[i]
		if slot == 0 {
			return 0, false
		}
		if slot>>32 == hash>>32 {
			id := int32(uint32(slot)) - 1
			if v.token(id) == string(text) {
				return id, true
			}
		}
	}
}

// vocabularyBuilder collects tokens in any order.
type vocabularyBuilder struct {
	text    []byte
	spans   []span
	special map[int32]bool // added tokens: never found by their bytes
}

// add places the token whose bytes are b.text[start:].
func (b *vocabularyBuilder) add(id int, start int) error {
	if id >= maxTokens {
		return fmt.Errorf("id %d is over the highest supported id, %d", id, maxTokens-1)
	}
	for id >= len(b.spans) {
		b.spans = append(b.spans, span{})
	}
	if old := b.spans[id]; old.length > 0 {
		return fmt.Errorf("duplicate id %d: tokens %.80q and %.80q; every token needs an id of its own", id,
			b.text[old.start:old.start+old.length], b.text[start:])
	}
	if start == len(b.text) {
		return fmt.Errorf("token of id %d is empty", id)
	}
	b.spans[id] = span{uint32(start), uint32(len(b.text) - start)}
	return nil
}

// build makes the hash table. Ids must run from 0 without a gap, and each byte must have a token.
func (b *vocabularyBuilder) build(ctx context.Context) (*vocabulary, error) {
	v := &vocabulary{text: string(b.text), spans: b.spans, seed: maphash.MakeSeed()}
	v.slots = make([]uint64, tableSize(len(b.spans)))
	mask := uint64(len(v.slots) - 1)
	for id := range int32(len(v.spans)) {
		if v.spans[id].length == 0 {
			return nil, fmt.Errorf("no token has id %d, but there are ids up to %d; ids must run from 0 without a gap", id,
				len(v.spans)-1)
		}
		if b.special[id] {
			continue
		}
		if id%tokensBetweenLooks == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		token := v.token(id)
		v.longest = max(v.longest, len(token))
		hash := maphash.String(v.seed, token)
		i := hash & mask
		for ; v.slots[i] != 0; i = (i + 1) & mask {
			if v.slots[i]>>32 == hash>>32 {
				if old := int32(uint32(v.slots[i])) - 1; v.token(old) == token {
					return nil, fmt.Errorf("duplicate token %.80q: it has the ids %d and %d", token, old, id)
				}
			}
		}
		v.slots[i] = hash>>32<<32 | uint64(id+1)
	}
	for b := range v.byteID {
		id, ok := v.lookup(string([]byte{byte(b)}))
		if !ok {
			return nil, fmt.Errorf("no token for byte 0x%02X, written %q; byte-level BPE needs all 256", b, byteToRune[b])
		}
		v.byteID[b] = id
	}
	return v, nil
}

// tableSize is a power of two that keeps an open-addressing table of n entries at most two thirds full.
func tableSize(n int) int {
	return 1 << bits.Len(uint(n+n/2+1))
}
