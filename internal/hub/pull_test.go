package hub

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/internal/hub/hubtest"
)

func TestCacheDiffersFromPythons(t *testing.T) {
	g := readGolden(t)
	commits := []string{strings.Repeat("1", 40), strings.Repeat("2", 40)}
	h := newHub(t, nil)
	c := h.client(t)
	for i, commit := range commits {
		files := g.repository(t, commit)
		for path, f := range files {
			require.Equal(t, g.Git[commit][path], f.Git(), "the test's own hash")
		}
		h.Change(func() { h.Commits[commit], h.Main = files, commit })
		folder := c.pull(t)
		h.requireWhole(t, c, folder)
		want := g.Trees[i]
		for _, commit := range commits[:i+1] {
			delete(want, "models--mlx-community--tiny-glm/trees/"+commit+".json") // not written for a subset
		}
		require.Equal(t, want, cacheTree(t, c.Settings.Cache))
	}
}

func TestPullLosesSomething(t *testing.T) {
	h := newHub(t, tinyFiles())
	c := h.client(t)
	var last, total int64
	_, err := c.Find(testName)
	var missing *NotHereError
	require.ErrorAs(t, err, &missing)
	require.ErrorContains(t, err, testName+" is not in "+c.Settings.Cache)

	folder, err := c.Pull(t.Context(), testName, func(done, all int64) { last, total = done, all })
	require.NoError(t, err)
	require.Equal(t, filepath.Join(c.Settings.Cache, "models--mlx-community--tiny-glm/snapshots", testCommit), folder)
	h.requireWhole(t, c, folder)
	require.Equal(t, total, last)
	require.Greater(t, total, int64(270000))
	require.True(t, h.HasToken(""))
	require.False(t, h.HasToken("cdn"), "the token went to another host")
	require.Empty(t, c.notices)

	// All here: the hub says which commit and which files, and nothing else is asked for.
	h.Log()
	last = 0
	again, err := c.Pull(t.Context(), testName, func(done, all int64) { last = done })
	require.NoError(t, err)
	require.Equal(t, folder, again)
	require.Equal(t, total, last)
	for _, line := range h.Log() {
		require.Contains(t, line, "/api/", "asked for a file that is here")
	}
	found, err := c.Find(testName)
	require.NoError(t, err)
	require.Equal(t, folder, found)
	found, err = c.Find(testName + "@" + testCommit)
	require.NoError(t, err)
	require.Equal(t, folder, found)
	require.Empty(t, h.Log(), "a network call although everything is here")
}

func TestPythonsListingIsAskedForAgain(t *testing.T) {
	g := readGolden(t)
	commit := strings.Repeat("1", 40)
	h := newHub(t, nil)
	h.Commits[commit], h.Main = g.repository(t, commit), commit
	c := h.client(t)
	path := treePath(filepath.Join(c.Settings.Cache, "models--mlx-community--tiny-glm"), commit)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(g.Listings[commit]), 0o600))
	folder, err := c.Pull(t.Context(), testName+"@"+commit, nil)
	require.NoError(t, err)
	h.requireWhole(t, c, folder)
	for _, line := range h.Log() {
		require.NotContains(t, line, "/api/")
	}
	// What it lists is part of the checkpoint, and cannot lead elsewhere.
	require.NoError(t, os.Remove(filepath.Join(folder, "chat_template.jinja")))
	_, err = c.Find(testName + "@" + commit)
	var part *IncompleteError
	require.ErrorAs(t, err, &part)
	require.Equal(t, []string{"chat_template.jinja"}, part.Missing)
	evil := strings.Replace(g.Listings[commit], "tokenizer_config.json", "../tokenizer_config.json", 1)
	require.NoError(t, os.WriteFile(path, []byte(evil), 0o600))
	require.Nil(t, readTree(filepath.Dir(filepath.Dir(path)), commit))
}

func TestPartialFilesAreFetchedAgain(t *testing.T) {
	files := tinyFiles()
	const shard = "model-00001-of-00002.safetensors"
	whole := files[shard].Data
	for _, c := range []struct {
		name, suffix string
		content      []byte
		requests     []string // ranges asked for
	}{
		{"ours", ".0123abcd.incomplete", whole[:1000], []string{"1000-"}},
		{"of an old huggingface_hub", ".incomplete", whole[:1000], []string{"1000-"}},
		{"whole", ".0123abcd.incomplete", whole, nil},
		{"too long", ".0123abcd.incomplete", append(slices.Clone(whole), 0), []string{""}},
		{"empty", ".0123abcd.incomplete", nil, []string{""}},
		{"other bytes", ".0123abcd.incomplete", make([]byte, 1000), []string{"1000-", ""}},
		{"whole of other bytes", ".0123abcd.incomplete", make([]byte, len(whole)), []string{""}},
	} {
		h := newHub(t, files)
		client := h.client(t)
		blob := filepath.Join(client.Settings.Cache, "models--mlx-community--tiny-glm/blobs", files[shard].ETag())
		require.NoError(t, os.MkdirAll(filepath.Dir(blob), 0o700))
		require.NoError(t, os.WriteFile(blob+c.suffix, c.content, 0o600))
		require.NoError(t, os.WriteFile(blob+".00000000.incomplete", whole[:10], 0o600), "shorter")
		if len(c.content) > len(whole) {
			require.NoError(t, os.Remove(blob+".00000000.incomplete"))
		}
		if len(c.content) == 0 {
			require.NoError(t, os.Remove(blob+".00000000.incomplete"))
		}
		folder := client.pull(t)
		h.requireWhole(t, client, folder)
		var ranges []string
		for _, line := range h.Log() {
			if path, ok := strings.CutPrefix(line, "GET cdn/"+files[shard].ETag()); ok {
				ranges = append(ranges, strings.TrimSpace(path))
			}
		}
		require.Equal(t, c.requests, ranges, c.name)
	}
}

// Where locks prove nothing, another process may be writing the file still.
func TestPartialFileIsTakenFromWhoWritesIt(t *testing.T) {
	flock = func(*os.File) error { return unix.ENOLCK }
	defer func(before func(*os.File) error) { flock = before }(realFlock)
	files := tinyFiles()
	const shard = "model-00001-of-00002.safetensors"
	h := newHub(t, files)
	c := h.client(t)
	blob := filepath.Join(c.Settings.Cache, "models--mlx-community--tiny-glm/blobs", files[shard].ETag())
	require.NoError(t, os.MkdirAll(filepath.Dir(blob), 0o700))
	fresh, old := blob+".0123abcd.incomplete", blob+".89abcdef.incomplete"
	require.NoError(t, os.WriteFile(fresh, files[shard].Data[:1000], 0o600))
	require.NoError(t, os.WriteFile(old, files[shard].Data[:500], 0o600))
	before := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(old, before, before))
	c.pull(t)
	require.Contains(t, h.Log(), "GET cdn/"+files[shard].ETag()+" 500-", "nobody writes to it any more")
	require.FileExists(t, fresh)
	require.NoFileExists(t, old)
	data, err := os.ReadFile(blob)
	require.NoError(t, err)
	require.True(t, bytes.Equal(files[shard].Data, data))
}

var realFlock = flock

func TestAnotherModelIsFetched(t *testing.T) {
	for name, c := range map[string]struct {
		change func(files map[string]hubtest.File)
		fails  string
	}{
		"family": {func(f map[string]hubtest.File) {
			f["config.json"] = hubtest.File{Data: []byte(`{"model_type": "llama"}`)}
		},
			"no GLM-4 checkpoint"},
		"config":     {func(f map[string]hubtest.File) { f["config.json"] = hubtest.File{Data: []byte(`{`)} }, "config.json: unexpected end"},
		"no config":  {func(f map[string]hubtest.File) { delete(f, "config.json") }, "lacks config.json"},
		"no weights": {func(f map[string]hubtest.File) { delete(f, indexName) }, "lacks config.json or model.safetensors"},
		"no shard": {func(f map[string]hubtest.File) { delete(f, "model-00002-of-00002.safetensors") },
			"not on the hub: model-00002-of-00002.safetensors"},
		"no tokenizer": {func(f map[string]hubtest.File) { delete(f, "tokenizer.json") }, "not on the hub: tokenizer.json"},
		"climbs": {func(f map[string]hubtest.File) { f["../../evil.json"] = hubtest.File{Data: []byte("{}")} },
			`"../../evil.json", whose name is not allowed`},
	} {
		files := tinyFiles()
		c.change(files)
		h := newHub(t, files)
		client := h.client(t)
		_, err := client.Pull(t.Context(), testName, nil)
		require.ErrorContains(t, err, c.fails, name)
		require.Zero(t, h.Gets("model-00001-of-00002.safetensors"), "%s: the weights are fetched first", name)
		_, err = client.Find(testName)
		require.Error(t, err, name)
	}
}

func TestCancelIsNotHeard(t *testing.T) {
	h := newHub(t, tinyFiles())
	c := h.client(t)
	c.pull(t) // what stays alive from then on is nobody's
	h.Disconnect()
	before := runtime.NumGoroutine()
	for _, where := range []string{"/api/", "/resolve/", "cdn"} {
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		fault := func(w http.ResponseWriter, r *http.Request, n int) bool {
			if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, where) && !(where == "cdn" && len(r.URL.Path) == 65) {
				return false
			}
			if where == "cdn" {
				w.Header().Set("Content-Length", "150000")
				w.Write([]byte{1, 2, 3})
				w.(http.Flusher).Flush()
			}
			cancel()
			select {
			case <-release:
			case <-r.Context().Done():
			}
			return true
		}
		h.Change(func() { h.Fault = fault })
		c.Settings.Cache = filepath.Join(t.TempDir(), "hub")
		_, err := c.Pull(ctx, testName, nil)
		require.ErrorIs(t, err, context.Canceled, where)
		close(release)
		_, err = c.Find(testName)
		require.Error(t, err)
	}
	h.Change(func() { h.Fault = nil })
	h.Disconnect()
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	stacks := make([]byte, 1<<20)
	require.LessOrEqual(t, runtime.NumGoroutine(), before, "%s", stacks[:runtime.Stack(stacks, true)])
}

func TestTwoPullsFetchTwice(t *testing.T) {
	h := newHub(t, tinyFiles())
	c := h.client(t)
	var group sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		group.Go(func() { _, errs[i] = c.Pull(t.Context(), testName, nil) })
	}
	group.Wait()
	require.NoError(t, errors.Join(errs...))
	for path := range tinyFiles() {
		if wanted(path) {
			require.Equal(t, 1, h.Gets(path), path)
		}
	}
	folder, err := c.Find(testName)
	require.NoError(t, err)
	h.requireWhole(t, c, folder)
}

func TestSnapshotNeedsLinks(t *testing.T) {
	defer func() { symlink = os.Symlink }()
	for _, how := range []string{"disabled", "impossible"} {
		h := newHub(t, tinyFiles())
		c := h.client(t)
		c.Settings.NoLinks = how == "disabled"
		symlink = os.Symlink
		if how == "impossible" {
			symlink = func(string, string) error { return unix.EPERM }
		}
		folder := c.pull(t)
		h.requireWhole(t, c, folder)
		for name, content := range cacheTree(t, c.Settings.Cache) {
			require.NotContains(t, content, "->", name)
			require.NotContains(t, name, "/blobs/", "twice on the disk")
		}
		h.Log()
		require.Equal(t, folder, c.pull(t))
		require.Zero(t, h.Gets("config.json"))
	}
}

// A blob that another snapshot links to stays where it is.
func TestSnapshotWithoutLinksTakesAnothers(t *testing.T) {
	h := newHub(t, tinyFiles())
	c := h.client(t)
	first := c.pull(t)
	h.Change(func() {
		h.Main = strings.Repeat("2", 40)
		h.Commits[h.Main] = tinyFiles()
	})
	h.Log()
	c.Settings.NoLinks = true
	second := c.pull(t)
	require.Zero(t, h.Gets(testShard), "it is here")
	h.requireWhole(t, c, second)
	h.requireWhole(t, c, first)
	info, err := os.Lstat(filepath.Join(second, testShard))
	require.NoError(t, err)
	require.True(t, info.Mode().IsRegular())
}

func TestBrokenCacheIsNotMended(t *testing.T) {
	const shard = "model-00001-of-00002.safetensors"
	for name, spoil := range map[string]func(blob, pointer string) error{
		"blob cut":       func(blob, pointer string) error { return os.Truncate(blob, 10) },
		"blob gone":      func(blob, pointer string) error { return os.Remove(blob) },
		"pointer gone":   func(blob, pointer string) error { return os.Remove(pointer) },
		"blob elsewhere": func(blob, pointer string) error { return errors.Join(os.Remove(blob), os.Symlink("/none", blob)) },
	} {
		h := newHub(t, tinyFiles())
		c := h.client(t)
		folder := c.pull(t)
		pointer := filepath.Join(folder, shard)
		blob, err := filepath.EvalSymlinks(pointer)
		require.NoError(t, err)
		require.NoError(t, spoil(blob, pointer))
		h.Log()
		require.Equal(t, folder, c.pull(t), name)
		h.requireWhole(t, c, folder)
		require.Equal(t, map[bool]int{true: 0, false: 1}[name == "pointer gone"], h.Gets(shard), name)
	}
}

func TestOldNameIsFetchedAgain(t *testing.T) {
	h := newHub(t, tinyFiles())
	h.Name = "zai-org/tiny"
	c := h.client(t)
	folder, err := c.Pull(t.Context(), "zai-org/tiny", nil)
	require.NoError(t, err)
	found, err := c.Find("THUDM/tiny")
	require.NoError(t, err)
	require.Equal(t, folder, found)
	h.Log()
	h.Change(func() { h.Name = "THUDM/tiny" }) // the hub serves both
	again, err := c.Pull(t.Context(), "THUDM/tiny", nil)
	require.NoError(t, err)
	require.Equal(t, folder, again)
	require.Zero(t, h.Gets("config.json"))
	require.NoDirExists(t, filepath.Join(c.Settings.Cache, "models--THUDM--tiny"))
}

// An update that fails leaves the old commit as it is.
func TestUpdateHidesWhatIsHere(t *testing.T) {
	h := newHub(t, tinyFiles())
	c := h.client(t)
	old := c.pull(t)
	files := tinyFiles()
	files[testShard] = hubtest.File{Data: []byte("new"), LFS: true}
	h.Change(func() {
		h.Main = strings.Repeat("2", 40)
		h.Commits[h.Main] = files
		h.Fault = failing(testShard, 99, 403)
	})
	_, err := c.Pull(t.Context(), testName, nil)
	require.ErrorIs(t, err, ErrNoAccess)
	found, err := c.Find(testName)
	require.NoError(t, err)
	require.Equal(t, old, found)
	h.Change(func() { h.Fault = nil })
	updated := c.pull(t)
	require.NotEqual(t, old, updated)
	h.requireWhole(t, c, updated)
	found, err = c.Find(testName)
	require.NoError(t, err)
	require.Equal(t, updated, found)
}

func TestOfflineAsksTheHub(t *testing.T) {
	h := newHub(t, tinyFiles())
	c := h.client(t)
	c.Settings.Offline = true
	_, err := c.Pull(t.Context(), testName, nil)
	require.ErrorIs(t, err, ErrOffline)
	require.ErrorContains(t, err, "HF_HUB_OFFLINE")
	require.Empty(t, h.Log())
	c.Settings.Offline = false
	folder := c.pull(t)
	h.Log()
	c.Settings.Offline = true
	require.Equal(t, folder, c.pull(t))
	require.Empty(t, h.Log())
}
