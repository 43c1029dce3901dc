package tokenizer

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Run it with -fuzzminimizetime 5x: making a 20 KB file smaller takes the fuzzer longer than finding it.
func FuzzTokenizerJSON(f *testing.F) {
	f.Add(smallJSON())
	f.Add(smallJSON("normalizer", `{"type":"NFC"}`, "model.ignore_merges", "true"))
	f.Add(smallJSON("model.merges", `[["h","e"],["l","l"]]`))
	f.Add(smallJSON("model.merges", ""))
	f.Add(smallJSON("model.vocab.hell", "4000000000"))
	f.Add([]byte(strings.Repeat(`{"model":`, 100)))
	f.Add([]byte(strings.Repeat("[", 1000)))
	f.Add([]byte(`{"\ud83d\ude00": "\u12", "model": {"type": "BPE", "vocab": {"a": 1e5}, "merges": []}}`))
	f.Fuzz(func(t *testing.T, data []byte) { useLoaded(t, "tokenizer.json", data) })
}

func FuzzTiktokenModel(f *testing.F) {
	f.Add([]byte(smallModel()))
	f.Add([]byte("IQ== 0\nIg== 1\n"))
	f.Add([]byte("IQ== 99999999999999999999\n!!! 1\n"))
	f.Add([]byte(strings.Repeat("AAAA", 600) + " 0"))
	f.Fuzz(func(t *testing.T, data []byte) { useLoaded(t, "tokenizer.model", data) })
}

// useLoaded loads a file and, where that goes well, makes sure that the tokenizer works.
func useLoaded(t *testing.T, name string, data []byte) {
	tok, err := load(name, data)
	if err != nil {
		require.True(t, strings.HasPrefix(err.Error(), "DIR/"+name+": "), err)
		return
	}
	const text = "hello world 你好\xff"
	require.Equal(t, text, string(tok.DecodeBytes(tok.Encode(text))))
	for id := range int32(tok.Size()) {
		_, ok := tok.Token(id)
		require.True(t, ok)
		require.NotEmpty(t, tok.TokenBytes(id))
	}
}
