package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// Removal is what removing a checkpoint from the cache takes away. Nothing is gone before [Removal.Do].
type Removal struct {
	Repository string
	Commits    []string // whose snapshots go
	Folders    []string // those snapshots
	Freed      int64    // bytes that the disk has again

	dir   string
	locks string   // folder of the locks of the blobs
	blobs []string // and partial files
	files []string // refs and listings
	whole bool     // nothing of the repository stays
}

// Removal plans to remove a checkpoint: of org/name or a short name all that the cache has of the repository, of
// org/name@revision that revision. Blobs that another snapshot links to stay, of whatever repository it is. It is a
// [*NotHereError] if there is nothing to remove. Of a repository that is here under both THUDM and zai-org, the one
// that is named goes.
func (h *Hub) Removal(name string) (*Removal, error) {
	if _, err := os.Stat(filepath.Join(name, configName)); err == nil && name != "" {
		return nil, fmt.Errorf("%s: a folder that is none of the cache's; remove it as any other", name)
	}
	r, err := parseName(name)
	if err != nil {
		return nil, err
	}
	for _, alias := range slices.Backward(r.aliases()) { // the one that is named, if both are there
		if _, err := os.Lstat(h.dir(alias)); err == nil {
			r = alias
		}
	}
	p := &Removal{Repository: r.id(), dir: h.dir(r), locks: filepath.Join(h.Settings.Cache, ".locks", r.folder())}
	if _, err := os.Lstat(p.dir); err != nil {
		return nil, &NotHereError{name, h.Settings.Cache}
	}
	if err := h.inside(p.dir); err != nil {
		return nil, err
	}
	p.whole = !strings.Contains(name, "@")
	snapshots, err := os.ReadDir(filepath.Join(p.dir, "snapshots"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, textfile.Explain(filepath.Join(p.dir, "snapshots"), err)
	}
	commit, _ := h.resolve(r)
	for _, s := range snapshots {
		if p.whole || s.Name() == commit {
			p.Commits = append(p.Commits, s.Name())
			p.Folders = append(p.Folders, filepath.Join(p.dir, "snapshots", s.Name()))
		}
	}
	if !p.whole && len(p.Commits) == 0 {
		return nil, &NotHereError{name, h.Settings.Cache}
	}
	p.whole = len(p.Commits) == len(snapshots)
	return p, p.plan(h, r)
}

// inside refuses a repository whose folder, or one of those in it, is a link: what is behind it is not the cache's.
func (h *Hub) inside(dir string) error {
	for _, folder := range []string{dir, filepath.Join(dir, "snapshots"), filepath.Join(dir, "blobs"),
		filepath.Join(dir, "refs"), filepath.Join(dir, "trees")} {
		if to, err := os.Readlink(folder); err == nil {
			return fmt.Errorf("%s: a link to %s, out of the cache; nothing was removed", folder, to)
		}
	}
	return nil
}

func (p *Removal) plan(h *Hub, r repository) error {
	mine, others := map[string]bool{}, map[string]bool{} // names of blobs in this repository
	blobs := filepath.Join(p.dir, "blobs")
	for other := range h.repositories() {
		for name, path := range links(filepath.Join(h.dir(other), "snapshots"), blobs) {
			if slices.ContainsFunc(p.Folders, func(f string) bool { return strings.HasPrefix(path, f+"/") }) {
				mine[name] = true
			} else {
				others[name] = true
			}
		}
	}
	for _, folder := range p.Folders {
		p.Freed += sizeOf(folder)
	}
	entries, err := os.ReadDir(blobs)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return textfile.Explain(blobs, err)
	}
	for _, e := range entries {
		// A partial file of a blob is its blob's.
		name, _, _ := strings.Cut(e.Name(), ".")
		if others[name] || !p.whole && !mine[name] {
			continue
		}
		p.blobs = append(p.blobs, filepath.Join(blobs, e.Name()))
		p.Freed += sizeOf(filepath.Join(blobs, e.Name()))
	}
	names := h.refs(r)
	for _, commit := range p.Commits {
		for _, name := range names[commit] {
			p.files = append(p.files, filepath.Join(p.dir, "refs", filepath.FromSlash(name)))
		}
		p.files = append(p.files, treePath(p.dir, commit))
	}
	return nil
}

// links yields the names of the blobs in a folder that snapshots link to, and the paths of the links.
func links(snapshots, blobs string) func(yield func(name, path string) bool) {
	return func(yield func(name, path string) bool) {
		_ = filepath.WalkDir(snapshots, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.Type()&fs.ModeSymlink == 0 {
				return nil
			}
			to, err := os.Readlink(path)
			if err != nil {
				return nil
			}
			if !filepath.IsAbs(to) {
				to = filepath.Join(filepath.Dir(path), to)
			}
			if filepath.Dir(to) == blobs && !yield(filepath.Base(to), path) {
				return fs.SkipAll
			}
			return nil
		})
	}
}

// sizeOf gives the bytes of the files in a folder, or of a file, that no link elsewhere keeps.
func sizeOf(path string) (size int64) {
	_ = filepath.WalkDir(path, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				size += info.Size()
			}
		}
		return nil
	})
	return size
}

// Do removes what was planned. It is an error, and nothing is removed, when another process fetches one of the blobs.
// What huggingface_hub keeps in .no_exist, about files that a commit does not have, goes with the last snapshot.
func (p *Removal) Do() error {
	taken := map[string]bool{}
	for _, blob := range p.blobs {
		name, _, _ := strings.Cut(filepath.Base(blob), ".")
		if taken[name] {
			continue
		}
		taken[name] = true
		l, err := takeLock(context.Background(), filepath.Join(p.locks, name+".lock"), false, nil)
		if errors.Is(err, errBusy) {
			return fmt.Errorf("%s: %w, which fetches it; nothing was removed", p.Repository, err)
		}
		if err != nil {
			return err
		}
		defer l.release()
	}
	// What leads to a snapshot first, so that none is found that is not whole.
	for _, file := range p.files {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return textfile.Explain(file, err)
		}
	}
	for _, folder := range p.Folders {
		if err := os.RemoveAll(folder); err != nil {
			return textfile.Explain(folder, err)
		}
	}
	for _, blob := range p.blobs {
		if err := os.RemoveAll(blob); err != nil {
			return textfile.Explain(blob, err)
		}
	}
	return p.prune()
}

// prune removes folders that are empty now, and those of a repository of which nothing stays.
func (p *Removal) prune() error {
	if p.whole {
		for _, name := range []string{"refs", "trees", ".no_exist"} {
			if err := os.RemoveAll(filepath.Join(p.dir, name)); err != nil {
				return textfile.Explain(filepath.Join(p.dir, name), err)
			}
		}
	}
	for _, file := range p.files {
		for dir := filepath.Dir(file); dir != p.dir && os.Remove(dir) == nil; dir = filepath.Dir(dir) {
		}
	}
	for _, dir := range []string{"snapshots", "blobs", ""} {
		_ = os.Remove(filepath.Join(p.dir, dir)) // fails while there is something in it
	}
	return nil
}
