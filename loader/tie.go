package loader

import (
	"bytes"
	"context"
	"fmt"
)

// decideTie settles what tie_word_embeddings: true means beside an lm_head in the weights: it holds if both have the
// same content; a head of its own is used as such, which a note tells. transformers 5 decides the same way (tie_weights
// in modeling_utils.py); version 4 ties in any case.
func (c *Checkpoint) decideTie(ctx context.Context) error {
	if !c.Config.TieEmbeddings {
		return nil
	}
	head, embed := c.Config.place(module{name: lmHead}).stored, c.Config.place(module{name: embedTokens}).stored
	if _, ok := c.stored[head+".weight"]; !ok {
		return nil
	}
	for _, part := range []string{".weight", ".scales", ".biases"} {
		h, isHead := c.stored[head+part]
		e, isEmbed := c.stored[embed+part]
		same := isHead == isEmbed && h.DType == e.DType
		if same {
			var err error
			if same, err = equal(ctx, h.Data, e.Data); err != nil {
				return err
			}
		}
		if !same {
			c.Config.TieEmbeddings = false
			c.notes = append(c.notes,
				fmt.Sprintf("%s: tie_word_embeddings is true in config.json, but %s.weight differs from %s.weight; they are not "+
					"tied, as in transformers", c.Dir, head, embed))
			return nil
		}
	}
	return nil
}

// equal compares two pieces of memory. It looks at samples first, so that most different ones are told without reading
// all their pages.
func equal(ctx context.Context, a, b []byte) (bool, error) {
	const samples, sample, piece = 16, 4 << 10, 8 << 20
	if len(a) != len(b) {
		return false, nil
	}
	for i := range samples {
		at := len(a) / samples * i
		if end := min(at+sample, len(a)); !bytes.Equal(a[at:end], b[at:end]) {
			return false, nil
		}
	}
	for at := 0; at < len(a); at += piece {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if end := min(at+piece, len(a)); !bytes.Equal(a[at:end], b[at:end]) {
			return false, nil
		}
	}
	return true, nil
}
