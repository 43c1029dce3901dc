package tokenizer

import (
	"bytes"
	"context"
	"fmt"
)

// parseTokenizerJSON reads the tokenizer.json of Hugging Face tokenizers. Parts that do not change the ids of a text
// are left alone: truncation and padding, which transformers overrides, and unknown fields at the top. Source of the
// format: https://github.com/huggingface/tokenizers, the Deserialize of each part.
func parseTokenizerJSON(ctx context.Context, data []byte) (*Tokenizer, error) {
	top, err := jsonValue{text: data}.fields(ctx)
	if err != nil && ctx.Err() == nil && len(bytes.TrimSpace(data)) == 0 {
		return nil, fmt.Errorf("the file is empty; download it again")
	}
	if err != nil {
		return nil, err
	}
	model, err := readModelFields(ctx, top["model"])
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	t := &Tokenizer{wholeFirst: model.ignoreMerges}
	if t.nfc, err = readNormalizer(top["normalizer"]); err != nil {
		return nil, fmt.Errorf("normalizer: %w", err)
	}
	digits, err := readPreTokenizer(top["pre_tokenizer"])
	if err != nil {
		return nil, fmt.Errorf("pre_tokenizer: %w", err)
	}
	t.splitter = newSplitter(digits)
	if err := readDecoder(top["decoder"]); err != nil {
		return nil, fmt.Errorf("decoder: %w", err)
	}

	builder := &vocabularyBuilder{special: map[int32]bool{}}
	listed, err := readAddedTokens(ctx, top["added_tokens"])
	if err != nil {
		return nil, fmt.Errorf("added_tokens: %w", err)
	}
	if t.added, err = newAddedTokens(listed, t.nfc); err != nil {
		return nil, fmt.Errorf("added_tokens: %w", err)
	}
	if err := readVocab(ctx, builder, model.vocab, t.added); err != nil {
		return nil, fmt.Errorf("model.vocab: %w", err)
	}
	if err := placeAddedTokens(builder, listed); err != nil {
		return nil, fmt.Errorf("added_tokens: %w", err)
	}
	if t.vocabulary, err = builder.build(ctx); err != nil {
		return nil, fmt.Errorf("model.vocab: %w", err)
	}
	if t.merges, err = readMerges(ctx, model.merges, t.vocabulary, t.added); err != nil {
		return nil, fmt.Errorf("model.merges: %w", err)
	}
	t.reachable = newReachability(t.Size())
	if t.prefix, err = readPostProcessor(top["post_processor"], t.added); err != nil {
		return nil, fmt.Errorf("post_processor: %w", err)
	}
	return t, nil
}

type modelFields struct {
	vocab, merges jsonValue
	ignoreMerges  bool
}

func readModelFields(ctx context.Context, value jsonValue) (m modelFields, err error) {
	if value.isNull() {
		return m, fmt.Errorf("missing; expected a BPE model")
	}
	fields, err := value.fields(ctx)
	if err != nil {
		return m, err
	}
	if kind := fields["type"]; string(kind.text) != `"BPE"` {
		return m, fmt.Errorf(`type is %s; only "BPE" is supported`, kind)
	}
	for name, value := range fields {
		switch name {
		case "type":
		case "vocab":
			m.vocab = value
		case "merges":
			m.merges = value
		case "ignore_merges":
			m.ignoreMerges = string(value.text) == "true"
			if !m.ignoreMerges && string(value.text) != "false" && !value.isNull() {
				return m, fmt.Errorf("ignore_merges is %s; expected true or false", value)
			}
		case "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback":
			if text := string(value.text); !value.isNull() && text != `""` && text != "false" && text != "0" && text != "0.0" {
				return m, fmt.Errorf("%s is %s; a byte-level BPE model with this option is not supported", name, value)
			}
		default:
			return m, fmt.Errorf("unknown option %.80q with value %s", name, value)
		}
	}
	if m.vocab.isNull() {
		return m, fmt.Errorf("vocab is missing")
	}
	if m.merges.isNull() {
		return m, fmt.Errorf("merges is missing; the file was cut short or is not of a BPE model")
	}
	return m, nil
}

// readVocab reads {"token": id, ...}. It leaves out added tokens that placeAddedTokens brings in.
func readVocab(ctx context.Context, b *vocabularyBuilder, value jsonValue, added *addedTokens) error {
	r := value.reader(ctx)
	b.text = make([]byte, 0, len(value.text)/4)
	return r.object(func(key []byte) error {
		id, err := r.int()
		if err != nil {
			return fmt.Errorf("token %.80q: %w", key, err)
		}
		if want, ok := added.ids[string(key)]; ok {
			if id != int(want) {
				return fmt.Errorf("token %.80q has id %d here and %d in added_tokens", key, id, want)
			}
			if added.special[want] {
				return nil
			}
		}
		return b.addSpelled(key, id)
	})
}

// addSpelled adds a token that is written in the byte-level alphabet.
func (b *vocabularyBuilder) addSpelled(spelled []byte, id int) error {
	start := len(b.text)
	text, ok := appendAlphabet(b.text, spelled)
	if !ok {
		return fmt.Errorf("token %.80q with id %d is not written in the byte-level alphabet (a space as Ġ); only "+
			"byte-level BPE is supported", spelled, id)
	}
	b.text = text
	return b.add(id, start)
}

// readMerges reads ["a b", ...] or [["a", "b"], ...]. A merge's rank is its position.
func readMerges(ctx context.Context, value jsonValue, v *vocabulary, added *addedTokens) (*merges, error) {
	r := value.reader(ctx)
	var pairs []mergePair
	var results []int32
	var unescaped, spelled, text []byte
	err := r.array(func(rank int) error {
		if rank == noRank-1 {
			return fmt.Errorf("more than %d; no more are supported", noRank-1)
		}
		var space int
		var err error
		if spelled, space, err = r.merge(spelled[:0], &unescaped); err != nil {
			return fmt.Errorf("[%d]: %w", rank, err)
		}
		left, right := spelled[:space], spelled[space+1:]
		text, _ = appendAlphabet(text[:0], left)
		length := len(text)
		text, _ = appendAlphabet(text, right)
		leftID, okLeft := v.lookupBytes(text[:length])
		rightID, okRight := v.lookupBytes(text[length:])
		result, okResult := v.lookupBytes(text)
		results = append(results, result)
		if okLeft && okRight && okResult {
			pairs = append(pairs, mergePair{leftID, rightID, uint32(rank)})
			return nil
		}
		for _, part := range []struct {
			name  string
			found bool
		}{{string(left), okLeft}, {string(right), okRight}, {string(left) + string(right), okResult}} {
			if id, isAdded := added.ids[part.name]; !part.found && !(isAdded && added.special[id]) {
				return fmt.Errorf("[%d]: %.80q needs token %.80q, which model.vocab does not have", rank, spelled, part.name)
			}
		}
		return nil // a pair with a control token never turns up, as none comes out of a text
	})
	if err != nil {
		return nil, err
	}
	if len(results) == 0 {
		return nil, fmt.Errorf("there are none; the file was cut short or is not of a BPE model")
	}
	return newMerges(ctx, pairs, results, v)
}

// merge reads a merge and appends it as "a b" to dst, with the place of the space.
func (r *jsonReader) merge(dst []byte, unescaped *[]byte) (merge []byte, space int, err error) {
	if r.peek() != '[' {
		text, err := r.string(unescaped)
		if err != nil {
			return dst, 0, err
		}
		dst = append(dst, text...)
		if space = bytes.IndexByte(dst, ' '); space < 0 || bytes.IndexByte(dst[space+1:], ' ') >= 0 {
			return dst, 0, fmt.Errorf("%.80q; expected two tokens with one space between", text)
		}
		return dst, space, nil
	}
	parts := 0
	err = r.array(func(i int) error {
		text, err := r.string(unescaped)
		if i == 1 {
			space = len(dst)
			dst = append(dst, ' ')
		}
		dst = append(dst, text...)
		parts++
		return err
	})
	if err == nil && parts != 2 {
		err = fmt.Errorf("%d tokens; expected 2", parts)
	}
	return dst, space, err
}
