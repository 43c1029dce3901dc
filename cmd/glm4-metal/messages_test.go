package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSavedConversationIsNotAnswered(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	saved := write("saved.json", `{"model": "m", "system": "s", "messages": [{"role": "user", "content": "u"},
		{"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": "{}"}]}, {"role": "observation", "content": "o"}]}`)
	answered := write("answered.json",
		"\xef\xbb\xbf [{\"role\": \"user\", \"content\": \"u\"}, {\"role\": \"assistant\", \"content\": \"a\"}]\n")
	const conversation = "[gMASK]<sop><|system|>\ns<|user|>\nu<|assistant|>f \n{}<|observation|>\no"
	for _, test := range []struct {
		input string
		args  []string
		want  string
	}{
		{"", []string{"--messages", saved}, conversation + "<|assistant|>\n"},
		{`[{"role": "user", "content": "u"}]`, []string{"--messages", "-"}, asked("u")},
		{"", []string{"--messages", saved, "--prompt", "more"}, conversation + "<|user|>\nmore<|assistant|>\n"},
		{"piped", []string{"--messages", saved, "more"}, conversation + "<|user|>\npiped\n\nmore<|assistant|>\n"},
		{"", []string{"--messages", answered, "--system-prompt", "s", "more"},
			"[gMASK]<sop><|system|>\ns<|user|>\nu<|assistant|>\na<|user|>\nmore<|assistant|>\n"},
		{"", []string{"--messages", answered, "--no-generation-prompt"}, "[gMASK]<sop><|user|>\nu<|assistant|>\na\n"},
	} {
		stdout, stderr, status := run(t, test.input, append([]string{"template"}, test.args...)...)
		require.Zero(t, status, stderr)
		require.Equal(t, test.want, stdout)
	}

	ids, _, _ := run(t, "", "template", "--messages", saved, "more", "--ids", "--json")
	stdout, stderr, status := run(t, "", "generate", "--messages", saved, "more", "--max-tokens", "2", "--json")
	require.Zero(t, status, stderr)
	var p promptJSON
	require.NoError(t, json.Unmarshal([]byte(ids), &p))
	var g generation
	require.NoError(t, json.Unmarshal([]byte(stdout), &g))
	require.Len(t, p.IDs, g.PromptTokens)

	for _, test := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"--messages", answered}, statusUsage, answered +
			" is the assistant's, and there is none to answer; add one with --prompt"},
		{[]string{"--messages", write("system.json", `[{"role": "system", "content": "s"}]`)}, statusUsage,
			"is the system's"},
		{[]string{"--messages", saved, "--system-prompt", "other"}, statusUsage, saved +
			" begins with a system message, and --system-prompt gives another"},
		{[]string{"--messages", saved, "--raw"}, statusUsage, "--messages means nothing with --raw"},
		{[]string{"--messages", write("none.json", `[]`)}, statusFailed, "none.json: messages: there is none"},
		{[]string{"--messages", write("cut.json", `[{"role": "user"`)}, statusFailed,
			"cut.json: messages: expected an array of messages"},
		{[]string{"--messages", write("other.json", `{"role": "user"}`)}, statusFailed, "other.json: messages: missing"},
		{[]string{"--messages", "/dev/zero"}, statusFailed, "--messages: /dev/zero: a device"},
	} {
		stdout, stderr, status := run(t, "", append([]string{"generate"}, test.args...)...)
		require.Equal(t, test.status, status, stderr)
		requireOneLine(t, stderr, test.want)
		require.Empty(t, stdout)
	}
}
