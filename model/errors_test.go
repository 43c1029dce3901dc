package model

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/demo"
	"github.com/glm4-metal/glm4-metal/metal"
)

func TestErrorIsOfNoKind(t *testing.T) {
	ctx := t.Context()
	without := func(name string) string {
		dir := t.TempDir()
		require.NoError(t, os.CopyFS(dir, demo.FS()))
		require.NoError(t, os.Remove(filepath.Join(dir, name)))
		return dir
	}
	other := without("config.json")
	require.NoError(t, os.WriteFile(filepath.Join(other, "config.json"), []byte(`{"model_type": "llama"}`), 0o600))
	load := func(name string, options ...LoadOption) func() error {
		return func() error {
			m, err := Load(ctx, name, options...)
			if err == nil {
				return m.Close()
			}
			return err
		}
	}
	openText := func(name, template string) func() error {
		return func() error {
			_, err := OpenText(ctx, name, template)
			return err
		}
	}
	missing := filepath.Join(t.TempDir(), "missing")
	for name, c := range map[string]struct {
		do   func() error
		want error
	}{
		"no folder":            {load(missing), fs.ErrNotExist},
		"no weights":           {load(without("model.safetensors")), fs.ErrNotExist},
		"no config":            {load(without("config.json")), fs.ErrNotExist},
		"no tokenizer":         {load(without("tokenizer.json")), fs.ErrNotExist},
		"no template":          {load("", ChatTemplate(missing)), fs.ErrNotExist},
		"text of no folder":    {openText(missing, ""), fs.ErrNotExist},
		"text, no template":    {openText("", missing), fs.ErrNotExist},
		"another family":       {load(other), ErrUnsupported},
		"tensors of no folder": {func() error { _, err := OpenCheckpoint(ctx, missing); return err }, fs.ErrNotExist},
	} {
		require.ErrorIs(t, c.do(), c.want, name)
	}
	if runtime.GOOS == "linux" {
		require.ErrorIs(t, load("", Backend("metal"))(), metal.ErrUnavailable)
	}
	for option, o := range map[string]LoadOption{"context": MaxContext(-1), "KV bits": KVBits(3),
		"prefill chunk": PrefillChunk(-1), "backend": Backend("cuda")} {
		var checked, loaded *OptionError
		require.True(t, errors.As(CheckLoad(o), &checked))
		require.Equal(t, option, checked.Option)
		require.True(t, errors.As(load(missing, o)(), &loaded), "before the files are looked at")
		require.Equal(t, checked, loaded)
	}
	var tooLarge *OptionError
	require.NoError(t, CheckLoad(MaxContext(1<<20)))
	require.True(t, errors.As(load("", MaxContext(1<<20))(), &tooLarge))
	require.Equal(t, "context", tooLarge.Option)
}

func TestZeroTextPanics(t *testing.T) {
	var text Text
	_, err := text.ChatFormat()
	require.Equal(t, errNoTokenizer, err)
	_, _, err = text.Prompt(t.Context(), []Message{UserMessage("hi")}, nil, true)
	require.Equal(t, errNoTokenizer, err)
	_, err = text.Encode(t.Context(), "hi")
	require.Equal(t, errNoTokenizer, err)
	_, err = text.EncodeSpecial(t.Context(), "hi")
	require.Equal(t, errNoTokenizer, err)
	_, err = text.EncodePrompt(t.Context(), "hi", true)
	require.Equal(t, errNoTokenizer, err)
	require.Empty(t, text.Decode([]int32{1}))
	require.Empty(t, text.DecodeBytes([]int32{1}))
	require.Zero(t, text.VocabSize())
	require.False(t, text.IsSpecial(1))
	_, ok := text.Token(1)
	require.False(t, ok)
	_, ok = text.Special("<|user|>")
	require.False(t, ok)
}
