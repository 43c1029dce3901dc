package tokenizer

import (
	"context"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// So many bytes of text are worked on between two looks at the context.
const (
	encodedBetweenLooks    = 1 << 14
	normalisedBetweenLooks = 1 << 16
)

// Encode returns the ids of a plain text. Special tokens in it are ordinary text, and no prefix is added.
func (t *Tokenizer) Encode(text string) []int32 {
	return t.AppendEncode(nil, text)
}

// AppendEncode appends the ids of a plain text to dst, as Encode gives them.
func (t *Tokenizer) AppendEncode(dst []int32, text string) []int32 {
	dst, _ = t.AppendEncodeContext(context.Background(), dst, text)
	return dst
}

// AppendEncodeContext appends the ids of a plain text to dst, as Encode gives them. Its only error is that of the
// context, at which it looks every few milliseconds.
func (t *Tokenizer) AppendEncodeContext(ctx context.Context, dst []int32, text string) ([]int32, error) {
	text, err := t.normalise(ctx, text)
	if err != nil {
		return dst, err
	}
	return t.appendNormal(ctx, dst, text)
}

// EncodeWithSpecials returns the ids of a rendered prompt: added tokens in the text become their ids, as in
// transformers' tokenizer(text, add_special_tokens=False).
func (t *Tokenizer) EncodeWithSpecials(text string) []int32 {
	ids, _ := t.AppendEncodeWithSpecialsContext(context.Background(), nil, text)
	return ids
}

// AppendEncodeWithSpecialsContext appends to dst what EncodeWithSpecials returns. Its only error is that of the
// context, at which it looks every few milliseconds.
func (t *Tokenizer) AppendEncodeWithSpecialsContext(ctx context.Context, dst []int32, text string) ([]int32, error) {
	var err error
	normal := func(text string, id int32) error {
		if id >= 0 {
			dst = append(dst, id)
			return nil
		}
		dst, err = t.appendNormal(ctx, dst, text)
		return err
	}
	// The tokenizers library looks for tokens in the text as it is, then for others in the normalised rest.
	err = t.added.raw.split(ctx, text, func(text string, id int32) error {
		if id >= 0 {
			dst = append(dst, id)
			return nil
		}
		if text, err = t.normalise(ctx, text); err != nil {
			return err
		}
		return t.added.normalised.split(ctx, text, normal)
	})
	return dst, err
}

// normalise may differ from the tokenizers library: golang.org/x/text puts U+034F into a run of more than 30 combining
// marks and has the tables of a Unicode version of its own. No GLM-4 has a normalizer.
func (t *Tokenizer) normalise(ctx context.Context, text string) (string, error) {
	if !t.nfc {
		return text, nil
	}
	var normal []byte // of text[:at], from where it differs on
	for at := 0; at < len(text); {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		end := boundary(text, at+normalisedBetweenLooks)
		part := text[at:end]
		switch {
		case normal != nil:
			normal = norm.NFC.AppendString(normal, part)
		case !norm.NFC.IsNormalString(part):
			normal = norm.NFC.AppendString(append(make([]byte, 0, len(text)), text[:at]...), part)
		}
		at = end
	}
	if normal == nil {
		return text, nil
	}
	return string(normal), nil
}

// boundary returns the first place from i on at which a text can be cut and its parts be normalised by themselves.
func boundary(text string, i int) int {
	for i < len(text) && !utf8.RuneStart(text[i]) {
		i++
	}
	if i >= len(text) {
		return len(text)
	}
	n := norm.NFC.FirstBoundaryInString(text[i:])
	if n < 0 {
		return len(text)
	}
	return i + n
}

// appendNormal appends the ids of a normalised text without added tokens.
func (t *Tokenizer) appendNormal(ctx context.Context, dst []int32, text string) (_ []int32, err error) {
	look := 0
	for start := 0; start < len(text); {
		if start >= look {
			if err := ctx.Err(); err != nil {
				return dst, err
			}
			look = start + encodedBetweenLooks
		}
		end := t.splitter.next(text, start)
		if piece := text[start:end]; len(piece) <= shortPiece {
			dst = t.appendPiece(dst, piece)
		} else if dst, err = t.appendLong(ctx, dst, piece); err != nil {
			return dst, err
		}
		start = end
	}
	return dst, nil
}
