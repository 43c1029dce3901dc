package tokenizer

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
)

// ConvertModel makes a tokenizer.json out of the tokenizer.model in a checkpoint folder, for programs that read no
// other file; dir and control are as in [Load]. Both give the same ids but for texts where two ways to make one token
// overlap: there tiktoken takes the first in the text, and tokenizer.json can only rank one way before the other. The
// merges and their order are those of transformers' TikTokenConverter. Errors are those of Load.
func ConvertModel(ctx context.Context, fsys fs.FS, dir string, control Control) ([]byte, error) {
	data, err := readFile(fsys, dir, tiktokenName)
	if err != nil {
		return nil, err
	}
	t, err := parseTiktokenModel(ctx, data, control)
	if err == nil {
		data, err = t.convert(ctx, control)
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("%s/%s: %w", dir, tiktokenName, err)
	}
	return data, nil
}

// convert writes a tokenizer that was read from a tokenizer.model.
func (t *Tokenizer) convert(ctx context.Context, control Control) ([]byte, error) {
	ranks := len(t.vocabulary.spans) - len(control.Tokens)
	merges, err := t.listMerges(ctx, ranks)
	if err != nil {
		return nil, err
	}
	vocab := bytes.NewBufferString("{")
	for id := range int32(ranks) {
		if id > 0 {
			vocab.WriteByte(',')
		}
		spelled, _ := t.Token(id)
		fmt.Fprintf(vocab, "%s:%d", jsonText(spelled), id)
	}
	vocab.WriteByte('}')

	type object = map[string]any
	byteLevel := func(useRegex, trimOffsets bool) object {
		return object{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": trimOffsets, "use_regex": useRegex}
	}
	added := []object{}
	for i, token := range control.Tokens {
		added = append(added, object{"id": ranks + i, "content": token, "single_word": false, "lstrip": false,
			"rstrip": false, "normalized": false, "special": true})
	}
	special, prefix := object{}, []object{}
	for _, token := range control.Prefix {
		special[token] = object{"id": token, "ids": []int32{t.added.ids[token]}, "tokens": []string{token}}
		prefix = append(prefix, object{"SpecialToken": object{"id": token, "type_id": 0}})
	}
	sequence := func(id string, typeID int) object { return object{"Sequence": object{"id": id, "type_id": typeID}} }
	single := append(prefix, sequence("A", 0))
	processors := []object{byteLevel(true, false)}
	if len(prefix) > 0 {
		processors = append(processors, object{"type": "TemplateProcessing", "single": single,
			"pair": slices.Concat(single, []object{sequence("B", 1)}), "special_tokens": special})
	}
	var file bytes.Buffer
	encoder := json.NewEncoder(&file)
	encoder.SetEscapeHTML(false)
	err = encoder.Encode(object{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": added, "normalizer": nil,
		"pre_tokenizer": object{"type": "Sequence", "pretokenizers": []object{
			{"type": "Split", "pattern": object{"Regex": glmPattern}, "behavior": "Isolated", "invert": false},
			byteLevel(false, true),
		}},
		"post_processor": object{"type": "Sequence", "processors": processors},
		"decoder":        byteLevel(true, true),
		"model": object{
			"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
			"fuse_unk": false, "byte_fallback": false,
			"ignore_merges": true, // a piece that is a token is that token, as in tiktoken
			"vocab":         json.RawMessage(vocab.Bytes()), "merges": merges,
		},
	})
	return file.Bytes(), err
}

// listMerges gives all pairs of tokens that make another, in the order of the latter's ids, and then of the pairs'.
func (t *Tokenizer) listMerges(ctx context.Context, ranks int) (merges [][2]string, err error) {
	v := t.vocabulary
	for id := range int32(ranks) {
		if id%tokensBetweenLooks == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var pairs [][2]int32
		for left, right := range v.halves(id) {
			pairs = append(pairs, [2]int32{left, right})
		}
		slices.SortFunc(pairs, func(a, b [2]int32) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
		for _, pair := range pairs {
			left, _ := t.Token(pair[0])
			right, _ := t.Token(pair[1])
			merges = append(merges, [2]string{left, right})
		}
	}
	return merges, nil
}

func jsonText(text string) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // of a string cannot fail
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
