package textfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestSavingReplacesALink(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.MkdirAll(at("a/b"), 0o700))
	require.NoError(t, os.WriteFile(at("a/real"), []byte("old"), 0o600))
	require.NoError(t, os.Chmod(at("a/real"), 0o640))
	require.NoError(t, os.Symlink("../real", at("a/b/up")))     // up from b
	require.NoError(t, os.Symlink("a/b", at("deep")))           // to a folder
	require.NoError(t, os.Symlink("deep/up", at("link")))       // to a link
	require.NoError(t, os.Symlink("a/new", at("link to come"))) // to nothing
	for range 2 {
		require.NoError(t, Replace(at("link"), []byte("text"), 0o666))
		require.NoError(t, Replace(at("link to come"), []byte("text"), 0o666))
		for _, name := range []string{"link", "deep", "a/b/up", "link to come"} {
			info, err := os.Lstat(at(name))
			require.NoError(t, err)
			require.Equal(t, fs.ModeSymlink, info.Mode().Type(), name)
		}
		for _, name := range []string{"a/real", "a/new"} {
			data, err := os.ReadFile(at(name))
			require.NoError(t, err)
			require.Equal(t, "text", string(data), name)
		}
	}
	info, err := os.Stat(at("a/real"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o640), info.Mode().Perm())
	for folder, files := range map[string]int{".": 4, "a": 3, "a/b": 1} {
		entries, err := os.ReadDir(at(folder))
		require.NoError(t, err)
		require.Len(t, entries, files, "%s: no temporary file stays behind", folder)
	}
}

func TestSavingChangesModes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new")
	old := unix.Umask(0o027)
	defer unix.Umask(old)
	for _, mode := range []fs.FileMode{0o640, 0o606} { // of a new file, and of one that has another
		require.NoError(t, Replace(file, nil, 0o666))
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm())
		require.NoError(t, os.Chmod(file, 0o606))
	}
}

func TestSavingOverWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.WriteFile(at("locked"), []byte("keep"), 0o400))
	require.NoError(t, os.Chmod(at("locked"), 0o444))
	require.NoError(t, os.Symlink("locked", at("link")))
	require.NoError(t, os.Symlink("loop", at("loop")))
	require.NoError(t, os.Symlink("/dev/null", at("null")))
	require.NoError(t, unix.Mkfifo(at("fifo"), 0o600))
	require.NoError(t, os.MkdirAll(at("closed/folder"), 0o700))
	require.NoError(t, os.WriteFile(at("closed/file"), nil, 0o600))
	require.NoError(t, os.Chmod(at("closed"), 0o555))
	defer os.Chmod(at("closed"), 0o700)
	for name, want := range map[string]string{
		"locked": "the file is write-protected", "link": "the file is write-protected",
		"loop": "too many levels of symbolic links",
		"null": "a device", "fifo": "a named pipe", "closed/folder": "a folder", "closed/file": "write-protected",
		"closed/new": "write-protected",
		"no/file":    "no such file or directory", "": "a folder",
	} {
		err := Replace(dir+"/"+name, []byte("text"), 0o666)
		require.ErrorContains(t, err, dir+"/"+name+": ")
		require.ErrorContains(t, err, want, name)
	}
	data, err := os.ReadFile(at("locked"))
	require.NoError(t, err)
	require.Equal(t, "keep", string(data))
}
