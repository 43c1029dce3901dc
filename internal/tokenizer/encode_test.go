package tokenizer

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	pkoukk "github.com/pkoukk/tiktoken-go"
	"github.com/stretchr/testify/require"
)

func TestTypedControlTokenIsObeyed(t *testing.T) {
	for name, tok := range map[string]*Tokenizer{"json": mustLoad("tokenizer.json", smallJSON()), "tiktoken": tiktoken(),
		"glm": glm()} {
		for text, id := range tok.added.ids {
			for _, typed := range []string{text, "a" + text + text, " " + text + "\n"} {
				for _, got := range tok.Encode(typed) {
					require.False(t, tok.added.has(got), "%s: %q gave %d", name, typed, got)
				}
				require.Equal(t, typed, tok.Decode(tok.Encode(typed)), name)
				require.Contains(t, tok.EncodeWithSpecials(typed), id, name)
			}
		}
	}
}

func TestControlTokenInVocabIsObeyed(t *testing.T) {
	// Trainers list special tokens in the vocabulary too; this one can even be made by a merge, and is a whole piece.
	for _, ignoreMerges := range []string{"false", "true"} {
		tok, err := load("tokenizer.json", smallJSON("added_tokens.0.content", `"hello"`, "added_tokens.0.id", "259",
			"model.ignore_merges", ignoreMerges,
			"added_tokens.14.id", "265"))
		require.NoError(t, err)
		require.Equal(t, []int32{258, 'o'}, tok.Encode("hello"))
		require.Equal(t, []int32{259}, tok.EncodeWithSpecials("hello"))
		require.True(t, tok.IsSpecial(259))
	}
}

func TestTokenThatMergesDoNotReach(t *testing.T) {
	for ignoreMerges, want := range map[string][]int32{"false": {'z', 'z', 'z'}, "true": {280}} {
		tok, err := load("tokenizer.json", smallJSON("model.vocab.zzz", "280", "model.ignore_merges", ignoreMerges))
		require.NoError(t, err)
		for range 2 { // the second time it is known
			require.Equal(t, want, tok.Encode("zzz"), ignoreMerges)
			require.Equal(t, []int32{259}, tok.Encode("hello"), ignoreMerges)
		}
	}
}

func TestPrompt(t *testing.T) {
	tok := mustLoad("tokenizer.json", smallJSON())
	special := func(name string) int32 {
		id, ok := tok.Special(name)
		require.True(t, ok, name)
		return id
	}
	require.Equal(t, []int32{special("[gMASK]"), special("<sop>")}, tok.Prefix())
	require.Equal(t, []int32{special("[gMASK]"), special("<sop>"), special("<|user|>"), '\n', 259,
		special("<|assistant|>"), special("<think>")},
		tok.EncodeWithSpecials("[gMASK]<sop><|user|>\nhello<|assistant|><think>"))
	require.Empty(t, tok.EncodeWithSpecials(""))
	require.Empty(t, tok.Encode(""))
	_, ok := tok.Special("hello")
	require.False(t, ok)

	require.Equal(t, []int32{151645, 151647}, tiktoken().Prefix())
	require.Empty(t, glm().Prefix())
	require.Equal(t, []int32{151645, 151647, 151650}, tiktoken().EncodeWithSpecials("[gMASK]<sop><|user|>"))
	require.Equal(t, 151657, tiktoken().Size())
}

func TestLongerAddedTokenLoses(t *testing.T) {
	tok, err := load("tokenizer.json", smallJSON("added_tokens.0.content", `"<a"`, "added_tokens.1.content", `"<a>"`,
		"added_tokens.5.content", `"a>b"`))
	require.NoError(t, err)
	require.Equal(t, []int32{'<', 266, 'b', 265, 270}, tok.EncodeWithSpecials("<<a>b<aa>b"))
}

func TestNormalisedAddedToken(t *testing.T) {
	// A token with "normalized" is found after normalisation, in what the others leave. Ids by tokenizers 0.23.3.
	tok, err := load("tokenizer.json", smallJSON("normalizer", `{"type":"NFC"}`, "added_tokens.0.content", `"e\u0301<"`,
		"added_tokens.0.normalized", "true", "added_tokens.1.content", `"<x"`))
	require.NoError(t, err)
	require.Equal(t, []int32{265, 'y'}, tok.EncodeWithSpecials("e\u0301<y"))
	require.Equal(t, []int32{265, 'y'}, tok.EncodeWithSpecials("é<y"))
	require.Equal(t, []int32{0xC3, 0xA9, 266}, tok.EncodeWithSpecials("e\u0301<x"))
}

func TestTokenTexts(t *testing.T) {
	tok := mustLoad("tokenizer.json", smallJSON())
	for _, test := range []struct {
		id    int32
		text  string
		bytes string
		known bool
	}{
		{'a', "a", "a", true}, {' ', "Ġ", " ", true}, {0xE4, "ä", "\xe4", true}, {262, "Ġwor", " wor", true},
		{264, "ä½ł", "你", true},
		{265, "<|endoftext|>", "<|endoftext|>", true}, {279, "<think>", "<think>", true}, {280, "", "", false},
		{-1, "", "", false},
	} {
		text, ok := tok.Token(test.id)
		require.Equal(t, test.known, ok, test.id)
		require.Equal(t, test.text, text, test.id)
		require.Equal(t, test.bytes, string(tok.TokenBytes(test.id)), test.id)
	}
	require.True(t, tok.IsSpecial(265))
	require.False(t, tok.IsSpecial(279), "<think> is added but not special")
	require.False(t, tok.IsSpecial('a'))
	require.False(t, tok.IsSpecial(5000))
}

// naive is BPE as its definition says: the lowest rank first, the leftmost of several.
func naive(m *merges, piece string) []int32 {
	var symbols []int32
	for i := range len(piece) {
		symbols = append(symbols, m.byteID[piece[i]])
	}
	for {
		at, lowest := 0, uint32(noRank)
		for i := 0; i+1 < len(symbols); i++ {
			if rank := m.rank(symbols[i], symbols[i+1]); rank < lowest {
				at, lowest = i, rank
			}
		}
		if lowest == noRank {
			return symbols
		}
		symbols[at] = m.result[lowest]
		symbols = append(symbols[:at+1], symbols[at+2:]...)
	}
}

func TestShortcutsChangeTokens(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var text strings.Builder
	for _, line := range readGoldens(t, "testdata/qwen3.jsonl.gz") {
		text.WriteString(line.Text)
	}
	runes := []rune(text.String())
	for _, tok := range []*Tokenizer{glm(), tiktoken()} {
		whole := 0
		for range 4000 {
			var piece strings.Builder
			for n := 1 + r.IntN(60); n > 0; n-- {
				switch r.IntN(8) {
				case 0:
					piece.WriteByte(byte(r.IntN(256)))
				case 1:
					piece.WriteRune(rune(firstCharacter + r.IntN(lastCharacter-firstCharacter)))
				case 2:
					piece.WriteString(tok.vocabulary.token(int32(r.IntN(len(readQwen3().tokens)))))
				default:
					at := r.IntN(len(runes) - 8)
					piece.WriteString(string(runes[at : at+1+r.IntN(8)]))
				}
			}
			s := piece.String()
			want := naive(tok.merges, s)
			if len(s) <= shortPiece {
				require.Equal(t, want, tok.merges.appendShort(nil, s), "%q", s)
			}
			require.Equal(t, want, appendHeap(tok, s), "%q", s)
			got, err := tok.appendWindows(t.Context(), nil, s, 16, 4)
			require.NoError(t, err)
			require.Equal(t, want, got, "%q", s)
			if _, bytes := tok.merges.start(make([]int32, len(s)), s); !bytes {
				whole++
			}
		}
		require.Greater(t, whole, 2000, "pieces that start from characters")
	}
}

func TestCharacterJoinsBeforeItsTurn(t *testing.T) {
	// 好 and 你 join at rank 2, but 你 is whole only at rank 5, when 好 and 好 have joined at rank 3.
	tok, err := load("tokenizer.json", smallJSON("model.merges", `["å ¥", "å¥ ½", "å¥½ ä½ł", "å¥½ å¥½", "ä ½", "ä½ ł"]`,
		"model.vocab.å¥", "280", "model.vocab.å¥½", "281", "model.vocab.å¥½ä½ł", "282", "model.vocab.å¥½å¥½", "283"))
	require.NoError(t, err)
	require.Equal(t, naive(tok.merges, "好好你"), tok.Encode("好好你"))
	require.Equal(t, []int32{283, 264}, tok.Encode("好好你"))
}

func TestIDsDifferFromTiktokenGo(t *testing.T) {
	ranks := map[string]int{}
	for id, token := range readQwen3().tokens {
		text, _ := appendAlphabet(nil, []byte(token))
		ranks[string(text)] = id
	}
	specials := map[string]int{"<|endoftext|>": len(ranks)}
	oracle, err := pkoukk.NewCoreBPE(ranks, specials, glmPattern)
	require.NoError(t, err)
	bpe := pkoukk.NewTiktoken(oracle, &pkoukk.Encoding{Name: "glm4", PatStr: glmPattern, MergeableRanks: ranks,
		SpecialTokens: specials}, map[string]any{})
	for _, line := range readGoldens(t, "testdata/qwen3.jsonl.gz") {
		// Its regexp2 has the character classes of Go's package unicode and does not fold the long s.
		if strings.Contains(line.Text, "'ſ") || strings.ContainsFunc(line.Text, isUnicode16) {
			continue
		}
		var got []int
		for _, id := range tiktoken().Encode(line.Text) {
			got = append(got, int(id))
		}
		want := bpe.EncodeOrdinary(line.Text)
		if len(want) > 0 || len(got) > 0 {
			require.Equal(t, want, got, "%q", line.Text)
		}
	}
}

func isUnicode16(r rune) bool {
	for _, added := range unicode16 {
		if r >= added.first && r <= added.last {
			return true
		}
	}
	return false
}

func TestConcurrentEncodesDiffer(t *testing.T) {
	tok := mustLoad("tokenizer.json", glmJSON())
	text := ordinaryText(t)["english"][:100_000] + megabytes()["chinese"][:30_000]
	want := glm().Encode(text)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			got := tok.Encode(text)
			if len(got) != len(want) || tok.Decode(got) != text {
				t.Error("another result in a goroutine")
			}
		})
	}
	group.Wait()
}

func FuzzRoundTrip(f *testing.F) {
	for _, seed := range []string{"", "hello 世界", "\xff\xfe\x80", "\xe4\xbd", "a\xf0\x9f\x98", "\xed\xa0\x80",
		"'ſ'S \u3000\r\n\n x", "<|user|>[gMASK]"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, tok := range []*Tokenizer{glm(), tiktoken()} {
			for _, ids := range [][]int32{tok.Encode(string(text)), tok.EncodeWithSpecials(string(text))} {
				require.Equal(t, string(text), string(tok.DecodeBytes(ids)))
				if utf8.Valid(text) {
					require.Equal(t, string(text), tok.Decode(ids))
				}
			}
		}
	})
}

// Whatever the text, only EncodeWithSpecials may give a control token; and windows give what the definition does.
func FuzzPlainText(f *testing.F) {
	for _, seed := range []string{"", "<|user|>", "[gMASK]<sop>", "a<|im_start|>b", "<|<|user|>", "<think>\n",
		"hello 你好 \xff", "aaaaaaaaaaaaaaab"} {
		f.Add(seed)
	}
	small := mustLoad("tokenizer.json", smallJSON())
	control := mustLoad("tokenizer.json", smallJSON("added_tokens.0.content", `"hello"`, "added_tokens.0.id", "259",
		"added_tokens.14.id", "265"))
	f.Fuzz(func(t *testing.T, text string) {
		for _, tok := range []*Tokenizer{glm(), qwen(), tiktoken(), small, control} {
			for _, id := range tok.Encode(text) {
				require.False(t, tok.IsSpecial(id), "%q gave %d", text, id)
			}
			if len(text) < 2 || len(text) > 1000 {
				continue
			}
			got, err := tok.appendWindows(t.Context(), nil, text, 8, 2)
			require.NoError(t, err)
			require.Equal(t, naive(tok.merges, text), got, "%q", text)
		}
	})
}

func appendHeap(t *Tokenizer, piece string) []int32 {
	ids, _ := new(longPiece).merge(context.Background(), nil, piece, t.merges)
	return ids
}
