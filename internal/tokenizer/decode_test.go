package tokenizer

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// Texts of broken bytes by Python's bytes.decode("utf-8", "replace"), which tokenizers 0.23.3 agrees with.
var brokenTexts = []struct{ bytes, text string }{
	{"\xe4\xb8", "\ufffd"},
	{"\xf0\x9f\x98", "\ufffd"},
	{"\xf0\x9fa", "\ufffda"},
	{"\xff\xfe", "\ufffd\ufffd"},
	{"\xed\xa0\x80", "\ufffd\ufffd\ufffd"},
	{"\xc0\xaf", "\ufffd\ufffd"},
	{"\xe4\xb8\xe4\xb8\xad", "\ufffd中"},
	{"\xf4\x90\x80\x80", "\ufffd\ufffd\ufffd\ufffd"},
	{"\xe0\x80\x80", "\ufffd\ufffd\ufffd"},
	{"\xf1\x80\x80\xe1\x80\xc2a", "\ufffd\ufffd\ufffda"},
	{"a\x80b\xc3", "a\ufffdb\ufffd"},
	{"\ufffd\xef\xbf", "\ufffd\ufffd"},
}

func byteTokens(text string) (ids []int32) {
	for i := range len(text) {
		ids = append(ids, glm().merges.byteID[text[i]])
	}
	return ids
}

// stream decodes ids one by one and checks that only whole characters come out.
func stream(t *testing.T, tok *Tokenizer, ids []int32) string {
	var text strings.Builder
	d := tok.NewDecoder()
	for _, id := range ids {
		part := d.Next(id)
		require.True(t, utf8.ValidString(part), "%q", part)
		text.WriteString(part)
	}
	text.WriteString(d.Flush())
	require.Empty(t, d.Flush())
	return text.String()
}

func TestBrokenBytesDecodeUnlikeOracle(t *testing.T) {
	for _, test := range brokenTexts {
		ids := byteTokens(test.bytes)
		require.Equal(t, test.text, glm().Decode(ids), "%q", test.bytes)
		require.Equal(t, test.text, stream(t, glm(), ids), "%q", test.bytes)
		require.Equal(t, test.bytes, string(glm().DecodeBytes(ids)))
	}
}

func TestStreamDiffersFromWholeDecode(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	tok := glm()
	for _, line := range readGoldens(t, "testdata/qwen3.jsonl.gz")[:2000] {
		require.Equal(t, line.Text, stream(t, tok, tok.Encode(line.Text)))
		require.Equal(t, line.Text, stream(t, tok, byteTokens(line.Text)))
		var ids []int32 // a random sequence has characters that break off
		for range 20 {
			ids = append(ids, int32(r.IntN(151643)))
		}
		require.Equal(t, tok.Decode(ids), stream(t, tok, ids), ids)
	}
}

func TestCharacterCutAtEveryByte(t *testing.T) {
	text := "aé你😀\u0301z"
	for cut := range len(text) + 1 {
		d := glm().NewDecoder()
		var got string
		for _, id := range byteTokens(text[:cut]) {
			got += d.Next(id)
		}
		whole := cut
		for whole > 0 && !utf8.ValidString(text[:whole]) {
			whole--
		}
		require.Equal(t, text[:whole], got, "bytes are held back, cut at %d", cut)
		if whole < cut {
			require.Equal(t, "\ufffd", d.Flush())
		}
	}
}

func TestControlTokensInDecode(t *testing.T) {
	tok := mustLoad("tokenizer.json", smallJSON())
	user, _ := tok.Special("<|user|>")
	think, _ := tok.Special("<think>")
	ids := []int32{user, 0xE4, 0xBD, user, 0xA0, 5000, -1, think, 259}
	// As tokenizers does: without control tokens the bytes around them are one character, with them they are not.
	require.Equal(t, "你<think>hello", stream(t, tok, ids))
	require.Equal(t, "<|user|>\ufffd<|user|>\ufffd<think>hello", tok.Decode(ids))
	require.Empty(t, tok.Decode(nil))
}

func TestDecoderAllocatesForWholeTokens(t *testing.T) {
	tok := glm()
	ids := tok.Encode("The quick brown fox jumps over the lazy dog. 你好")
	d := tok.NewDecoder()
	require.Zero(t, testing.AllocsPerRun(10, func() {
		for _, id := range ids {
			d.Next(id)
		}
	}))
}
