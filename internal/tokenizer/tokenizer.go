// Package tokenizer turns text into the token ids of a GLM-4 checkpoint and back.
//
// It is a byte-level BPE (byte pair encoding) tokenizer and reads the two files in which GLM-4 is published:
// tokenizer.json of Hugging Face and the original tokenizer.model in tiktoken's text format.
//
//	tok, err := tokenizer.Load(os.DirFS("GLM-4-9B-0414"))
//	ids := tok.Encode("Why is the sky blue?")
//	text := tok.Decode(ids)
//
// A text goes through four stages, one file each:
//
//   - added.go cuts out added tokens such as <|user|>, only in [Tokenizer.EncodeWithSpecials];
//   - split.go cuts the rest into pieces: words, numbers, punctuation, white space;
//   - vocabulary.go looks up a whole piece;
//   - bpe.go builds the pieces that are no token from their bytes, by the merges of merges.go.
//
// [Tokenizer.Encode] never returns a control token, whatever the text holds, so it is the one for text that a user typed.
// The ids are those of Hugging Face tokenizers (of tiktoken for tokenizer.model). Any byte string can be encoded,
// valid UTF-8 or not, and [Tokenizer.DecodeBytes] gives the same bytes back.
package tokenizer

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Names of the files that Load looks for.
const (
	jsonName     = "tokenizer.json"
	tiktokenName = "tokenizer.model"
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

// Load reads tokenizer.json, or tokenizer.model where there is none, from a checkpoint folder.
// Whatever these files ask for that this package does not do exactly as the original is an error.
func Load(fsys fs.FS) (*Tokenizer, error) {
	for _, file := range []struct {
		name  string
		parse func([]byte) (*Tokenizer, error)
	}{{jsonName, parseTokenizerJSON}, {tiktokenName, parseTiktokenModel}} {
		data, err := fs.ReadFile(fsys, file.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.name, err)
		}
		t, err := file.parse(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.name, err)
		}
		return t, nil
	}
	return nil, fmt.Errorf("no tokenizer: the folder has neither %s nor %s; download one of them from the checkpoint's page: %w", jsonName, tiktokenName, fs.ErrNotExist)
}

// Size is one more than the highest id. The rows of a model's head from here on are padding.
func (t *Tokenizer) Size() int { return len(t.vocabulary.spans) }

// Encode returns the ids of a plain text. Special tokens in it are ordinary text, and no prefix is added.
func (t *Tokenizer) Encode(text string) []int32 {
	return t.AppendEncode(nil, text)
}

// AppendEncode appends the ids of a plain text to dst, as Encode gives them.
func (t *Tokenizer) AppendEncode(dst []int32, text string) []int32 {
	return t.appendNormal(dst, t.normalise(text))
}

// normalise differs from the tokenizers library in one thing: golang.org/x/text puts U+034F into a run of more than 30
// combining marks. No GLM-4 has a normalizer.
func (t *Tokenizer) normalise(text string) string {
	if t.nfc && !norm.NFC.IsNormalString(text) {
		return norm.NFC.String(text)
	}
	return text
}

func (t *Tokenizer) appendNormal(dst []int32, text string) []int32 {
	for start := 0; start < len(text); {
		end := t.splitter.next(text, start)
		dst = t.appendPiece(dst, text[start:end])
		start = end
	}
	return dst
}

// EncodeWithSpecials returns the ids of a rendered prompt: added tokens in the text become their ids, as in
// transformers' tokenizer(text, add_special_tokens=False).
func (t *Tokenizer) EncodeWithSpecials(text string) []int32 {
	var ids []int32
	// The tokenizers library looks for tokens in the text as it is, then for others in the normalised rest.
	t.added.raw.split(text, func(text string, id int32) {
		if id >= 0 {
			ids = append(ids, id)
			return
		}
		t.added.normalised.split(t.normalise(text), func(text string, id int32) {
			if id >= 0 {
				ids = append(ids, id)
				return
			}
			ids = t.appendNormal(ids, text)
		})
	})
	return ids
}

// Prefix returns the ids that belong before a plain text, [gMASK] <sop> for GLM-4. It is empty where the file names none.
// A rendered chat template holds them already.
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
