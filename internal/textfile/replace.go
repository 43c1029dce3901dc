package textfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Replace replaces a file in whole or not at all: through another one beside it, which takes its place. Links are
// followed and stay. The file keeps its mode, and its owner where that is allowed; a new one gets perm, less umask.
// What is write-protected is refused, for the superuser too, and so is what is no regular file.
func Replace(file string, data []byte, perm fs.FileMode) error {
	info, err := os.Stat(file)
	switch {
	case err == nil:
		if err := CheckWritable(file, info); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return Explain(file, err)
	}
	target, err := FollowLinks(file)
	if err != nil {
		return err
	}
	dir := filepath.Dir(target)
	if folder, err := os.Stat(dir); err == nil && folder.Mode().Perm()&0o222 == 0 {
		return fmt.Errorf("%s: %w; the folder %s is write-protected (chmod u+w)", file, fs.ErrPermission, dir)
	}
	if info != nil {
		perm = 0o600 // until it has the file's mode
	}
	tempName := dir + "/.glm4-metal-" + rand.Text()
	temp, err := os.OpenFile(tempName, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err == nil {
		err = fillFile(temp, data, info)
		if err == nil {
			err = os.Rename(tempName, target)
		}
		if err != nil {
			os.Remove(tempName)
		}
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%s: %w; the folder %s must be writable (chmod u+w)", file, fs.ErrPermission, dir)
	}
	var at *fs.PathError
	var link *os.LinkError
	switch { // name the file that was asked for, not the other
	case errors.As(err, &at):
		err = at.Err
	case errors.As(err, &link):
		err = link.Err
	}
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// CheckWritable refuses what is no regular file, and what is write-protected, for the superuser too.
func CheckWritable(file string, info fs.FileInfo) error {
	if err := CheckRegular(file, info); err != nil {
		return err
	}
	if info.Mode().Perm()&0o222 == 0 || unix.Access(file, unix.W_OK) != nil {
		return fmt.Errorf("%s: %w; the file is write-protected (chmod u+w)", file, fs.ErrPermission)
	}
	return nil
}

// FollowLinks gives the file that a path leads to, which need not exist.
func FollowLinks(file string) (string, error) {
	for range 40 { // as many as Linux follows
		to, err := os.Readlink(file)
		if err != nil { // no link, or nothing there
			return file, nil
		}
		if !filepath.IsAbs(to) {
			to = filepath.Dir(file) + "/" + to // not cleaned: .. goes up from where a link leads
		}
		file = to
	}
	return "", fmt.Errorf("%s: %w", file, syscall.ELOOP)
}

// fillFile writes, closes, and makes the file like the one whose place it takes; old is nil when there is none.
func fillFile(f *os.File, data []byte, old fs.FileInfo) error {
	_, err := f.Write(data)
	if err == nil && old != nil {
		if owner, ok := old.Sys().(*syscall.Stat_t); ok {
			_ = f.Chown(int(owner.Uid), int(owner.Gid)) // before the mode, parts of which it drops
		}
		err = f.Chmod(old.Mode())
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
