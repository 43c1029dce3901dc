package metal

import (
	"errors"
	"fmt"
)

// What an [Error] of Metal, or the refusal of a buffer, can be asked for with errors.Is.
var (
	ErrOutOfMemory = errors.New("out of GPU memory")
	ErrDeviceLost  = errors.New("the GPU is lost to this process")
	ErrTimeout     = errors.New("the GPU took too long")
	ErrPageFault   = errors.New("the GPU read or wrote memory that is not there")
)

// Error is an NSError in Go. Domain and Code are Metal's; Text is its localizedDescription, such as the compiler's
// messages with their lines.
type Error struct {
	Op     string // what was tried
	Domain string // such as "MTLCommandBufferErrorDomain"
	Code   int    // within the domain
	Text   string // may have several lines
}

func (e *Error) Error() string { return fmt.Sprintf("metal: %s: %s", e.Op, e.Text) }

// Is matches the errors above with the codes of MTLCommandBufferError.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcommandbuffererror-swift.struct/code?language=objc
func (e *Error) Is(target error) bool {
	if e.Domain != "MTLCommandBufferErrorDomain" {
		return false
	}
	const timeout, pageFault, accessRevoked, outOfMemory, deviceRemoved = 2, 3, 4, 8, 11
	switch e.Code {
	case timeout:
		return target == ErrTimeout
	case pageFault:
		return target == ErrPageFault
	case outOfMemory:
		return target == ErrOutOfMemory
	case accessRevoked, deviceRemoved:
		return target == ErrDeviceLost
	}
	return false
}

// newError copies an NSError, which may be nil.
//
// Reference: https://developer.apple.com/documentation/foundation/nserror?language=objc
func newError(op string, nsError uintptr) error {
	e := &Error{Op: op, Text: "it failed and gave no reason"}
	if nsError != 0 {
		e.Domain = goString(send(nsError, sel_domain))
		e.Code = int(send(nsError, sel_code))
		e.Text = goString(send(nsError, sel_localizedDescription))
	}
	return e
}
