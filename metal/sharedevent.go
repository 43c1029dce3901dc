package metal

import (
	"errors"
	"time"
)

// A SharedEvent is a counter that the GPU and the CPU set and wait for.
//
// Reference: https://developer.apple.com/documentation/metal/mtlsharedevent?language=objc
type SharedEvent struct{ Object }

// NewSharedEvent makes an event whose value is 0.
//
// Reference: https://developer.apple.com/documentation/metal/mtldevice/makesharedevent()?language=objc
func (d Device) NewSharedEvent() (SharedEvent, error) {
	e := SharedEvent{Object{send(d.id, sel_newSharedEvent)}}
	if e.id == 0 {
		return SharedEvent{}, errors.New("metal: the device gave no shared event")
	}
	return e, nil
}

// Value returns the highest value signalled so far.
//
// Reference: https://developer.apple.com/documentation/metal/mtlsharedevent/signaledvalue?language=objc
func (e SharedEvent) Value() uint64 { return uint64(send(e.id, sel_signaledValue)) }

// Signal sets the value from the CPU. It must not become less.
//
// Reference: https://developer.apple.com/documentation/metal/mtlsharedevent/signaledvalue?language=objc
func (e SharedEvent) Signal(value uint64) { send(e.id, sel_setSignaledValue, uintptr(value)) }

// Wait waits until the value has been reached and reports whether it was in time.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtlsharedevent/wait(untilsignaledvalue:timeoutms:)?language=objc
func (e SharedEvent) Wait(value uint64, timeout time.Duration) bool {
	return yes(send(e.id, sel_waitUntilSignaledValue_timeoutMS, uintptr(value), uintptr(timeout.Milliseconds())))
}

// SetLabel names the event for Metal's tools.
//
// Reference: https://developer.apple.com/documentation/metal/mtlevent/label?language=objc
func (e SharedEvent) SetLabel(label string) { e.setLabel(label) }
