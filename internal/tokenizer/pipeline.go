package tokenizer

import (
	"encoding/json"
	"fmt"
)

func readNormalizer(value jsonValue) (nfc bool, err error) {
	if value.isNull() {
		return false, nil
	}
	var n struct {
		Type string `json:"type"`
	}
	if err := value.unmarshal(&n); err != nil {
		return false, err
	}
	if n.Type != "NFC" {
		return false, fmt.Errorf("%s; only null and NFC are supported", value)
	}
	return true, nil
}

func readDecoder(value jsonValue) error {
	var d struct {
		Type string `json:"type"`
	}
	if !value.isNull() {
		if err := value.unmarshal(&d); err != nil {
			return err
		}
	}
	if d.Type != "ByteLevel" {
		return fmt.Errorf("%s; only ByteLevel is supported", value)
	}
	return nil
}

// readPreTokenizer accepts the split of GLM-4, and Qwen's, with ByteLevel behind it. It returns how many digits make a
// piece.
func readPreTokenizer(value jsonValue) (digits int, err error) {
	const want = "only a Sequence of Split with the pattern of GLM-4 or Qwen and ByteLevel is supported"
	if value.isNull() {
		return 0, fmt.Errorf("missing; %s", want)
	}
	var sequence struct {
		Type          string            `json:"type"`
		Pretokenizers []json.RawMessage `json:"pretokenizers"`
	}
	if err := value.unmarshal(&sequence); err != nil {
		return 0, err
	}
	if sequence.Type != "Sequence" || len(sequence.Pretokenizers) != 2 {
		return 0, fmt.Errorf("%s; %s", value, want)
	}
	first, second := jsonValue{text: sequence.Pretokenizers[0]}, jsonValue{text: sequence.Pretokenizers[1]}
	var split struct {
		Type     string            `json:"type"`
		Pattern  map[string]string `json:"pattern"`
		Behavior string            `json:"behavior"`
		Invert   bool              `json:"invert"`
	}
	if err := first.unmarshal(&split); err != nil {
		return 0, fmt.Errorf("pretokenizers[0]: %w", err)
	}
	if split.Type != "Split" || split.Behavior != "Isolated" || split.Invert {
		return 0, fmt.Errorf("pretokenizers[0]: %s; expected a Split with behavior Isolated, not inverted", first)
	}
	switch split.Pattern["Regex"] {
	case glmPattern:
		digits = 3
	case qwenPattern:
		digits = 1
	default:
		return 0, fmt.Errorf("pretokenizers[0].pattern: %.400q; %s", split.Pattern["Regex"], want)
	}
	var bytelevel struct {
		Type           string `json:"type"`
		AddPrefixSpace *bool  `json:"add_prefix_space"`
		UseRegex       *bool  `json:"use_regex"`
	}
	if err := second.unmarshal(&bytelevel); err != nil {
		return 0, fmt.Errorf("pretokenizers[1]: %w", err)
	}
	// Both are true when they are absent.
	isFalse := func(b *bool) bool { return b != nil && !*b }
	if bytelevel.Type != "ByteLevel" || !isFalse(bytelevel.AddPrefixSpace) || !isFalse(bytelevel.UseRegex) {
		return 0, fmt.Errorf("pretokenizers[1]: %s; expected ByteLevel with add_prefix_space and use_regex false", second)
	}
	return digits, nil
}

// readPostProcessor returns the ids that a post-processor puts before a single text.
func readPostProcessor(value jsonValue, added *addedTokens) (prefix []int32, err error) {
	if value.isNull() {
		return nil, nil
	}
	var sequence struct {
		Type       string            `json:"type"`
		Processors []json.RawMessage `json:"processors"`
	}
	if err := value.unmarshal(&sequence); err != nil {
		return nil, err
	}
	if sequence.Type != "Sequence" {
		return readProcessor(value, sequence.Type, added)
	}
	for i, processor := range sequence.Processors {
		var p struct {
			Type string `json:"type"`
		}
		value := jsonValue{text: processor}
		err := value.unmarshal(&p)
		var ids []int32
		if err == nil {
			ids, err = readProcessor(value, p.Type, added)
		}
		if err != nil {
			return nil, fmt.Errorf("processors[%d]: %w", i, err)
		}
		// Each processor wraps what the ones before it have made.
		prefix = append(ids, prefix...)
	}
	return prefix, nil
}

func readProcessor(value jsonValue, kind string, added *addedTokens) ([]int32, error) {
	switch kind {
	case "ByteLevel": // changes only offsets
		return nil, nil
	case "TemplateProcessing":
		return readTemplate(value, added)
	}
	return nil, fmt.Errorf("type is %.80q; only ByteLevel, TemplateProcessing and a Sequence of them are supported", kind)
}

func readTemplate(value jsonValue, added *addedTokens) ([]int32, error) {
	type piece struct {
		ID string `json:"id"`
	}
	var template struct {
		Single []struct {
			SpecialToken *piece
			Sequence     *piece
		} `json:"single"`
		SpecialTokens map[string]struct {
			IDs []int32 `json:"ids"`
		} `json:"special_tokens"`
	}
	if err := value.unmarshal(&template); err != nil {
		return nil, err
	}
	var prefix []int32
	for i, part := range template.Single {
		switch {
		case part.Sequence != nil && part.Sequence.ID == "A" && i == len(template.Single)-1:
			return prefix, nil
		case part.SpecialToken == nil:
			return nil, fmt.Errorf("single[%d] is neither a SpecialToken nor the Sequence A at the end; special tokens before "+
				"the text are all that is supported", i)
		}
		name := part.SpecialToken.ID
		ids := template.SpecialTokens[name].IDs
		if len(ids) == 0 {
			return nil, fmt.Errorf("single[%d]: special_tokens has no ids for %.80q", i, name)
		}
		for _, id := range ids {
			if !added.has(id) {
				return nil, fmt.Errorf("special_tokens[%.80q]: id %d is no added token", name, id)
			}
		}
		prefix = append(prefix, ids...)
	}
	return nil, fmt.Errorf("single does not end with the Sequence A; special tokens before the text are all that is " +
		"supported")
}
