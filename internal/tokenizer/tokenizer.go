// Package tokenizer turns text into the token ids of a GLM-4 checkpoint and back.
//
// It is a byte-level BPE (byte pair encoding) tokenizer and reads the two files in which GLM-4 is published:
// tokenizer.json of Hugging Face and the original tokenizer.model in tiktoken's text format.
//
//	tok, err := tokenizer.Load(ctx, os.DirFS(dir), dir, control)
//	ids := tok.Encode("Why is the sky blue?")
//	text := tok.Decode(ids)
//
// A text goes through four stages, one file each:
//
//   - matcher.go finds added tokens such as <|user|>, only in [Tokenizer.EncodeWithSpecials];
//   - split.go cuts the rest into pieces: words, numbers, punctuation, white space;
//   - vocabulary.go looks up a whole piece;
//   - bpe.go builds the pieces that are no token from their bytes, by the merges of merges.go, and longpiece.go
//     the long ones.
//
// [Tokenizer.Encode] never returns a control token, whatever the text holds, so it is the one for text that a user
// typed. The ids are those of Hugging Face tokenizers (of tiktoken for tokenizer.model). Any byte string can be
// encoded, valid UTF-8 or not, and [Tokenizer.DecodeBytes] gives the same bytes back.
package tokenizer

import (
	"maps"
	"slices"
	"strings"
)

// Tokenizer holds a vocabulary and its merges. It is safe for concurrent use.
type Tokenizer struct {
	vocabulary *vocabulary
	merges     *merges
	added      *addedTokens
	splitter   splitter
	nfc        bool    // text is brought into Unicode normalisation form C first
	wholeFirst bool    // a piece that is a token is that token, whether or not merges lead to it
	prefix     []int32 // what the post-processor writes before a text
	reachable  reachability
}

// Size is one more than the highest id. The rows of a model's head from here on are padding.
func (t *Tokenizer) Size() int { return len(t.vocabulary.spans) }

// Prefix returns the ids that belong before a plain text, [gMASK] <sop> for GLM-4. It is empty where the file names
// none. A rendered chat template holds them already.
func (t *Tokenizer) Prefix() []int32 { return append([]int32(nil), t.prefix...) }

// Special returns the id of an added token, such as "<|user|>".
func (t *Tokenizer) Special(name string) (int32, bool) {
	id, ok := t.added.ids[name]
	return id, ok
}

// Specials returns the texts of all added tokens, sorted.
func (t *Tokenizer) Specials() []string { return slices.Sorted(maps.Keys(t.added.ids)) }

// IsSpecial tells whether id is a control token: an added token that the file calls special.
func (t *Tokenizer) IsSpecial(id int32) bool { return t.added.special[id] }

// Token returns a token's text as tokenizer.json spells it: each byte as one character of the byte-level alphabet,
// a space as Ġ. The text of an added token is its content.
func (t *Tokenizer) Token(id int32) (string, bool) {
	if !t.vocabulary.has(id) {
		return "", false
	}
	token := t.vocabulary.token(id)
	if t.added.has(id) {
		return token, true
	}
	var spelled strings.Builder
	for i := range len(token) {
		spelled.WriteRune(byteToRune[token[i]])
	}
	return spelled.String(), true
}

// TokenBytes returns a copy of the bytes that a token stands for, nil for an unknown id.
func (t *Tokenizer) TokenBytes(id int32) []byte {
	if !t.vocabulary.has(id) {
		return nil
	}
	return []byte(t.vocabulary.token(id))
}
