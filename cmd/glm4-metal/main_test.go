package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/demo"
)

// binary is the program, built once for all tests.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "glm4-metal")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Chmod(dir, 0o755) // another user runs it too
	}
	if err == nil {
		binary = filepath.Join(dir, program)
		build := exec.Command("go", "build", "-o", binary, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		err = build.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// command is a run of the program that knows nothing of this user's files.
func command(t testing.TB, args ...string) *exec.Cmd {
	c := exec.Command(binary, args...)
	c.Dir = t.TempDir()
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, modelVariable+"=") {
			c.Env = append(c.Env, v)
		}
	}
	c.Env = append(c.Env, "HOME="+c.Dir, "XDG_CONFIG_HOME="+c.Dir, "TERM=xterm-256color")
	return c
}

// run gives what a run with this input wrote, and its status.
func run(t testing.TB, input string, args ...string) (stdout, stderr string, status int) {
	c := command(t, args...)
	c.Stdin = strings.NewReader(input)
	return finish(t, c)
}

func finish(t testing.TB, c *exec.Cmd) (stdout, stderr string, status int) {
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

func TestMistakesInTheCommandLine(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string // in the one line
	}{
		{[]string{"talk"}, `unknown command "talk"; the commands are chat, generate`},
		{[]string{"--colour"}, "not defined: --colour; see glm4-metal --help"},
		{[]string{"generate", "--colour"}, "not defined: --colour; see glm4-metal generate --help"},
		{[]string{"generate", "--prompt"}, "needs an argument: --prompt"},
		{[]string{"generate", "--prompt", ""}, "the prompt is empty"},
		{[]string{"generate", "--prompt", "a", "b"}, `unexpected argument "b" beside --prompt`},
		{[]string{"generate", "hi", "--temp", "warm"}, `--temp is "warm"; it must be a number`},
		{[]string{"generate", "hi", "--temp", "-1"}, "--temp is -1; it must be 0 (greedy) or more"},
		{[]string{"generate", "hi", "--temp", "NaN"}, "--temp is NaN"},
		{[]string{"generate", "hi", "--top-p", "1.5"}, "--top-p is 1.5; it must be between 0 and 1"},
		{[]string{"generate", "hi", "--top-k", "-1"}, "--top-k is -1"},
		{[]string{"generate", "hi", "--max-tokens", "-1"}, "--max-tokens is -1"},
		{[]string{"generate", "hi", "--seed", "-1"}, "--seed"},
		{[]string{"generate", "hi", "--stop", ""}, "--stop is empty; give it TEXT"},
		{[]string{"generate", "hi", "--logit-bias", "5"}, `--logit-bias is "5"; it must be ID=VALUE`},
		{[]string{"generate", "hi", "--backend", "cuda"}, `--backend is "cuda"; it must be auto, metal or cpu`},
		{[]string{"generate", "hi", "--kv-bits", "4"}, "--kv-bits is 4; it must be 16 or 32"},
		{[]string{"generate", "hi", "--max-kv-size", "-8"}, "--max-kv-size is -8"},
		{[]string{"generate", "hi", "--logprobs", "2"}, "--logprobs is printed with --json only"},
		{[]string{"generate", "hi", "--json", "--logprobs", "21"}, "--logprobs is 21; it must lie between 0 and 20"},
		{[]string{"generate", "hi", "--raw", "--system-prompt", "s"}, "--system-prompt means nothing with --raw"},
		{[]string{"chat", "a", "b"}, `unexpected argument "b"`},
		{[]string{"chat", "a", "--model", "b"}, "two models are named"},
		{[]string{"show", "a", "b"}, `unexpected argument "b"`},
		{[]string{"tokenize", "--decode", "1 x"}, `"x" is no token id`},
		{[]string{"template", "--messages", "f", "hi"}, "--messages and a prompt do not go together"},
		{[]string{"version", "now"}, `unexpected argument "now"`},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			stdout, stderr, status := run(t, "", test.args...)
			require.Equal(t, statusUsage, status, stderr)
			requireOneLine(t, stderr, test.want)
			require.Empty(t, stdout)
		})
	}
}

func requireOneLine(t *testing.T, stderr, want string) {
	require.Contains(t, stderr, want)
	require.True(t, strings.HasPrefix(stderr, program+": "), stderr)
	require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
}

func TestFailures(t *testing.T) {
	empty := t.TempDir()
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"generate", "hi", "--model", "/no/such/folder"}, "/no/such/folder: there is no such folder; give the path of a checkpoint"},
		{[]string{"chat", "/no/such/folder"}, "/no/such/folder: there is no such folder"},
		{[]string{"tokenize", "hi", "--model", "/no/such/folder"}, "/no/such/folder: there is no such folder"},
		{[]string{"show", "/no/such/folder"}, "/no/such/folder"},
		{[]string{"show", empty}, "no config.json"},
		{[]string{"tokenize", "hi", "--model", empty}, "no tokenizer"},
		{[]string{"generate", "hi", "--max-kv-size", "4"}, "the context holds 4"},
		{[]string{"generate", "hi", "--max-kv-size", "9999999"}, "a context of 9999999 tokens (--max-kv-size) is beyond"},
		{[]string{"generate", "hi", "--logit-bias", "9999999=1"}, "logit bias is 9999999=1"},
		{[]string{"generate", "hi", "--tools", "/no/such/file"}, "--tools: open /no/such/file"},
		{[]string{"generate", "hi", "--chat-template", "glm-9"}, "glm-9"},
		{[]string{"tokenize", "--decode", "9999999"}, "no token with the id 9999999"},
		{[]string{"template", "--messages", "/no/such/file"}, "--messages: open /no/such/file"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			stdout, stderr, status := run(t, "", test.args...)
			require.Equal(t, statusFailed, status, stderr)
			requireOneLine(t, stderr, test.want)
			require.Empty(t, stdout)
		})
	}
}

// demoFolder is the demo as a folder on disk that everybody may read.
func demoFolder(t *testing.T) string {
	dir, err := os.MkdirTemp("", "glm4-metal")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.CopyFS(dir, demo.FS()))
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

func TestFileWithoutReadPermission(t *testing.T) {
	dir := demoFolder(t)
	require.NoError(t, os.Chmod(filepath.Join(dir, "model.safetensors"), 0))
	c := command(t, "generate", "--prompt", "hi", "--model", dir)
	if os.Geteuid() == 0 { // who may read everything
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		c.Dir = "/"
	}
	stdout, stderr, status := finish(t, c)
	require.Equal(t, statusFailed, status, stderr)
	requireOneLine(t, stderr, "model.safetensors: permission denied")
	require.Empty(t, stdout)
}

func TestNoArgumentsPrintHelp(t *testing.T) {
	stdout, stderr, status := run(t, "")
	require.Zero(t, status)
	require.Empty(t, stderr)
	for _, command := range newApp().Commands {
		require.Contains(t, stdout, "  "+command.Name)
		help, _, status := run(t, "", command.Name, "--help")
		require.Zero(t, status)
		require.Contains(t, help, "Examples:")
		for line := range strings.Lines(help) {
			require.LessOrEqual(t, len([]rune(line)), 125, line)
		}
	}
}

func TestFlagsBehindArguments(t *testing.T) {
	app := newApp()
	for _, test := range []struct{ in, want string }{
		{"generate hi there --temp 0.5 --json you", "generate --temp 0.5 --json -- hi there you"},
		{"generate --temp=0.5 hi", "generate --temp=0.5 -- hi"},
		{"generate -p -5 hi", "generate -p -5 -- hi"},
		{"generate hi -- --json", "generate -- hi --json"},
		{"generate --prompt -", "generate --prompt - --"},
		{"generate hi --prompt", "generate --prompt"},
		{"talk --loud hi", "talk --loud hi"},
	} {
		require.Equal(t, program+" "+test.want, strings.Join(flagsFirst(app, append([]string{program}, strings.Fields(test.in)...)), " "))
	}
}

func TestVersion(t *testing.T) {
	stdout, stderr, status := run(t, "", "version", "--json")
	require.Zero(t, status)
	require.Empty(t, stderr)
	var b map[string]any
	require.NoError(t, json.Unmarshal([]byte(stdout), &b))
	for _, key := range []string{"version", "go", "os", "arch", "backends"} {
		require.NotEmpty(t, b[key], key)
	}
}

func TestClosedPipeEndsQuietly(t *testing.T) {
	c := command(t, "generate", "--prompt", "hi", "--ignore-eos", "--max-tokens", "0")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	_, err = io.ReadFull(out, make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, out.Close())
	require.Error(t, c.Wait())
	require.Empty(t, stderr.String())
}
