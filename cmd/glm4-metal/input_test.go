package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// asked is the prompt that the demo makes of a message.
func asked(text string) string { return "[gMASK]<sop><|user|>\n" + text + "<|assistant|>\n" }

func TestTextsAreNotJoinedInOrder(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	plain, wide, marked := write("plain", "one\n"), write("wide", "\xff\xfet\x00w\x00o\x00"), write("marked",
		"\xef\xbb\xbfthree")
	for _, test := range []struct {
		input string
		args  []string
		want  string
	}{
		{"", []string{"ask"}, "ask"},
		{"", []string{"--prompt", "ask"}, "ask"},
		{"piped\r\n", nil, "piped"},
		{"piped\n", []string{"-p", "-"}, "piped"},
		{"piped\n", []string{"-"}, "piped"},
		{"piped\n", []string{"--prompt", "ask"}, "piped\n\nask"},
		{"piped\n", []string{"ask", "me"}, "piped\n\nask me"},
		{"\n", []string{"ask"}, "ask"},
		{"", []string{"--prompt", "ask\n"}, "ask\n"},
		{"", []string{"-f", plain, "--file", wide, "-p", "ask"}, "one\n\ntwo\n\nask"},
		{"piped", []string{"-f", marked, "ask"}, "piped\n\nthree\n\nask"},
		{"piped", []string{"-f", plain, "-f", "-", "ask"}, "one\n\npiped\n\nask"},
		{"piped", []string{"-f", plain, "-p", "-"}, "one\n\npiped"},
		{"", []string{"-f", plain}, "one"},
	} {
		stdout, stderr, status := run(t, test.input, append([]string{"template"}, test.args...)...)
		require.Zero(t, status, stderr)
		require.Empty(t, stderr)
		require.Equal(t, asked(test.want), stdout, "%v", test.args)
	}
}

func TestTextIsNotRefused(t *testing.T) {
	dir := t.TempDir()
	gbk := filepath.Join(dir, "gbk")
	require.NoError(t, os.WriteFile(gbk, []byte("ok\n\xc4\xe3"), 0o600))
	for _, test := range []struct {
		input  string
		args   []string
		want   string
		status int
	}{
		{"ok\n\xc4\xe3", []string{"generate"}, "standard input: byte 0xc4 at offset 3 (line 2) is not UTF-8", statusFailed},
		{"", []string{"generate", "-f", gbk}, gbk + ": byte 0xc4 at offset 3 (line 2)", statusFailed},
		{"", []string{"generate", "-p", "a\xff"}, "-p: byte 0xff at offset 1", statusUsage},
		{"", []string{"generate", "hi", "--stop", "\xff"}, "--stop: byte 0xff at offset 0", statusUsage},
		{"", []string{"generate", "a", "\xff"}, "the text: byte 0xff at offset 2", statusUsage},
		{"", []string{"generate", "-f", "/dev/zero", "hi"}, "-f: /dev/zero: a device", statusFailed},
		{"", []string{"generate", "-f", dir, "hi"}, "a folder; a file is needed", statusFailed},
		{"", []string{"generate", "-f", "", "hi"}, "the name of the file is empty", statusFailed},
		{"piped", []string{"generate", "-f", "-", "-p", "-"}, "standard input (-) is named 2 times", statusUsage},
		{"piped", []string{"generate", "-p", ""}, "the prompt is empty", statusUsage},
		{"", []string{"generate"}, "the prompt is empty", statusUsage},
	} {
		stdout, stderr, status := run(t, test.input, test.args...)
		require.Equal(t, test.status, status, stderr)
		requireOneLine(t, stderr, test.want)
		require.Empty(t, stdout)
	}
}

// Standard input that is nobody's text must neither be waited for nor change the prompt.
func TestInheritedInputChangesThePrompt(t *testing.T) {
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	text := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(text, []byte("first\nsecond\n"), 0o600))
	loop, err := os.Open(text)
	require.NoError(t, err)
	defer loop.Close()
	_, err = loop.Seek(6, 0) // as a shell's read leaves it
	require.NoError(t, err)
	whole, err := os.Open(text)
	require.NoError(t, err)
	defer whole.Close()
	idle, silent := socketPair(t)
	defer silent.Close()
	busy, writer := socketPair(t)
	_, err = writer.Write([]byte("data"))
	require.NoError(t, err)
	require.NoError(t, writer.Close())

	for _, test := range []struct {
		name   string
		in     *os.File
		args   []string
		prompt string
		stderr string
	}{
		{"/dev/null", null, nil, "ask", ""},
		{"closed", nil, nil, "ask", ""},
		{"a file", whole, nil, "first\nsecond\n\nask", ""},
		{"a loop's file", loop, nil, "ask",
			"standard input is a file that has been read from before and was not read; --file - reads it"},
		{"a loop's file, asked for", loop, []string{"-f", "-"}, "second\n\nask", ""},
		{"a socket that stays open", idle, nil, "ask", ""},
		{"a socket", busy, nil, "ask", "standard input is a socket and was not read; --file - reads it"},
		{"a socket, asked for", busy, []string{"-f", "-"}, "data\n\nask", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := command(t, append([]string{"template", "ask"}, test.args...)...)
			if test.in != nil {
				c.Stdin = test.in
			}
			if test.name == "closed" {
				c.Args = append([]string{"sh", "-c", `exec "$0" "$@" <&-`, c.Path}, c.Args[1:]...)
				c.Path = "/bin/sh"
			}
			stdout, stderr, status := finish(t, c)
			require.Zero(t, status, stderr)
			require.Equal(t, asked(test.prompt), stdout)
			if test.stderr == "" {
				require.Empty(t, stderr)
			} else {
				requireOneLine(t, stderr, test.stderr)
			}
		})
	}
}

// socketPair gives a socket's two ends, the first as a file.
func socketPair(t *testing.T) (*os.File, net.Conn) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s")})
	require.NoError(t, err)
	defer l.Close()
	writer, err := net.Dial("unix", l.Addr().String())
	require.NoError(t, err)
	reader, err := l.AcceptUnix()
	require.NoError(t, err)
	defer reader.Close()
	file, err := reader.File()
	require.NoError(t, err)
	t.Cleanup(func() { file.Close() })
	return file, writer
}

func TestInterruptWaitsForInput(t *testing.T) {
	for _, verb := range []string{"generate", "tokenize"} {
		c := command(t, verb, "hi")
		in, err := c.StdinPipe()
		require.NoError(t, err)
		var stderr strings.Builder
		c.Stderr = &stderr
		require.NoError(t, c.Start())
		_, err = in.Write([]byte(strings.Repeat("x", 1<<20))) // more than a pipe holds: it is being read
		require.NoError(t, err)
		require.NoError(t, c.Process.Signal(os.Interrupt))
		require.Error(t, c.Wait())
		require.Equal(t, statusInterrupted, c.ProcessState.ExitCode())
		require.Empty(t, stderr.String())
	}
}

// The demo answers only where no model is named.
func TestDemoAnswersForAnother(t *testing.T) {
	dir := demoFolder(t)
	parent, base := filepath.Dir(dir), filepath.Base(dir)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "empty"), 0o700))
	const usage, failed = statusUsage, statusFailed
	for _, test := range []struct {
		name   string
		in     string // folder
		env    string // what names the model there; "-": nothing
		args   []string
		status int
		want   string
	}{
		{"empty flag", parent, "-", []string{"generate", "hi", "--model", ""}, usage, "--model is empty"},
		{"empty flag", parent, "-", []string{"show", "--model="}, usage, "--model is empty"},
		{"empty environment", parent, "", []string{"generate", "hi"}, usage,
			"GLM4_MODEL is set in the environment, but empty"},
		{"empty environment", parent, "", []string{"tokenize", "hi"}, usage, "GLM4_MODEL is set"},
		{"empty environment", parent, "", []string{"template", "hi"}, usage, "GLM4_MODEL is set"},
		{"empty environment", parent, "", []string{"chat"}, usage, "GLM4_MODEL is set"},
		{"empty environment", parent, "", []string{"show"}, usage, "GLM4_MODEL is set"},
		{"empty argument", parent, "-", []string{"chat", ""}, usage, "the argument is empty"},
		{"missing folder", parent, "-", []string{"generate", "./missing"}, failed, "./missing: there is no such folder"},
		{"missing folder", parent, "-", []string{"tokenize", "/no/such", "hi"}, failed, "/no/such: there is no such folder"},
		{"missing folder", parent, "-", []string{"template", "~/missing", "hi"}, failed, "/missing: there is no such folder"},
		{"missing folder", parent, "~/missing", []string{"template", "hi"}, failed, parent +
			"/missing: there is no such folder"},
		{"other folder", dir, "-", []string{"generate", "empty", "hi"}, usage, `"empty" is a folder without a config.json`},
		{"file", dir, "-", []string{"generate", "config.json"}, usage, `"config.json" is a file; --file takes its text`},
		{"file", dir, "-", []string{"generate", "./model.safetensors", "hi"}, usage, `"./model.safetensors" is a file`},
		{"hub", parent, "-", []string{"generate", "mlx-community/GLM-4-9B-0414-4bit", "hi"}, usage,
			"looks like a model, and there is no such folder"},
		{"relative path", parent, "-", []string{"tokenize", "models/glm", "hi"}, usage,
			"looks like a model, and there is no such folder"},
		{"another's home", parent, "-", []string{"template", "~nobody/m", "hi"}, failed,
			"~nobody/m: there is no such folder"},
		{"folder behind the text", parent, "-", []string{"generate", "hi", "./" + base}, usage,
			"comes before the text, or behind --model"},
		{"two models", parent, "-", []string{"generate", dir, "hi", "--model", "m"}, usage, "two models are named"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := command(t, test.args...)
			c.Dir = test.in
			c.Env = append(c.Env, "HOME="+parent)
			if test.env != "-" {
				c.Env = append(c.Env, modelVariable+"="+test.env)
			}
			stdout, stderr, status := finish(t, c)
			require.Equal(t, test.status, status, stderr)
			requireOneLine(t, stderr, test.want)
			require.Empty(t, stdout)
		})
	}

	ids, _, _ := run(t, "", "tokenize", "hi")
	for _, args := range [][]string{
		{dir, "hi"}, {"./" + base, "hi"}, {base, "hi"}, {"~/" + base, "hi"}, {"--model=~/" + base, "hi"},
		{base, "--prompt", "hi"},
	} {
		c := command(t, append([]string{"tokenize"}, args...)...)
		c.Dir = parent
		c.Env = append(c.Env, "HOME="+parent, modelVariable+"=/no/such/folder")
		stdout, stderr, status := finish(t, c)
		require.Zero(t, status, stderr)
		require.Equal(t, ids, stdout, "%v", args)
	}
	for _, text := range []string{"TCP/IP and more", "24/7", "/ is a slash", "~5", "a"} {
		stdout, stderr, status := run(t, "", "template", text)
		require.Zero(t, status, stderr)
		require.Equal(t, asked(text), stdout)
	}
}

func TestIgnoredSignalEndsAVerb(t *testing.T) {
	c := command(t, "template", "hi")
	c.Args = append([]string{"sh", "-c", `trap "" HUP; exec "$0" "$@"`, c.Path}, c.Args[1:]...)
	c.Path = "/bin/sh"
	in, err := c.StdinPipe()
	require.NoError(t, err)
	var stdout strings.Builder
	c.Stdout = &stdout
	require.NoError(t, c.Start())
	_, err = in.Write([]byte(strings.Repeat("x", 1<<20))) // more than a pipe holds: it is being read
	require.NoError(t, err)
	require.NoError(t, c.Process.Signal(syscall.SIGHUP))
	require.NoError(t, in.Close())
	require.NoError(t, c.Wait())
	require.Contains(t, stdout.String(), "xx\n\nhi")
}
