// Package hub goes from a checkpoint's name to its folder on this disk: a short name of the [Catalog], or a repository
// of the Hugging Face hub, in the cache that it shares with huggingface_hub and mlx_lm.
//
//	s, err := hub.FromEnvironment()
//	h := hub.New(s)
//	folder, err := h.Find("glm4:9b-4bit") // from the disk alone
//	if missing := new(hub.NotHereError); errors.As(err, &missing) {
//		folder, err = h.Pull(ctx, "glm4:9b-4bit", func(done, total int64) { ... })
//	}
//
// The cache, below [Settings].Cache, is as https://huggingface.co/docs/huggingface_hub/guides/manage-cache has it:
//
//	models--org--name/blobs/HASH             bytes of a file; HASH.XXXXXXXX.incomplete while they come
//	models--org--name/snapshots/COMMIT/...   links to blobs, or files where there are no links
//	models--org--name/refs/main              the commit that the branch was when it was last pulled
//	models--org--name/trees/COMMIT.json      huggingface_hub's listing of a commit, read and never written
//	.locks/models--org--name/HASH.lock       held by who fetches the blob
package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// Hub finds, fetches, lists and removes checkpoints. Its fields are set before its methods are called, which may then
// run at the same time.
type Hub struct {
	Settings Settings

	// Describe reads a config.json for [Hub.List], and for [Hub.Pull], which refuses other models with it; nil knows
	// nothing of families. name stands for the file in errors. family is "" when the model is of no family that can be
	// run, which is no error.
	Describe func(name string, config []byte) (family string, bits int, err error)

	// Notice is told in a line what a user may wonder about, such as that the hub is asked again in 8 s; nil drops it. It
	// may be called by several goroutines at once.
	Notice func(line string)

	clock clock
}

// New makes a Hub.
func New(s Settings) *Hub { return &Hub{Settings: s, clock: realClock} }

func (h *Hub) notice(format string, args ...any) {
	if h.Notice != nil {
		h.Notice(fmt.Sprintf(format, args...))
	}
}

// NotHereError is of a checkpoint that is on the hub, perhaps, but not on this disk.
type NotHereError struct {
	Name  string // as it was asked for
	Cache string // where it was looked for
}

func (e *NotHereError) Error() string {
	return fmt.Sprintf("%s is not in %s", e.Name, e.Cache)
}

// Unwrap gives fs.ErrNotExist.
func (e *NotHereError) Unwrap() error { return fs.ErrNotExist }

// IncompleteError is of a checkpoint of which a part is here.
type IncompleteError struct {
	Name    string // as it was asked for
	Folder  string
	Missing []string // files
	Err     error    // why they cannot be told, nil if they can
}

func (e *IncompleteError) Error() string {
	what := "it lacks " + strings.Join(e.Missing, ", ")
	if e.Err != nil {
		what = e.Err.Error()
	}
	if e.Name == "" {
		return fmt.Sprintf("%s: not whole: %s", e.Folder, what)
	}
	return fmt.Sprintf("%s: not whole in %s: %s", e.Name, e.Folder, what)
}

// Unwrap gives Err.
func (e *IncompleteError) Unwrap() error { return e.Err }

// Find gives the folder of a checkpoint without asking anybody: that of a path to one with a config.json, or the
// snapshot in the cache of a short name, org/name or org/name@revision, which is whole: configuration, tokenizer, and
// every shard. A repository of THUDM or zai-org is looked for under both names. Errors are [*NotHereError],
// [*IncompleteError], or of a name that is none.
func (h *Hub) Find(name string) (folder string, err error) {
	if _, err := os.Stat(filepath.Join(name, configName)); name != "" && err == nil {
		return name, nil
	}
	info, err := os.Stat(name)
	if looksLikePath(name) || err == nil && info.IsDir() && !strings.Contains(name, "/") {
		if err != nil {
			return "", textfile.Explain(name, err)
		}
		return "", fmt.Errorf("%s: no checkpoint: it holds no %s", name, configName)
	}
	r, err := parseName(name)
	if err != nil {
		return "", err
	}
	return h.findIn(name, r)
}

// looksLikePath tells names that can be nothing else.
func looksLikePath(name string) bool {
	id, _, _ := strings.Cut(name, "@")
	return filepath.IsAbs(name) || strings.HasPrefix(name, "~") || strings.HasSuffix(name, "/") ||
		strings.Count(id, "/") > 1 || slices.Contains([]string{".", ".."}, strings.Split(name, "/")[0])
}

// findIn looks a repository up in the cache.
func (h *Hub) findIn(name string, r repository) (folder string, err error) {
	err = &NotHereError{name, h.Settings.Cache}
	for _, alias := range r.aliases() {
		commit, ok := h.resolve(alias)
		if !ok {
			continue
		}
		folder := h.snapshot(alias, commit)
		if info, statErr := os.Stat(folder); statErr != nil || !info.IsDir() {
			continue
		}
		failed := h.complete(alias, commit)
		if failed == nil {
			return folder, nil
		}
		var part *IncompleteError
		if errors.As(failed, &part) {
			part.Name = name
		}
		err = failed
	}
	return "", err
}

// resolve gives the commit that the cache knows a revision as.
func (h *Hub) resolve(r repository) (commit string, ok bool) {
	if hexName.MatchString(r.revision) {
		return r.revision, true
	}
	data, err := textfile.Read(filepath.Join(h.dir(r), "refs", filepath.FromSlash(r.revision)), 1<<10)
	commit = strings.TrimSpace(string(data))
	return commit, err == nil && hexName.MatchString(commit)
}

// dir is a repository's in the cache.
func (h *Hub) dir(r repository) string { return filepath.Join(h.Settings.Cache, r.folder()) }

func (h *Hub) snapshot(r repository, commit string) string {
	return filepath.Join(h.dir(r), "snapshots", commit)
}

// complete returns an [*IncompleteError] when a snapshot is no whole checkpoint. Where huggingface_hub has left the
// listing of the commit, what else matters of that must be there too.
func (h *Hub) complete(r repository, commit string) error {
	folder := h.snapshot(r, commit)
	var more []string
	for _, f := range readTree(h.dir(r), commit) {
		if ext := filepath.Ext(f.path); !strings.Contains(f.path, "/") && (ext == ".json" || ext == ".jinja" ||
			ext == ".safetensors" || f.path == "tokenizer.model") {
			more = append(more, f.path)
		}
	}
	return completeFolder(folder, more)
}

// completeFolder returns an [*IncompleteError] when a folder is no whole checkpoint, or lacks more files.
func completeFolder(folder string, more []string) error {
	have := func(name string) bool {
		info, err := os.Stat(filepath.Join(folder, filepath.FromSlash(name)))
		return err == nil && info.Mode().IsRegular()
	}
	index, err := textfile.Read(filepath.Join(folder, indexName), maxIndex)
	if errors.Is(err, fs.ErrNotExist) {
		index, err = nil, nil
	}
	if err != nil {
		return &IncompleteError{Folder: folder, Err: err}
	}
	missing, err := missingOf(have, index)
	for _, name := range more {
		if !slices.Contains(missing, name) && !have(name) {
			missing = append(missing, name)
		}
	}
	if err != nil || len(missing) > 0 {
		return &IncompleteError{Folder: folder, Missing: slices.Clip(missing), Err: err}
	}
	return nil
}
