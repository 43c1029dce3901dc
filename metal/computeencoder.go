package metal

import (
	"sync"
	"unsafe"
)

// A ComputeEncoder encodes dispatches into a command buffer. Its methods allocate nothing.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcomputecommandencoder?language=objc
type ComputeEncoder struct{ Object }

// A Size counts threads or threadgroups in three dimensions, none of them 0.
//
// Reference: https://developer.apple.com/documentation/metal/mtlsize?language=objc
type Size struct{ Width, Height, Depth int }

// SetPipeline chooses the kernel of the next dispatches.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtlcomputecommandencoder/setcomputepipelinestate(_:)?language=objc
func (e ComputeEncoder) SetPipeline(p ComputePipeline) { send(e.id, sel_setComputePipelineState, p.id) }

// SetBuffer binds a buffer from an offset in bytes on to [[buffer(index)]], index 0 to 30. The offset must be aligned
// for the argument's type, and in the constant address space to 4 bytes on Apple GPUs and to 256 elsewhere.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtlcomputecommandencoder/setbuffer(_:offset:index:)?language=objc
func (e ComputeEncoder) SetBuffer(b Buffer, offset, index int) {
	send(e.id, sel_setBuffer_offset_atIndex, b.id, uintptr(offset), uintptr(index))
}

// SetView binds a view as SetBuffer does. Kernels can reach past its end, to the end of the buffer.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtlcomputecommandencoder/setbuffer(_:offset:index:)?language=objc
func (e ComputeEncoder) SetView(v View, index int) { e.SetBuffer(v.Buffer, v.Offset, index) }

// SetBufferOffset moves the offset of the buffer that is bound to index. It costs less than to bind it again.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtlcomputecommandencoder/setbufferoffset(_:index:)?language=objc
func (e ComputeEncoder) SetBufferOffset(offset, index int) {
	send(e.id, sel_setBufferOffset_atIndex, uintptr(offset), uintptr(index))
}

// SetBuffers binds buffers, each from its offset on, to [[buffer(first)]] and the indices after it, as SetBuffer does
// one. It is one message for all of them, at most 31.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtlcomputecommandencoder/setbuffers(_:offsets:range:)?language=objc
func (e ComputeEncoder) SetBuffers(buffers []Buffer, offsets []int, first int) {
	s := scratch.Get().(*[MaxBytes]byte)
	words := Slice[uintptr](s[:])[:2*len(buffers)]
	for i, b := range buffers {
		words[i], words[len(buffers)+i] = b.id, uintptr(offsets[i])
	}
	ids := uintptr(unsafe.Pointer(s))
	send(e.id, sel_setBuffers_offsets_withRange, ids, ids+uintptr(len(buffers))*unsafe.Sizeof(ids), uintptr(first),
		uintptr(len(buffers)))
	scratch.Put(s)
}

// MaxBytes is the most that SetBytes takes.
const MaxBytes = 4096

// scratch holds what C reads during a call: memory on the heap, which does not move, so that the caller's can be
// anywhere.
var scratch = sync.Pool{New: func() any { return new([MaxBytes]byte) }}

// SetBytes copies 1 to [MaxBytes] bytes and binds the copy to [[buffer(index)]]. Longer data needs a buffer: it panics.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtlcomputecommandencoder/setbytes(_:length:index:)?language=objc
func (e ComputeEncoder) SetBytes(data []byte, index int) {
	s := scratch.Get().(*[MaxBytes]byte)
	n := copy(s[:len(data)], data)
	send(e.id, sel_setBytes_length_atIndex, uintptr(unsafe.Pointer(s)), uintptr(n), uintptr(index))
	scratch.Put(s)
}

// SetThreadgroupMemoryLength sets the bytes of [[threadgroup(index)]], a multiple of 16.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtlcomputecommandencoder/setthreadgroupmemorylength(_:index:)?language=objc
func (e ComputeEncoder) SetThreadgroupMemoryLength(length, index int) {
	send(e.id, sel_setThreadgroupMemoryLength_atIndex, uintptr(length), uintptr(index))
}

// DispatchThreadgroups runs the kernel on whole threadgroups.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtlcomputecommandencoder/dispatchthreadgroups(_:threadsperthreadgroup:)?language=objc
func (e ComputeEncoder) DispatchThreadgroups(threadgroups, threadsPerThreadgroup Size) {
	sendSizes(e.id, sel_dispatchThreadgroups_threadsPerThreadgroup, threadgroups, threadsPerThreadgroup)
}

// DispatchThreads runs the kernel on a grid of threads; threadgroups at its edge are smaller where it does not divide.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtlcomputecommandencoder/dispatchthreads(_:threadsperthreadgroup:)?language=objc
func (e ComputeEncoder) DispatchThreads(threads, threadsPerThreadgroup Size) {
	sendSizes(e.id, sel_dispatchThreads_threadsPerThreadgroup, threads, threadsPerThreadgroup)
}

// barrierScopeBuffers is MTLBarrierScopeBuffers.
//
// Reference: https://developer.apple.com/documentation/metal/mtlbarrierscope?language=objc
const barrierScopeBuffers = 1

// Barrier makes the dispatches after it wait for those before it and see what they wrote to any buffer.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtlcomputecommandencoder/memorybarrier(scope:)?language=objc
func (e ComputeEncoder) Barrier() { send(e.id, sel_memoryBarrierWithScope, barrierScopeBuffers) }

// BarrierOn is a Barrier for some buffers, at most [MaxBytes]/8.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtlcomputecommandencoder/memorybarrier(resources:)?language=objc
func (e ComputeEncoder) BarrierOn(buffers ...Buffer) {
	s := scratch.Get().(*[MaxBytes]byte)
	ids := Slice[uintptr](s[:])[:len(buffers)]
	for i, b := range buffers {
		ids[i] = b.id
	}
	send(e.id, sel_memoryBarrierWithResources_count, uintptr(unsafe.Pointer(s)), uintptr(len(buffers)))
	scratch.Put(s)
}

// Usage says how kernels use a resource.
//
// Reference: https://developer.apple.com/documentation/metal/mtlresourceusage?language=objc
type Usage uint

const (
	UsageRead  Usage = 1 // kernels load from it
	UsageWrite Usage = 2 // kernels store to it
)

// UseResource makes a buffer that kernels reach through a pointer in another buffer resident for the next dispatches.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtlcomputecommandencoder/useresource(_:usage:)?language=objc
func (e ComputeEncoder) UseResource(b Buffer, usage Usage) {
	send(e.id, sel_useResource_usage, b.id, uintptr(usage))
}

// SetLabel names the encoder for Metal's tools.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcommandencoder/label?language=objc
func (e ComputeEncoder) SetLabel(label string) { e.setLabel(label) }

// End ends the encoding.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcommandencoder/endencoding()?language=objc
func (e ComputeEncoder) End() { send(e.id, sel_endEncoding) }
