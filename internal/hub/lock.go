package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// lock is one of huggingface_hub's, .locks/models--org--name/etag.lock, which it holds by flock while it fetches a
// blob.
//
// It spares fetching twice; that a blob is right depends on it nowhere, since flock fails on some file systems (NFS
// without lockd, some FUSE) and lies on others (Lustre without -o flock, GPFS, some NFS and CIFS: everyone has the
// lock; huggingface_hub#2399, #2038). Each process writes a file of its own, which becomes the blob at once and in
// whole. All that is lost is time and network; and where locks are not to be trusted, a partial file is taken over only
// when nobody has written to it for a while.
type lock struct {
	file *os.File // nil: there is no lock to be had
}

// errBusy is a lock that another has.
var errBusy = errors.New("in use by another process")

// takeLock waits for a lock, or returns errBusy where it should not wait. It makes the lock's file and folder.
func takeLock(ctx context.Context, path string, wait bool, busy func()) (*lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, textfile.Explain(filepath.Dir(path), err)
	}
	for first := true; ; first = false {
		// Others who share the cache may wait for it too, as filelock has it.
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o664)
		if errors.Is(err, fs.ErrPermission) {
			return &lock{}, nil // another user's
		}
		if err != nil {
			return nil, textfile.Explain(path, err)
		}
		err = flock(f)
		if err == nil && sameFile(f, path) {
			return &lock{f}, nil
		}
		f.Close()
		switch {
		case err == nil: // removed by its last owner meanwhile
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			return &lock{}, nil // no flock here
		case !wait:
			return nil, errBusy
		}
		if first {
			busy()
		}
		if err := realClock.sleep(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// flock is a variable for tests of file systems that have none.
var flock = func(f *os.File) error {
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != unix.EINTR {
			return err
		}
	}
}

func sameFile(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}

func (l *lock) release() {
	if l.file != nil {
		l.file.Close()
	}
}

// held tells whether nobody else can have the lock, as far as the file system is to be believed.
func (l *lock) held() bool { return l.file != nil && !networked(l.file) }

// free is how many bytes may be written below a folder that need not exist yet; a variable for tests of full disks.
var free = func(folder string) (uint64, error) {
	for {
		var s unix.Statfs_t
		err := unix.Statfs(folder, &s)
		if parent := filepath.Dir(folder); errors.Is(err, fs.ErrNotExist) && parent != folder {
			folder = parent
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", folder, err)
		}
		return uint64(s.Bavail) * uint64(s.Bsize), nil
	}
}
