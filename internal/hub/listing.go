package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// file is one of a repository at a commit.
type file struct {
	path string
	size int64
	etag string // what its blob is called: the sha256 of a file in LFS, or else git's hash of it
	lfs  bool
}

// commit asks which commit a revision is.
func (c *client) commit(ctx context.Context, r repository) (string, error) {
	at, err := c.at("/api/models/" + r.id() + "/revision/" + url.PathEscape(r.revision))
	if err != nil {
		return "", err
	}
	var info struct {
		SHA string `json:"sha"`
	}
	if _, err := c.json(ctx, r, at, &info); err != nil {
		return "", err
	}
	if info.SHA == "" {
		return "", fmt.Errorf("%s: the answer has no commit; %w", shown(at), errOtherSite)
	}
	return info.SHA, checkHex("the commit of "+r.String(), info.SHA)
}

// maxPages bounds the listing of a repository; a page has 1,000 files.
const maxPages = 200

// files lists what is wanted of a repository at a commit.
func (c *client) files(ctx context.Context, r repository, commit string) (list []file, err error) {
	next, err := c.at("/api/models/" + r.id() + "/tree/" + commit + "?recursive=true")
	if err != nil {
		return nil, err
	}
	for range maxPages {
		var page []treeEntry
		if next, err = c.json(ctx, r, next, &page); err != nil {
			return nil, err
		}
		for _, e := range page {
			if e.Type != "file" || !wanted(e.Path) {
				continue
			}
			f := file{path: e.Path, size: e.Size, etag: e.OID}
			if e.LFS != nil {
				f.size, f.etag, f.lfs = e.LFS.Size, e.LFS.OID, true
			}
			list = append(list, f)
		}
		if next == nil {
			return list, checkFiles(list)
		}
	}
	return nil, fmt.Errorf("%s: the listing has more than %d pages", r, maxPages)
}

// treeEntry is as the hub lists it.
type treeEntry struct {
	Type string `json:"type"`
	Path string `json:"path"`
	Size int64  `json:"size"`
	OID  string `json:"oid"`
	LFS  *struct {
		OID  string `json:"oid"`
		Size int64  `json:"size"`
	} `json:"lfs"`
}

// maxFile is more than any checkpoint has.
const maxFile = 1 << 44

// checkFiles refuses lists that cannot be written, or not on every file system.
func checkFiles(list []file) error {
	seen := map[string]string{}
	for _, f := range list {
		if err := checkPath(f.path); err != nil {
			return err
		}
		if err := checkHex("the hash of "+f.path, f.etag); err != nil {
			return err
		}
		if f.lfs && len(f.etag) != 64 {
			return fmt.Errorf("the hub gives %s as the sha256 of %s", f.etag, f.path)
		}
		if f.size < 0 || f.size > maxFile {
			return fmt.Errorf("the hub gives %s a size of %d bytes", f.path, f.size)
		}
		low := strings.ToLower(f.path) // as macOS compares names
		if other, ok := seen[low]; ok {
			return fmt.Errorf("the hub lists %s and %s, which are the same name on some disks", other, f.path)
		}
		seen[low] = f.path
	}
	for low, path := range seen {
		for i, c := range low {
			if other, ok := seen[low[:i]]; ok && c == '/' {
				return fmt.Errorf("the hub lists %s, which is a file and the folder of %s", other, path)
			}
		}
	}
	return nil
}

var errChanged = errors.New("the file on the hub has become another")

// fileURL is where a file of a commit is served.
func (c *client) fileURL(r repository, commit, path string) (*url.URL, error) {
	parts := strings.Split(path, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return c.at("/" + r.id() + "/resolve/" + commit + "/" + strings.Join(parts, "/"))
}

// head asks what a file is, and compares with the listing. An address elsewhere, where a large file is served, is not
// asked: what it says is on the redirect.
func (c *client) head(ctx context.Context, r repository, commit string, f file) error {
	at, err := c.fileURL(r, commit, f.path)
	if err != nil {
		return err
	}
	var answer *http.Response
	resp, err := c.do(ctx, r, request{method: http.MethodHead, url: at, see: func(resp *http.Response) (bool, error) {
		here := resp.Header.Get("X-Repo-Commit") != ""
		if here {
			answer = resp
		}
		next, err := resp.Location()
		return here && err == nil && !sameOrigin(next, c.endpoint), nil
	}}, http.StatusOK, 301, 302, 303, 307, 308)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if answer == nil {
		return fmt.Errorf("%s: the answer has no X-Repo-Commit; %w", shown(at), errOtherSite)
	}
	got := answer.Header.Get("X-Repo-Commit")
	if err := checkHex("the commit of "+f.path, got); err != nil {
		return err
	}
	etag, known := etagOf(answer.Header)
	if !known {
		return fmt.Errorf("%s: the answer has no ETag; %w", shown(at), errOtherSite)
	}
	if err := checkHex("the ETag of "+f.path, etag); err != nil {
		return err
	}
	size := answer.Header.Get("X-Linked-Size")
	if size == "" && answer.StatusCode == http.StatusOK {
		size = answer.Header.Get("Content-Length")
	}
	if n, err := strconv.ParseInt(size, 10, 64); size != "" && (err != nil || n != f.size) {
		return fmt.Errorf("%s: %d bytes by the hub's listing, %s by the file's headers; %w", shown(at), f.size, clip(size),
			errChanged)
	}
	if got != commit || etag != f.etag {
		return fmt.Errorf("%s: %s of commit %s by the hub's listing, %s of %s by the file's headers; %w", shown(at), f.etag,
			commit, etag, got, errChanged)
	}
	return nil
}

// etagOf gives the hash that the hub serves a file under: of the large file that a redirect leads to, or of itself.
func etagOf(h http.Header) (etag string, ok bool) {
	etag = h.Get("X-Linked-Etag")
	if etag == "" {
		etag = h.Get("ETag")
	}
	return strings.Trim(strings.TrimPrefix(etag, "W/"), `"`), etag != ""
}

// get asks for a file from an offset on. It is an error if the hub has another file there by now.
func (c *client) get(ctx context.Context, r repository, commit string, f file, offset int64) (*http.Response, error) {
	at, err := c.fileURL(r, commit, f.path)
	if err != nil {
		return nil, err
	}
	see := func(resp *http.Response) (bool, error) {
		if resp.Header.Get("X-Repo-Commit") == "" && resp.Header.Get("X-Linked-Etag") == "" {
			return false, nil // not the hub's own: its ETag is of another kind
		}
		if etag, ok := etagOf(resp.Header); ok && etag != f.etag {
			return false, errChanged
		}
		return false, nil
	}
	return c.answer(ctx, r, request{method: http.MethodGet, url: at, offset: offset, see: see}, http.StatusOK,
		http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable)
}
