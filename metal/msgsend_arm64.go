//go:build darwin || linux

package metal

import (
	"sync"
	"unsafe"
)

// sizes are pooled, for what C sees has to be in the heap.
var sizes = sync.Pool{New: func() any { return new([2]Size) }}

// sendSizes sends a message whose two arguments are MTLSize by value. The AArch64 ABI passes the address of a copy of
// a struct of more than 16 bytes.
func sendSizes(id uintptr, s *selector, a, b Size) {
	copies := sizes.Get().(*[2]Size)
	copies[0], copies[1] = a, b
	first := uintptr(unsafe.Pointer(copies))
	send(id, s, first, first+unsafe.Sizeof(a))
	sizes.Put(copies)
}
