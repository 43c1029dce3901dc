package metal

import "errors"

// A Queue runs command buffers on its device, in the order of their commits.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcommandqueue?language=objc
type Queue struct{ Object }

// NewQueue makes a queue that holds up to 64 command buffers that have not completed.
//
// Reference: https://developer.apple.com/documentation/metal/mtldevice/makecommandqueue()?language=objc
func (d Device) NewQueue() (Queue, error) {
	return newQueue(send(d.id, sel_newCommandQueue))
}

// NewQueueOf makes a queue that holds up to n command buffers that have not completed; the making of one more waits.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtldevice/makecommandqueue(maxcommandbuffercount:)?language=objc
func (d Device) NewQueueOf(n int) (Queue, error) {
	return newQueue(send(d.id, sel_newCommandQueueWithMaxCommandBufferCount, uintptr(n)))
}

func newQueue(id uintptr) (Queue, error) {
	if id == 0 {
		return Queue{}, errors.New("metal: the device gave no command queue; too many may be open")
	}
	return Queue{Object{id}}, nil
}

// SetLabel names the queue for Metal's tools.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcommandqueue/label?language=objc
func (q Queue) SetLabel(label string) { q.setLabel(label) }

// NewCommandBuffer returns a command buffer that keeps the buffers and pipelines encoded into it until it has
// completed.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcommandqueue/makecommandbuffer()?language=objc
func (q Queue) NewCommandBuffer() (CommandBuffer, error) {
	var c CommandBuffer
	withPool(func() {
		c.id = send(q.id, sel_commandBuffer)
		c.retain()
	})
	return c.made()
}

// NewCommandBufferUnretained returns a command buffer that keeps nothing: the program must not release what is encoded
// into it until it has completed. It costs less.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtlcommandqueue/makecommandbufferwithunretainedreferences()?language=objc
func (q Queue) NewCommandBufferUnretained() (CommandBuffer, error) {
	var c CommandBuffer
	withPool(func() {
		c.id = send(q.id, sel_commandBufferWithUnretainedReferences)
		c.retain()
	})
	return c.made()
}
