package metal

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"
)

// ResourceOptions say where a buffer lives and who orders the accesses to it.
//
// Reference: https://developer.apple.com/documentation/metal/mtlresourceoptions?language=objc
type ResourceOptions uint

const (
	// StorageShared is memory that the CPU and the GPU both see.
	StorageShared ResourceOptions = 0
	// StoragePrivate is memory of the GPU alone; only blits and kernels reach it.
	StoragePrivate ResourceOptions = 2 << 4
	// CPUCacheWriteCombined is for memory that the CPU writes and never reads.
	CPUCacheWriteCombined ResourceOptions = 1
	// HazardTrackingUntracked leaves the order of command buffers and encoders that use the buffer to the program.
	HazardTrackingUntracked ResourceOptions = 1 << 8
)

// A Buffer is memory that kernels read and write.
//
// Reference: https://developer.apple.com/documentation/metal/mtlbuffer?language=objc
type Buffer struct{ Object }

// NewBuffer allocates length bytes, zeroed. Where there is no room for them the error matches [ErrOutOfMemory].
//
// Reference: https://developer.apple.com/documentation/metal/mtldevice/makebuffer(length:options:)?language=objc
func (d Device) NewBuffer(length int, options ResourceOptions) (Buffer, error) {
	if length <= 0 {
		return Buffer{}, fmt.Errorf("metal: buffer length %d: want at least 1", length)
	}
	if err := d.fits(length); err != nil {
		return Buffer{}, err
	}
	var b Buffer
	withPool(func() { b.id = send(d.id, sel_newBufferWithLength_options, uintptr(length), uintptr(options)) })
	if b.id == 0 {
		return Buffer{}, d.outOfMemory(length)
	}
	return b, nil
}

// PageSize returns the bytes of the pages that NewBufferNoCopy wants: the system's, and where there is no Metal those
// of Apple silicon.
func PageSize() int {
	if runtime.GOOS == "darwin" {
		return os.Getpagesize()
	}
	return 16384
}

// NewBufferNoCopy makes a buffer of memory that the caller owns. It must be memory outside the Go heap, such as a
// mapped file, start on a page and be whole pages long ([PageSize]), and stay mapped until the buffer is released and
// every command buffer that uses it has completed.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtldevice/makebuffer(bytesnocopy:length:options:deallocator:)?language=objc
func (d Device) NewBufferNoCopy(memory []byte, options ResourceOptions) (Buffer, error) {
	page := PageSize()
	if len(memory) == 0 || len(memory)%page != 0 {
		return Buffer{}, fmt.Errorf("metal: memory to wrap is %d bytes: want a multiple of the page size, %d; "+
			"round up or copy", len(memory), page)
	}
	start := uintptr(unsafe.Pointer(&memory[0]))
	if start%uintptr(page) != 0 {
		return Buffer{}, fmt.Errorf("metal: memory to wrap starts at %#x: want a multiple of the page size, %d; round down "+
			"or copy", start, page)
	}
	if err := d.fits(len(memory)); err != nil {
		return Buffer{}, err
	}
	var b Buffer
	withPool(func() {
		const deallocator = 0
		b.id = sendWithPointers(d.id, sel_newBufferWithBytesNoCopy_length_options_deallocator,
			uintptr(unsafe.Pointer(&memory[0])), uintptr(len(memory)), uintptr(options), deallocator)
	})
	if b.id == 0 {
		return Buffer{}, d.outOfMemory(len(memory))
	}
	return b, nil
}

// fits refuses a length that Metal would stop the program for, or answer with nothing.
func (d Device) fits(length int) error {
	if limit := d.MaxBufferLength(); length > limit {
		return fmt.Errorf("metal: buffer length %d is above the device's limit of %d; split it", length, limit)
	}
	return nil
}

// outOfMemory says what Metal leaves out when it gives no buffer.
func (d Device) outOfMemory(length int) error {
	return fmt.Errorf("metal: buffer of %d bytes: %w: %d are allocated, and the device works well up to %d; release "+
		"some first, or ask for less",
		length, ErrOutOfMemory, d.CurrentAllocatedSize(), d.RecommendedMaxWorkingSetSize())
}

// Length returns the length in bytes.
//
// Reference: https://developer.apple.com/documentation/metal/mtlbuffer/length?language=objc
func (b Buffer) Length() int { return int(send(b.id, sel_length)) }

// Contents returns the buffer's memory, valid until its release, or nil for private storage. The program keeps the CPU
// and the GPU apart: what a kernel wrote is there once its command buffer has completed.
//
// Reference: https://developer.apple.com/documentation/metal/mtlbuffer/contents()?language=objc
func (b Buffer) Contents() []byte {
	start := pointer(send(b.id, sel_contents))
	if start == nil {
		return nil
	}
	return unsafe.Slice((*byte)(start), b.Length())
}

// SetLabel names the buffer for Metal's tools.
//
// Reference: https://developer.apple.com/documentation/metal/mtlresource/label?language=objc
func (b Buffer) SetLabel(label string) { b.setLabel(label) }

// Label returns the name that SetLabel gave.
//
// Reference: https://developer.apple.com/documentation/metal/mtlresource/label?language=objc
func (b Buffer) Label() string { return b.label() }

// View returns the length bytes of the buffer that start at offset. It holds no reference.
func (b Buffer) View(offset, length int) (View, error) {
	if whole := b.Length(); offset < 0 || length < 0 || offset > whole-length {
		return View{}, fmt.Errorf("metal: view of %d bytes at offset %d: the buffer has %d", length, offset, whole)
	}
	return View{b, offset, length}, nil
}

// A View is a part of a buffer.
type View struct {
	Buffer Buffer // which the view does not keep alive
	Offset int    // in bytes
	Length int    // in bytes
}

// Contents returns the view's memory, or nil for private storage.
func (v View) Contents() []byte {
	contents := v.Buffer.Contents()
	if contents == nil {
		return nil
	}
	return contents[v.Offset : v.Offset+v.Length : v.Offset+v.Length]
}

// Bytes returns the memory of a value, for [ComputeEncoder.SetBytes]. T must hold no Go pointers, and its layout must
// be the one of the shader's struct, padding included.
func Bytes[T any](value *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(value)), unsafe.Sizeof(*value))
}

// Slice returns bytes as a slice of T, without the bytes that do not fill one. The bytes must be aligned for T, as the
// start of a buffer always is.
func Slice[T any](bytes []byte) []T {
	var t T
	n := len(bytes) / int(unsafe.Sizeof(t))
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&bytes[0])), n)
}
