package metal

import (
	"errors"
	"fmt"
)

// A CommandBuffer is a list of encoded commands, which the GPU runs after its commit.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcommandbuffer?language=objc
type CommandBuffer struct{ Object }

func (c CommandBuffer) made() (CommandBuffer, error) {
	if c.id == 0 {
		return CommandBuffer{}, errors.New("metal: the queue gave no command buffer")
	}
	return c, nil
}

// SetLabel names the command buffer for Metal's tools and error texts.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcommandbuffer/label?language=objc
func (c CommandBuffer) SetLabel(label string) { c.setLabel(label) }

// A DispatchType says whether the dispatches of an encoder wait for each other.
//
// Reference: https://developer.apple.com/documentation/metal/mtldispatchtype?language=objc
type DispatchType uint

const (
	Serial     DispatchType = 0 // each dispatch sees what the ones before it wrote
	Concurrent DispatchType = 1 // dispatches overlap, except across the encoder's barriers
)

// ComputeEncoder starts to encode dispatches. The encoder lives until the end of the [Metal.Do] around the call and
// must have ended before the next encoder starts or the command buffer is committed.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtlcommandbuffer/makecomputecommandencoder(dispatchtype:)?language=objc
func (c CommandBuffer) ComputeEncoder(t DispatchType) (ComputeEncoder, error) {
	e := send(c.id, sel_computeCommandEncoderWithDispatchType, uintptr(t))
	if e == 0 {
		return ComputeEncoder{}, errors.New("metal: the command buffer gave no compute encoder; was it committed?")
	}
	return ComputeEncoder{Object{e}}, nil
}

// BlitEncoder starts to encode copies and fills. Its life is that of a compute encoder.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcommandbuffer/makeblitcommandencoder()?language=objc
func (c CommandBuffer) BlitEncoder() (BlitEncoder, error) {
	e := send(c.id, sel_blitCommandEncoder)
	if e == 0 {
		return BlitEncoder{}, errors.New("metal: the command buffer gave no blit encoder; was it committed?")
	}
	return BlitEncoder{Object{e}}, nil
}

// EncodeSignal sets the event to value once the commands before it have completed.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcommandbuffer/encodesignalevent(_:value:)?language=objc
func (c CommandBuffer) EncodeSignal(e SharedEvent, value uint64) {
	send(c.id, sel_encodeSignalEvent_value, e.id, uintptr(value))
}

// EncodeWait holds the commands after it until the event has reached value.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtlcommandbuffer/encodewaitforevent(_:value:)?language=objc
func (c CommandBuffer) EncodeWait(e SharedEvent, value uint64) {
	send(c.id, sel_encodeWaitForEvent_value, e.id, uintptr(value))
}

// Commit hands the command buffer to the GPU. Nothing can be encoded into it any more.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcommandbuffer/commit()?language=objc
func (c CommandBuffer) Commit() { send(c.id, sel_commit) }

// WaitScheduled waits until the GPU has what it needs to start.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcommandbuffer/waituntilscheduled()?language=objc
func (c CommandBuffer) WaitScheduled() { send(c.id, sel_waitUntilScheduled) }

// Wait waits until the command buffer has completed and returns the error that ended it, if one did.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcommandbuffer/waituntilcompleted()?language=objc
func (c CommandBuffer) Wait() error {
	send(c.id, sel_waitUntilCompleted)
	return c.Err()
}

// A Status is where a command buffer is in its life.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcommandbufferstatus?language=objc
type Status uint

const (
	NotEnqueued Status = iota // commands can be encoded
	Enqueued                  // has its place in the queue
	Committed                 // nothing can be encoded any more
	Scheduled                 // the GPU has what it needs
	Completed                 // its results are there
	Failed                    // Err says why
)

func (s Status) String() string {
	if s > Failed {
		return fmt.Sprintf("status %d", uint(s))
	}
	return [...]string{"not enqueued", "enqueued", "committed", "scheduled", "completed", "failed"}[s]
}

// Status returns where the command buffer is in its life.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcommandbuffer/status?language=objc
func (c CommandBuffer) Status() Status { return Status(send(c.id, sel_status)) }

// Err returns the error that ended the command buffer, an [*Error], or nil if none has. The contents of what its
// commands write are undefined after an error.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcommandbuffer/error?language=objc
func (c CommandBuffer) Err() (err error) {
	if c.Status() != Failed {
		return nil
	}
	withPool(func() { err = newError("run command buffer", send(c.id, sel_error)) })
	return err
}

// GPUStartTime returns when the GPU started to run the command buffer, in seconds of the host's clock, or 0 before its
// completion.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcommandbuffer/gpustarttime?language=objc
func (c CommandBuffer) GPUStartTime() float64 { return sendDouble(c.id, sel_GPUStartTime) }

// GPUEndTime returns when the GPU finished, like GPUStartTime.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcommandbuffer/gpuendtime?language=objc
func (c CommandBuffer) GPUEndTime() float64 { return sendDouble(c.id, sel_GPUEndTime) }
