package loader

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/internal/fault"
)

// requireFault checks that an error is about a file that has shrunk, and says so.
func requireFault(t *testing.T, err error, file string, size, left int) {
	t.Helper()
	var f *FaultError
	require.ErrorAs(t, err, &f)
	require.Equal(t, file, f.File)
	require.EqualValues(t, size, f.Size)
	require.EqualValues(t, left, f.Left)
	require.ErrorContains(t, err, file+": the file has shrunk from ")
}

func TestShrunkFileEndsTheProcess(t *testing.T) {
	dir := sharded().save(t)
	c, err := Open(t.Context(), dir)
	require.NoError(t, err)
	require.NoError(t, c.Check())
	file, size := filepath.Join(dir, shard2), len(sharded()[shard2])
	require.NoError(t, os.Truncate(file, 0))

	_, err = c.Vector("model.layers.1.input_layernorm.weight")
	requireFault(t, err, file, size, 0)
	var cause *fault.Error
	require.ErrorAs(t, err, &cause)
	m, err := c.Matrix("model.layers.1.mlp.down_proj")
	require.NoError(t, err)
	require.Equal(t, shard2, m.File)
	requireFault(t, c.Guard(func() error {
		m.Dequantize(make([]float32, m.Cols), 3)
		return nil
	}), file, size, 0)
	requireFault(t, c.Check(), file, size, 0)
	requireFault(t, c.Explain(&fault.Error{Err: errors.New("a device's")}), file, size, 0)

	_, err = c.Vector("model.layers.0.input_layernorm.weight")
	require.NoError(t, err, "the other shard is whole")
	require.NoError(t, c.Close())
}

// Within the last page nothing faults: what is gone reads as zeros.
func TestLostEndReadsAsZeros(t *testing.T) {
	dir := sharded().save(t)
	c, err := Open(t.Context(), dir)
	require.NoError(t, err)
	defer c.Close()
	file, size := filepath.Join(dir, shard1), len(sharded()[shard1])
	require.NoError(t, os.Truncate(file, int64(size-1)))
	requireFault(t, c.Check(), file, size, size-1)
}

func TestReplacedOrGrowingFileIsRefused(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, file string){
		"replaced": func(t *testing.T, file string) {
			require.NoError(t, os.WriteFile(file+".new", nil, 0o600))
			require.NoError(t, os.Rename(file+".new", file))
		},
		"removed": func(t *testing.T, file string) { require.NoError(t, os.Remove(file)) },
		"grown":   func(t *testing.T, file string) { require.NoError(t, os.Truncate(file, 1<<20)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := tiny(tinyGLM4, glm4Tensors()).save(t)
			c, err := Open(t.Context(), dir)
			require.NoError(t, err)
			want, err := c.Vector("model.norm.weight")
			require.NoError(t, err)
			change(t, filepath.Join(dir, singleName))
			require.NoError(t, c.Check())
			got, err := c.Vector("model.norm.weight")
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.NoError(t, c.Close())
		})
	}
}

func TestErrorOfAnotherKindNamesAFile(t *testing.T) {
	dir := tiny(tinyGLM4, glm4Tensors()).save(t)
	c, err := Open(t.Context(), dir)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Explain(nil))
	require.Equal(t, io.EOF, c.Explain(io.EOF))
	require.Equal(t, io.EOF, c.Guard(func() error { return io.EOF }))
	require.Panics(t, func() { c.Guard(func() error { panic("bug") }) })
	elsewhere := &fault.Error{Err: errors.New("a device's")}
	require.Equal(t, error(elsewhere), c.Explain(elsewhere))
	mapped := &fault.Error{Addr: uintptr(unsafe.Pointer(&c.Mapped()[0][0]))}
	require.EqualError(t, c.Explain(mapped), dir+"/"+singleName+
		": some of its bytes cannot be read; see to its disk and load the model again")
}

// openWith opens a folder with another way of mapping.
func openWith(dir string, mapping mapMemoryFunc) (*Checkpoint, error) {
	return open(context.Background(), dir, os.DirFS(dir), func(name string) (region, error) {
		return mapFile(filepath.Join(dir, name), mapping)
	})
}

func TestFileThatShrinksDuringOpen(t *testing.T) {
	whole := tiny(tinyGLM4, glm4Tensors())
	size := len(whole[singleName])
	for _, left := range []int{0, 5, 100, size / 2, size - 1} {
		for _, mapErr := range []error{nil, unix.ENODEV} {
			dir := whole.save(t)
			file := filepath.Join(dir, singleName)
			c, err := openWith(dir, func(fd, length, prot, flags int) ([]byte, error) {
				require.NoError(t, os.Truncate(file, int64(left)))
				if mapErr != nil {
					return nil, mapErr
				}
				return mapMemory(fd, length, prot, flags)
			})
			require.Nil(t, c)
			requireFault(t, err, file, size, left)
		}
	}
}

func TestFileSystemWithoutMapping(t *testing.T) {
	for _, e := range []error{unix.ENODEV, unix.EINVAL, unix.EACCES} {
		dir := sharded().save(t)
		want := sharded().open(t)
		c, err := openWith(dir, func(int, int, int, int) ([]byte, error) { return nil, e })
		require.NoError(t, err, e)
		for _, r := range c.Mapped() {
			require.Zero(t, uintptr(unsafe.Pointer(&r[0]))%regionPage)
		}
		require.NoError(t, os.Truncate(filepath.Join(dir, shard1), 0))
		require.NoError(t, c.Check(), "the file is not used any more")
		require.Equal(t, want.Tensors(), c.Tensors())
		require.NoError(t, c.Close())
	}
	dir := sharded().save(t)
	_, err := openWith(dir, func(int, int, int, int) ([]byte, error) { return nil, unix.ENOMEM })
	require.EqualError(t, err, filepath.Join(dir, shard1)+": cannot be mapped into memory: cannot allocate memory")
}

// brokenDisk fails where a file of weights is read.
type brokenDisk struct{ fs.FS }

func (d brokenDisk) Open(name string) (fs.File, error) {
	f, err := d.FS.Open(name)
	if name == singleName {
		f = brokenFile{f}
	}
	return f, err
}

type brokenFile struct{ fs.File }

func (brokenFile) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: "inner", Err: unix.EIO}
}

func TestReadErrorLosesItsFile(t *testing.T) {
	_, err := OpenFS(t.Context(), brokenDisk{tiny(tinyGLM4, glm4Tensors()).fs()}, "DIR")
	require.EqualError(t, err, "DIR/"+singleName+": input/output error")
}
