package metal

import (
	"fmt"
	"runtime"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// Object is a reference to an Objective-C object. The handles of the package are Objects with the methods of a class.
type Object struct{ id uintptr }

// Release gives the reference up. A zero handle may be released.
//
// Reference: https://developer.apple.com/documentation/objectivec/nsobject-c.protocol/release?language=objc
func (o Object) Release() { send(o.id, sel_release) }

// IsZero reports whether the handle refers to nothing.
func (o Object) IsZero() bool { return o.id == 0 }

// retain adds a reference, to be given up by Release.
func (o Object) retain() { send(o.id, sel_retain) }

// respondsTo reports whether the object has a method.
//
// Reference: https://developer.apple.com/documentation/objectivec/nsobjectprotocol/responds(to:)?language=objc
func (o Object) respondsTo(s *selector) bool {
	return yes(send(o.id, sel_respondsToSelector, s.id))
}

// setLabel names an object of Metal for its tools and messages.
func (o Object) setLabel(label string) {
	withPool(func() {
		text, err := nsString(strings.ToValidUTF8(strings.ReplaceAll(label, "\x00", ""), "\uFFFD"))
		if err == nil {
			send(o.id, sel_setLabel, text)
		}
	})
}

// label returns the name that setLabel gave.
func (o Object) label() (label string) {
	withPool(func() { label = goString(send(o.id, sel_label)) })
	return label
}

// yes reads a BOOL: of the register that it is returned in only the low byte is defined.
func yes(result uintptr) bool { return result&0xff != 0 }

// withPool runs f on a locked OS thread inside an autorelease pool of its own.
//
// Reference: https://developer.apple.com/documentation/foundation/nsautoreleasepool?language=objc
func withPool(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pool := call(functions.autoreleasePoolPush)
	defer call(functions.autoreleasePoolPop, pool)
	f()
}

// nsString returns s as an NSString of the innermost pool.
//
// Reference: https://developer.apple.com/documentation/foundation/nsstring?language=objc
func nsString(s string) (uintptr, error) {
	if i := strings.IndexByte(s, 0); i >= 0 {
		return 0, fmt.Errorf("text has a NUL byte at offset %d", i)
	}
	if !utf8.ValidString(s) {
		return 0, fmt.Errorf("text is not valid UTF-8: %.40q", s)
	}
	c := cString(s)
	return sendWithPointers(class_NSString.id, sel_stringWithUTF8String, uintptr(unsafe.Pointer(&c[0]))), nil
}

// goString copies an NSString; nil gives "".
//
// Reference: https://developer.apple.com/documentation/foundation/nsstring/utf8string?language=objc
func goString(id uintptr) string {
	c := (*byte)(pointer(send(id, sel_UTF8String)))
	if c == nil {
		return ""
	}
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(c), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(c, n))
}

// cString returns s with a NUL at its end.
func cString(s string) []byte { return append([]byte(s), 0) }

// pointer turns an address of C memory into a pointer.
func pointer(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }
