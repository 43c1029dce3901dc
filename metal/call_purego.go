//go:build (darwin || linux) && (amd64 || arm64)

package metal

import (
	"fmt"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// functions are the addresses of the C functions that the package calls.
var functions struct {
	getClass, registerName                    uintptr
	msgSend                                   uintptr
	msgSendDouble                             func(id, selector uintptr) float64
	autoreleasePoolPush, autoreleasePoolPop   uintptr
	createSystemDefaultDevice, copyAllDevices uintptr
}

// load opens the libraries, finds the functions and registers every selector and class.
func load(paths []string) error {
	var handles []uintptr
	for _, path := range paths {
		handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
		if err != nil {
			return fmt.Errorf("cannot load %s: %w", path, err)
		}
		handles = append(handles, handle)
	}
	for _, f := range []struct {
		name    string
		address *uintptr
	}{
		{"objc_getClass", &functions.getClass},
		{"sel_registerName", &functions.registerName},
		{"objc_msgSend", &functions.msgSend},
		{"objc_autoreleasePoolPush", &functions.autoreleasePoolPush},
		{"objc_autoreleasePoolPop", &functions.autoreleasePoolPop},
		{"MTLCreateSystemDefaultDevice", &functions.createSystemDefaultDevice},
		{"MTLCopyAllDevices", &functions.copyAllDevices},
	} {
		for _, handle := range handles {
			if address, err := purego.Dlsym(handle, f.name); err == nil {
				*f.address = address
				break
			}
		}
		if *f.address == 0 {
			return fmt.Errorf("%v export no %s", paths, f.name)
		}
	}
	// SyscallN returns integer registers only.
	purego.RegisterFunc(&functions.msgSendDouble, functions.msgSend)

	for _, s := range names.selectors {
		name := cString(s.name)
		s.id, _, _ = purego.SyscallN(functions.registerName, uintptr(unsafe.Pointer(&name[0])))
	}
	for _, c := range names.classes {
		name := cString(c.name)
		c.id, _, _ = purego.SyscallN(functions.getClass, uintptr(unsafe.Pointer(&name[0])))
	}
	return nil
}

// maxWords is the longest message: receiver, selector, and two sizes with the registers that they leave unused.
const maxWords = 12

// arguments are pooled because what SyscallN is given escapes to the heap.
var arguments = sync.Pool{New: func() any { return new([maxWords]uintptr) }}

// call calls a C function of integers and pointers, and allocates nothing. Pointers must be to C's memory, or to what
// is in the heap for certain and used after the call.
func call(function uintptr, args ...uintptr) uintptr {
	words := arguments.Get().(*[maxWords]uintptr)
	n := copy(words[:], args)
	r, _, _ := purego.SyscallN(function, words[:n]...)
	arguments.Put(words)
	return r
}

// send sends a message whose arguments are integers, pointers and structs of up to two words, each word an argument,
// and returns the integer register. For pointers the rule of call holds; others need sendWithPointers.
func send(id uintptr, s *selector, args ...uintptr) uintptr {
	words := arguments.Get().(*[maxWords]uintptr)
	words[0], words[1] = id, s.id
	n := copy(words[2:], args)
	r, _, _ := purego.SyscallN(functions.msgSend, words[:2+n]...)
	arguments.Put(words)
	return r
}

// sendWithPointers sends a message with pointers to Go's memory, converted in the call itself as for syscall.Syscall,
// which keeps what they point to alive and in its place.
//
//go:uintptrescapes
func sendWithPointers(id uintptr, s *selector, args ...uintptr) uintptr { return send(id, s, args...) }

// sendDouble sends a message without arguments that returns a double.
func sendDouble(id uintptr, s *selector) float64 {
	return functions.msgSendDouble(id, s.id)
}
