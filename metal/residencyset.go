package metal

import (
	"errors"
	"fmt"
	"unsafe"
)

// A ResidencySet is a set of buffers that are made and kept resident together, so that no command buffer waits for
// the system to bring them in.
//
// Reference: https://developer.apple.com/documentation/metal/mtlresidencyset?language=objc
type ResidencySet struct{ Object }

// SupportsResidencySets reports whether the system has them: macOS 15 and later.
func (d Device) SupportsResidencySets() bool {
	return class_MTLResidencySetDescriptor.id != 0 && d.respondsTo(sel_newResidencySetWithDescriptor_error)
}

// NewResidencySet makes a set with room for capacity buffers before it grows. On a system without residency sets the
// error wraps errors.ErrUnsupported.
//
// Reference: https://developer.apple.com/documentation/metal/mtldevice/makeresidencyset(descriptor:)?language=objc
func (d Device) NewResidencySet(label string, capacity int) (r ResidencySet, err error) {
	if !d.SupportsResidencySets() {
		return ResidencySet{}, fmt.Errorf("metal: residency sets need macOS 15: %w", errors.ErrUnsupported)
	}
	withPool(func() {
		descriptor := Object{send(class_MTLResidencySetDescriptor.id, sel_new)}
		defer descriptor.Release()
		descriptor.setLabel(label)
		send(descriptor.id, sel_setInitialCapacity, uintptr(capacity))
		var nsError uintptr
		r.id = sendWithPointers(d.id, sel_newResidencySetWithDescriptor_error, descriptor.id,
			uintptr(unsafe.Pointer(&nsError)))
		if r.id == 0 {
			err = newError("make a residency set", nsError)
		}
	})
	return r, err
}

// Add adds a buffer at the next Commit. The set keeps a reference.
//
// Reference: https://developer.apple.com/documentation/metal/mtlresidencyset/addallocation(_:)?language=objc
func (r ResidencySet) Add(b Buffer) { send(r.id, sel_addAllocation, b.id) }

// Remove removes a buffer at the next Commit.
//
// Reference: https://developer.apple.com/documentation/metal/mtlresidencyset/removeallocation(_:)?language=objc
func (r ResidencySet) Remove(b Buffer) { send(r.id, sel_removeAllocation, b.id) }

// RemoveAll removes every buffer at the next Commit.
//
// Reference: https://developer.apple.com/documentation/metal/mtlresidencyset/removeallallocations()?language=objc
func (r ResidencySet) RemoveAll() { send(r.id, sel_removeAllAllocations) }

// Commit carries out what was added and removed.
//
// Reference: https://developer.apple.com/documentation/metal/mtlresidencyset/commit()?language=objc
func (r ResidencySet) Commit() { send(r.id, sel_commit) }

// AllocatedSize returns the bytes of the buffers in the set, as of the last Commit.
//
// Reference: https://developer.apple.com/documentation/metal/mtlresidencyset/allocatedsize?language=objc
func (r ResidencySet) AllocatedSize() int { return int(send(r.id, sel_allocatedSize)) }

// Request makes the set resident now rather than when it is first used.
//
// Reference: https://developer.apple.com/documentation/metal/mtlresidencyset/requestresidency()?language=objc
func (r ResidencySet) Request() { send(r.id, sel_requestResidency) }

// End takes the Request back.
//
// Reference: https://developer.apple.com/documentation/metal/mtlresidencyset/endresidency()?language=objc
func (r ResidencySet) End() { send(r.id, sel_endResidency) }

// AddResidencySet makes the set resident for every command buffer of the queue.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcommandqueue/addresidencyset(_:)?language=objc
func (q Queue) AddResidencySet(r ResidencySet) { send(q.id, sel_addResidencySet, r.id) }

// RemoveResidencySet undoes AddResidencySet.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcommandqueue/removeresidencyset(_:)?language=objc
func (q Queue) RemoveResidencySet(r ResidencySet) { send(q.id, sel_removeResidencySet, r.id) }
