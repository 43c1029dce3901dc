package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeServer has a model m"1; it wants the key, if that is not empty. Flags lead a launch to it.
func fakeServer(t *testing.T, key string) (flags []string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/health":
		case key != "" && r.Header.Get("Authorization") != "Bearer "+key:
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/v1/models":
			fmt.Fprint(w, `{"data":[{"id":"m\"1","context_length":4096}]}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	host, port, err := net.SplitHostPort(s.Listener.Addr().String())
	require.NoError(t, err)
	return []string{"--host", host, "--port", port}
}

// fakeTool puts a shell script of this name on the path of c.
func fakeTool(t *testing.T, c *exec.Cmd, name, script string) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o700))
	c.Env = append(c.Env, "PATH="+dir+":/usr/bin:/bin")
}

// tellAll prints a tool's environment and arguments.
const tellAll = "env\nfor a in \"$@\"; do echo \"arg $a\"; done\n"

func TestToolAsksAnotherServer(t *testing.T) {
	for name, want := range map[string][]string{
		"claude-code": {"ANTHROPIC_BASE_URL={url}", "ANTHROPIC_AUTH_TOKEN=secret", `ANTHROPIC_MODEL=m"1`,
			"CLAUDE_CODE_MAX_CONTEXT_TOKENS=4096"},
		"codex": {"GLM4_CLIENT_KEY=secret", `arg model="m\"1"`, `arg model_provider="glm4-metal"`,
			`arg model_providers.glm4-metal={name="glm4-metal", base_url="{url}/v1", env_key="GLM4_CLIENT_KEY", ` +
				`wire_api="responses"}`, "arg model_context_window=4096"},
		"opencode":  {"GLM4_CLIENT_KEY=secret"},
		"aider":     {"OPENAI_API_BASE={url}/v1", "OPENAI_API_KEY=secret", "arg --model", `arg openai/m"1`},
		"qwen-code": {"OPENAI_BASE_URL={url}/v1", "OPENAI_API_KEY=secret", `OPENAI_MODEL=m"1`},
		"goose":     {"OPENAI_HOST={url}", "GOOSE_PROVIDER=openai", `GOOSE_MODEL=m"1`, "OPENAI_API_KEY=secret"},
	} {
		flags := fakeServer(t, "secret")
		url := "http://" + net.JoinHostPort(flags[1], flags[3])
		found, err := findTool(name)
		require.NoError(t, err)
		c := command(t, append(append([]string{"launch"}, flags...), name, "--", "do", "-x", "a b")...)
		fakeTool(t, c, found.command, tellAll)
		c.Env = append(c.Env, "GLM4_API_KEY=secret", "ANTHROPIC_API_KEY=other", "OPENAI_API_KEY=other",
			"CLAUDE_CODE_USE_BEDROCK=1")
		stdout, stderr, status := finish(t, c)
		require.Zero(t, status, stderr)
		require.Empty(t, stderr)
		lines := strings.Split(stdout, "\n")
		for _, line := range want {
			require.Contains(t, lines, strings.ReplaceAll(line, "{url}", url), name)
		}
		require.True(t, strings.HasSuffix(stdout, "arg do\narg -x\narg a b\n"), stdout)
		if name == "claude-code" {
			require.NotContains(t, stdout, "ANTHROPIC_API_KEY")
			require.NotContains(t, stdout, "CLAUDE_CODE_USE_BEDROCK")
		}
	}
}

func TestOpencodeCannotReadItsConfiguration(t *testing.T) {
	found, err := findTool("opencode")
	require.NoError(t, err)
	var config struct {
		Model    string `json:"model"`
		Provider map[string]struct {
			Options struct{ BaseURL, APIKey string }
			Models  map[string]struct{ Limit struct{ Context, Output int } }
		} `json:"provider"`
	}
	for _, v := range found.environment(endpoint{url: "http://h:1", model: `a"\b`, key: "k", context: 4000}) {
		if v.name == "OPENCODE_CONFIG_CONTENT" {
			require.NoError(t, json.Unmarshal([]byte(v.value), &config))
		}
	}
	require.Equal(t, `glm4-metal/a"\b`, config.Model)
	provider := config.Provider["glm4-metal"]
	require.Equal(t, "http://h:1/v1", provider.Options.BaseURL)
	require.Equal(t, "{env:GLM4_CLIENT_KEY}", provider.Options.APIKey)
	require.Equal(t, 4000, provider.Models[`a"\b`].Limit.Context)
	require.Equal(t, 1000, provider.Models[`a"\b`].Limit.Output)
}

func TestUnknownContextIsPassedOn(t *testing.T) {
	for _, found := range tools {
		text := found.script(endpoint{url: "http://h:1", model: "m"}, "k", nil)
		require.NotContains(t, text, "{context")
		require.NotContains(t, text, "CONTEXT_TOKENS")
		require.NotContains(t, text, "model_context_window")
		require.NotContains(t, strings.TrimSuffix(text, "\n"), " -c\n")
	}
}

// What is printed must do in a shell what a launch does, and not show the key.
func TestPrintedLinesStartAnotherThing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "it's a key")
	require.NoError(t, os.WriteFile(file, []byte("secret\n"), 0o600))
	for _, found := range tools {
		args := append([]string{"launch", found.name, "--print", "--api-key-file", file}, fakeServer(t, "secret")...)
		script, stderr, status := run(t, "", append(args, "--", "it's", "$HOME")...)
		require.Zero(t, status, stderr)
		require.Empty(t, stderr)
		require.NotContains(t, script, "secret")

		printed := command(t)
		fakeTool(t, printed, found.command, tellAll)
		printed.Path, printed.Args = "/bin/sh", []string{"sh", "-c", "PATH=$PATH\n" + script}
		want, stderr, status := finish(t, printed)
		require.Zero(t, status, stderr)

		args[2] = "--verbose"
		launched := command(t, append(args, "--", "it's", "$HOME")...)
		launched.Env, launched.Dir = printed.Env, printed.Dir
		got, stderr, status := finish(t, launched)
		require.Zero(t, status, stderr)
		require.ElementsMatch(t, ours(want), ours(got), found.name)
	}
}

// ours leaves out of a tool's tale what the shell adds.
func ours(told string) []string {
	var out []string
	for line := range strings.Lines(told) {
		if !strings.HasPrefix(line, "_=") && !strings.HasPrefix(line, "PWD=") && !strings.HasPrefix(line, "OLDPWD=") &&
			!strings.HasPrefix(line, "SHLVL=") {
			out = append(out, line)
		}
	}
	return out
}

// freePort is one where nothing listens.
func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}

func TestPrintStartsSomething(t *testing.T) {
	c := command(t, "launch", "aider", "--print", "--port", freePort(t), "--model", "some where/GLM-4-9B")
	fakeTool(t, c, "aider", "touch started")
	stdout, stderr, status := finish(t, c)
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "export OPENAI_API_KEY=glm4-metal\n")
	require.Contains(t, stdout, "\naider --model openai/GLM-4-9B --weak-model")
	requireOneLine(t, stderr, "to start one: glm4-metal serve --port=")
	require.Contains(t, stderr, "'--model=some where/GLM-4-9B'")
	require.NoFileExists(t, filepath.Join(c.Dir, "started"))
	require.NoDirExists(t, filepath.Join(c.Dir, program))
}

func TestMistakesInALaunch(t *testing.T) {
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	host, port, err := net.SplitHostPort(other.Listener.Addr().String())
	require.NoError(t, err)
	empty := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for _, test := range []struct {
		args   []string
		status int
		want   string
	}{
		{nil, statusUsage, "which tool? The tools are claude-code, codex, opencode, aider"},
		{[]string{"claude-cod"}, statusUsage, "did you mean claude-code? the tools are claude-code, codex"},
		{[]string{"emacs"}, statusUsage, `"emacs" is no tool that can be launched; the tools are`},
		{[]string{"aider", "--yes-always"}, statusUsage, "what is for the tool goes behind --"},
		{[]string{"aider", "--port", "0"}, statusUsage, "--port is 0; it must be between 1 and 65535"},
		{[]string{"aider", "--host", "http://a"}, statusUsage, `--host is "http://a"; it must be a name`},
		{[]string{"aider", "--model", ""}, statusUsage, "--model is empty"},
		{[]string{"aider", "--api-key-file", "/no/such"}, statusFailed, "--api-key-file: /no/such: no such file"},
		{[]string{"aider", "--api-key-file", empty}, statusFailed, "the file is empty"},
		{[]string{"codex"}, statusFailed,
			"codex is not installed (no codex on the PATH); install it: npm install -g @openai/codex"},
		{[]string{"aider", "--host", host, "--port", port}, statusFailed,
			"another program listens at " + other.URL + " (it answers GET /health with status 404)"},
		{append([]string{"aider"}, fakeServer(t, "secret")...), statusFailed, "wants another key"},
	} {
		c := command(t, append([]string{"launch"}, test.args...)...)
		fakeTool(t, c, "aider", "echo started")
		stdout, stderr, status := finish(t, c)
		require.Equal(t, test.status, status, stderr)
		requireOneLine(t, stderr, test.want)
		require.Empty(t, stdout)
	}
}

func TestStatusOfAToolIsLost(t *testing.T) {
	for script, want := range map[string]int{"exit 7": 7, "exit 0": 0, "kill -9 $$": 137} {
		c := command(t, append([]string{"launch", "aider"}, fakeServer(t, "")...)...)
		fakeTool(t, c, "aider", script)
		_, stderr, status := finish(t, c)
		require.Equal(t, want, status, script)
		require.Empty(t, stderr)
	}
}

// A Ctrl-C, which goes to the whole process group, is the tool's to answer.
func TestInterruptEndsTheLauncher(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		c := command(t, append([]string{"launch", "aider"}, fakeServer(t, "")...)...)
		fakeTool(t, c, "aider", "trap 'echo caught; exit 3' INT TERM\necho ready\nwhile :; do sleep 0.01; done")
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		out, err := c.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, c.Start())
		told := make([]byte, len("ready\n"))
		_, err = out.Read(told)
		require.NoError(t, err)
		to := c.Process.Pid
		if s == syscall.SIGINT {
			to = -to
		}
		require.NoError(t, syscall.Kill(to, s))
		told = make([]byte, len("caught\n"))
		_, err = out.Read(told)
		require.NoError(t, err)
		require.Equal(t, "caught\n", string(told))
		require.Error(t, c.Wait())
		require.Equal(t, 3, c.ProcessState.ExitCode())
	}
}

// fakeServe is a program that says what it was started with, and, when it has to end, that too.
func fakeServe(t *testing.T, script string) (command string) {
	command = filepath.Join(t.TempDir(), "serve")
	require.NoError(t, os.WriteFile(command, []byte("#!/bin/sh\necho \"$@\"\n"+script), 0o700))
	return command
}

func TestServerOutlivesTheTool(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	answers := 0
	loadingFirst := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if answers++; answers < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer loadingFirst.Close()
	s := &modelServer{url: loadingFirst.URL}
	stop, err := s.start(fakeServe(t, "trap 'echo bye; exit' TERM\necho up >&2\nwhile :; do sleep 0.01; done"),
		[]string{"serve", "--port=1"})
	require.NoError(t, err)
	require.NoError(t, s.wait(context.Background()))
	require.Equal(t, 3, answers, "a model that is loaded yet is taken for a ready one")
	require.Eventually(t, func() bool { return lastLine(s.log) == "up" }, endWithin, askAgain)
	stop()
	data, err := os.ReadFile(s.log)
	require.NoError(t, err)
	require.Equal(t, "serve --port=1\nup\nbye\n", string(data))
}

func TestServerThatFailsIsWaitedFor(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	s := &modelServer{url: "http://127.0.0.1:" + freePort(t)}
	stop, err := s.start(fakeServe(t, "echo no such folder; exit 1"), nil)
	require.NoError(t, err)
	defer stop()
	require.ErrorContains(t, s.wait(context.Background()), "the server ended before it answered: no such folder; see "+s.log)
}
