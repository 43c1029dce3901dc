package main

import (
	"bufio"
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
		_, stderr, status := run(t, strings.Join(append(input, "/save "+file, "/exit", "never read"), "\n"), "chat",
			"--max-tokens", "3", "--system-prompt", "Be brief.")
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
	require.Equal(t, conversationJSON{Model: c.Model, System: "Be brief.", Messages: []messageJSON{}},
		chat("Hello", "/clear"))
	c = chat("/system Be long.", "Hello")
	require.Equal(t, "Be long.", c.System)
	require.Equal(t, "user assistant", c.roles())
	require.Empty(t, chat(`/system ""`, "/clear").System)
}

func TestToolResultContinuesTheAnswer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "chat.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"messages": [{"role": "user", "content": "Weather?"},
		{"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": "{}"}, {"name": "g", "arguments": "{}"}]}]}`), 0o600))
	stdout, stderr, status := run(t, "/load "+file+"\n/tool 22\n/tool 23\n/save "+file+"\n/tool 24\n", "chat",
		"--max-tokens", "3")
	require.Equal(t, statusFailed, status)
	require.Contains(t, stderr, "no tool call waits for a result")
	require.NotEmpty(t, stdout)
	require.Equal(t, "user assistant observation observation assistant", saved(t, file).roles())
}

func TestChatCommandsThatFail(t *testing.T) {
	for input, want := range map[string]string{
		"/dance":               "there is no command /dance; /help lists the commands",
		"/sav x":               "there is no command /sav; did you mean /save? /help",
		"/clear all":           `/clear takes nothing behind it, found "all"`,
		"/set tmep 1":          "there is no setting tmep; did you mean temp? /set",
		"/set temp warm":       `temp is "warm"; it must be a number`,
		"/set temp -1":         "temp is -1; it must be",
		"/set temp \"\"":       "temp has no empty value; it must be a number",
		"/set reasoning maybe": `reasoning is "maybe"; it must be show, hide or off`,
		"/tools /no/such/file": "/tools: /no/such/file: no such file",
		"/save":                "/save needs the name of a file",
		"/load /no/such/file":  "/load: /no/such/file: no such file",
		"/regen":               "there is no question to answer again",
		"/tool 5":              "no tool call waits",
	} {
		stdout, stderr, status := run(t, input+"\nnever read\n", "chat")
		require.Equal(t, statusFailed, status)
		requireOneLine(t, stderr, want)
		require.Empty(t, stdout)
	}
}

func TestSettingsAreShownAndChanged(t *testing.T) {
	input := "/set max_tokens 2\n/set --temp 0.5\n/set stop a b\n/set stop c\n/set stop\n/set stop \"\"\n/set wrap " +
		"off\n/set\nHello\n/stats\n"
	stdout, stderr, status := run(t, input, "chat", "--max-tokens", "9")
	require.Zero(t, status, stderr)
	require.NotEmpty(t, stdout)
	for _, want := range []string{
		"max-tokens is 2 now\n", "temp is 0.5 now\n", `stop is "a b" now`, `stop is "a b", "c" now`,
		`stop is "a b", "c": end an answer`, "stop is empty now\n",
		"wrap is off now\n", "reasoning                show ", "last answer  2 tokens",
	} {
		require.Contains(t, stderr, want)
	}
	for _, s := range samplingOptions {
		require.Contains(t, stderr, "\n"+s.name+" ")
	}
}

func TestReasoningIsShownAgainstTheWish(t *testing.T) {
	file := filepath.Join(t.TempDir(), "chat.json")
	args := []string{"--chat-template", "glm-z1-0414", "--max-tokens", "6"}
	for how, shown := range map[string]bool{"show": true, "hide": false, "off": false} {
		_, stderr, status := run(t, "/set reasoning "+how+"\nHello\n/save "+file+"\n", append([]string{"chat"}, args...)...)
		require.Zero(t, status, stderr)
		require.Equal(t, shown, strings.Contains(stderr, "think"), stderr)
		answer := saved(t, file).Messages[1]
		require.Equal(t, how != "off", answer.Reasoning != "")

		_, stderr, _ = run(t, "", append([]string{"generate", "--prompt", "Hello", "--reasoning", how}, args...)...)
		require.Equal(t, shown, strings.Contains(stderr, "think"), stderr)
		stdout, _, _ := run(t, "", append([]string{"generate", "--json", "--prompt", "Hello", "--reasoning", how},
			args...)...)
		require.Equal(t, how != "off", strings.Contains(stdout, `"reasoning"`), stdout)
	}
	_, stderr, status := run(t, "", "generate", "--prompt", "Hello", "--reasoning", "maybe")
	require.Equal(t, statusUsage, status)
	requireOneLine(t, stderr, `--reasoning is "maybe"; it must be show, hide or off`)
}

func TestCommandsWithoutConfirmation(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tools.json")
	require.NoError(t, os.WriteFile(file, []byte(`[{"name": "weather", "parameters": {}}]`), 0o600))
	_, stderr, status := run(t, "/clear\n/system Be brief.\n/system \"\"\n/system\n/tools\n/tools "+file+
		"\n/tools\n/tools \"\"\n/?\n/quit\n/clear\n", "chat")
	require.Zero(t, status, stderr)
	for _, want := range []string{
		"the conversation is forgotten\nthe system message is set, for the conversation so far, too\nthere is no system " +
			"message any more\nthere is no system message\n" +
			"no tools are declared; /tools FILE declares some\n1 tool declared from " + file +
			"\nweather\nno tools are declared any more\n/help, /?",
	} {
		require.True(t, strings.HasPrefix(stderr, want), stderr)
	}
	for line := range strings.Lines(stderr[strings.Index(stderr, "/help"):]) {
		require.Less(t, len([]rune(line)), 81, line)
	}
	for _, c := range slashCommands() {
		require.Contains(t, stderr, "\n/"+c.names[0])
	}
}

func TestSaveForgetsTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "chat.json")
	_, stderr, status := run(t, "/save "+file+"\nHello\n/save\n", "chat", "--max-tokens", "1")
	require.Zero(t, status, stderr)
	require.Equal(t, "user assistant", saved(t, file).roles())
}

func TestPipedLineThatIsNoText(t *testing.T) {
	stdout, stderr, status := run(t, "Hello\nab\xc4\xe3\nnever read\n", "chat", "--max-tokens", "3")
	require.Equal(t, statusFailed, status)
	requireOneLine(t, stderr, "standard input, line 2: byte 0xc4 at offset 2 is not UTF-8")
	require.Equal(t, 1, strings.Count(stdout, "\n"), "the first line is answered")
}

// A pipe without a line's end must not fill the memory.
func TestPipedLineWithoutEnd(t *testing.T) {
	r := &plainReader{in: bufio.NewReader(io.LimitReader(zeros{}, maxLine*2))}
	_, err := r.ReadLine(t.Context(), prompt)
	require.ErrorContains(t, err, "standard input, line 1: more than 67108864 bytes long")
	r = &plainReader{in: bufio.NewReader(strings.NewReader(strings.Repeat("x", 1<<20) + "\r\ny"))}
	for _, want := range []int{1 << 20, 1} {
		line, err := r.ReadLine(t.Context(), prompt)
		require.NoError(t, err)
		require.Len(t, line, want)
	}
	_, err = r.ReadLine(t.Context(), prompt)
	require.ErrorIs(t, err, io.EOF)
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func TestStatsAndHelpGoToStandardError(t *testing.T) {
	stdout, stderr, status := run(t, "Hello\n/stats\n/help\n/system\n", "chat", "--max-tokens", "3", "--system-prompt",
		"Be brief.")
	require.Zero(t, status)
	require.Equal(t, 1, strings.Count(strings.TrimSpace(stdout)+"\n", "\n"))
	for _, want := range []string{"messages     3\n", " of 2048 tokens", "KV cache", "last prompt", "backend      cpu",
		"/regen", "Be brief.\n"} {
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
