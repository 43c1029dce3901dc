package hub

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/hub/hubtest"
)

// command is a process that pulls from h into a home of its own.
func (h *testHub) command(t testing.TB, verb, home string, env ...string) (*exec.Cmd, *bytes.Buffer) {
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HF_HOME=" + home, "HF_ENDPOINT=" + h.URL,
		"HUB_TEST_CHILD=" + verb, "HUB_TEST_NAME=" + testName}, env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	return cmd, &stderr
}

// at gives a client for the cache of a process.
func (h *testHub) at(t testing.TB, home string) *testClient {
	c := h.client(t)
	c.Settings.Cache = filepath.Join(home, "hub")
	return c
}

func TestKilledPullBeginsAgain(t *testing.T) {
	h := newHub(t, tinyFiles())
	home := t.TempDir()
	etag := tinyFiles()[testShard].ETag()
	reached := make(chan bool, 1)
	fault := func(w http.ResponseWriter, r *http.Request, n int) bool {
		if r.URL.Path != "/"+etag || n > 1 {
			return false
		}
		w.Header().Set("Content-Length", "150000")
		w.Write(tinyFiles()[testShard].Data[:70000])
		w.(http.Flusher).Flush()
		reached <- true
		<-r.Context().Done()
		return true
	}
	h.Change(func() { h.Fault = fault })
	cmd, stderr := h.command(t, "pull", home)
	require.NoError(t, cmd.Start())
	<-reached
	c := h.at(t, home)
	blob := filepath.Join(c.Settings.Cache, "models--mlx-community--tiny-glm/blobs", etag)
	for size := int64(0); size < 70000; time.Sleep(time.Millisecond) {
		for _, info := range partials(blob) {
			size = info.Size()
		}
	}
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait(), stderr)
	require.NoFileExists(t, blob)
	_, err := c.Find(testName)
	require.Error(t, err, "found although it is not whole")
	h.Log()
	folder := c.pull(t)
	require.Contains(t, h.Log(), "GET cdn/"+etag+" 70000-")
	h.requireWhole(t, c, folder)

	other := h.client(t)
	other.pull(t)
	require.Equal(t, cacheTree(t, other.Settings.Cache), cacheTree(t, c.Settings.Cache), "not as if nothing had happened")
}

func TestTwoProcessesFetchTwice(t *testing.T) {
	h := newHub(t, tinyFiles())
	home := t.TempDir()
	etag := tinyFiles()[testShard].ETag()
	first, second := make(chan bool, 1), make(chan bool)
	fault := func(w http.ResponseWriter, r *http.Request, n int) bool {
		if r.URL.Path == "/"+etag {
			first <- true
			<-second
		}
		return false
	}
	h.Change(func() { h.Fault = fault })
	a, stderrA := h.command(t, "pull", home)
	b, stderrB := h.command(t, "pull", home)
	b.Stderr = nil
	waits, err := b.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, a.Start())
	<-first
	require.NoError(t, b.Start())
	line := make([]byte, 1000)
	n, err := waits.Read(line)
	require.NoError(t, err, stderrB)
	require.Contains(t, string(line[:n]), testShard+": waiting for who else fetches it")
	close(second)
	_, err = io.Copy(stderrB, waits)
	require.NoError(t, err)
	require.NoError(t, a.Wait(), stderrA)
	require.NoError(t, b.Wait(), stderrB)
	for path := range tinyFiles() {
		if wanted(path) {
			require.Equal(t, 1, h.Gets(path), path)
		}
	}
	c := h.at(t, home)
	folder, err := c.Find(testName)
	require.NoError(t, err)
	h.requireWhole(t, c, folder)
}

// As nobody, who may read all and write nothing.
func TestReadOnlyCacheCannotBeUsed(t *testing.T) {
	h := newHub(t, tinyFiles())
	home, err := os.MkdirTemp("/tmp", "hub") // the folders above a test's own are closed to others
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	program, err := os.ReadFile(self)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(home+"/test", program, 0o755))
	open := func(write os.FileMode) {
		require.NoError(t, filepath.WalkDir(home, func(path string, e os.DirEntry, err error) error {
			if e.Type()&os.ModeSymlink == 0 {
				return os.Chmod(path, 0o555|write)
			}
			return err
		}))
	}
	defer func() { open(0o200); os.RemoveAll(home) }()
	c := h.at(t, home)
	folder := c.pull(t)
	open(0)
	run := func(verb string) (string, string, error) {
		cmd, stderr := h.command(t, verb, home)
		cmd.Path = home + "/test"
		if os.Geteuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		out, err := cmd.Output()
		return strings.TrimSpace(string(out)), stderr.String(), err
	}
	for _, verb := range []string{"find", "pull"} {
		found, stderr, err := run(verb)
		require.NoError(t, err, stderr)
		require.Equal(t, folder, found)
	}
	// With something to write the error says where it may not.
	h.Change(func() {
		h.Main = strings.Repeat("2", 40)
		h.Commits[h.Main] = tinyFiles()
	})
	_, stderr, err := run("pull")
	require.Error(t, err)
	require.Contains(t, stderr, "permission denied")
	require.Contains(t, stderr, home)
}

func TestFullDiskLeavesWhatLooksWhole(t *testing.T) {
	h := newHub(t, tinyFiles())
	home := t.TempDir()
	cmd, stderr := h.command(t, "pull", home, "HUB_TEST_DISK=100k")
	ownMounts(cmd)
	require.Error(t, cmd.Run())
	require.Contains(t, stderr.String(), "bytes are free, and mlx-community/tiny-glm needs another 273")
	require.Contains(t, stderr.String(), "HF_HUB_CACHE")
	require.Zero(t, h.Gets("config.json"), "fetched what does not fit")

	// A disk that others fill meanwhile.
	cmd, stderr = h.command(t, "pull", home, "HUB_TEST_DISK=200k", "HUB_TEST_DISK_LIES=1")
	ownMounts(cmd)
	require.Error(t, cmd.Run())
	require.Contains(t, stderr.String(), "no space left on device")
	require.Contains(t, stderr.String(), "make room and pull again")
	whole := map[string]bool{}
	for _, f := range tinyFiles() {
		whole[f.SHA256()] = true
	}
	for line := range strings.SplitSeq(stderr.String(), "\n") {
		hash, ok := strings.CutPrefix(line, "blob ")
		name, sum, _ := strings.Cut(hash, " ")
		if ok && !strings.HasSuffix(name, ".incomplete") {
			require.True(t, whole[sum], "%s has other bytes", name)
		}
	}
	require.Contains(t, stderr.String(), ".incomplete", "what has come is kept")
}

func TestProxyIsPassedBy(t *testing.T) {
	h := newHub(t, tinyFiles())
	var lies atomic.Bool
	var forwarded atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !r.URL.IsAbs() || r.URL.Host != "hub.test" {
			// Where the hub of the test sends for a large file, as it knows no proxy.
			http.Error(w, "not a request to a proxy", 500)
			return
		}
		forwarded.Add(1)
		if lies.Load() {
			w.Write([]byte("<html>Please log in"))
			return
		}
		h.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	env := []string{"HTTP_PROXY=" + proxy.URL, "HF_ENDPOINT=http://hub.test", "GLM4_HUB_PLAIN_HTTP=1"}
	// The pages of the listing, too, are at the name that the proxy knows.
	h.Change(func() { h.Page = 100 })
	home := t.TempDir()
	cmd, stderr := h.command(t, "pull", home, env...)
	out, err := cmd.Output()
	require.NoError(t, err, stderr)
	require.Greater(t, forwarded.Load(), int32(5))
	h.requireWhole(t, h.at(t, home), strings.TrimSpace(string(out)))

	lies.Store(true)
	cmd, stderr = h.command(t, "pull", t.TempDir(), env...)
	require.Error(t, cmd.Run())
	require.Contains(t, stderr.String(), "a login page")
	cmd, stderr = h.command(t, "pull", t.TempDir(), env[:2]...)
	require.Error(t, cmd.Run())
	require.Contains(t, stderr.String(), "GLM4_HUB_PLAIN_HTTP=1")
}

// A shard of 256 MiB: the processor's time of a process that pulls it, as a share of one core at 100 MB/s.
func BenchmarkPull(b *testing.B) {
	files := tinyFiles()
	large := hubtest.File{Data: bytes.Repeat([]byte("0123456789abcdef"), 16<<20), LFS: true}
	files[testShard] = large
	h := newHub(b, files)
	etag, resolve := large.ETag(), "/"+testName+"/resolve/"+testCommit+"/"+testShard
	fault := func(w http.ResponseWriter, r *http.Request, n int) bool { // without hashing it every time
		switch r.URL.Path {
		case resolve:
			w.Header().Set("X-Repo-Commit", testCommit)
			w.Header().Set("X-Linked-Etag", etag)
			w.Header().Set("Location", h.CDN+"/"+etag)
			w.WriteHeader(302)
		case "/" + etag:
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(large.Data))
		default:
			return false
		}
		return true
	}
	h.Change(func() { h.Fault = fault })
	var busy, user time.Duration
	b.SetBytes(int64(len(large.Data)))
	for b.Loop() {
		cmd, stderr := h.command(b, "pull", b.TempDir())
		require.NoError(b, cmd.Run(), stderr)
		user += cmd.ProcessState.UserTime()
		busy += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	megabytes := float64(b.N) * float64(len(large.Data)) / 1e6
	b.ReportMetric(100*user.Seconds()/megabytes*100, "%user@100MB/s") // without the kernel's copies
	b.ReportMetric(100*busy.Seconds()/megabytes*100, "%core@100MB/s")
}
