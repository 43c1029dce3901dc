// Package fault turns reads of mapped files that fail into errors. A page of a file that has shrunk, or whose disk is
// gone, raises a signal where it is read, in Go or in assembly, which ends the process unless the goroutine asks for a
// panic instead:
//
//	func sum(mapped []byte) (n int, err error) {
//		defer fault.Catch([][]byte{mapped}, debug.SetPanicOnFault(true), &err)
//		for _, b := range mapped {
//			n += int(b)
//		}
//		return n, nil
//	}
//
// Both hold for one goroutine: each that reads must ask, and catch.
package fault

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"unsafe"
)

// Error is a read of mapped memory that failed, somewhere below those who know the file.
type Error struct {
	Addr uintptr // that was read, 0 when it was not the processor that read
	Err  error   // what the device said then
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return fmt.Sprintf("mapped memory can no longer be read, at address %#x", e.Addr)
}

// Unwrap gives the device's error.
func (e *Error) Unwrap() error { return e.Err }

// Catch is deferred by who reads regions of mapped memory, with what debug.SetPanicOnFault(true) returned, which it
// restores. A fault at an address in a region becomes an [*Error] in err; any other panic goes on.
func Catch(regions [][]byte, before bool, err *error) {
	debug.SetPanicOnFault(before)
	if r := recover(); r != nil {
		*err = Recovered(r, regions)
	}
}

// Recovered gives the error of a recovered panic that is a fault at an address in a region, and panics again with any
// other.
func Recovered(r any, regions [][]byte) *Error {
	if f, ok := r.(interface {
		runtime.Error
		Addr() uintptr
	}); ok {
		for _, region := range regions {
			if Within(region, f.Addr()) {
				return &Error{Addr: f.Addr()}
			}
		}
	}
	panic(r)
}

// Within tells whether an address lies in a region.
func Within(region []byte, addr uintptr) bool {
	begin := uintptr(unsafe.Pointer(unsafe.SliceData(region)))
	return addr >= begin && addr-begin < uintptr(len(region))
}
