package model

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestControlTokensOfPromptAreText(t *testing.T) {
	m := demoModel(t)
	count := func(prompt string, special bool) int {
		s := m.NewSession()
		defer s.Close()
		for _, err := range s.Generate(context.Background(), prompt, Options{MaxTokens: 1, ParseSpecial: special}) {
			require.NoError(t, err)
		}
		return s.Result().PromptTokens
	}
	const rendered = "[gMASK]<sop><|user|>\nhello<|assistant|>"
	_, want, err := m.text.Prompt(t.Context(), []Message{{Role: RoleUser, Content: "hello"}}, nil, true)
	require.NoError(t, err)
	ids, err := m.text.EncodePrompt(t.Context(), rendered, true)
	require.NoError(t, err)
	require.Equal(t, want, ids)
	require.Equal(t, len(want), count(rendered, true))
	plain, err := m.text.EncodePrompt(t.Context(), rendered, false)
	require.NoError(t, err)
	require.Equal(t, len(plain), count(rendered, false))
	require.Greater(t, len(plain), 3*len(want), "a text that is plain has no control tokens")

	ids, err = m.text.EncodePrompt(t.Context(), strings.TrimPrefix(rendered, "[gMASK]<sop>"), true)
	require.NoError(t, err)
	require.Equal(t, want, ids, "the prefix is missing")
	ids, err = m.text.EncodePrompt(t.Context(), "[gMASK]hello", true)
	require.NoError(t, err)
	require.Equal(t, want[:2], ids[:2], "half a prefix counts as one")
	require.Equal(t, want[0], ids[2])
}

func TestEncodingOutlivesItsContext(t *testing.T) {
	m := demoModel(t)
	s := m.NewSession()
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, special := range []bool{false, true} {
		for _, err := range s.Generate(ctx, strings.Repeat("hello ", 1<<20), Options{ParseSpecial: special}) {
			require.Equal(t, context.Canceled, err)
		}
	}
	for _, encode := range []func(context.Context, string) ([]int32, error){m.text.Encode, m.text.EncodeSpecial} {
		_, err := encode(ctx, "hello")
		require.Equal(t, context.Canceled, err)
	}
}

func TestTokenizerErrorNamesNoFolder(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte("{"), 0o600))
	_, err := OpenText(t.Context(), dir, "")
	require.ErrorContains(t, err, dir+"/tokenizer.json: ")
	require.Equal(t, 1, strings.Count(err.Error(), dir), err)
}
