package main

import (
	"bytes"
	le "encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/demo"
)

func TestTokenizeThereAndBack(t *testing.T) {
	const text = "Hello 你好\n  🙂 x=1"
	ids, stderr, status := run(t, "", "tokenize", "--prompt", text)
	require.Zero(t, status, stderr)
	require.Empty(t, stderr)
	require.Equal(t, 1, strings.Count(ids, "\n"), "one line")
	back, _, _ := run(t, "", "tokenize", "--decode", ids)
	require.Equal(t, text+"\n", back)
	piped, _, _ := run(t, text+"\n", "tokenize")
	require.Equal(t, ids, piped)
	count, _, _ := run(t, text, "tokenize", "--count")
	require.Equal(t, len(strings.Fields(ids)), atoi(t, count))

	stdout, _, _ := run(t, text, "tokenize", "--json")
	var tokens []tokenJSON
	require.NoError(t, json.Unmarshal([]byte(stdout), &tokens))
	var bytes []byte
	for _, token := range tokens {
		for _, b := range token.Bytes {
			bytes = append(bytes, byte(b))
		}
		require.NotEmpty(t, token.Token)
	}
	require.Equal(t, text, string(bytes))
}

func atoi(t *testing.T, text string) (n int) {
	require.NoError(t, json.Unmarshal([]byte(text), &n))
	return n
}

func TestTokenizeTakesControlTokensOnlyWhenAsked(t *testing.T) {
	plain, _, _ := run(t, "<|user|>", "tokenize", "--count")
	require.Greater(t, atoi(t, plain), 1)
	special, _, _ := run(t, "<|user|>", "tokenize", "--count", "--special")
	require.Equal(t, 1, atoi(t, special))
}

func TestTemplate(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	messages := write("messages.json",
		`[{"role": "user", "content": "u"}, {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]}, {"role": "tool", "content": "o"}]`)
	tools := write("tools.json", `[{"type": "function", "function": {"name": "f", "description": "d", "parameters": {}}}]`)
	for _, test := range []struct {
		args []string
		want string // part of it
	}{
		{[]string{"hi"}, "[gMASK]<sop><|user|>\nhi<|assistant|>\n"},
		{[]string{"hi", "--no-generation-prompt"}, "[gMASK]<sop><|user|>\nhi\n"},
		{[]string{"hi", "--system-prompt", "s"}, "[gMASK]<sop><|system|>\ns<|user|>\nhi<|assistant|>\n"},
		{[]string{"hi", "--chat-template", "glm-z1-0414"}, "<|assistant|>\n<think>"},
		{[]string{"hi", "--chat-template", write("t.jinja", "A {{ messages[0]['content'] }} B")}, "A hi B\n"},
		{[]string{"--messages", messages}, "{\"x\": 1}<|observation|>\no<|assistant|>\n"},
		{[]string{"hi", "--tools", tools}, "## f"},
	} {
		stdout, stderr, status := run(t, "", append([]string{"template"}, test.args...)...)
		require.Zero(t, status, stderr)
		require.Contains(t, stdout, test.want)
	}

	stdout, _, _ := run(t, "", "template", "a <|user|> b", "--json")
	var p promptJSON
	require.NoError(t, json.Unmarshal([]byte(stdout), &p))
	require.Equal(t, "glm-4-0414", p.Format)
	ids, _, _ := run(t, "", "template", "a <|user|> b", "--ids")
	require.Len(t, strings.Fields(ids), len(p.IDs))
	user, _, _ := run(t, "<|user|>", "tokenize", "--special")
	require.Equal(t, 1, strings.Count(" "+strings.TrimSpace(ids)+" ", " "+strings.TrimSpace(user)+" "),
		"a typed control token is text")
}

func TestShow(t *testing.T) {
	stdout, stderr, status := run(t, "", "show", "--json", "--tensors")
	require.Zero(t, status, stderr)
	require.Empty(t, stderr)
	var d description
	require.NoError(t, json.Unmarshal([]byte(stdout), &d))
	require.Equal(t, "glm4", d.ModelType)
	require.Equal(t, "glm-4-0414", d.ChatFormat)
	require.Len(t, d.List, d.Tensors)
	require.Greater(t, d.Tokens, 0)
	require.LessOrEqual(t, d.Tokens, d.Vocab)
	require.Len(t, d.EOS, 3)
	require.Equal(t, "<|endoftext|>", d.EOS[0].Token)
	require.Equal(t, d.Bytes+int64((d.Context+255)/256*256)*int64(d.KVBytes), d.FullBytes)

	text, _, status := run(t, "", "show")
	require.Zero(t, status)
	for _, want := range []string{"family", "quantisation", "in groups of 64", "end tokens", "parameters", "on a GPU"} {
		require.Contains(t, text, want)
	}
}

func TestCopyOfWeightsIsNotTold(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, demo.FS()))
	weights := filepath.Join(dir, "model.safetensors")
	data, err := os.ReadFile(weights)
	require.NoError(t, err)
	header := data[8:][:le.LittleEndian.Uint64(data)]
	show := func(behind int) (d description, text string) { // the tensors begin so far behind a multiple of 16
		padded := bytes.TrimRight(header, " ")
		padded = append(padded[:len(padded):len(padded)], bytes.Repeat([]byte(" "), (behind+2*16-(8+len(padded))%16)%16)...)
		file := append(le.LittleEndian.AppendUint64(nil, uint64(len(padded))), padded...)
		require.NoError(t, os.WriteFile(weights, append(file, data[8+len(header):]...), 0o600))
		stdout, stderr, status := run(t, "", "show", "--json", dir)
		require.Zero(t, status, stderr)
		require.NoError(t, json.Unmarshal([]byte(stdout), &d))
		text, _, _ = run(t, "", "show", dir)
		return d, text
	}
	d, text := show(0)
	require.True(t, d.InPlace)
	require.Zero(t, d.Copied)
	require.Contains(t, text, "used in place: every matrix begins where a GPU's loads need it")

	d, text = show(1)
	require.False(t, d.InPlace)
	require.Greater(t, d.Copied, d.Bytes*9/10, "all but the vectors")
	require.Less(t, d.Copied, d.Bytes)
	require.Contains(t, text, "MB copied once at loading: they do not begin where a GPU's loads need it")
}

func TestJSONOfStrangeNamesIsInvalid(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "m\x1b[31m\u202e\"")
	require.NoError(t, os.CopyFS(dir, demo.FS()))
	stdout, stderr, status := run(t, "", "show", "--json", dir)
	require.Zero(t, status, stderr)
	var d description
	require.NoError(t, json.Unmarshal([]byte(stdout), &d))
	require.Equal(t, dir, d.Model)
	stdout, _, _ = run(t, "", "tokenize", "--json", "--decode", "200 201 202 128 129")
	require.True(t, json.Valid([]byte(stdout)), "tokens that are no whole characters")
	require.NotContains(t, stdout, "\x1b")
}
