package loader

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A file of sysfs cannot be mapped. This one is read, and found to hold no weights.
func TestRealFileThatCannotBeMapped(t *testing.T) {
	dir := files{"config.json": tinyGLM4.bytes()}.save(t)
	file := filepath.Join(dir, singleName)
	require.NoError(t, os.Symlink("/sys/kernel/notes", file))
	_, err := Open(t.Context(), dir)
	require.ErrorContains(t, err, file+": header length is ")
}
