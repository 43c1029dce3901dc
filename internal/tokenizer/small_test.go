package tokenizer

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// glmControl are GLM-4's. Source: tokenization_chatglm.py of glm-4-9b-chat.
var glmControl = Control{
	Tokens: []string{
		"<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>", "<|assistant|>",
		"<|observation|>", "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>",
	},
	Prefix: []string{"[gMASK]", "<sop>"},
}

// smallMerges are the merges of smallJSON. Ids: 0 to 255 the bytes, then the results.
var smallMerges = []string{"h e", "l l", "he ll", "hell o", "Ġ w", "o r", "Ġw or", "ä ½", "ä½ ł"}

// smallJSON is a tokenizer.json with few merges and the special tokens of GLM-4. Each change is a path such as
// "model.vocab.a", "added_tokens.0.id" and its new JSON value, an empty one to take the field out.
func smallJSON(changes ...string) []byte {
	vocab := map[string]int{}
	for b := range 256 {
		vocab[string(byteToRune[b])] = b
	}
	for i, merge := range smallMerges {
		vocab[strings.ReplaceAll(merge, " ", "")] = 256 + i
	}
	added := []any{}
	for i, name := range glmControl.Tokens {
		added = append(added, map[string]any{"id": 265 + i, "content": name, "single_word": false, "lstrip": false,
			"rstrip": false, "normalized": false, "special": true})
	}
	added = append(added, map[string]any{"id": 265 + len(added), "content": "<think>", "special": false})
	file := map[string]any{
		"version":      "1.0",
		"added_tokens": added,
		"normalizer":   nil,
		"pre_tokenizer": map[string]any{"type": "Sequence", "pretokenizers": []any{
			map[string]any{"type": "Split", "pattern": map[string]any{"Regex": glmPattern}, "behavior": "Isolated",
				"invert": false},
			map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
		}},
		"post_processor": map[string]any{"type": "Sequence", "processors": []any{
			map[string]any{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
			map[string]any{"type": "TemplateProcessing", "single": []any{
				map[string]any{"SpecialToken": map[string]any{"id": "[gMASK]", "type_id": 0}},
				map[string]any{"SpecialToken": map[string]any{"id": "<sop>", "type_id": 0}},
				map[string]any{"Sequence": map[string]any{"id": "A", "type_id": 0}},
			}, "special_tokens": map[string]any{
				"[gMASK]": map[string]any{"id": "[gMASK]", "ids": []any{267}, "tokens": []any{"[gMASK]"}},
				"<sop>":   map[string]any{"id": "<sop>", "ids": []any{269}, "tokens": []any{"<sop>"}},
			}},
		}},
		"decoder": map[string]any{"type": "ByteLevel"},
		"model":   map[string]any{"type": "BPE", "dropout": nil, "vocab": vocab, "merges": smallMerges},
	}
	text, _ := json.Marshal(file)
	var root any
	_ = json.Unmarshal(text, &root)
	for i := 0; i < len(changes); i += 2 {
		change(root, strings.Split(changes[i], "."), changes[i+1])
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(root)
	return out.Bytes()
}

func change(value any, path []string, text string) {
	if list, ok := value.([]any); ok {
		var i int
		fmt.Sscan(path[0], &i)
		if len(path) > 1 {
			change(list[i], path[1:], text)
			return
		}
		list[i] = json.RawMessage(text)
		return
	}
	fields := value.(map[string]any)
	switch {
	case len(path) > 1:
		change(fields[path[0]], path[1:], text)
	case text == "":
		delete(fields, path[0])
	default:
		fields[path[0]] = json.RawMessage(text)
	}
}

// smallModel is a tokenizer.model with the tokens of smallJSON.
func smallModel() string {
	var file strings.Builder
	for b := range 256 {
		fmt.Fprintf(&file, "%s %d\n", base64.StdEncoding.EncodeToString([]byte{byte(b)}), b)
	}
	for i, merge := range smallMerges {
		text, _ := appendAlphabet(nil, []byte(strings.ReplaceAll(merge, " ", "")))
		fmt.Fprintf(&file, "%s %d\n", base64.StdEncoding.EncodeToString(text), 256+i)
	}
	return file.String()
}
