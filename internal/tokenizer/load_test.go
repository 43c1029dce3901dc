package tokenizer

import (
	"encoding/json"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestFolderWithoutTokenizer(t *testing.T) {
	_, err := Load(t.Context(), fstest.MapFS{"config.json": {}}, "DIR", glmControl)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "neither tokenizer.json nor tokenizer.model")
}

func TestFileWithoutReadPermission(t *testing.T) {
	_, err := Load(t.Context(), unreadable{}, "DIR", glmControl)
	require.ErrorIs(t, err, fs.ErrPermission)
	require.ErrorContains(t, err, "DIR/tokenizer.json: permission denied; make it readable")
}

type unreadable struct{}

func (unreadable) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}

func TestTokenizerJSONGoesBeforeModel(t *testing.T) {
	tok, err := Load(t.Context(), fstest.MapFS{"tokenizer.json": {Data: smallJSON()},
		"tokenizer.model": {Data: []byte("!")}}, "DIR", glmControl)
	require.NoError(t, err)
	require.Equal(t, 280, tok.Size())
}

func TestBadTokenizerJSON(t *testing.T) {
	whole := string(smallJSON())
	for _, test := range []struct {
		name    string
		data    string   // or else
		changes []string // of smallJSON
		err     string
	}{
		{"empty", "", nil, "tokenizer.json: the file is empty; download it again"},
		{"blank", " \n", nil, "the file is empty"},
		{"not UTF-8", "{\"\xff\": 1}", nil, "byte 0xff at offset 2 is not UTF-8"},
		{"no JSON", "version https://git-lfs.github.com/spec/v1", nil,
			"a Git LFS pointer instead of the file; run git lfs pull"},
		{"cut short", whole[:len(whole)-10], nil, "not valid JSON at byte"},
		{"cut in a string", whole[:strings.Index(whole, "BPE")+1], nil, "string without an end"},
		{"trailing garbage", whole + "}", nil, `expected the end of the file, found "}"`},
		{"wrong bracket", `{"model": {"type": ["BPE"}}`, nil, "unexpected"},
		{"field twice", `{"model": null, "model": 1}`, nil, `field "model" is there twice`},

		{"no model", "", []string{"model", ""}, "model: missing"},
		{"model of another type", "", []string{"model.type", `"Unigram"`},
			`model: type is "Unigram"; only "BPE" is supported`},
		{"model without type", "", []string{"model.type", ""}, "type is missing"},
		{"model is an array", "", []string{"model", "[]"}, "model: expected an object, found an array"},
		{"dropout", "", []string{"model.dropout", "0.1"},
			"model: dropout is 0.1; a byte-level BPE model with this option is not supported"},
		{"unk_token", "", []string{"model.unk_token", `"<unk>"`}, `unk_token is "<unk>"`},
		{"byte_fallback", "", []string{"model.byte_fallback", "true"}, "byte_fallback is true"},
		{"prefix", "", []string{"model.continuing_subword_prefix", `"##"`}, `continuing_subword_prefix is "##"`},
		{"suffix", "", []string{"model.end_of_word_suffix", `"</w>"`}, `end_of_word_suffix is "</w>"`},
		{"ignore_merges", "", []string{"model.ignore_merges", "1"}, "ignore_merges is 1; expected true or false"},
		{"unknown option", "", []string{"model.cache", "3"}, `unknown option "cache" with value 3`},

		{"no vocab", "", []string{"model.vocab", ""}, "model: vocab is missing"},
		{"vocab is an array", "", []string{"model.vocab", "[1]"}, "model.vocab: expected an object, found an array"},
		{"id is a string", "", []string{"model.vocab.hell", `"258"`},
			`model.vocab: token "hell": expected an integer, found a string`},
		{"id is a fraction", "", []string{"model.vocab.hell", "258.5"}, "expected an integer of at least 0, found 258.5"},
		{"negative id", "", []string{"model.vocab.hell", "-1"}, "expected an integer of at least 0, found -1"},
		{"huge id", "", []string{"model.vocab.hell", "4000000000"},
			"id 4000000000 is over the highest supported id, 2097150"},
		{"duplicate id", "", []string{"model.vocab.hell", "256"}, "model.vocab: duplicate id 256"},
		{"gap", "", []string{"model.vocab.hell", "290"}, "no token has id 258, but there are ids up to 290"},
		{"empty token", "", []string{"model.vocab.", "280"}, "token of id 280 is empty"},
		{"not byte-level", "", []string{"model.vocab.▁the", "280"},
			`token "▁the" with id 280 is not written in the byte-level alphabet`},
		{"missing byte", "", []string{"model.vocab.ł", "", "model.vocab.zzz", "160"}, `no token for byte 0xA0, written 'ł'`},

		{"no merges", "", []string{"model.merges", ""}, "model: merges is missing; the file was cut short"},
		{"empty merges", "", []string{"model.merges", "[]"}, "model.merges: there are none"},
		{"merges is an object", "", []string{"model.merges", "{}"}, "model.merges: expected an array, found an object"},
		{"merge of a number", "", []string{"model.merges.1", "7"}, "model.merges: [1]: expected a string, found a number"},
		{"merge of one token", "", []string{"model.merges.1", `"ll"`},
			`[1]: "ll"; expected two tokens with one space between`},
		{"merge of three", "", []string{"model.merges.1", `"l l l"`}, "expected two tokens with one space between"},
		{"merge of one in an array", "", []string{"model.merges.1", `["l"]`}, "[1]: 1 tokens; expected 2"},
		{"merge of three in an array", "", []string{"model.merges.1", `["l","l","l"]`}, "[1]: 3 tokens; expected 2"},
		{"merge of an unknown token", "", []string{"model.merges.1", `"l qq"`},
			`model.merges: [1]: "l qq" needs token "qq", which model.vocab does not have`},
		{"merge to an unknown token", "", []string{"model.merges.1", `"l e"`}, `needs token "le"`},
		{"merge of nothing", "", []string{"model.merges.1", `" l"`}, `needs token ""`},

		{"added token without id", "", []string{"added_tokens.0.id", ""}, "added_tokens: [0].id is missing"},
		{"added token with a negative id", "", []string{"added_tokens.0.id", "-3"},
			"added_tokens: [0].id: expected an integer of at least 0, found -3"},
		{"added token without content", "", []string{"added_tokens.0.content", ""}, "added_tokens: [0].content is empty"},
		{"added token with a taken id", "", []string{"added_tokens.0.id", "5"}, `added_tokens: [0]: duplicate id 5`},
		{"added token twice", "", []string{"added_tokens.1.content", `"<|endoftext|>"`},
			`added_tokens: [1]: "<|endoftext|>" is there twice`},
		{"two added tokens of one id", "", []string{"added_tokens.1.id", "265"},
			`added_tokens: [1]: "[MASK]" has id 265, which another added token has`},
		{"added token with another id in vocab", "", []string{"model.vocab.<sop>", "280"},
			`model.vocab: token "<sop>" has id 280 here and 269 in added_tokens`},
		{"lstrip", "", []string{"added_tokens.1.lstrip", "true"}, "added_tokens: [1].lstrip: true; this is not supported"},
		{"rstrip", "", []string{"added_tokens.1.rstrip", "true"}, ".rstrip: true"},
		{"single_word", "", []string{"added_tokens.1.single_word", "true"}, ".single_word: true"},
		{"unknown flag", "", []string{"added_tokens.1.cased", "true"}, `unknown field "cased"`},
		{"added_tokens is an object", "", []string{"added_tokens", "{}"}, "added_tokens: expected an array, found an object"},

		{"normalizer", "", []string{"normalizer", `{"type":"NFKC"}`},
			`normalizer: {"type":"NFKC"}; only null and NFC are supported`},
		{"no pre_tokenizer", "", []string{"pre_tokenizer", "null"}, "pre_tokenizer: missing"},
		{"another pre_tokenizer", "", []string{"pre_tokenizer", `{"type":"ByteLevel"}`}, "only a Sequence of Split"},
		{"GPT-2's pattern", "", []string{"pre_tokenizer.pretokenizers.0.pattern.Regex", `"\\p{L}+"`},
			`pre_tokenizer: pretokenizers[0].pattern: "\\p{L}+"`},
		{"inverted", "", []string{"pre_tokenizer.pretokenizers.0.invert", "true"}, "not inverted"},
		{"prefix space", "", []string{"pre_tokenizer.pretokenizers.1.add_prefix_space", "true"},
			"add_prefix_space and use_regex false"},
		{"second regex", "", []string{"pre_tokenizer.pretokenizers.1.use_regex", ""}, "add_prefix_space and use_regex false"},
		{"decoder", "", []string{"decoder.type", `"WordPiece"`},
			`decoder: {"type":"WordPiece"}; only ByteLevel is supported`},
		{"no decoder", "", []string{"decoder", ""}, "decoder: missing"},

		{"post_processor", "", []string{"post_processor", `{"type":"BertProcessing"}`},
			`post_processor: type is "BertProcessing"`},
		{"token after the text", "", []string{"post_processor.processors.1.single.1", `{"Sequence":{"id":"A"}}`},
			"post_processor: processors[1]: single[1] is neither"},
		{"prefix of an unknown token", "", []string{"post_processor.processors.1.special_tokens.<sop>.ids", "[900]"},
			`special_tokens["<sop>"]: id 900 is no added token`},
		{"prefix without ids", "", []string{"post_processor.processors.1.special_tokens.<sop>", ""},
			`special_tokens has no ids for "<sop>"`},
		{"template without text", "", []string{"post_processor.processors.1.single", "[]"},
			"single does not end with the Sequence A"},
	} {
		t.Run(test.name, func(t *testing.T) {
			data := []byte(test.data)
			if test.changes != nil {
				data = smallJSON(test.changes...)
			}
			_, err := load("tokenizer.json", data)
			require.ErrorContains(t, err, test.err)
			require.True(t, strings.HasPrefix(err.Error(), "DIR/tokenizer.json: "), err)
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestBadTokenizerModel(t *testing.T) {
	lines := strings.SplitAfter(smallModel(), "\n")
	with := func(i int, line string) string {
		return strings.Join(lines[:i], "") + line + strings.Join(lines[i+1:], "")
	}
	for _, test := range []struct{ name, data, err string }{
		{"empty", "", "tokenizer.model: the file is empty; download it again"},
		{"blank", "\n\r\n\n", "the file is empty"},
		{"SentencePiece", "\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02",
			"DIR/tokenizer.model: a SentencePiece model, which is not supported"},
		{"bad base64", with(3, "A*== 3\n"),
			`tokenizer.model: line 4: token "A*==" is not base64: illegal base64 data at input byte 1`},
		{"no rank", with(3, "Aw==\n"), `line 4: "Aw=="; expected a token in base64`},
		{"rank is no number", with(3, "Aw== x\n"), `line 4: rank "x"; expected an integer of at least 0`},
		{"negative rank", with(3, "Aw== -1\n"), `rank "-1"`},
		{"huge rank", with(3, "Aw== 999999999\n"), "line 4: id 999999999 is over the highest supported id"},
		{"cut in a line", smallModel()[:len(smallModel())-8], "expected a token in base64"},
		{"empty token", with(3, " 3\n"), "line 4: token of id 3 is empty"},
		{"duplicate rank", with(3, "Aw== 4\n"), "line 5: duplicate id 4"},
		{"duplicate token", with(3, "BA== 3\n"), `duplicate token "\x04": it has the ids 3 and 4`},
		{"gap", with(3, ""), "no token has id 3, but there are ids up to"},
		{"missing byte", with(3, "AwM= 3\n"), "no token for byte 0x03"},
		{"huge token", with(3, strings.Repeat("AAAA", 500)+" 3\n"), "line 4: token of 1500 bytes; at most 512 are supported"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := load("tokenizer.model", []byte(test.data))
			require.ErrorContains(t, err, test.err)
			require.True(t, strings.HasPrefix(err.Error(), "DIR/tokenizer.model: "), err)
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestSmallFilesGiveSameIDs(t *testing.T) {
	pairs, _ := json.Marshal([][2]string{{"h", "e"}, {"l", "l"}, {"he", "ll"}, {"hell", "o"}, {"Ġ", "w"}, {"o", "r"},
		{"Ġw", "or"}, {"ä", "½"}, {"ä½", "ł"}})
	escaped := strings.ReplaceAll(string(smallJSON()), `"Ġw or"`, `"\u0120\u0077 or"`)
	text := "hello world 你hell"
	want := []int32{259, 262, 'l', 'd', ' ', 264, 258}
	for name, data := range map[string]string{"strings": string(smallJSON()),
		"pairs": string(smallJSON("model.merges", string(pairs))), "escaped": escaped} {
		tok, err := load("tokenizer.json", []byte(data))
		require.NoError(t, err, name)
		require.Equal(t, want, tok.Encode(text), name)
		require.Equal(t, 280, tok.Size(), name)
	}
	for name, data := range map[string]string{"LF": smallModel(), "CRLF": strings.ReplaceAll(smallModel(), "\n", "\r\n"),
		"no last newline": strings.TrimSpace(smallModel())} {
		tok, err := load("tokenizer.model", []byte(data))
		require.NoError(t, err, name)
		require.Equal(t, want, tok.Encode(text), name)
		require.Equal(t, 279, tok.Size(), name)
	}
}

func TestLastOfEqualMergesDoesNotCount(t *testing.T) {
	// As in the tokenizers library, "h e" has rank 3 here, so "e l" goes first.
	merges := `["h e", "e l", "l o", "h e"]`
	tok, err := load("tokenizer.json", smallJSON("model.merges", merges, "model.vocab.hell", "", "model.vocab.el", "258",
		"model.vocab.hello", "", "model.vocab.lo", "259"))
	require.NoError(t, err)
	require.Equal(t, []int32{'h', 258, 259}, tok.Encode("hello"))
}

func TestDemoIDsDifferFromOracle(t *testing.T) {
	const golden = "testdata/demo.jsonl.gz"
	data, err := os.ReadFile("../demo/checkpoint/tokenizer.json")
	require.NoError(t, err)
	require.Equal(t, goldenSHA256(t, golden), sha256Hex(data),
		"golden is of another tokenizer.json: run scripts/goldens/tokenizer/goldens.py file")
	tok, err := load("tokenizer.json", data)
	require.NoError(t, err)
	lines := readGoldens(t, golden)
	require.Len(t, lines, 2000)
	compareGoldens(t, lines, tok, "file")
}
