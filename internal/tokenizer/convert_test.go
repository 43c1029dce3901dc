package tokenizer

import (
	"context"
	"encoding/json"
	"os"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// converted is the tokenizer.json that glmModel becomes.
var converted = sync.OnceValue(func() []byte {
	data, err := ConvertModel(context.Background(), fstest.MapFS{tiktokenName: {Data: glmModel()}}, "DIR", glmControl)
	if err != nil {
		panic(err)
	}
	return data
})

func TestConvertedTokenizerHasOtherIDs(t *testing.T) {
	tok, err := load(jsonName, converted())
	require.NoError(t, err)
	require.Equal(t, tiktoken().Size(), tok.Size())
	require.Equal(t, tiktoken().Prefix(), tok.Prefix())
	require.Equal(t, tiktoken().Specials(), tok.Specials())
	compareGoldens(t, readGoldens(t, "testdata/qwen3.jsonl.gz"), tok, "tiktoken")
}

func TestConvertedMergesAreNotThoseOfTransformers(t *testing.T) {
	var golden struct{ Vocab, Merges, Model string }
	data, err := os.ReadFile("testdata/convert.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &golden))
	require.Equal(t, golden.Model, sha256Hex(glmModel()), "the golden is of another tokenizer.model")
	var file struct {
		Model struct {
			Vocab  map[string]int
			Merges [][2]string
		}
	}
	require.NoError(t, json.Unmarshal(converted(), &file))
	tokens := make([]string, len(file.Model.Vocab))
	for token, id := range file.Model.Vocab {
		tokens[id] = token
	}
	joined := func(lines []string) (text []byte) {
		for _, line := range lines {
			text = append(append(text, line...), '\n')
		}
		return text
	}
	var merges []string
	for _, m := range file.Model.Merges {
		merges = append(merges, m[0]+" "+m[1])
	}
	require.Equal(t, golden.Vocab, sha256Hex(joined(tokens)))
	require.Equal(t, golden.Merges, sha256Hex(joined(merges)))
}

func TestConvertModelTakesAnotherFile(t *testing.T) {
	_, err := ConvertModel(t.Context(), fstest.MapFS{tiktokenName: {Data: []byte("AA== 0\n")}}, "DIR", glmControl)
	require.ErrorContains(t, err, "DIR/tokenizer.model: no token for byte 0x01")
	_, err = ConvertModel(t.Context(), fstest.MapFS{}, "DIR", glmControl)
	require.ErrorContains(t, err, "DIR/tokenizer.model: ")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = ConvertModel(ctx, fstest.MapFS{tiktokenName: {Data: glmModel()}}, "DIR", glmControl)
	require.Equal(t, context.Canceled, err)
}
