package hub

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// partial is a blob as far as it is here: blobs/etag.8 hex digits.incomplete, as huggingface_hub calls it. It becomes
// the blob when its bytes are those that the hub promised, and before that nothing takes it for one.
type partial struct {
	file file
	path string
	f    *os.File
	done int64 // bytes in the file and in the hash
	hash hash.Hash

	answerTag string // ETag of the answer that the bytes are from, where they are served
	restarts  int
	count     func(n int64) // told of bytes that are here, and with n < 0 of those that are not any more
}

// corruptError is one of bytes that are not those promised. They are gone; others may be better.
type corruptError struct{ text string }

func (e *corruptError) Error() string { return e.text }

// abandonedAfter is how long nobody writes to a partial file that is taken over although its lock proves nothing.
const abandonedAfter = 15 * time.Minute

// openPartial makes a file to write a blob to, out of what another run has left of it if there is such. Only a lock
// that is held, or its age, tells that the other run is over.
func openPartial(blob string, f file, locked bool, now time.Time, count func(int64)) (*partial, error) {
	p := &partial{file: f, count: count, path: newName(blob, ".incomplete")}
	p.rehash()
	if left := leftovers(blob, f.size, locked, now); left != "" {
		// Renamed, so that what another may yet do with the name does not matter. Without it all is fetched.
		_ = os.Rename(left, p.path)
	}
	// As others may read it: the cache may be shared.
	file, err := os.OpenFile(p.path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o666)
	if err != nil {
		return nil, textfile.Explain(p.path, err)
	}
	p.f = file
	return p, nil
}

// newName gives a name beside a file that nobody else has.
func newName(file, suffix string) string {
	var random [4]byte
	rand.Read(random[:])
	return file + "." + hex.EncodeToString(random[:]) + suffix
}

// The first of these is of huggingface_hub before it told processes apart.
var partialName = regexp.MustCompile(`^\.incomplete$|^\.[0-9a-f]{8}\.incomplete$`)

// leftovers finds the longest partial file of a blob, and removes others that nobody needs.
func leftovers(blob string, size int64, locked bool, now time.Time) (longest string) {
	var most int64 = -1
	for name, info := range partials(blob) {
		if !locked && now.Sub(info.ModTime()) < abandonedAfter {
			continue
		}
		stale := name
		if info.Size() <= size && info.Size() > most {
			most, longest, stale = info.Size(), name, longest
		}
		if stale != "" {
			os.Remove(stale)
		}
	}
	return longest
}

// partials gives the partial files of a blob.
func partials(blob string) iter.Seq2[string, fs.FileInfo] {
	return func(yield func(string, fs.FileInfo) bool) {
		entries, _ := os.ReadDir(filepath.Dir(blob))
		for _, e := range entries {
			suffix, ok := strings.CutPrefix(e.Name(), filepath.Base(blob))
			if !ok || !partialName.MatchString(suffix) {
				continue
			}
			info, err := e.Info()
			if err == nil && info.Mode().IsRegular() && !yield(blob+suffix, info) {
				return
			}
		}
	}
}

// rehash begins the hash: sha256 of a file in LFS, and git's of a blob otherwise.
func (p *partial) rehash() {
	p.done = 0
	switch {
	case len(p.file.etag) == 64:
		p.hash = sha256.New()
	default:
		p.hash = sha1.New()
		fmt.Fprintf(p.hash, "blob %d\x00", p.file.size)
	}
}

const chunk = 1 << 20

// resume reads what is here already.
func (p *partial) resume(ctx context.Context, buffer []byte) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := p.f.Read(buffer)
		p.hash.Write(buffer[:n])
		p.done += int64(n)
		p.count(int64(n))
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return textfile.Explain(p.path, err)
		}
	}
}

// restart forgets the bytes.
func (p *partial) restart() error {
	p.count(-p.done)
	p.rehash()
	p.answerTag = ""
	if p.restarts++; p.restarts > 3 {
		return &corruptError{p.file.path + ": the hub's answers contradict one another"}
	}
	if _, err := p.f.Seek(0, io.SeekStart); err != nil {
		return textfile.Explain(p.path, err)
	}
	if err := p.f.Truncate(0); err != nil {
		return textfile.Explain(p.path, err)
	}
	return nil
}

// fill writes an answer's bytes. An error of the network is transient; what has come until then stays.
func (p *partial) fill(r io.Reader, buffer []byte) error {
	for {
		n, err := r.Read(buffer)
		if int64(n) > p.file.size-p.done {
			return &corruptError{fmt.Sprintf("%s: more than the %d bytes that the hub lists", p.file.path, p.file.size)}
		}
		if _, err := p.f.Write(buffer[:n]); err != nil {
			p.f.Truncate(p.done) // what is hashed, and no more
			return p.writeError(err)
		}
		p.hash.Write(buffer[:n])
		p.done += int64(n)
		p.count(int64(n))
		switch {
		case err == io.EOF && p.done < p.file.size:
			return &transientError{err: fmt.Errorf("%s: the answer ends after %d of %d bytes", p.file.path, p.done, p.file.size)}
		case err == io.EOF:
			return nil
		case err != nil:
			return &transientError{err: fmt.Errorf("%s: after %d of %d bytes: %w", p.file.path, p.done, p.file.size, err)}
		}
	}
}

func (p *partial) writeError(err error) error {
	err = textfile.Explain(p.path, err)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG) {
		return fmt.Errorf("%w; %s lacks another %d bytes: make room and pull again, which goes on from here", err,
			p.file.path, p.file.size-p.done)
	}
	return err
}

// finish makes the file the blob if it is right, and removes it if not.
func (p *partial) finish(blob string) error {
	sum := hex.EncodeToString(p.hash.Sum(nil))
	if p.done != p.file.size || sum != p.file.etag {
		return &corruptError{fmt.Sprintf("%s: the bytes that came have the hash %s; the hub lists %s", p.file.path, sum,
			p.file.etag)}
	}
	// Before it has its name, as a machine that loses power may keep the one without the other.
	if err := p.f.Sync(); err != nil {
		return p.writeError(err)
	}
	err := p.f.Close()
	p.f = nil
	if err != nil {
		return p.writeError(err)
	}
	if err := os.Rename(p.path, blob); err != nil {
		return textfile.Explain(p.path, err)
	}
	return nil
}

// close leaves the file for the next run, unless it is of no use.
func (p *partial) close(err error) {
	if p.f != nil {
		p.f.Close()
	}
	var corrupt *corruptError
	if errors.As(err, &corrupt) || p.done == 0 && err != nil {
		p.count(-p.done)
		os.Remove(p.path)
	}
}
