package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/demo"
)

// binary is the program, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	if os.Getenv(fakeEndVariable) != "" {
		endDevices = fakeEnd
	}
	if os.Getenv(fakeBenchVariable) != "" {
		fakeBench()
		main()
	}
	os.Exit(buildAndRun(m))
}

// takeSignals handles the signals that are ignored, as under nohup, so that programs that are started do not inherit
// that: they begin with what is handled at its default.
func takeSignals() {
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
}

func buildAndRun(m *testing.M) int {
	takeSignals()
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

// users begins the variables of the environment that would make a test depend on its user.
var users = regexp.MustCompile("^(" + modelVariable + "|HF_.*|HUGGING.*|TRANSFORMERS_OFFLINE|XDG_CACHE_HOME)=")

// command is a run of the program that knows nothing of this user's files, and no hub.
func command(t testing.TB, args ...string) *exec.Cmd {
	c := exec.Command(binary, args...)
	c.Dir = t.TempDir()
	c.Env = slices.DeleteFunc(os.Environ(), users.MatchString)
	c.Env = append(c.Env, "HOME="+c.Dir, "XDG_CONFIG_HOME="+c.Dir, "TERM=xterm-256color", "HF_ENDPOINT=http://127.0.0.1:1")
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
		{[]string{"--colour"}, "unknown flag --colour; see glm4-metal --help"},
		{[]string{"generate", "--colour"}, "unknown flag --colour; see glm4-metal generate --help"},
		{[]string{"generate", "--prompt"}, "--prompt needs a value: --prompt TEXT"},
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
		{[]string{"generate", "hi", "--max-kv-size", "-8"},
			"--max-kv-size is -8; it must be 0 (the checkpoint's limit) or more"},
		{[]string{"generate", "hi", "--prefill-step-size", "-1"},
			"--prefill-step-size is -1; it must be 0 (the default) or more"},
		{[]string{"generate", "hi", "--logprobs", "2"}, "--logprobs is printed with --json only"},
		{[]string{"generate", "hi", "--json", "--logprobs", "21"}, "--logprobs is 21; it must be between 0 and 20"},
		{[]string{"generate", "hi", "--raw", "--system-prompt", "s"}, "--system-prompt means nothing with --raw"},
		{[]string{"chat", "a", "b"}, `unexpected argument "b"`},
		{[]string{"chat", "a", "--model", "b"}, "two models are named"},
		{[]string{"show", "a", "b"}, `unexpected argument "b"`},
		{[]string{"tokenize", "--decode", "1 x"}, `"x" is no token id`},
		{[]string{"version", "now"}, `unexpected argument "now": version takes flags only`},
		{[]string{"help", "chat", "b"}, `unexpected argument "b": help takes one command`},
		{[]string{"completion", "tcsh"}, `completion is for bash, zsh, fish and man, not for "tcsh"`},
		{[]string{"generate", "hi", "--max-kv-size", "many"}, `--max-kv-size is "many"; it must be a whole number, or auto`},
		{[]string{"generate", "-prompt", "hi", "-temp", "hot"}, `-temp is "hot"; it must be a number`},
		{[]string{"generate", "--prompt", "--json"},
			"--prompt needs a value, but --json follows; where that is the value, write --prompt=--json"},
		{[]string{"generate", "hi", "--json=maybe"}, `--json is a switch and takes no value, found "maybe"`},
		{[]string{"generate", "hi", "--verbose", "False"},
			"--verbose is a switch: leave out the False, or write --verbose=false"},
		{[]string{"generate", "hi", "--ignore-chat-template", "--tools", "f"},
			"--tools means nothing with --ignore-chat-template"},
		{[]string{"generate", "hi", "--tools", ""}, "--tools is empty"},
		{[]string{"generate", "hi", "--chat-template", ""}, "--chat-template is empty"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			stdout, stderr, status := run(t, "", test.args...)
			require.Equal(t, statusUsage, status, stderr)
			requireOneLine(t, stderr, test.want)
			require.Empty(t, stdout)
		})
	}
}

func TestFlagsOfOthersAreNotExplained(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"generate hi -m 20",
			"unknown flag -m; --model MODEL is llama.cpp's -m, --max-tokens N is mlx-lm's; see glm4-metal generate --help"},
		{"generate hi --temperature 1", "unknown flag --temperature; did you mean --temp T; "},
		{"generate hi --max_tokens=5", "unknown flag --max_tokens; did you mean --max-tokens; "},
		{"generate hi -n 5", "unknown flag -n; did you mean --max-tokens N; "},
		{"chat -c 4096", "unknown flag -c; did you mean --max-kv-size N; "},
		{"generate hi -ngl 99", "unknown flag -ngl; did you mean --backend auto|metal|cpu; "},
		{"generate hi --adapter-path a", "adapters are not applied"},
		{"generate hi --trust-remote-code", "never run"},
		{"generate --promt hi", "did you mean --prompt; "},
		{"generate -pHello", "unknown flag -pHello; did you mean -p Hello; "},
		{"generate -5", "a text that begins with a dash goes behind --prompt or --; "},
		{"show --temp 1", "unknown flag --temp; --temp is a flag of chat, generate, serve; "},
		{"show --verbos", "unknown flag --verbos; see glm4-metal show --help"},
		{"--model m", "the command comes first: glm4-metal chat --model; "},
		{"--verson", "unknown flag --verson; see glm4-metal --help"},
		{"genrate", `unknown command "genrate"; did you mean generate; `},
		{"run", "did you mean chat or generate; "},
		{"./m", "a model comes behind one: glm4-metal chat ./m; "},
		{"help genrate", `unknown command "genrate"; did you mean generate; `},
	} {
		_, stderr, status := run(t, "", strings.Fields(test.line)...)
		require.Equal(t, statusUsage, status, test.line)
		requireOneLine(t, stderr, test.want)
	}
}

// A flag of others that is a flag here, or whose advice names one that is not, would never be of use.
func TestAdviceNamesAFlagThatIsNot(t *testing.T) {
	app := newApp()
	for _, f := range foreign {
		if f.ours != "" {
			require.NotEmpty(t, flagOwners(app, f.ours), f.ours)
		}
		for _, name := range strings.Fields(f.names) {
			require.Nil(t, findFlag(app.Command("generate"), name), name)
		}
		for _, word := range strings.Fields(f.note) {
			if name, ok := strings.CutPrefix(strings.TrimRight(word, ",;:"), "--"); ok {
				require.NotEmpty(t, flagOwners(app, name), f.note)
			}
		}
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
		{[]string{"generate", "hi", "--model", "/no/such/folder"},
			"/no/such/folder: there is no such folder; give the path of a checkpoint"},
		{[]string{"chat", "/no/such/folder"}, "/no/such/folder: there is no such folder"},
		{[]string{"tokenize", "hi", "--model", "/no/such/folder"}, "/no/such/folder: there is no such folder"},
		{[]string{"show", "/no/such/folder"}, "/no/such/folder"},
		{[]string{"show", empty}, "an empty folder"},
		{[]string{"tokenize", "hi", "--model", empty}, "an empty folder"},
		{[]string{"generate", "hi", "--max-kv-size", "4"}, "the context holds 4"},
		{[]string{"generate", "hi", "--max-kv-size", "9999999"},
			"--max-kv-size is 9999999; it must be at most 2048, which glm4-metal-demo was made for"},
		{[]string{"generate", "hi", "--logit-bias", "9999999=1"}, "--logit-bias is 9999999=1; it must be for an id below"},
		{[]string{"generate", "hi", "--tools", "/no/such/file"}, "--tools: /no/such/file: no such file"},
		{[]string{"generate", "hi", "--chat-template", "glm-9"}, "glm-9"},
		{[]string{"tokenize", "--decode", "9999999"}, "no token with the id 9999999"},
		{[]string{"template", "--messages", "/no/such/file"}, "--messages: /no/such/file: no such file"},
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
	asked, stderr, status := run(t, "", "--help")
	require.Zero(t, status, stderr)
	require.Empty(t, stderr)
	require.Equal(t, stdout, asked)
	for _, command := range newApp().Commands {
		require.Contains(t, stdout, "  "+command.Name)
		help, _, status := run(t, "", command.Name, "--help")
		require.Zero(t, status)
		require.Contains(t, help, "Examples:")
		same, _, status := run(t, "", "help", command.Name)
		require.Zero(t, status)
		require.Equal(t, help, same)
		for line := range strings.Lines(help) {
			if !strings.Contains(line, "glm4-metal") { // an example is one line
				require.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), helpWidth, line)
			}
		}
	}
}

func TestFlagsBehindArguments(t *testing.T) {
	t.Setenv("HOME", "/home/a")
	app := newApp()
	for _, test := range []struct{ in, want string }{
		{"generate hi there --temp 0.5 --json you", "generate --temp=0.5 --json=true -- hi there you"},
		{"generate --temp=0.5 hi", "generate --temp=0.5 -- hi"},
		{"generate -p -5 --presence-penalty -1 hi", "generate --prompt=-5 --presence-penalty=-1 -- hi"},
		{"generate -prompt hi", "generate --prompt=hi --"},
		{"generate hi -- --json", "generate -- hi --json"},
		{"generate --prompt -", "generate --prompt=- --"},
		{"generate --prompt=--json", "generate --prompt=--json --"},
		{"generate --json=false", "generate --json=false --"},
		{"generate --prefill-step-size 010", "generate --prefill-step-size=10 --"},
		{"generate --model=~/m --tools ~/t -f ~/f -f=~b/f -p ~/p",
			"generate --model=/home/a/m --tools=/home/a/t --file=/home/a/f --file=~b/f --prompt=~/p --"},
		{"generate hi --help", "help generate"},
		{"talk --loud hi", "talk --loud hi"},
	} {
		args, err := arrange(app, append([]string{program}, strings.Fields(test.in)...))
		require.NoError(t, err)
		require.Equal(t, program+" "+test.want, strings.Join(args, " "))
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
