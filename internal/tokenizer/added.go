package tokenizer

import (
	"context"
	"fmt"

	"golang.org/x/text/unicode/norm"
)

// addedTokens are the tokens that are found in a text as they are written, before BPE.
type addedTokens struct {
	ids     map[string]int32
	special map[int32]bool // an entry for each added token, true for a control token
	// raw looks at the text as it is, normalised at the rest after its normalisation.
	raw, normalised *matcher
}

func (a *addedTokens) has(id int32) bool { _, ok := a.special[id]; return ok }

// maxAddedText bounds the bytes of all added tokens together, and so the states of a matcher. GLM-4's have 200.
const maxAddedText = maxTokens

// listedToken is an element of added_tokens.
type listedToken struct {
	id                  int32
	content             string
	normalized, special bool
}

func readAddedTokens(ctx context.Context, value jsonValue) ([]listedToken, error) {
	if value.isNull() {
		return nil, nil
	}
	var listed []listedToken
	length := 0
	r := value.reader(ctx)
	var unescaped []byte
	err := r.array(func(i int) error {
		token, err := readAddedToken(r, &unescaped)
		if err != nil {
			return fmt.Errorf("[%d]%w", i, err)
		}
		if length += len(token.content); length > maxAddedText {
			return fmt.Errorf("[%d]: the texts of the added tokens have more than %d bytes together; no more are supported", i,
				maxAddedText)
		}
		listed = append(listed, token)
		return nil
	})
	return listed, err
}

// readAddedToken reads an element of added_tokens. Its errors begin with the field.
func readAddedToken(r *jsonReader, unescaped *[]byte) (token listedToken, err error) {
	token.id = -1
	err = r.object(func(key []byte) error {
		name := string(key)
		var set bool
		var err error
		switch name {
		case "id":
			var id int
			if id, err = r.int(); err == nil && id >= maxTokens {
				err = fmt.Errorf("%d; expected 0 to %d", id, maxTokens-1)
			}
			token.id = int32(id)
		case "content":
			var text []byte
			text, err = r.string(unescaped)
			token.content = string(text)
		case "normalized":
			token.normalized, err = r.bool()
		case "special":
			token.special, err = r.bool()
		case "single_word", "lstrip", "rstrip":
			if set, err = r.bool(); set {
				err = fmt.Errorf("true; this is not supported")
			}
		default:
			return fmt.Errorf(": unknown field %.80q", name)
		}
		if err != nil {
			return fmt.Errorf(".%s: %w", name, err)
		}
		return nil
	})
	switch {
	case err != nil:
	case token.id < 0:
		err = fmt.Errorf(".id is missing")
	case token.content == "":
		err = fmt.Errorf(".content is empty; a token needs a text")
	}
	return token, err
}

func newAddedTokens(listed []listedToken, nfc bool) (*addedTokens, error) {
	a := &addedTokens{ids: map[string]int32{}, special: map[int32]bool{}}
	var raw, normalised []pattern
	for i, token := range listed {
		if old, ok := a.ids[token.content]; ok {
			return nil, fmt.Errorf("[%d]: %.80q is there twice, with the ids %d and %d", i, token.content, old, token.id)
		}
		if a.has(token.id) {
			return nil, fmt.Errorf("[%d]: %.80q has id %d, which another added token has", i, token.content, token.id)
		}
		a.ids[token.content], a.special[token.id] = token.id, token.special
		switch {
		case !token.normalized:
			raw = append(raw, pattern{token.content, token.id})
		case nfc:
			normalised = append(normalised, pattern{norm.NFC.String(token.content), token.id})
		default:
			normalised = append(normalised, pattern{token.content, token.id})
		}
	}
	a.raw, a.normalised = newMatcher(raw), newMatcher(normalised)
	return a, nil
}

// placeAddedTokens adds the tokens that model.vocab does not have, and the control tokens whether it has them or not.
func placeAddedTokens(b *vocabularyBuilder, listed []listedToken) error {
	for i, token := range listed {
		if !token.special && int(token.id) < len(b.spans) && b.spans[token.id].length > 0 {
			// readVocab has seen that it is the same one, unless another has its id.
			old := b.spans[token.id]
			spelled, _ := appendAlphabet(nil, []byte(token.content))
			if string(b.text[old.start:old.start+old.length]) == string(spelled) {
				continue
			}
		}
		start := len(b.text)
		b.text = append(b.text, token.content...)
		if err := b.add(int(token.id), start); err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
		b.special[token.id] = true
	}
	return nil
}
