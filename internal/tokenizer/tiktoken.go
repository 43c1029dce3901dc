package tokenizer

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"iter"
	"strconv"
)

// Control are the control tokens that a tokenizer.model leaves to those who know its family.
type Control struct {
	Tokens []string // in the order of their ids, which follow the ranks
	Prefix []string // of these, what belongs before a plain text
}

// These bound the work of impliedMerges. The longest real tokens have some 100 bytes, and two pairs make each on
// average.
const (
	maxTiktokenToken = 512
	maxTiktokenPairs = 1 << 22
)

// parseTiktokenModel reads GLM-4's original tokenizer.model: a line for each token, its bytes in base64, a space, and
// its rank, which is its id. Merges are not listed: any two tokens that make a third merge, the one of lowest rank
// first. Source: load_tiktoken_bpe of https://github.com/openai/tiktoken
func parseTiktokenModel(ctx context.Context, data []byte, control Control) (*Tokenizer, error) {
	builder := &vocabularyBuilder{text: make([]byte, 0, len(data)/2), special: map[int32]bool{}}
	for number := 1; len(data) > 0; number++ {
		var line []byte
		line, data, _ = bytes.Cut(data, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			continue
		}
		if number%tokensBetweenLooks == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		if err := addTiktokenLine(builder, line); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	ranks := len(builder.spans)
	if ranks == 0 {
		return nil, fmt.Errorf("the file is empty; download it again")
	}
	listed := make([]listedToken, len(control.Tokens))
	for i, name := range control.Tokens {
		listed[i] = listedToken{id: int32(ranks + i), content: name, special: true}
	}
	if err := placeAddedTokens(builder, listed); err != nil {
		return nil, err
	}
	t := &Tokenizer{wholeFirst: true, splitter: newSplitter(3)}
	var err error
	if t.added, err = newAddedTokens(listed, false); err != nil {
		return nil, err
	}
	for _, name := range control.Prefix {
		t.prefix = append(t.prefix, t.added.ids[name])
	}
	if t.vocabulary, err = builder.build(ctx); err != nil {
		return nil, err
	}
	if t.merges, err = impliedMerges(ctx, t.vocabulary, ranks); err != nil {
		return nil, err
	}
	t.reachable = newReachability(t.Size())
	return t, nil
}

func addTiktokenLine(b *vocabularyBuilder, line []byte) error {
	encoded, rank, ok := bytes.Cut(line, []byte(" "))
	if !ok {
		return fmt.Errorf("%.40q; expected a token in base64, a space and its rank (a SentencePiece model is not supported)",
			line)
	}
	id, err := strconv.ParseUint(string(rank), 10, 31)
	if err != nil {
		return fmt.Errorf("rank %.40q; expected an integer of at least 0", rank)
	}
	start := len(b.text)
	text, err := base64.StdEncoding.AppendDecode(b.text, encoded)
	if err != nil {
		return fmt.Errorf("token %.40q is not base64: %w", encoded, err)
	}
	if len(text)-start > maxTiktokenToken {
		return fmt.Errorf("token of %d bytes; at most %d are supported", len(text)-start, maxTiktokenToken)
	}
	b.text = text
	return b.add(int(id), start)
}

// impliedMerges finds the pairs of tokens that make up another.
func impliedMerges(ctx context.Context, v *vocabulary, ranks int) (*merges, error) {
	var pairs []mergePair
	results := make([]int32, ranks)
	for id := range int32(ranks) {
		if id%tokensBetweenLooks == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		results[id] = id
		for left, right := range v.halves(id) {
			pairs = append(pairs, mergePair{left, right, uint32(id)})
		}
		if len(pairs) > maxTiktokenPairs {
			return nil, fmt.Errorf("more than %d pairs of tokens make up another; no more are supported", maxTiktokenPairs)
		}
	}
	return newMerges(ctx, pairs, results, v)
}

// halves yields the pairs of tokens that make up another.
func (v *vocabulary) halves(id int32) iter.Seq2[int32, int32] {
	return func(yield func(left, right int32) bool) {
		token := v.token(id)
		for i := 1; i < len(token); i++ {
			left, ok := v.lookup(token[:i])
			if !ok {
				continue
			}
			if right, ok := v.lookup(token[i:]); ok && !yield(left, right) {
				return
			}
		}
	}
}
