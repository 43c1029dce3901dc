package loader

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// mapFile maps a whole file, read-only and shared, without touching its pages.
func mapFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, textfile.Explain(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, textfile.Explain(path, err)
	}
	defer f.Close()
	if info.Size() == 0 {
		return nil, fmt.Errorf("%s: the file is empty; download it again", path)
	}
	if info.Size() > math.MaxInt {
		return nil, fmt.Errorf("%s: the file is too large to map on this machine", path)
	}
	data, err := mapMemory(int(f.Fd()), int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot be mapped into memory: %w", path, err)
	}
	return data, nil
}

// readAligned reads a file that cannot be mapped into memory that, like a mapping, begins on a page and is later unmapped.
func readAligned(path string, fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, textfile.Explain(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, textfile.Explain(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	if info.Size() <= 0 {
		return nil, fmt.Errorf("%s: the file is empty; download it again", path)
	}
	data, err := mapMemory(-1, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("%s: no memory for its %d bytes: %w", path, info.Size(), err)
	}
	if _, err := io.ReadFull(f, data); err != nil {
		unmap(data)
		return nil, fmt.Errorf("%s: cannot be read: %w", path, err)
	}
	return data, nil
}

// regionPage is what a mapping begins on and has to itself to the end of: the page of Apple silicon, wherever we run, so
// that a device may wrap whole pages.
const regionPage = 16384

// hugePage is where a mapping begins, so that a system that caches files in huge pages can map them as such (Linux does, on
// ext4 and XFS): streaming the weights is a fifth faster.
const hugePage = 2 << 20

// mapMemory maps a file, or memory of its own where fd is -1, into the middle of a reserved range, which aligns it.
func mapMemory(fd, length, prot, flags int) ([]byte, error) {
	whole := regionPages(length)
	base, err := unix.MmapPtr(-1, 0, nil, whole+hugePage, unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	before := -uintptr(base) % hugePage
	start := unsafe.Add(base, before)
	_, err = unix.MmapPtr(fd, 0, start, uintptr(length), prot, flags|unix.MAP_FIXED)
	if err != nil {
		return nil, errors.Join(err, unix.MunmapPtr(base, whole+hugePage))
	}
	if before > 0 {
		err = unix.MunmapPtr(base, before)
	}
	err = errors.Join(err, unix.MunmapPtr(unsafe.Add(start, whole), hugePage-before))
	return unsafe.Slice((*byte)(start), length), err
}

// regionPages is the bytes of the pages that a mapping has.
func regionPages(length int) uintptr {
	return (uintptr(length) + regionPage - 1) / regionPage * regionPage
}

func unmap(data []byte) error {
	return unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(data)), regionPages(len(data)))
}
