package loader

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/internal/fault"
	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// region is the memory of one file.
type region struct {
	path string
	data []byte
	file *os.File // what is mapped, open to be asked for its size; nil where the file was read
}

// mapMemoryFunc is mapMemory, or what a test puts in its place.
type mapMemoryFunc func(fd, length, prot, flags int) ([]byte, error)

// mapFile maps a whole file, read-only and shared, without touching its pages. Where the file system cannot map, it
// reads.
func mapFile(path string, mapMemory mapMemoryFunc) (region, error) {
	// Without waiting, as a FIFO that nobody writes would make it.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return region{}, textfile.Explain(path, err)
	}
	size, err := weightBytes(path, f)
	if err != nil {
		f.Close()
		return region{}, err
	}
	data, err := mapMemory(int(f.Fd()), size, unix.PROT_READ, mapFlags(runtime.GOOS, false))
	if err == nil {
		return region{path, data, f}, nil
	}
	defer f.Close()
	if !cannotMap(err) {
		return region{}, fmt.Errorf("%s: cannot be mapped into memory: %w", path, err)
	}
	data, err = readMemory(path, f, size)
	return region{path: path, data: data}, err
}

// mapFlags is how files are mapped: shared, as programs do that have a GPU read them in place. Darwin has panicked when
// the CPU streamed large shared mappings (antirez/ds4), so where only the CPU reads they are private there.
func mapFlags(goos string, onlyCPU bool) int {
	if goos == "darwin" && onlyCPU {
		return unix.MAP_PRIVATE
	}
	return unix.MAP_SHARED
}

// OnlyCPU says that no device but the CPU reads the weights from now on. What was read of them stays where it is.
func (c *Checkpoint) OnlyCPU() error {
	if mapFlags(runtime.GOOS, true) == mapFlags(runtime.GOOS, false) {
		return nil
	}
	for _, r := range c.regions {
		if err := r.remap(mapFlags(runtime.GOOS, true)); err != nil {
			return err
		}
	}
	return nil
}

// remap maps a file once more at the same place, unless it was read.
func (r *region) remap(flags int) error {
	if r.file == nil {
		return nil
	}
	_, err := unix.MmapPtr(int(r.file.Fd()), 0, unsafe.Pointer(unsafe.SliceData(r.data)), uintptr(len(r.data)),
		unix.PROT_READ, flags|unix.MAP_FIXED)
	if err != nil {
		return fmt.Errorf("%s: cannot be mapped into memory: %w", r.path, err)
	}
	return nil
}

// Evict gives back the memory of some bytes of a file, which nobody is to read soon, as far as they fill pages. Who
// does read them waits for the file. Of a file that was read instead of mapped they stay: there is no other copy.
func (c *Checkpoint) Evict(bytes []byte) {
	first := uintptr(unsafe.Pointer(unsafe.SliceData(bytes)))
	for _, r := range c.regions {
		if r.file == nil || !fault.Within(r.data, first) {
			continue
		}
		page := uintptr(os.Getpagesize())
		before := -first % page
		if whole := (uintptr(len(bytes)) - min(before, uintptr(len(bytes)))) / page * page; whole > 0 {
			unix.Madvise(bytes[before:][:whole], unix.MADV_DONTNEED) // advice: when it is refused, only memory is lost
		}
	}
}

// cannotMap tells the errors of file systems that do not map, such as some of FUSE, 9p and sysfs.
func cannotMap(err error) bool {
	for _, e := range []error{unix.ENODEV, unix.EINVAL, unix.EACCES, unix.EPERM, unix.ENOSYS, unix.EOPNOTSUPP} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// readAligned reads a file that is not on disk into memory that, like a mapping, begins on a page and is later
// unmapped.
func readAligned(path string, fsys fs.FS, name string) (region, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return region{}, textfile.Explain(path, err)
	}
	defer f.Close()
	size, err := weightBytes(path, f)
	if err != nil {
		return region{}, err
	}
	data, err := readMemory(path, f, size)
	return region{path: path, data: data}, err
}

// weightBytes is the size of a file that may hold weights.
func weightBytes(path string, f fs.File) (int, error) {
	info, err := f.Stat()
	switch {
	case err != nil:
		return 0, textfile.Explain(path, err)
	case !info.Mode().IsRegular():
		return 0, fmt.Errorf("%s: not a regular file", path)
	case info.Size() <= 0:
		return 0, fmt.Errorf("%s: the file is empty; download it again", path)
	case info.Size() > math.MaxInt:
		return 0, fmt.Errorf("%s: the file is too large to map on this machine", path)
	}
	return int(info.Size()), nil
}

// readMemory reads size bytes.
func readMemory(path string, f fs.File, size int) ([]byte, error) {
	data, err := mapMemory(-1, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("%s: no memory for its %d bytes: %w", path, size, err)
	}
	n, err := io.ReadFull(f, data)
	switch {
	case err == nil:
		return data, nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = &FaultError{File: path, Size: int64(size), Left: int64(n)}
	default:
		err = textfile.Explain(path, err)
	}
	return nil, errors.Join(err, unmap(data))
}

// regionPage is what a mapping begins on and has to itself to the end of: the page of Apple silicon, wherever we run,
// so that a device may wrap whole pages.
const regionPage = 16384

// hugePage is where a mapping begins, so that a system that caches files in huge pages can map them as such (Linux
// does, on ext4 and XFS): streaming the weights is a fifth faster.
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
