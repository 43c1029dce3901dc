package hub

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// Checkpoint is one that is on this disk.
type Checkpoint struct {
	Repository string   // org/name, "" for a folder that the user named
	Revisions  []string // names that lead to it, such as main
	Commit     string
	Folder     string
	Family     string // as Describe has it, "" where config.json cannot be read
	Bits       int    // as Describe has it
	Size       int64  // bytes of its files; a blob that two revisions share counts for both
	LastUsed   time.Time
	Broken     error // why it cannot be used: an [*IncompleteError], or of its config.json; nil if it can
}

// List finds the checkpoints in the cache, and those that folders are or have in them, sorted by repository and folder.
// Others than Describe knows are left out. A cache or folder that does not exist has none.
func (h *Hub) List(folders ...string) (list []Checkpoint, err error) {
	for r := range h.repositories() {
		snapshots, err := os.ReadDir(filepath.Join(h.dir(r), "snapshots"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, textfile.Explain(filepath.Join(h.dir(r), "snapshots"), err)
		}
		names := h.refs(r)
		for _, s := range snapshots {
			if !hexName.MatchString(s.Name()) {
				continue
			}
			c, ok := h.describe(h.snapshot(r, s.Name()))
			if !ok {
				continue
			}
			if c.Broken == nil {
				c.Broken = h.complete(r, s.Name())
			}
			c.Repository, c.Commit, c.Revisions = r.id(), s.Name(), names[s.Name()]
			list = append(list, c)
		}
	}
	for _, folder := range folders {
		candidates := []string{folder}
		entries, err := os.ReadDir(folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, textfile.Explain(folder, err)
		}
		for _, e := range entries {
			candidates = append(candidates, filepath.Join(folder, e.Name()))
		}
		for _, candidate := range candidates {
			c, ok := h.describe(candidate)
			if !ok {
				continue
			}
			if c.Broken == nil {
				c.Broken = completeFolder(candidate, nil)
			}
			list = append(list, c)
		}
	}
	slices.SortStableFunc(list, func(a, b Checkpoint) int {
		return cmp.Or(cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Folder, b.Folder))
	})
	return list, nil
}

// repositories yields those that the cache has folders of.
func (h *Hub) repositories() func(yield func(repository) bool) {
	return func(yield func(repository) bool) {
		entries, _ := os.ReadDir(h.Settings.Cache)
		for _, e := range entries {
			id, ok := strings.CutPrefix(e.Name(), "models--")
			if !ok {
				continue
			}
			r, err := parseName(strings.Replace(id, "--", "/", 1))
			if err == nil && !yield(r) {
				return
			}
		}
	}
}

// refs gives the names of the commits of a repository.
func (h *Hub) refs(r repository) map[string][]string {
	names := map[string][]string{}
	root := filepath.Join(h.dir(r), "refs")
	_ = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || strings.HasSuffix(path, ".tmp") {
			return nil
		}
		name, err := filepath.Rel(root, path)
		data, readErr := textfile.Read(path, 1<<10)
		if err == nil && readErr == nil {
			commit := strings.TrimSpace(string(data))
			names[commit] = append(names[commit], filepath.ToSlash(name))
		}
		return nil
	})
	return names
}

// describe tells what a folder's config.json makes of it; ok is false where that is none, or another model's.
func (h *Hub) describe(folder string) (c Checkpoint, ok bool) {
	c.Folder = folder
	config, err := textfile.Read(filepath.Join(folder, configName), maxConfig)
	switch {
	case textfile.Absent(err), errors.Is(err, unix.ENOTDIR):
		return c, false
	case err == nil && h.Describe != nil:
		c.Family, c.Bits, err = h.Describe(filepath.Join(folder, configName), config)
		if err == nil && c.Family == "" {
			return c, false
		}
	}
	c.Broken = err
	_ = filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil
		}
		var s unix.Stat_t
		if unix.Stat(path, &s) == nil && s.Mode&unix.S_IFMT == unix.S_IFREG {
			c.Size += s.Size
			if at := time.Unix(s.Atim.Unix()); at.After(c.LastUsed) {
				c.LastUsed = at
			}
		}
		return nil
	})
	return c, true
}
