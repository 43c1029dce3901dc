package hub

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	testName   = "mlx-community/tiny-glm"
	testCommit = "1111111111111111111111111111111111111111"
)

type testFile struct {
	data []byte
	lfs  bool
}

func (f testFile) git() string {
	sum := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(f.data)), f.data...))
	return hex.EncodeToString(sum[:])
}

func (f testFile) sha256() string {
	sum := sha256.Sum256(f.data)
	return hex.EncodeToString(sum[:])
}

func (f testFile) etag() string {
	if f.lfs {
		return f.sha256()
	}
	return f.git()
}

// testHub serves one repository as huggingface.co does: small files after a redirect on the same host, large ones after
// one to another.
type testHub struct {
	testContent // changed by change once there were requests

	hub, cdn *httptest.Server
	mutex    sync.Mutex
	requests []string // "METHOD /path [range]", those of the second host with "cdn" before the path
	tokens   map[string]bool
	counts   map[string]int
}

// testContent is what a hub has.
type testContent struct {
	name    string
	main    string // the commit
	commits map[string]map[string]testFile
	page    int // files a page of the listing
	url     string
	cdnURL  string

	// fault is asked first. It answers in place of the hub and returns true, or returns false. n counts the requests of
	// this method and path from 1 on.
	fault func(w http.ResponseWriter, r *http.Request, n int) bool
}

// change changes what the hub has between requests.
func (h *testHub) change(f func()) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	f()
}

func newHub(t testing.TB, files map[string]testFile) *testHub {
	h := &testHub{tokens: map[string]bool{}, counts: map[string]int{}, testContent: testContent{name: testName,
		main: testCommit, commits: map[string]map[string]testFile{testCommit: files}, page: 3}}
	h.hub = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, "") }))
	h.cdn = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, "cdn") }))
	h.change(func() { h.url, h.cdnURL = h.hub.URL, h.cdn.URL })
	t.Cleanup(func() { h.hub.Close(); h.cdn.Close() })
	return h
}

// tinyFiles is a checkpoint of two shards.
func tinyFiles() map[string]testFile {
	shard := func(n int, b byte) testFile { return testFile{bytes.Repeat([]byte{b, b + 1, b + 2}, n), true} }
	return map[string]testFile{
		"README.md":   {[]byte("# Tiny"), false},
		"config.json": {[]byte(`{"model_type": "glm4", "quantization": {"bits": 4}}`), false},
		"model.safetensors.index.json": {[]byte(`{"weight_map": {"a": "model-00001-of-00002.safetensors",
			"b": "model-00002-of-00002.safetensors", "c": "model-00002-of-00002.safetensors"}}`), false},
		"model-00001-of-00002.safetensors": shard(50000, 1),
		"model-00002-of-00002.safetensors": shard(40000, 7),
		"tokenizer.json":                   shard(1000, 20),
		"tokenizer_config.json":            {[]byte("{}"), false},
		"sub/chat.jinja":                   {[]byte("[gMASK]<sop>"), false},
	}
}

func (h *testHub) serve(w http.ResponseWriter, r *http.Request, host string) {
	line := strings.TrimSpace(r.Method + " " + host + r.URL.Path + " " + strings.TrimPrefix(r.Header.Get("Range"), "bytes="))
	h.mutex.Lock()
	h.requests = append(h.requests, line)
	key := r.Method + " " + host + r.URL.Path
	h.counts[key]++
	n := h.counts[key]
	if r.Header.Get("Authorization") != "" {
		h.tokens[host] = true
	}
	content := h.testContent
	content.commits = maps.Clone(h.commits)
	h.mutex.Unlock()
	switch {
	case content.fault != nil && content.fault(w, r, n):
	case host == "":
		content.answer(w, r)
	default:
		content.large(w, r)
	}
}

// log gives the requests since the last call.
func (h *testHub) log() []string {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	defer func() { h.requests = nil }()
	return h.requests
}

// gets counts the requests for the bytes of a file since the last call of log.
func (h *testHub) gets(path string) (n int) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for _, line := range h.requests {
		if strings.HasPrefix(line, "GET /"+h.name+"/resolve/") && strings.HasSuffix(strings.Fields(line)[1], "/"+path) {
			n++
		}
	}
	return n
}

func (h *testContent) answer(w http.ResponseWriter, r *http.Request) {
	api := "/api/models/" + h.name + "/"
	path := r.URL.Path
	if revision, ok := strings.CutPrefix(path, api+"revision/"); ok {
		if revision != "main" && h.commits[revision] == nil {
			w.Header().Set("X-Error-Code", "RevisionNotFound")
			w.WriteHeader(404)
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"id": h.name, "sha": h.main})
		return
	}
	if commit, ok := strings.CutPrefix(path, api+"tree/"); ok {
		h.tree(w, r, commit)
		return
	}
	rest, ok := strings.CutPrefix(path, "/"+h.name+"/resolve/")
	cached, again := strings.CutPrefix(path, "/cached/")
	if again {
		rest, ok = cached, true
	}
	commit, name, _ := strings.Cut(rest, "/")
	f, found := h.commits[commit][name]
	switch {
	case !ok:
		w.Header().Set("X-Error-Code", "RepoNotFound")
		w.WriteHeader(404)
	case !found:
		w.Header().Set("X-Error-Code", "EntryNotFound")
		w.WriteHeader(404)
	case again:
		w.Header().Set("ETag", `"`+f.git()+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.data))
	default:
		w.Header().Set("X-Repo-Commit", commit)
		w.Header().Set("ETag", `W/"`+f.git()+`"`)
		to := "/cached/" + commit + "/" + url.PathEscape(name)
		if f.lfs {
			w.Header().Set("X-Linked-Etag", `"`+f.sha256()+`"`)
			to = h.cdnURL + "/" + f.sha256() + "?signature=secret"
		}
		w.Header().Set("X-Linked-Size", fmt.Sprint(len(f.data)))
		w.Header().Set("Location", to)
		w.WriteHeader(302)
	}
}

func (h *testContent) tree(w http.ResponseWriter, r *http.Request, commit string) {
	var list []map[string]any
	files := h.commits[commit]
	for _, path := range slices.Sorted(maps.Keys(files)) {
		f := files[path]
		entry := map[string]any{"type": "file", "path": path, "size": len(f.data), "oid": f.git()}
		if f.lfs {
			entry["lfs"] = map[string]any{"oid": f.sha256(), "size": len(f.data)}
		}
		list = append(list, entry)
	}
	list = append(list, map[string]any{"type": "directory", "path": "sub", "oid": testCommit})
	var from int
	fmt.Sscan(r.URL.Query().Get("cursor"), &from)
	if from+h.page < len(list) {
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?recursive=true&cursor=%d>; rel="next"`, h.url, r.URL.Path, from+h.page))
		list = list[:from+h.page]
	}
	json.NewEncoder(w).Encode(list[from:])
}

func (h *testContent) large(w http.ResponseWriter, r *http.Request) {
	for _, files := range h.commits {
		for _, f := range files {
			if f.lfs && r.URL.Path == "/"+f.sha256() {
				w.Header().Set("ETag", `"of the cdn"`)
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.data))
				return
			}
		}
	}
	w.WriteHeader(404)
}

// testClient is a Hub that asks h, with time that passes at once.
type testClient struct {
	*Hub
	mutex   sync.Mutex
	slept   []time.Duration
	notices []string
}

func (h *testHub) client(t testing.TB) *testClient {
	c := &testClient{Hub: New(Settings{
		Cache: filepath.Join(t.TempDir(), "hub"), Endpoint: h.hub.URL, Token: "hf_secret",
		AnswerTimeout: time.Minute, IdleTimeout: time.Minute,
	})}
	c.Describe = describeTest
	c.Notice = func(line string) {
		c.mutex.Lock()
		defer c.mutex.Unlock()
		c.notices = append(c.notices, line)
	}
	c.clock.sleep = func(ctx context.Context, d time.Duration) error {
		c.mutex.Lock()
		defer c.mutex.Unlock()
		c.slept = append(c.slept, d)
		return ctx.Err()
	}
	return c
}

func (c *testClient) pull(t testing.TB) string {
	folder, err := c.Pull(t.Context(), testName, nil)
	require.NoError(t, err)
	return folder
}

// cacheTree lists a cache: links' targets, and sha256 of files.
func cacheTree(t testing.TB, cache string) map[string]string {
	tree := map[string]string{}
	require.NoError(t, filepath.WalkDir(cache, func(path string, e os.DirEntry, err error) error {
		name, _ := filepath.Rel(cache, path)
		switch {
		case err != nil || e.IsDir():
			return err
		case e.Type()&os.ModeSymlink != 0:
			to, err := os.Readlink(path)
			tree[name] = "-> " + to
			return err
		}
		data, err := os.ReadFile(path)
		tree[name] = testFile{data, true}.sha256()
		return err
	}))
	return tree
}

// requireWhole checks a snapshot against the hub, and that nothing half is left.
func (h *testHub) requireWhole(t testing.TB, c *testClient, folder string) {
	for path, f := range h.commits[h.main] {
		data, err := os.ReadFile(filepath.Join(folder, path))
		if !wanted(path) {
			require.Error(t, err, path)
			continue
		}
		require.NoError(t, err, path)
		require.True(t, bytes.Equal(f.data, data), path)
	}
	for name := range cacheTree(t, c.Settings.Cache) {
		require.NotContains(t, name, ".incomplete")
		require.NotContains(t, name, ".tmp")
	}
}
