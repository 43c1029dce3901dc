package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// saved reads what /save wrote.
func saved(t *testing.T, file string) conversationJSON {
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var c conversationJSON
	require.NoError(t, json.Unmarshal(data, &c))
	return c
}

func (c conversationJSON) roles() string {
	var roles []string
	for _, m := range c.Messages {
		roles = append(roles, m.Role)
	}
	return strings.Join(roles, " ")
}

func TestPipedChatWritesAnswersOnly(t *testing.T) {
	stdout, stderr, status := run(t, "Hello\n\n你好", "chat", "--max-tokens", "6")
	require.Zero(t, status, stderr)
	require.Empty(t, stderr)
	first, _, _ := run(t, "", "generate", "--prompt", "Hello", "--max-tokens", "6")
	require.True(t, strings.HasPrefix(stdout, first), stdout)
	require.Greater(t, len(stdout), len(first)+1, "both lines are answered")
	require.NotContains(t, stdout, "\x1b")
	require.NotContains(t, stdout, prompt)
}

func TestCommands(t *testing.T) {
	file := filepath.Join(t.TempDir(), "chat.json")
	chat := func(input ...string) conversationJSON {
		_, stderr, status := run(t, strings.Join(append(input, "/save "+file, "/exit", "never read"), "\n"), "chat", "--max-tokens", "3", "--system-prompt", "Be brief.")
		require.Zero(t, status, stderr)
		return saved(t, file)
	}
	c := chat("Hello", "//etc/passwd", `"""one`, "/two", `three"""`, "/regen")
	require.Equal(t, "user assistant user assistant user assistant", c.roles())
	require.Equal(t, "/etc/passwd", c.Messages[2].Content)
	require.Equal(t, "one\n/two\nthree", c.Messages[4].Content)
	require.Equal(t, "Be brief.", c.System)
	require.Equal(t, "glm4-metal-demo", c.Model)

	require.Equal(t, c, chat("/clear", "/load "+file))
	require.Equal(t, "user assistant user assistant user assistant user assistant", chat("/load "+file, "More").roles())
	require.Equal(t, conversationJSON{Model: c.Model, System: "Be brief.", Messages: []messageJSON{}}, chat("Hello", "/clear"))
	c = chat("/system Be long.", "Hello")
	require.Equal(t, "Be long.", c.System)
	require.Equal(t, "user assistant", c.roles())
	require.Empty(t, chat(`/system ""`, "/clear").System)
}

func TestToolResultContinuesTheAnswer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "chat.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"messages": [{"role": "user", "content": "Weather?"},
		{"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": "{}"}, {"name": "g", "arguments": "{}"}]}]}`), 0o600))
	stdout, stderr, status := run(t, "/load "+file+"\n/tool 22\n/tool 23\n/save "+file+"\n/tool 24\n", "chat", "--max-tokens", "3")
	require.Equal(t, statusFailed, status)
	require.Contains(t, stderr, "no tool call waits for a result")
	require.NotEmpty(t, stdout)
	require.Equal(t, "user assistant observation observation assistant", saved(t, file).roles())
}

func TestChatCommandsThatFail(t *testing.T) {
	for input, want := range map[string]string{
		"/dance":              "there is no command /dance; /help lists the commands",
		"/save":               "/save needs the name of a file",
		"/load /no/such/file": "/load: /no/such/file: no such file",
		"/regen":              "there is no question to answer again",
		"/tool 5":             "no tool call waits",
	} {
		stdout, stderr, status := run(t, input+"\nnever read\n", "chat")
		require.Equal(t, statusFailed, status)
		requireOneLine(t, stderr, want)
		require.Empty(t, stdout)
	}
}

func TestStatsAndHelpGoToStandardError(t *testing.T) {
	stdout, stderr, status := run(t, "Hello\n/stats\n/help\n/system\n", "chat", "--max-tokens", "3", "--system-prompt", "Be brief.")
	require.Zero(t, status)
	require.Equal(t, 1, strings.Count(strings.TrimSpace(stdout)+"\n", "\n"))
	for _, want := range []string{"messages     3\n", " of 2048 tokens", "KV cache", "last prompt", "backend      cpu", "/regen", "Be brief.\n"} {
		require.Contains(t, stderr, want)
	}
}

func TestFullContextSaysHowToGoOn(t *testing.T) {
	_, stderr, status := run(t, strings.Repeat("again ", 50)+"\n", "chat", "--max-kv-size", "32")
	require.Equal(t, statusFailed, status)
	requireOneLine(t, stderr, "the limit is 32; /clear starts a new one")
}

func TestInterruptedPipedChat(t *testing.T) {
	c := command(t, "chat", "--ignore-eos")
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	_, err = io.WriteString(in, "Hello\n")
	require.NoError(t, err)
	_, err = io.ReadFull(out, make([]byte, 4))
	require.NoError(t, err)
	require.NoError(t, c.Process.Signal(os.Interrupt))
	_, err = io.ReadAll(out)
	require.NoError(t, err)
	require.Error(t, c.Wait())
	require.Equal(t, statusInterrupted, c.ProcessState.ExitCode())
}
