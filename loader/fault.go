package loader

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/glm4-metal/glm4-metal/internal/fault"
)

// FaultError says that the bytes of a checkpoint's file can no longer be read: it has shrunk since it was opened, or
// its disk fails or is gone.
type FaultError struct {
	File       string // with its folder
	Size, Left int64  // bytes when it was opened, and now
	Err        error  // what failed, if something was tried
}

func (e *FaultError) Error() string {
	if e.Left < e.Size {
		return fmt.Sprintf("%s: the file has shrunk from %d to %d bytes while it was in use; "+
			"restore it and load the model again", e.File, e.Size, e.Left)
	}
	return fmt.Sprintf("%s: some of its bytes cannot be read; see to its disk and load the model again", e.File)
}

// Unwrap gives what failed.
func (e *FaultError) Unwrap() error { return e.Err }

// Guard calls read, which reads bytes of tensors in its own goroutine, and returns its error. Where a byte cannot be
// read, because its file has shrunk or its disk fails, that is a [FaultError]; without Guard it would end the process.
func (c *Checkpoint) Guard(read func() error) error {
	return c.Explain(guard(c.Mapped(), read))
}

func guard(regions [][]byte, read func() error) (err error) {
	defer fault.Catch(regions, debug.SetPanicOnFault(true), &err)
	return read()
}

// Explain names the file of an error that came from reading tensors elsewhere, such as on a device: one that tells of
// mapped memory that can no longer be read becomes a [FaultError] that wraps it, unless nothing tells which file it
// was. Any other error stays as it is.
func (c *Checkpoint) Explain(err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	for _, r := range c.regions {
		if fault.Within(r.data, f.Addr) {
			return r.fault(err)
		}
	}
	for _, r := range c.regions {
		if e := r.fault(err); e.Left < e.Size {
			return e
		}
	}
	return err
}

// Check asks for the size of each mapped file. It returns a [FaultError] for one that is shorter than when it was
// opened: its bytes are gone, or read as zeros up to the end of a page.
func (c *Checkpoint) Check() error {
	for _, r := range c.regions {
		if e := r.fault(nil); e.Left < e.Size || e.Err != nil {
			return e
		}
	}
	return nil
}

// fault describes what has become of the file, which is at its size where it was read instead of mapped.
func (r *region) fault(cause error) *FaultError {
	e := &FaultError{File: r.path, Size: int64(len(r.data)), Left: int64(len(r.data)), Err: cause}
	if r.file == nil {
		return e
	}
	info, err := r.file.Stat()
	if err != nil {
		e.Err = errors.Join(cause, err)
	} else {
		e.Left = info.Size()
	}
	return e
}
