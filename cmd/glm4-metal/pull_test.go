package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/demo"
	"github.com/glm4-metal/glm4-metal/internal/hub/hubtest"
)

const (
	hubName  = "mlx-community/GLM-4-9B-0414-4bit"
	hubShort = "glm4:9b-4bit"
)

// hubUser is somebody with a cache of his own, and a hub that has the demo under the name of a real checkpoint.
type hubUser struct {
	*hubtest.Hub
	t    *testing.T
	home string
}

func newHubUser(t *testing.T) *hubUser {
	return &hubUser{hubtest.New(t, hubName, hubtest.Files(t, demo.FS())), t, t.TempDir()}
}

func (u *hubUser) command(args ...string) *exec.Cmd {
	c := command(u.t, args...)
	c.Env = append(c.Env, "HF_HOME="+u.home, "HF_ENDPOINT="+u.URL)
	return c
}

func (u *hubUser) run(args ...string) (stdout, stderr string, status int) {
	return finish(u.t, u.command(args...))
}

// pull fetches what there is, and gives its folder.
func (u *hubUser) pull() string {
	stdout, stderr, status := u.run("pull", hubShort)
	require.Zero(u.t, status, stderr)
	return strings.TrimSpace(stdout)
}

// stall has the hub give half of the weights and then nothing, until proceed is called.
func (u *hubUser) stall() (proceed func()) {
	ended, weights := make(chan struct{}), u.Commits[hubtest.Commit]["model.safetensors"]
	u.Change(func() {
		u.Fault = func(w http.ResponseWriter, r *http.Request, n int) bool {
			if r.URL.Path != "/"+weights.SHA256() || n > 1 {
				return false
			}
			w.Header().Set("ETag", `"of the cdn"`)
			http.NewResponseController(w).Flush()
			w.Write(weights.Data[:len(weights.Data)/2])
			http.NewResponseController(w).Flush()
			<-ended
			return true
		}
	})
	proceed = sync.OnceFunc(func() { close(ended) })
	u.t.Cleanup(proceed)
	return proceed
}

func TestPulledModelIsNotTakenByAVerb(t *testing.T) {
	u := newHubUser(t)
	stdout, stderr, status := u.run("pull", hubShort, "--json")
	require.Zero(t, status, stderr)
	var p pulled
	require.NoError(t, json.Unmarshal([]byte(stdout), &p))
	require.Equal(t, hubShort, p.Name)
	require.FileExists(t, filepath.Join(p.Folder, "model.safetensors"))
	require.Contains(t, stderr, "glm4:9b-4bit is "+hubName+", 5.29 GB; it goes to "+u.home+"/hub\n")
	stdout, stderr, status = u.run("pull", hubName)
	require.Zero(t, status)
	require.Equal(t, p.Folder+"\n", stdout)
	require.Contains(t, stderr, "to talk to it: glm4-metal chat "+hubName+"\n")
	u.Log()
	for _, args := range [][]string{
		{"show", hubShort}, {"show", "--model", hubName}, {"tokenize", hubShort, "hi"}, {"template", hubName, "hi"},
		{"generate", hubName + "@main", "hi", "--max-tokens", "1"}, {"chat", hubShort}, {"list", "--known"},
		{"bench", hubShort, "-p", "1", "-n", "1", "-r", "1", "--no-warmup"},
	} {
		stdout, stderr, status := u.run(args...)
		require.Zero(t, status, "%v: %s", args, stderr)
		require.NotContains(t, stdout+stderr, hubtest.Commit+" on", "named by its commit")
	}
	stdout, stderr, status = u.run("show", hubName)
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "glm4-metal convert "+hubName+" GLM-4-9B-0414-4bit-aligned makes it map in place")
	_, stderr, status = u.run("convert", hubShort, filepath.Join(u.home, "aligned"))
	require.Zero(t, status, stderr)
	require.Empty(t, u.Log(), "a verb asked the hub")
}

func TestWayToAModelIsNotExplained(t *testing.T) {
	u := newHubUser(t)
	for _, test := range []struct{ line, want string }{
		{"show " + hubShort, "there is no such folder, and it is not in " + u.home + "/hub; to fetch it: glm4-metal pull " +
			hubShort},
		{"chat " + hubName, "to fetch it: glm4-metal pull " + hubName},
		{"chat glm4:9b-4bits", "glm4:9b-4bits: there is no such folder or model; did you mean glm4:9b-4bit?"},
		{"tokenize hi --model " + hubName, "to fetch it: glm4-metal pull " + hubName},
		{"bench " + hubShort, "to fetch it: glm4-metal pull " + hubShort},
		{"pull glm4:9b-4bits", "did you mean glm4:9b-4bit?"},
		{"pull ./m", "./m: there is no such folder"},
		{"pull " + hubName + "@v9", "the repository has no revision v9"},
		{"pull org/other", "there is no such repository at " + u.URL},
		{"rm " + hubShort, hubShort + " is not in " + u.home + "/hub\n"},
		{"rm ./m", "./m: a path, and only what is in the cache, under its name there, is removed here; delete it yourself"},
		{"list ./m", "./m: there is no such folder"},
	} {
		stdout, stderr, status := u.run(strings.Fields(test.line)...)
		require.Equal(t, statusFailed, status, "%s: %s", test.line, stderr)
		require.Contains(t, stderr, test.want)
		require.Empty(t, stdout)
	}
	for _, test := range []struct{ line, want string }{
		{"pull", "what is to be fetched is missing: glm4-metal pull glm4:9b-4bit"},
		{"rm", "what is to be removed is missing"},
		{"list x --known", `unexpected argument "x" beside --known`},
		{"generate " + hubName + " hi", `"` + hubName + `" looks like a model, and there is no such folder, nor is it in the ` +
			"cache: glm4-metal pull " + hubName + " fetches it"},
		{"generate glm4:9b-4bits hi", "did you mean glm4:9b-4bit; a text that looks like one goes behind --prompt"},
		{"download x", `unknown command "download"; did you mean pull; `},
		{"ls", `unknown command "ls"; did you mean list; `},
		{"delete", `unknown command "delete"; did you mean rm; `},
		{"manage", `unknown command "manage"; did you mean list or rm; `},
		{"chat -hf org/name", "--model takes org/name of the hub too, once glm4-metal pull org/name has fetched it"},
		{hubShort, "a model comes behind one: glm4-metal chat " + hubShort},
	} {
		_, stderr, status := u.run(strings.Fields(test.line)...)
		require.Equal(t, statusUsage, status, "%s: %s", test.line, stderr)
		requireOneLine(t, stderr, test.want)
	}
	u.Change(func() {
		u.Commits[hubtest.Commit]["config.json"] = hubtest.File{Data: []byte(`{"model_type": "llama"}`)}
	})
	_, stderr, status := u.run("pull", hubName)
	require.Equal(t, statusFailed, status)
	require.Contains(t, stderr, "no GLM-4 checkpoint, by the model_type in config.json; these can be run: glm4:9b, ")
	require.Zero(t, u.Gets("model.safetensors"))
}

func TestInterruptedPullIsLost(t *testing.T) {
	u := newHubUser(t)
	proceed := u.stall()
	cmd := u.command("pull", hubShort)
	c := startConsole(t, cmd)
	c.expect("5.29 GB; it goes to ")
	half := len(u.Commits[hubtest.Commit]["model.safetensors"].Data) / 2
	c.expect(" of " + gigabytes(u.bytes()))
	for !u.hasPartial(int64(half)) {
		c.expect("fetching " + hubShort) // another picture
	}
	c.send(interrupt)
	c.expect("interrupted; what has come is kept: the same command goes on from there\r\n")
	<-c.ended
	require.Equal(t, statusInterrupted, cmd.ProcessState.ExitCode())
	_, stderr, status := u.run("show", hubShort)
	require.Equal(t, statusFailed, status)
	require.Contains(t, stderr, "glm4-metal pull "+hubShort)
	stdout, _, _ := u.run("list")
	require.Contains(t, stdout, "\n"+hubShort+" cannot be used: it lacks model.safetensors; glm4-metal pull "+hubShort+
		" mends it, glm4-metal rm "+hubShort+" removes it\n")
	proceed()
	u.Log()
	folder := u.pull()
	require.FileExists(t, filepath.Join(folder, "model.safetensors"))
	sum := u.Commits[hubtest.Commit]["model.safetensors"].SHA256()
	require.Contains(t, strings.Join(u.Log(), "\n"), "GET cdn/"+sum+" ", "not resumed: no range was asked for")
}

// bytes are those of a pull.
func (u *hubUser) bytes() (n int64) {
	for name, f := range u.Commits[hubtest.Commit] {
		if name != "README.md" && name != "NOTICE" {
			n += int64(len(f.Data))
		}
	}
	return n
}

// hasPartial tells whether a partial file of that many bytes is in the cache.
func (u *hubUser) hasPartial(size int64) bool {
	files, _ := filepath.Glob(filepath.Join(u.home, "hub", "*", "blobs", "*.incomplete"))
	for _, file := range files {
		if info, err := os.Stat(file); err == nil && info.Size() >= size {
			return true
		}
	}
	return false
}

func TestNoticeTearsTheProgress(t *testing.T) {
	u := newHubUser(t)
	u.Change(func() {
		u.Fault = func(w http.ResponseWriter, _ *http.Request, n int) bool {
			if n > 1 {
				return false
			}
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}
	})
	cmd := u.command("pull", hubShort)
	c := startConsole(t, cmd)
	<-c.ended
	require.Zero(t, cmd.ProcessState.ExitCode(), c.output)
	for line := range strings.Lines(c.output) {
		line = screen(strings.TrimRight(line, "\r\n"))
		if strings.Contains(line, "trying again in") {
			require.NotContains(t, line, "fetching")
		}
		require.NotRegexp(t, `^[-|/\\] `, line, "a picture stays")
	}
	require.Contains(t, c.output, "status 429")
	require.Regexp(t, `[-|/\\] fetching glm4:9b-4bit`, c.output)
}

func TestChatDoesNotOfferToFetch(t *testing.T) {
	question := hubShort + " is not here, 5.29 GB; fetch it? [Y/n] "
	for _, answer := range []string{"no\r", endOfFile, interrupt} {
		u := newHubUser(t)
		cmd := u.command("chat", hubShort)
		c := startConsole(t, cmd)
		c.expect(question)
		c.send(answer)
		<-c.ended
		if answer == interrupt {
			require.Equal(t, statusInterrupted, cmd.ProcessState.ExitCode())
		} else {
			require.Equal(t, statusFailed, cmd.ProcessState.ExitCode())
			c.expect("to fetch it: glm4-metal pull " + hubShort)
		}
		require.Empty(t, u.Log())
	}
	u := newHubUser(t)
	cmd := u.command("chat", "--max-tokens", "2")
	cmd.Env = append(cmd.Env, modelVariable+"="+hubShort)
	c := startConsole(t, cmd)
	c.expect(question)
	c.send("what\r")
	c.expect(question)
	c.send("\r")
	c.expect("it goes to ")
	c.expect(hubShort + " on ")
	c.expect(prompt)
	c.send("Hello\r")
	c.expectAnswer()
	c.expect(prompt)
	c.send(endOfFile)
	c.expectEnd(0)
}

func TestSignalDoesNotEndAPullInAPipe(t *testing.T) {
	u := newHubUser(t)
	u.stall()
	cmd := u.command("pull", hubShort)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	first := make([]byte, 16)
	_, err = stderr.Read(first)
	require.NoError(t, err)
	require.Contains(t, string(first), hubShort)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.Error(t, cmd.Wait())
	require.Equal(t, statusInterrupted, cmd.ProcessState.ExitCode())
}
