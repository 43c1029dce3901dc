package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

var listens = regexp.MustCompile(`listens on (?:http://)?(\S+); try: curl (.*)`)

// startServer runs serve until the test ends. It gives where it listens, and the example that it prints.
func startServer(t *testing.T, change func(*exec.Cmd), args ...string) (c *exec.Cmd, address, example string) {
	c = command(t, append([]string{"serve"}, args...)...)
	if change != nil {
		change(c)
	}
	stderr, err := c.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	lines := bufio.NewScanner(stderr)
	require.True(t, lines.Scan(), "it ended")
	said := listens.FindStringSubmatch(lines.Text())
	require.NotNil(t, said, lines.Text())
	go func() {
		for lines.Scan() {
		}
	}()
	return c, said[1], said[2]
}

func TestServerDoesNotServe(t *testing.T) {
	c, address, example := startServer(t, nil, "--port", "0", "--max-tokens", "3", "--model-name", "mine")
	require.True(t, strings.HasPrefix(address, "127.0.0.1:"), address)
	require.Contains(t, example, "http://"+address+"/v1/chat/completions")
	r, err := http.Post("http://"+address+"/v1/chat/completions", "", strings.NewReader(
		`{"messages": [{"role": "user", "content": "Hello"}]}`))
	require.NoError(t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), `"content":"Hello!"`)
	require.Contains(t, string(body), `"model":"mine"`)

	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	_, stderr, status := run(t, "", "serve", "--port", port)
	require.Equal(t, statusFailed, status)
	require.Contains(t, stderr, "port "+port+" is taken, by another server perhaps; --port takes another, 0 a free one")

	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.Wait(), "the status is 0")
}

func TestServerTakesNoSocket(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "s")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: file, Net: "unix"})
	require.NoError(t, err)
	left.SetUnlinkOnClose(false)
	require.NoError(t, left.Close())
	c, address, example := startServer(t, func(c *exec.Cmd) { c.Env = append(c.Env, keyEnvironment+"=secret") }, "--unix", file)
	require.Equal(t, file, address)
	require.Contains(t, example, "--unix-socket '"+file+"' http://localhost/v1/chat/completions -H \"Authorization: Bearer $GLM4_API_KEY\" -d ")
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "others must not reach it")
	client := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", file)
	}}}
	r, err := client.Get("http://whatever/v1/models")
	require.NoError(t, err)
	r.Body.Close()
	require.Equal(t, http.StatusUnauthorized, r.StatusCode)
	_, stderr, status := run(t, "", "serve", "--unix", file)
	require.Equal(t, statusFailed, status)
	require.Contains(t, stderr, "another server listens on "+file)
	require.NoError(t, c.Process.Signal(os.Interrupt))
	require.NoError(t, c.Wait())
	require.NoFileExists(t, file)
}

func TestMistakesOfServe(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	require.NoError(t, os.WriteFile(empty, []byte("\n"), 0o600))
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"--port", "99999"}, statusUsage, "--port is 99999; it must lie between 0 and 65535"},
		{[]string{"--parallel", "0"}, statusUsage, "--parallel is 0; it must lie between 1 and"},
		{[]string{"--max-queue", "-1"}, statusUsage, "--max-queue is -1"},
		{[]string{"--prompt-cache-bytes", "much"}, statusUsage, `--prompt-cache-bytes is "much"; it must be a size such as 4GB`},
		{[]string{"--prompt-cache-bytes", "-4GB"}, statusUsage, "it must be a size"},
		{[]string{"--prompt-cache-bytes", "NaNGB"}, statusUsage, "it must be a size"},
		{[]string{"--keep-alive", "soon"}, statusUsage, `--keep-alive is "soon"; it must be a time such as 5m`},
		{[]string{"--request-timeout", "-1s"}, statusUsage, "it must be a time"},
		{[]string{"--log-format", "xml"}, statusUsage, `--log-format is "xml"; it must be text or json`},
		{[]string{"--api-key", "a", "--api-key-file", "b"}, statusUsage, "are two keys; leave one out"},
		{[]string{"--api-key", ""}, statusUsage, "the API key is empty"},
		{[]string{"--api-key-file", empty}, statusFailed, "must have one line with the key"},
		{[]string{"--api-key-file", filepath.Join(dir, "missing")}, statusFailed, "--api-key-file: "},
		{[]string{"--unix", empty}, statusFailed, "is there, and no socket"},
		{[]string{"--unix", "s", "--port", "1"}, statusUsage, "in place of --host and --port"},
		{[]string{"--host", "no.such.host.invalid"}, statusFailed, "--host no.such.host.invalid"},
		{[]string{"--temp", "-1"}, statusUsage, "--temp is -1"},
		{[]string{"/no/such/folder"}, statusFailed, "/no/such/folder: there is no such folder"},
		{[]string{"--served-model-name", "x"}, statusUsage, "did you mean --model-name NAME"},
		{[]string{"--bind", "x"}, statusUsage, "did you mean --host ADDRESS"},
		{[]string{"--ssl-keyfile", "x"}, statusUsage, "there is no TLS"},
	} {
		_, stderr, status := run(t, "", append([]string{"serve"}, c.args...)...)
		require.Equal(t, c.status, status, stderr)
		require.Contains(t, stderr, c.want)
		require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
	}
}

func TestSizesAndTimes(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "4GB": 4e9, "4 gb": 4e9, "1.5GiB": 3 << 29, "512MiB": 512 << 20, "7k": 7000,
		"64b": 64} {
		got, err := parseSize(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for text, want := range map[string]string{"0": "0s", "90": "1m30s", "5m": "5m0s", "1h30m": "1h30m0s"} {
		got, err := parseTime(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got.String(), text)
	}
}
