// Package textfile reads the text files of strangers: configs, tokenizers, templates, prompts, histories. A file is
// read whole or refused with an error that names it: it must be a regular file of bounded size, no Git LFS pointer, and
// UTF-8. A byte order mark is dropped; UTF-16 is converted where its mark tells. It also replaces a file in whole.
package textfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Read reads a file of at most limit bytes.
func Read(path string, limit int64) ([]byte, error) {
	// Without waiting, as a FIFO that nobody writes would make it.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, Explain(path, err)
	}
	defer f.Close()
	return read(path, f, limit)
}

// ReadFS reads a file of a file system whose place on disk, or name, is dir. Where there is no such file the error
// wraps fs.ErrNotExist.
func ReadFS(fsys fs.FS, dir, name string, limit int64) ([]byte, error) {
	path := dir + "/" + name
	// Before it is opened, as a FIFO would block.
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, Explain(path, err)
	}
	if err := CheckRegular(path, info); err != nil {
		return nil, err
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, Explain(path, err)
	}
	defer f.Close()
	return read(path, f, limit)
}

func read(path string, f fs.File, limit int64) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, Explain(path, err)
	}
	if err := CheckRegular(path, info); err != nil {
		return nil, err
	}
	return ReadAll(path, f, limit)
}

// CheckRegular refuses what is no regular file, and names it.
func CheckRegular(path string, info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		return fmt.Errorf("%s: a folder; a file is needed", path)
	case mode&fs.ModeNamedPipe != 0:
		return fmt.Errorf("%s: a named pipe; a regular file is needed", path)
	case mode&fs.ModeSocket != 0:
		return fmt.Errorf("%s: a socket; a regular file is needed", path)
	}
	return fmt.Errorf("%s: a device; a regular file is needed", path)
}

// ReadAll reads a stream of at most limit bytes, such as standard input; name stands for it in errors.
func ReadAll(name string, r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, Explain(name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: more than %d bytes long, the most that is read of such a text", name, limit)
	}
	if IsLFSPointer(data) {
		return nil, LFSError(name)
	}
	return Decode(name, data)
}

// Decode gives a text as UTF-8 without byte order mark. name stands for it in errors, which give the place of what is
// no text.
func Decode(name string, data []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		data = data[3:]
	case bytes.HasPrefix(data, []byte("\xff\xfe\x00\x00")), bytes.HasPrefix(data, []byte("\x00\x00\xfe\xff")):
		return nil, fmt.Errorf("%s: UTF-32 text; save it as UTF-8", name)
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		return decodeUTF16(name, data, 0, 1)
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		return decodeUTF16(name, data, 1, 0)
	}
	if !utf8.Valid(data) {
		at := 0
		for at < len(data) {
			r, n := utf8.DecodeRune(data[at:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			at += n
		}
		line := ""
		if n := bytes.Count(data[:at], []byte("\n")); n > 0 {
			line = fmt.Sprintf(" (line %d)", n+1)
		}
		return nil, fmt.Errorf("%s: byte 0x%02x at offset %d%s is not UTF-8; save the text as UTF-8 (for GBK: iconv -f GBK "+
			"-t UTF-8)", name, data[at], at, line)
	}
	if n := bytes.Count(data, []byte{0}); n > 0 && 4*n >= len(data) {
		return nil, fmt.Errorf("%s: UTF-16 text without its byte order mark, or no text at all; save it as UTF-8", name)
	}
	return data, nil
}

// decodeUTF16 converts what follows the byte order mark; low and high are the places of a unit's bytes.
func decodeUTF16(name string, data []byte, low, high int) ([]byte, error) {
	if len(data)%2 != 0 {
		return nil, fmt.Errorf("%s: UTF-16 text with half a character at its end (offset %d); save it again, as UTF-8", name,
			len(data)-1)
	}
	unit := func(at int) rune { return rune(data[at+low]) | rune(data[at+high])<<8 }
	out := make([]byte, 0, len(data)/2)
	for at := 2; at < len(data); at += 2 {
		r := unit(at)
		if utf16.IsSurrogate(r) {
			second := rune(utf8.RuneError)
			if at+2 < len(data) {
				second = unit(at + 2)
			}
			if r = utf16.DecodeRune(r, second); r == utf8.RuneError {
				return nil, fmt.Errorf("%s: half a surrogate pair at offset %d of this UTF-16 text; save it as UTF-8", name, at)
			}
			at += 2
		}
		out = utf8.AppendRune(out, r)
	}
	return out, nil
}

// IsLFSPointer recognises the small text file that git puts in the place of a large one it did not download.
// Source: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md.
func IsLFSPointer(data []byte) bool {
	return bytes.HasPrefix(data, []byte("version https://git-lfs.github.com/spec/"))
}

// LFSError is the error about a Git LFS pointer at path.
func LFSError(path string) error {
	return fmt.Errorf("%s: a Git LFS pointer instead of the file; run git lfs pull in the folder, or download the file "+
		"from the hub", path)
}

// BrokenLinkError tells of a link whose target is missing, such as one of a hub cache whose blobs were deleted. It
// wraps fs.ErrNotExist; a reader of an optional file looks for it, as the file was meant to be there.
type BrokenLinkError struct{ Path, Target string }

func (e *BrokenLinkError) Error() string {
	return fmt.Sprintf("%s: a link to %s, which does not exist; download the file again", e.Path, e.Target)
}

// Unwrap gives fs.ErrNotExist.
func (e *BrokenLinkError) Unwrap() error { return fs.ErrNotExist }

// Absent reports whether an error says that there is no such file, not even a link to a missing one.
func Absent(err error) bool {
	var broken *BrokenLinkError
	return errors.Is(err, fs.ErrNotExist) && !errors.As(err, &broken)
}

// Explain is the error of a file operation on path: it names the path once, says what to do where that is known, and
// wraps the cause.
func Explain(path string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	if errors.Is(err, fs.ErrNotExist) {
		if target, linkErr := os.Readlink(path); linkErr == nil {
			return &BrokenLinkError{path, target}
		}
	}
	if !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%s: %w", path, err)
	}
	if dir := unsearchable(path); dir != "" {
		return fmt.Errorf("%s: %w; the folder %s may not be searched (chmod u+x, or go+x for other users)", path, err, dir)
	}
	return fmt.Errorf("%s: %w; make it readable (chmod u+r, or go+r for other users)", path, err)
}

// unsearchable finds the folder on the way to a path that lacks the x permission, "" if there is none.
func unsearchable(path string) string {
	at := "."
	if filepath.IsAbs(path) {
		at = "/"
	}
	parts := strings.Split(filepath.Clean(path), "/")
	for _, part := range parts[:len(parts)-1] {
		at = filepath.Join(at, part)
		if errors.Is(unix.Faccessat(unix.AT_FDCWD, at, unix.X_OK, unix.AT_EACCESS), unix.EACCES) {
			return at
		}
	}
	return ""
}
