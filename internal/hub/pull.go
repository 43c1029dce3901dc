package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// workers is how many files are fetched side by side.
const workers = 4

// Progress is told of bytes that are here, of all that a checkpoint has. It is called by one goroutine at a time, and
// done can fall, when a file has to be fetched again.
type Progress func(done, total int64)

// Pull fetches a checkpoint, unless it is here, and gives its folder. name is a short one, org/name or
// org/name@revision. What another run or huggingface_hub has left of it is used. Nothing passes for whole that is not:
// the revision's name leads to the new commit only when all of it is here. Errors may wrap [ErrGated], [ErrNoAccess],
// [ErrNotFound], [ErrOffline]. A nil progress is none.
//
// The hub is asked which commit a branch is and what files there are, and nothing more when all of them are here.
func (h *Hub) Pull(ctx context.Context, name string, progress Progress) (folder string, err error) {
	r, err := parseName(name)
	if err != nil {
		return "", err
	}
	if h.Settings.Offline {
		if folder, err = h.findIn(name, r); err != nil {
			err = &kindError{ErrOffline, fmt.Sprintf("%v (HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set)", err)}
		}
		return folder, err
	}
	c, err := newClient(h.Settings, h.clock, h.notice)
	if err != nil {
		return "", err
	}
	defer c.close()
	commit := r.revision
	if !hexName.MatchString(commit) {
		if commit, err = c.commit(ctx, r); err != nil {
			return "", err
		}
	}
	home := r
	for _, alias := range r.aliases() {
		if h.complete(alias, commit) == nil {
			home = alias
			break
		}
	}
	p := &pull{hub: h, client: c, repo: r, home: home, commit: commit, meter: meter{progress: progress},
		dir: h.dir(home), snapshot: h.snapshot(home, commit)}
	if err := p.run(ctx); err != nil {
		return "", err
	}
	h.writeRef(home, commit)
	return p.snapshot, nil
}

// pull is the fetching of one checkpoint.
type pull struct {
	hub      *Hub
	client   *client
	repo     repository // as the hub is asked for it
	home     repository // as the cache has it
	commit   string
	dir      string // of the repository in the cache
	snapshot string
	meter    meter
}

func (p *pull) run(ctx context.Context) error {
	list := readTree(p.dir, p.commit)
	if list == nil {
		var err error
		if list, err = p.client.files(ctx, p.repo, p.commit); err != nil {
			return err
		}
	}
	listed := map[string]bool{}
	var first, small, shards []file
	for _, f := range list {
		listed[f.path] = true
		switch {
		case f.path == configName || f.path == indexName:
			first = append(first, f)
		case strings.HasSuffix(f.path, ".safetensors"):
			shards = append(shards, f)
		default:
			small = append(small, f)
		}
	}
	if !listed[configName] || !listed[indexName] && !listed[singleName] {
		return &kindError{errors.ErrUnsupported, fmt.Sprintf("%s: no checkpoint that can be run here: it lacks %s or %s (or "+
			"shards and their index)", p.repo, configName, singleName)}
	}
	if err := p.room(list); err != nil {
		return err
	}
	p.meter.start(list)
	// What tells whether the rest is worth fetching.
	if err := p.all(ctx, first); err != nil {
		return err
	}
	if err := p.check(listed); err != nil {
		return err
	}
	// The shards last: what has them all is whole.
	if err := p.all(ctx, small); err != nil {
		return err
	}
	return p.all(ctx, shards)
}

// check refuses a checkpoint of another family, and one whose files are not all on the hub.
func (p *pull) check(listed map[string]bool) error {
	config, err := textfile.Read(filepath.Join(p.snapshot, configName), maxConfig)
	if err != nil {
		return err
	}
	if p.hub.Describe != nil {
		switch family, _, err := p.hub.Describe(p.repo.String()+"/"+configName, config); {
		case err != nil:
			return err
		case family == "":
			return &kindError{errors.ErrUnsupported, fmt.Sprintf("%s: no GLM-4 checkpoint, by the model_type in %s", p.repo,
				configName)}
		}
	}
	var index []byte
	if listed[indexName] {
		if index, err = textfile.Read(filepath.Join(p.snapshot, indexName), maxIndex); err != nil {
			return err
		}
	}
	missing, err := missingOf(func(name string) bool { return listed[name] }, index)
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("not on the hub: %s", strings.Join(missing, ", "))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", p.repo, err)
	}
	return nil
}

// room refuses what does not fit on the disk.
func (p *pull) room(list []file) error {
	var need int64
	for _, f := range list {
		if p.here(f) {
			continue
		}
		blob := filepath.Join(p.dir, "blobs", f.etag)
		if info, err := os.Stat(blob); err == nil && info.Size() == f.size && !p.hub.Settings.NoLinks {
			continue
		}
		var most int64
		for _, info := range partials(blob) {
			if info.Size() <= f.size {
				most = max(most, info.Size())
			}
		}
		need += f.size - most
	}
	if need == 0 {
		return nil
	}
	has, err := free(p.dir)
	if err == nil && has < uint64(need) {
		err = fmt.Errorf("%s: %d bytes are free, and %s needs another %d; make room, or set HF_HUB_CACHE to a folder on "+
			"another disk", p.hub.Settings.Cache, has, p.repo, need)
	}
	return err
}

// here tells whether the snapshot has a file.
func (p *pull) here(f file) bool {
	info, err := os.Stat(filepath.Join(p.snapshot, filepath.FromSlash(f.path)))
	return err == nil && info.Mode().IsRegular() && info.Size() == f.size
}

// all fetches files side by side, until one fails.
func (p *pull) all(ctx context.Context, list []file) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan file)
	var group sync.WaitGroup
	for range min(workers, len(list)) {
		group.Go(func() {
			for f := range queue {
				if err := p.file(ctx, f); err != nil {
					cancel(err) // the first one stays
				}
			}
		})
	}
	for _, f := range list {
		if ctx.Err() != nil {
			break
		}
		queue <- f
	}
	close(queue)
	group.Wait()
	return context.Cause(ctx)
}

// file makes a file of the snapshot.
func (p *pull) file(ctx context.Context, f file) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.here(f) {
		p.meter.add(f.size)
		return nil
	}
	pointer := filepath.Join(p.snapshot, filepath.FromSlash(f.path))
	blob := filepath.Join(p.dir, "blobs", f.etag)
	for _, dir := range []string{filepath.Dir(blob), filepath.Dir(pointer)} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return textfile.Explain(dir, err)
		}
	}
	tag(p.hub.Settings.Cache)
	path := filepath.Join(p.hub.Settings.Cache, ".locks", p.home.folder(), f.etag+".lock")
	l, err := takeLock(ctx, path, true, func() { p.client.notice("%s: waiting for who else fetches it", f.path) })
	if err != nil {
		return err
	}
	defer l.release()
	if p.here(f) { // since the other has it
		p.meter.add(f.size)
		return nil
	}
	fresh := false
	if info, err := os.Stat(blob); err == nil && info.Mode().IsRegular() && info.Size() == f.size {
		p.meter.add(f.size)
	} else {
		if err == nil {
			p.client.notice("%s: the blob %s has %d bytes of %d; fetching it anew", f.path, f.etag, info.Size(), f.size)
		}
		if err := p.download(ctx, f, blob, l.held()); err != nil {
			return err
		}
		fresh = true
	}
	if err := p.place(ctx, blob, pointer, f.etag, strings.Count(f.path, "/"), fresh); err != nil {
		return textfile.Explain(pointer, err)
	}
	return nil
}

// meter adds up progress.
type meter struct {
	progress    Progress
	mutex       sync.Mutex
	done, total int64
}

func (m *meter) start(list []file) {
	for _, f := range list {
		m.total += f.size
	}
	m.add(0)
}

func (m *meter) add(n int64) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.done += n
	if m.progress != nil {
		m.progress(m.done, m.total)
	}
}

// readTree reads trees/commit.json, in which huggingface_hub keeps the listing of a commit, for what is wanted of it;
// nil if there is none that can be used. There is no counterpart that writes it: with it huggingface_hub takes a
// snapshot for incomplete that lacks a file of the list, and a checkpoint is fewer files (huggingface_hub#4624).
func readTree(dir, commit string) (list []file) {
	data, err := textfile.Read(treePath(dir, commit), maxIndex)
	if err != nil {
		return nil
	}
	var tree struct {
		Version int `json:"format_version"`
		Files   map[string]struct {
			Size   int64  `json:"size"`
			Blob   string `json:"blob_id"`
			SHA256 string `json:"lfs_sha256"`
		} `json:"files"`
	}
	if json.Unmarshal(data, &tree) != nil || tree.Version != 1 {
		return nil
	}
	for path, e := range tree.Files {
		f := file{path, e.Size, e.Blob, false}
		if e.SHA256 != "" {
			f.etag, f.lfs = e.SHA256, true
		}
		if wanted(path) {
			list = append(list, f)
		}
	}
	if checkFiles(list) != nil {
		return nil
	}
	return list
}

func treePath(dir, commit string) string { return filepath.Join(dir, "trees", commit+".json") }

// writeRef notes which commit a revision is. A cache that cannot be written to stays as it is.
func (h *Hub) writeRef(r repository, commit string) {
	if r.revision == commit {
		return
	}
	path := filepath.Join(h.dir(r), "refs", filepath.FromSlash(r.revision))
	if old, err := os.ReadFile(path); err == nil && string(old) == commit {
		return
	}
	err := os.MkdirAll(filepath.Dir(path), 0o777)
	if err == nil {
		temp := newName(path, ".tmp")
		err = errors.Join(os.WriteFile(temp, []byte(commit), 0o666), os.Rename(temp, path))
		os.Remove(temp)
	}
	if err != nil {
		h.notice("%s: not noted as the commit of %s: %v", commit, r, err)
	}
}

// tag marks the cache for programs that make backups, https://bford.info/cachedir/.
func tag(cache string) {
	f, err := os.OpenFile(filepath.Join(cache, "CACHEDIR.TAG"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return // there is one, or there need be none
	}
	f.WriteString("Signature: 8a477f597d28d172789f06886806bc55\n" +
		"# This file is a cache directory tag created by huggingface_hub.\n" +
		"# For information about cache directory tags, see:\n#\thttps://bford.info/cachedir/\n")
	f.Close()
}
