package main

import (
	"math/rand/v2"

	"github.com/glm4-metal/glm4-metal/internal/chatformat"
)

// specialTokens stand after the ordinary ones, in GLM-4 from id 151329 on.
var specialTokens = chatformat.FamilyOf("glm4").Control

const (
	ordinaryTokens = 151329 // of GLM-4
	minVocab       = 256 + 14
	split          = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// firstSpecial is the id of <|endoftext|>, which is smaller than GLM-4's when the vocabulary is.
func (o options) firstSpecial() int { return min(ordinaryTokens, o.vocab-len(specialTokens)) }

// endTokens are <|endoftext|>, <|user|> and <|observation|>.
func (o options) endTokens() []int {
	first := o.firstSpecial()
	return []int{first, first + 7, first + 9}
}

// tokenizer returns tokenizer.json: a byte-level BPE whose tokens are the 256 bytes and random concatenations of
// earlier tokens.
func tokenizer(o options) object {
	letters := byteLetters()
	rng := rand.New(rand.NewPCG(o.seed, 0))
	vocab := map[string]int{}
	tokens := make([]string, 0, o.firstSpecial())
	for _, l := range letters {
		vocab[l] = len(tokens)
		tokens = append(tokens, l)
	}
	merges := make([][2]string, 0, o.firstSpecial())
	for len(tokens) < o.firstSpecial() {
		// A token grows by a small letter, seldom by any byte, so that ordinary text finds some of the tokens.
		left, right := tokens[rng.IntN(len(tokens))], letters['a'+rng.IntN(26)]
		if rng.IntN(4) == 0 {
			right = letters[rng.IntN(256)]
		}
		joined := left + right
		if _, ok := vocab[joined]; ok || len(joined) > 24 {
			continue
		}
		vocab[joined] = len(tokens)
		tokens = append(tokens, joined)
		merges = append(merges, [2]string{left, right})
	}
	var added []object
	for i, s := range specialTokens {
		added = append(added, object{
			"id": o.firstSpecial() + i, "content": s, "single_word": false, "lstrip": false, "rstrip": false,
			"normalized": false, "special": true,
		})
	}
	byteLevel := func(useRegex, trim bool) object {
		return object{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": trim, "use_regex": useRegex}
	}
	special := func(s string) object { return object{"SpecialToken": object{"id": s, "type_id": 0}} }
	sequence := func(s string, typeID int) object { return object{"Sequence": object{"id": s, "type_id": typeID}} }
	prefix := func(s string, offset int) object {
		return object{"id": s, "ids": []int{o.firstSpecial() + offset}, "tokens": []string{s}}
	}
	return object{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": added, "normalizer": nil,
		"pre_tokenizer": object{"type": "Sequence", "pretokenizers": []object{
			{"type": "Split", "pattern": object{"Regex": split}, "behavior": "Isolated", "invert": false},
			byteLevel(false, true),
		}},
		"post_processor": object{"type": "Sequence", "processors": []object{byteLevel(true, false), {
			"type":           "TemplateProcessing",
			"single":         []object{special("[gMASK]"), special("<sop>"), sequence("A", 0)},
			"pair":           []object{special("[gMASK]"), special("<sop>"), sequence("A", 0), sequence("B", 1)},
			"special_tokens": object{"[gMASK]": prefix("[gMASK]", 2), "<sop>": prefix("<sop>", 4)},
		}}},
		"decoder": byteLevel(true, true),
		"model": object{
			"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
			"fuse_unk":      false,
			"byte_fallback": false, "ignore_merges": false, "vocab": vocab, "merges": merges,
		},
	}
}

// byteLetters returns the printable letter that byte-level BPE writes for each byte.
// Source: bytes_to_unicode in https://github.com/openai/gpt-2/blob/master/src/encoder.py.
func byteLetters() [256]string {
	var letters [256]string
	next := rune(256)
	for b := range 256 {
		if b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae {
			letters[b] = string(rune(b))
			continue
		}
		letters[b] = string(next)
		next++
	}
	return letters
}
