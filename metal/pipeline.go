package metal

import "unsafe"

// A ComputePipeline is a kernel compiled for its device, ready to dispatch.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcomputepipelinestate?language=objc
type ComputePipeline struct{ Object }

// MaximizeConcurrentCompilation lets the system take more of the CPU's cores for pipelines that are made at the same
// time. Before macOS 13.3 it does nothing.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtldevice/shouldmaximizeconcurrentcompilation?language=objc
func (d Device) MaximizeConcurrentCompilation() {
	if d.respondsTo(sel_setShouldMaximizeConcurrentCompilation) {
		send(d.id, sel_setShouldMaximizeConcurrentCompilation, 1)
	}
}

// NewComputePipeline compiles a kernel for the device.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtldevice/makecomputepipelinestate(function:)?language=objc
func (d Device) NewComputePipeline(f Function) (p ComputePipeline, err error) {
	withPool(func() {
		var nsError uintptr
		p.id = sendWithPointers(d.id, sel_newComputePipelineStateWithFunction_error, f.id, uintptr(unsafe.Pointer(&nsError)))
		if p.id == 0 {
			err = newError("make a pipeline of function "+goString(send(f.id, sel_name)), nsError)
		}
	})
	return p, err
}

// MaxTotalThreadsPerThreadgroup returns how many threads a threadgroup of this kernel can have; kernels that use many
// registers get fewer.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtlcomputepipelinestate/maxtotalthreadsperthreadgroup?language=objc
func (p ComputePipeline) MaxTotalThreadsPerThreadgroup() int {
	return int(send(p.id, sel_maxTotalThreadsPerThreadgroup))
}

// ThreadExecutionWidth returns the number of threads in a simdgroup.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcomputepipelinestate/threadexecutionwidth?language=objc
func (p ComputePipeline) ThreadExecutionWidth() int { return int(send(p.id, sel_threadExecutionWidth)) }

// StaticThreadgroupMemoryLength returns the bytes of threadgroup memory that the kernel itself declares.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtlcomputepipelinestate/staticthreadgroupmemorylength?language=objc
func (p ComputePipeline) StaticThreadgroupMemoryLength() int {
	return int(send(p.id, sel_staticThreadgroupMemoryLength))
}
