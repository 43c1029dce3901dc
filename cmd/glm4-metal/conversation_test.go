package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/model"
)

func TestSavedConversationLoads(t *testing.T) {
	file := filepath.Join(t.TempDir(), "chat.json")
	for _, messages := range [][]model.Message{
		nil,
		{{Role: model.RoleUser, Content: "你好 <&> \"\n\t"}},
		{
			{Role: model.RoleSystem, Content: "Be brief."},
			{Role: model.RoleUser, Content: "Weather?"},
			{Role: model.RoleAssistant, Reasoning: "hm", ToolCalls: []model.ToolCall{{Name: "weather",
				Arguments: `{"city": "北京"}`}}},
			{Role: model.RoleObservation, Content: "22"},
			{Role: model.RoleAssistant, Content: "22 degrees"},
		},
	} {
		require.NoError(t, saveConversation(file, "m", messages, 0o666))
		loaded, err := loadConversation(file)
		require.NoError(t, err)
		require.ElementsMatch(t, messages, loaded)
	}
	entries, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, entries, 1, "no temporary file stays behind")
	require.ErrorContains(t, saveConversation("/no/such/folder/chat.json", "m", nil, 0o666),
		"/no/such/folder/chat.json: no such file or directory")
}

func TestDamagedConversation(t *testing.T) {
	file := filepath.Join(t.TempDir(), "chat.json")
	for _, test := range []struct{ text, want string }{
		{"", "not a saved conversation"},
		{"[]", "not a saved conversation"},
		{`{"messages": [`, "not a saved conversation"},
		{`{"system": 1, "messages": []}`, "system: expected a string, found a number"},
		{`{}`, "messages: missing"},
		{`{"messages": {}}`, "messages: expected an array"},
		{`{"messages": [1]}`, "messages[0]: expected an object"},
		{`{"messages": [{"role": "user", "content": "a"}, {"role": "robot"}]}`,
			`messages[1].role: "robot" is not one of [system user assistant observation]`},
		{`{"messages": [{"role": "user", "content": 5}]}`, "messages[0].content: expected a string, found a number"},
		{`{"messages": [{"role": "user", "tool_calls": [{"name": "f"}]}]}`, "messages[0].tool_calls: only an assistant's"},
		{`{"messages": [{"role": "assistant", "tool_calls": [{"arguments": "{}"}]}]}`,
			"messages[0].tool_calls[0].name: missing"},
		{`{"messages": [{"role": "assistant", "tool_calls": [{"name": "f", "arguments": "{"}]}]}`,
			"messages[0].tool_calls[0].arguments: not valid JSON"},
		{`{"messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "s"}]}`,
			"messages[1].role: a system message can only be the first"},
	} {
		require.NoError(t, os.WriteFile(file, []byte(test.text), 0o600))
		_, err := loadConversation(file)
		require.ErrorContains(t, err, file+": "+test.want, test.text)
	}
	_, err := loadConversation("/no/such/file")
	require.ErrorContains(t, err, "/no/such/file")
}

func TestHistoryIsKeptAndCut(t *testing.T) {
	file := filepath.Join(t.TempDir(), "deep", "history")
	h, err := openHistory(file)
	require.NoError(t, err)
	require.Empty(t, h.lines)
	for range 2 * keptLines {
		h.add("old")
	}
	h.add("new␤你好")
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "others must not read it")
	for range 2 {
		h, err = openHistory(file)
		require.NoError(t, err)
		require.Len(t, h.lines, keptLines)
		require.Equal(t, "new␤你好", h.lines[keptLines-1])
	}
	_, err = openHistory("/dev/null/history")
	require.ErrorContains(t, err, "/dev/null/history")
}

// A disk that is full, or a limit on the size of files: the old file stays.
func TestFullDiskTruncatesTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("old"), 0o600))
	c := command(t, "chat", "--max-tokens", "1")
	c.Args = append([]string{"sh", "-c", `ulimit -f 0; exec "$@"`, "sh", binary}, c.Args[1:]...)
	c.Path = "/bin/sh"
	in, err := c.StdinPipe()
	require.NoError(t, err)
	_, err = in.Write([]byte("/save " + file + "\n"))
	require.NoError(t, err)
	require.NoError(t, in.Close())
	_, stderr, status := finish(t, c)
	require.Equal(t, statusFailed, status)
	requireOneLine(t, stderr, file+": "+syscall.EFBIG.Error())
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "old", string(data))
	entries, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, entries, 1)
}
