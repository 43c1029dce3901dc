package model

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/chatformat"
	"github.com/glm4-metal/glm4-metal/internal/demo"
	"github.com/glm4-metal/glm4-metal/loader"
)

// textFolder is the demo's text with some files changed; those that are "" are missing.
func textFolder(t *testing.T, files map[string]string) string {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, demo.FS()))
	for name, text := range files {
		require.NoError(t, os.RemoveAll(filepath.Join(dir, name)))
		if text != "" {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
		}
	}
	return dir
}

func TestHostileChatTemplateStopsTokenizing(t *testing.T) {
	for template, want := range map[string]string{
		"{{ 'x'|nope }}": `chat template "chat_template": line 1: the filter "nope" is not supported`,
		"{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}": "",
		"{{ range(100000)|join('a' * 60000000) }}":                                         "",
		"\xff": "chat_template.jinja: byte 0xff",
	} {
		text, err := OpenText(t.Context(), textFolder(t, map[string]string{"chat_template.jinja": template}), "")
		require.NoError(t, err, template)
		ids, err := text.Encode(t.Context(), "hi")
		require.NoError(t, err)
		require.Equal(t, "hi", text.Decode(ids))
		_, err = text.ChatFormat()
		if want != "" {
			require.ErrorContains(t, err, want)
			continue
		}
		require.NoError(t, err)
		_, _, err = text.Prompt(t.Context(), []Message{{Role: RoleUser, Content: "hi"}}, nil, true)
		require.ErrorContains(t, err, "the template asks for too much", template)
	}
}

func TestSpecialTokensAreUnknownToTheTemplate(t *testing.T) {
	const template = "\ufeff{{ bos_token }}<sop>{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}{{ " +
		"eos_token }}{{ additional_special_tokens|first }}"
	dir := textFolder(t, map[string]string{
		"chat_template.jinja": template,
		"tokenizer_config.json": "\ufeff" +
			`{"bos_token": "[gMASK]", "eos_token": {"content": "<|endoftext|>"}, "additional_special_tokens": ["<|user|>"]}`,
	})
	file := filepath.Join(t.TempDir(), "other.jinja")
	require.NoError(t, os.WriteFile(file, []byte(template), 0o644))
	for _, override := range []string{"", file} {
		text, err := OpenText(t.Context(), dir, override)
		require.NoError(t, err)
		prompt, ids, err := text.Prompt(t.Context(), []Message{{Role: RoleUser, Content: "[gMASK]"}}, nil, true)
		require.NoError(t, err)
		require.Equal(t, "[gMASK]<sop><|user|>[gMASK]<|endoftext|><|user|>", prompt)
		var special []string
		for _, id := range ids {
			if name, _ := text.Token(id); len(name) > 3 {
				if _, ok := text.Special(name); ok {
					special = append(special, name)
				}
			}
		}
		require.Equal(t, []string{"[gMASK]", "<sop>", "<|user|>", "<|endoftext|>", "<|user|>"}, special)
	}
}

func TestOpeningTextIgnoresTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := OpenText(ctx, "", "")
	require.Equal(t, context.Canceled, err)
	text, err := OpenText(t.Context(), "", "")
	require.NoError(t, err)
	_, _, err = text.Prompt(ctx, []Message{{Role: RoleUser, Content: "hi"}}, nil, true)
	require.Equal(t, context.Canceled, err)
}

func TestModelTypeHasNoTokens(t *testing.T) {
	for _, name := range loader.ModelTypes() {
		require.NotNil(t, chatformat.FamilyOf(name), "package chatformat lacks the model type %s", name)
	}
}
