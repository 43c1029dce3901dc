package tokenizer

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// addedTokens are the tokens that are found in a text as they are written, before BPE.
type addedTokens struct {
	ids     map[string]int32
	special map[int32]bool // an entry for each added token, true for a control token
	// raw looks at the text as it is, normalised at the rest after its normalisation.
	raw, normalised matcher
}

func (a *addedTokens) has(id int32) bool { _, ok := a.special[id]; return ok }

// listedToken is an element of added_tokens.
type listedToken struct {
	ID         *int    `json:"id"`
	Content    *string `json:"content"`
	SingleWord bool    `json:"single_word"`
	LStrip     bool    `json:"lstrip"`
	RStrip     bool    `json:"rstrip"`
	Normalized bool    `json:"normalized"`
	Special    bool    `json:"special"`
}

func readAddedTokens(value jsonValue) ([]listedToken, error) {
	if value.isNull() {
		return nil, nil
	}
	var listed []listedToken
	decoder := json.NewDecoder(bytes.NewReader(value.text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&listed); err != nil {
		return nil, fmt.Errorf(": %w", err)
	}
	for i, token := range listed {
		switch {
		case token.ID == nil:
			return nil, fmt.Errorf("[%d].id is missing", i)
		case *token.ID < 0 || *token.ID >= maxTokens:
			return nil, fmt.Errorf("[%d].id is %d; expected 0 to %d", i, *token.ID, maxTokens-1)
		case token.Content == nil || *token.Content == "":
			return nil, fmt.Errorf("[%d].content is empty; a token needs a text", i)
		case token.SingleWord:
			return nil, fmt.Errorf("[%d].single_word is true for %q; this is not supported", i, *token.Content)
		case token.LStrip:
			return nil, fmt.Errorf("[%d].lstrip is true for %q; this is not supported", i, *token.Content)
		case token.RStrip:
			return nil, fmt.Errorf("[%d].rstrip is true for %q; this is not supported", i, *token.Content)
		}
	}
	return listed, nil
}

func newAddedTokens(listed []listedToken, nfc bool) (*addedTokens, error) {
	a := &addedTokens{ids: map[string]int32{}, special: map[int32]bool{}}
	for i, token := range listed {
		id, text := int32(*token.ID), *token.Content
		if old, ok := a.ids[text]; ok {
			return nil, fmt.Errorf("[%d]: %q is there twice, with the ids %d and %d", i, text, old, id)
		}
		if a.has(id) {
			return nil, fmt.Errorf("[%d]: %q has id %d, which another added token has", i, text, id)
		}
		a.ids[text], a.special[id] = id, token.Special
		switch {
		case !token.Normalized:
			a.raw.add(text, id)
		case nfc:
			a.normalised.add(norm.NFC.String(text), id)
		default:
			a.normalised.add(text, id)
		}
	}
	return a, nil
}

// placeAddedTokens adds the tokens that model.vocab does not have, and the control tokens whether it has them or not.
func placeAddedTokens(b *vocabularyBuilder, listed []listedToken) error {
	for i, token := range listed {
		if !token.Special && *token.ID < len(b.spans) && b.spans[*token.ID].length > 0 {
			// readVocab has seen that it is the same one, unless another has its id.
			old := b.spans[*token.ID]
			spelled, _ := appendAlphabet(nil, []byte(*token.Content))
			if string(b.text[old.start:old.start+old.length]) == string(spelled) {
				continue
			}
		}
		start := len(b.text)
		b.text = append(b.text, *token.Content...)
		if err := b.add(*token.ID, start); err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
		b.special[int32(*token.ID)] = true
	}
	return nil
}

// matcher finds added tokens in a text: the leftmost, and of those that start there the longest.
type matcher struct {
	byFirst [256][]pattern // longest first
}

type pattern struct {
	text string
	id   int32
}

func (m *matcher) add(text string, id int32) {
	first := text[0]
	m.byFirst[first] = append(m.byFirst[first], pattern{text, id})
	slices.SortFunc(m.byFirst[first], func(a, b pattern) int { return cmp.Compare(len(b.text), len(a.text)) })
}

// split calls yield with the parts of text in order: a token with its id, the text between tokens with -1.
func (m *matcher) split(text string, yield func(part string, id int32)) {
	start := 0
	for i := 0; i < len(text); {
		found := m.match(text[i:])
		if found == nil {
			i++
			continue
		}
		if start < i {
			yield(text[start:i], -1)
		}
		i += len(found.text)
		yield(found.text, found.id)
		start = i
	}
	if start < len(text) {
		yield(text[start:], -1)
	}
}

func (m *matcher) match(text string) *pattern {
	patterns := m.byFirst[text[0]]
	for i := range patterns {
		if strings.HasPrefix(text, patterns[i].text) {
			return &patterns[i]
		}
	}
	return nil
}
