// Package hubtest is a hub for tests that speaks as huggingface.co does.
package hubtest

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// File is one of a repository.
type File struct {
	Data []byte
	LFS  bool // a large one
}

// Git is the hash that git has for a file.
func (f File) Git() string {
	sum := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(f.Data)), f.Data...))
	return hex.EncodeToString(sum[:])
}

// SHA256 is the hash of the bytes of a file.
func (f File) SHA256() string {
	sum := sha256.Sum256(f.Data)
	return hex.EncodeToString(sum[:])
}

// ETag is the name of a blob.
func (f File) ETag() string {
	if f.LFS {
		return f.SHA256()
	}
	return f.Git()
}

// Hub serves one repository as huggingface.co does: small files after a redirect on the same host, large ones after one
// to another.
type Hub struct {
	Content // changed by Change once there were requests

	hub, cdn *httptest.Server
	mutex    sync.Mutex
	requests []string // "METHOD /path [range]", those of the second host with "cdn" before the path
	tokens   map[string]bool
	counts   map[string]int
}

// Content is what a hub has.
type Content struct {
	Name    string // org/name
	Main    string // the commit
	Commits map[string]map[string]File
	Page    int    // files a page of the listing
	URL     string // of the hub
	CDN     string // of the second host

	// Fault is asked first. It answers in place of the hub and returns true, or returns false. n counts the requests of
	// this method and path from 1 on.
	Fault func(w http.ResponseWriter, r *http.Request, n int) bool
}

// Commit is the one that New makes.
const Commit = "1111111111111111111111111111111111111111"

// New starts a hub that has one commit of a repository, and stops it when the test ends.
func New(t testing.TB, name string, files map[string]File) *Hub {
	h := &Hub{tokens: map[string]bool{}, counts: map[string]int{}, Content: Content{Name: name,
		Main: Commit, Commits: map[string]map[string]File{Commit: files}, Page: 3}}
	h.hub = httptest.NewServer(h)
	h.cdn = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, "cdn") }))
	h.Change(func() { h.URL, h.CDN = h.hub.URL, h.cdn.URL })
	t.Cleanup(func() { h.hub.Close(); h.cdn.Close() })
	return h
}

// Files makes a repository of a folder; its weights and tokenizer.json are large files.
func Files(t testing.TB, folder fs.FS) map[string]File {
	files := map[string]File{}
	require.NoError(t, fs.WalkDir(folder, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := fs.ReadFile(folder, name)
		files[name] = File{data, path.Ext(name) == ".safetensors" || name == "tokenizer.json"}
		return err
	}))
	return files
}

// Change changes what the hub has between requests.
func (h *Hub) Change(f func()) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	f()
}

// Close stops the hub.
func (h *Hub) Close() { h.hub.Close() }

// Disconnect ends the connections that there are.
func (h *Hub) Disconnect() {
	h.hub.CloseClientConnections()
	h.cdn.CloseClientConnections()
}

// ServeHTTP answers as the hub, whatever host the request is for.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.serve(w, r, "") }

func (h *Hub) serve(w http.ResponseWriter, r *http.Request, host string) {
	from := strings.TrimPrefix(r.Header.Get("Range"), "bytes=")
	line := strings.TrimSpace(r.Method + " " + host + r.URL.Path + " " + from)
	h.mutex.Lock()
	h.requests = append(h.requests, line)
	key := r.Method + " " + host + r.URL.Path
	h.counts[key]++
	n := h.counts[key]
	if r.Header.Get("Authorization") != "" {
		h.tokens[host] = true
	}
	content := h.Content
	content.Commits = maps.Clone(h.Commits)
	h.mutex.Unlock()
	switch {
	case content.Fault != nil && content.Fault(w, r, n):
	case host == "":
		content.answer(w, r)
	default:
		content.large(w, r)
	}
}

// HasToken tells whether the hub, or with "cdn" the second host, was sent a token.
func (h *Hub) HasToken(host string) bool {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.tokens[host]
}

// Log gives the requests since the last call.
func (h *Hub) Log() []string {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	defer func() { h.requests = nil }()
	return h.requests
}

// Gets counts the requests for the bytes of a file since the last call of Log.
func (h *Hub) Gets(file string) (n int) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for _, line := range h.requests {
		if strings.HasPrefix(line, "GET /"+h.Name+"/resolve/") && strings.HasSuffix(strings.Fields(line)[1], "/"+file) {
			n++
		}
	}
	return n
}

func (h *Content) answer(w http.ResponseWriter, r *http.Request) {
	api := "/api/models/" + h.Name + "/"
	at := r.URL.Path
	if revision, ok := strings.CutPrefix(at, api+"revision/"); ok {
		if revision != "main" && h.Commits[revision] == nil {
			w.Header().Set("X-Error-Code", "RevisionNotFound")
			w.WriteHeader(404)
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"id": h.Name, "sha": h.Main})
		return
	}
	if commit, ok := strings.CutPrefix(at, api+"tree/"); ok {
		h.tree(w, r, commit)
		return
	}
	rest, ok := strings.CutPrefix(at, "/"+h.Name+"/resolve/")
	cached, again := strings.CutPrefix(at, "/cached/")
	if again {
		rest, ok = cached, true
	}
	commit, name, _ := strings.Cut(rest, "/")
	f, found := h.Commits[commit][name]
	switch {
	case !ok:
		w.Header().Set("X-Error-Code", "RepoNotFound")
		w.WriteHeader(404)
	case !found:
		w.Header().Set("X-Error-Code", "EntryNotFound")
		w.WriteHeader(404)
	case again:
		w.Header().Set("ETag", `"`+f.Git()+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.Data))
	default:
		w.Header().Set("X-Repo-Commit", commit)
		w.Header().Set("ETag", `W/"`+f.Git()+`"`)
		to := "/cached/" + commit + "/" + url.PathEscape(name)
		if f.LFS {
			w.Header().Set("X-Linked-Etag", `"`+f.SHA256()+`"`)
			to = h.CDN + "/" + f.SHA256() + "?signature=secret"
		}
		w.Header().Set("X-Linked-Size", fmt.Sprint(len(f.Data)))
		w.Header().Set("Location", to)
		w.WriteHeader(302)
	}
}

func (h *Content) tree(w http.ResponseWriter, r *http.Request, commit string) {
	var list []map[string]any
	files := h.Commits[commit]
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f := files[name]
		entry := map[string]any{"type": "file", "path": name, "size": len(f.Data), "oid": f.Git()}
		if f.LFS {
			entry["lfs"] = map[string]any{"oid": f.SHA256(), "size": len(f.Data)}
		}
		list = append(list, entry)
	}
	list = append(list, map[string]any{"type": "directory", "path": "sub", "oid": Commit})
	var from int
	fmt.Sscan(r.URL.Query().Get("cursor"), &from)
	if from+h.Page < len(list) {
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?recursive=true&cursor=%d>; rel="next"`, h.URL, r.URL.Path, from+h.Page))
		list = list[:from+h.Page]
	}
	json.NewEncoder(w).Encode(list[from:])
}

func (h *Content) large(w http.ResponseWriter, r *http.Request) {
	for _, files := range h.Commits {
		for _, f := range files {
			if f.LFS && r.URL.Path == "/"+f.SHA256() {
				w.Header().Set("ETag", `"of the cdn"`)
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.Data))
				return
			}
		}
	}
	w.WriteHeader(404)
}
