package textfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestEncodingIsMisread(t *testing.T) {
	for name, c := range map[string]struct{ in, want, fails string }{
		"plain":              {in: "héllo 你\n", want: "héllo 你\n"},
		"empty":              {},
		"BOM":                {in: "\xef\xbb\xbf{}", want: "{}"},
		"UTF-16LE":           {in: "\xff\xfeh\x00i\x00`O\x3d\xd8\x00\xde", want: "hi你😀"},
		"UTF-16BE":           {in: "\xfe\xff\x00h\x00iO`", want: "hi你"},
		"UTF-16 odd":         {in: "\xff\xfeh\x00i", fails: "half a character at its end (offset 4)"},
		"UTF-16 surrogate":   {in: "\xff\xfeh\x00\x3d\xd8h\x00", fails: "surrogate pair at offset 4"},
		"UTF-16 cut":         {in: "\xff\xfe\x3d\xd8", fails: "surrogate pair at offset 2"},
		"UTF-16 unmarked":    {in: "h\x00e\x00l\x00", fails: "UTF-16 text without its byte order mark"},
		"UTF-32":             {in: "\xff\xfe\x00\x00h\x00\x00\x00", fails: "UTF-32"},
		"GBK":                {in: "a\nb \xc4\xe3\xba\xc3", fails: "byte 0xc4 at offset 4 (line 2) is not UTF-8"},
		"U+FFFD is a letter": {in: "a\ufffd", want: "a\ufffd"},
		"cut character":      {in: "a\xe4\xbd", fails: "offset 1"},
	} {
		got, err := Decode("F", []byte(c.in))
		if c.fails != "" {
			assert.ErrorContains(t, err, c.fails, name)
			assert.ErrorContains(t, err, "F: ", name)
			continue
		}
		assert.NoError(t, err, name)
		assert.Equal(t, c.want, string(got), name)
	}
}

func TestReadsWhatIsNoSmallTextFile(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.WriteFile(path("long"), []byte(strings.Repeat("x", 11)), 0o600))
	require.NoError(t, os.WriteFile(path("fits"), []byte(strings.Repeat("x", 10)), 0o600))
	require.NoError(t, os.WriteFile(path("lfs"), []byte("version https://git-lfs.github.com/spec/v1\n"), 0o600))
	require.NoError(t, unix.Mkfifo(path("fifo"), 0o600))
	require.NoError(t, os.Symlink("/dev/zero", path("zero")))
	require.NoError(t, os.Symlink("fits", path("link")))
	for name, c := range map[string]struct {
		limit int64
		fails string
	}{
		"long": {10, "more than 10 bytes"}, "fits": {10, ""}, "link": {10, ""}, "lfs": {99, "git lfs pull"},
		"fifo": {10, "a named pipe"}, "zero": {10, "a device"}, ".": {10, "a folder"}, "none": {10, "no such file"},
	} {
		for how, read := range map[string]func() ([]byte, error){
			"path": func() ([]byte, error) { return Read(path(name), c.limit) },
			"fs":   func() ([]byte, error) { return ReadFS(os.DirFS(dir), dir, name, c.limit) },
		} {
			done := make(chan error, 1)
			go func() { _, err := read(); done <- err }()
			select {
			case err := <-done:
				if c.fails == "" {
					assert.NoError(t, err, "%s by %s", name, how)
				} else {
					assert.ErrorContains(t, err, c.fails, "%s by %s", name, how)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("%s by %s: still reading", name, how)
			}
		}
	}
	_, err := Read(path("none"), 10)
	assert.ErrorIs(t, err, fs.ErrNotExist)
}

// As another user than the owner would see it, whoever runs the test.
func TestPermissionAdvisesTheWrongFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "closed")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "m"), 0o755))
	err := Explain(filepath.Join(dir, "m", "config.json"), fs.ErrPermission)
	assert.ErrorContains(t, err, "make it readable")
	assert.ErrorIs(t, err, fs.ErrPermission)
	if os.Getuid() != 0 {
		require.NoError(t, os.Chmod(dir, 0o600))
		defer os.Chmod(dir, 0o700)
		assert.ErrorContains(t, Explain(filepath.Join(dir, "m", "config.json"), fs.ErrPermission), "folder "+dir)
	}
}

func TestBrokenLinkPassesForNoFile(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "config.json")
	require.NoError(t, os.Symlink("../blobs/0123", link))
	for _, read := range []func() ([]byte, error){
		func() ([]byte, error) { return Read(link, 10) },
		func() ([]byte, error) { return ReadFS(os.DirFS(dir), dir, "config.json", 10) },
	} {
		_, err := read()
		require.EqualError(t, err, link+": a link to ../blobs/0123, which does not exist; download the file again")
		require.ErrorIs(t, err, fs.ErrNotExist)
		require.False(t, Absent(err))
	}
	_, err := Read(filepath.Join(dir, "none"), 10)
	require.True(t, Absent(err))
}
