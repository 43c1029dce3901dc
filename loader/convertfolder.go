package loader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// partialEnding follows the name of a folder that is being written.
const partialEnding = ".glm4-metal-partial"

// destination is a folder that comes to be in whole or not at all.
type destination struct {
	dir, partial string
	lock         *os.File // partial, locked while it is written
}

// openDestination makes the folder that is written in place of dst. What an earlier process left there goes.
func openDestination(src, dst string) (*destination, error) {
	dir, err := checkDestination(src, dst)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
		return nil, textfile.Explain(filepath.Dir(dir), err)
	}
	d := &destination{dir: dir, partial: dir + partialEnding}
	if err := d.take(); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(d.partial)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(d.partial, e.Name())))
	}
	if err != nil {
		return nil, errors.Join(textfile.Explain(d.partial, err), d.lock.Close())
	}
	return d, nil
}

// checkDestination refuses a dst that is there already, or inside src, and gives it without links.
func checkDestination(src, dst string) (string, error) {
	if dst == "" {
		return "", errors.New("the folder to write has no name")
	}
	dir, err := filepath.Abs(dst)
	if err != nil {
		return "", textfile.Explain(dst, err)
	}
	const wayOut = "give a folder that does not exist, or an empty one"
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return "", fmt.Errorf("%s: a file; %s", printable(dst), wayOut)
	case err == nil:
		entries, err := os.ReadDir(dir)
		if err != nil {
			return "", textfile.Explain(dst, err)
		}
		if len(entries) > 0 {
			return "", fmt.Errorf("%s: the folder is not empty; %s", printable(dst), wayOut)
		}
		if dir, err = filepath.EvalSymlinks(dir); err != nil {
			return "", textfile.Explain(dst, err)
		}
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(dir); err == nil {
			return "", fmt.Errorf("%s: a link to what does not exist; %s", printable(dst), wayOut)
		}
	default:
		return "", textfile.Explain(dst, err)
	}
	if inside(dir, src) {
		return "", fmt.Errorf("%s: inside %s, the checkpoint that is converted; give a folder elsewhere", printable(dst),
			printable(src))
	}
	return dir, nil
}

// inside reports whether a path, which need not exist, leads to a folder or into it.
func inside(path, folder string) bool {
	want, err := os.Stat(folder)
	if err != nil {
		return false
	}
	for at := path; ; at = filepath.Dir(at) {
		if real, err := filepath.EvalSymlinks(at); err == nil {
			at = real // from here on, .. goes up from where links lead
		}
		if info, err := os.Stat(at); err == nil && os.SameFile(info, want) {
			return true
		}
		if at == filepath.Dir(at) {
			return false
		}
	}
}

// take makes the partial folder, or takes over one that no process writes to.
func (d *destination) take() error {
	for range 10 {
		if err := os.Mkdir(d.partial, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
			return textfile.Explain(d.partial, err)
		}
		info, err := os.Lstat(d.partial)
		if errors.Is(err, fs.ErrNotExist) { // another process has just finished
			continue
		}
		if err == nil && !info.IsDir() {
			return fmt.Errorf("%s: not a folder, but stands where one is to be written; remove it", printable(d.partial))
		}
		if d.lock, err = os.Open(d.partial); err != nil {
			return textfile.Explain(d.partial, err)
		}
		// Where a file system knows no locks, nothing tells of another process.
		if err := unix.Flock(int(d.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
			return errors.Join(fmt.Errorf("%s: another process is converting to it; wait until it ends, or give another folder",
				printable(d.dir)), d.lock.Close())
		}
		mine, err := d.lock.Stat()
		if now, statErr := os.Lstat(d.partial); err == nil && statErr == nil && os.SameFile(mine, now) {
			return nil
		}
		d.lock.Close()
	}
	return fmt.Errorf("%s: other processes keep taking it; give another folder", printable(d.dir))
}

// checkSpace refuses what the disk has no room for. free tells the room; nil asks the disk.
func (d *destination) checkSpace(need int64, free func(dir string) (int64, error)) error {
	if free == nil {
		free = freeBytes
	}
	left, err := free(d.partial)
	if err != nil || left >= need {
		return nil // writing tells
	}
	return fmt.Errorf("%s: %.2f GB are needed and its disk has %.2f GB left: %w; make room, or give a folder on another "+
		"disk", printable(d.dir), float64(need)/1e9, float64(left)/1e9, unix.ENOSPC)
}

// freeBytes is what a user may still write to the disk of a folder.
func freeBytes(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}

// write writes a small file.
func (d *destination) write(name string, data []byte) error {
	return textfile.Replace(filepath.Join(d.partial, name), data, 0o666)
}

// keep gives the folder its name.
func (d *destination) keep() error {
	if err := d.lock.Sync(); err != nil && !errors.Is(err, unix.EINVAL) {
		return textfile.Explain(d.partial, err)
	}
	if err := os.Remove(d.dir); err != nil && !errors.Is(err, fs.ErrNotExist) { // it was empty
		return textfile.Explain(d.dir, err)
	}
	if err := os.Rename(d.partial, d.dir); err != nil {
		return textfile.Explain(d.dir, err)
	}
	d.lock.Close()
	return nil
}

// discard removes what was written. What cannot be removed the next process replaces.
func (d *destination) discard() {
	_ = os.RemoveAll(d.partial)
	d.lock.Close()
}

// textFiles are those that go along with the weights. Licences come with several endings.
var textFiles = []string{
	"tokenizer.json", tokenizerConfigName, "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
	"tokenizer.model", "chat_template.jinja", "chat_template.json", "generation_config.json",
	"additional_chat_templates/*.jinja", "LICENSE*", "LICENCE*", "License*", "license*", "NOTICE*", "COPYING*",
}

// copyText copies the checkpoint's text files into a folder, and tells whether it has no tokenizer. Where that is only
// a tokenizer.model, the other form takes its place.
func (c *Checkpoint) copyText(ctx context.Context, dir string) (noTokenizer bool, err error) {
	made := map[string][]byte{}
	has := func(name string) bool { return first(c.fsys, name) != "" }
	noTokenizer = !has("tokenizer.json") && !has("tokenizer.model")
	if has("tokenizer.model") && !has("tokenizer.json") {
		file, config, err := c.convertedTokenizer(ctx)
		if err != nil {
			return false, err
		}
		made["tokenizer.json"], made[tokenizerConfigName], made["tokenizer.model"] = file, config, nil
	}
	for name, data := range made {
		if data == nil {
			continue
		}
		if err := textfile.Replace(filepath.Join(dir, name), data, 0o666); err != nil {
			return false, err
		}
	}
	for _, name := range glob(c.fsys, textFiles...) {
		if _, ok := made[name]; ok || printable(name) != name {
			continue
		}
		if err := c.copyFile(dir, name); err != nil {
			return false, err
		}
	}
	return noTokenizer, nil
}

// copyFile copies one file into a folder.
func (c *Checkpoint) copyFile(dir, name string) (err error) {
	path := c.Dir + "/" + name
	// Before it is opened, as a FIFO would block.
	info, err := fs.Stat(c.fsys, name)
	if err != nil {
		return textfile.Explain(path, err)
	}
	if info.IsDir() { // such as LICENSES
		return nil
	}
	if err := textfile.CheckRegular(path, info); err != nil {
		return err
	}
	in, err := c.fsys.Open(name)
	if err != nil {
		return textfile.Explain(path, err)
	}
	defer in.Close()
	start, err := readStart(in)
	if err != nil {
		return textfile.Explain(path, err)
	}
	if textfile.IsLFSPointer(start) {
		return textfile.LFSError(path)
	}
	target := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(target), 0o777); err != nil {
		return textfile.Explain(target, err)
	}
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return textfile.Explain(target, err)
	}
	_, err = io.Copy(out, io.MultiReader(bytes.NewReader(start), in))
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return textfile.Explain(target, err)
	}
	return nil
}
