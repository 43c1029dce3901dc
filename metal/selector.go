package metal

// Every selector and class that the package sends to or asks for. The names of the variables are the selectors with
// their colons as underscores. load gives them their ids.
var (
	// NSObject
	sel_new                = newSelector("new")
	sel_retain             = newSelector("retain")
	sel_release            = newSelector("release")
	sel_respondsToSelector = newSelector("respondsToSelector:")

	// Foundation
	sel_stringWithUTF8String                = newSelector("stringWithUTF8String:")
	sel_UTF8String                          = newSelector("UTF8String")
	sel_localizedDescription                = newSelector("localizedDescription")
	sel_domain                              = newSelector("domain")
	sel_code                                = newSelector("code")
	sel_count                               = newSelector("count")
	sel_objectAtIndex                       = newSelector("objectAtIndex:")
	sel_fileURLWithPath                     = newSelector("fileURLWithPath:")
	sel_dictionaryWithObjects_forKeys_count = newSelector("dictionaryWithObjects:forKeys:count:")

	// Labels, of MTLResource, MTLCommandQueue, MTLCommandBuffer, MTLCommandEncoder, MTLSharedEvent, MTLResidencySet
	sel_label    = newSelector("label")
	sel_setLabel = newSelector("setLabel:")

	// MTLDevice
	sel_name                                                = newSelector("name")
	sel_supportsFamily                                      = newSelector("supportsFamily:")
	sel_recommendedMaxWorkingSetSize                        = newSelector("recommendedMaxWorkingSetSize")
	sel_maxBufferLength                                     = newSelector("maxBufferLength")
	sel_maxThreadgroupMemoryLength                          = newSelector("maxThreadgroupMemoryLength")
	sel_hasUnifiedMemory                                    = newSelector("hasUnifiedMemory")
	sel_currentAllocatedSize                                = newSelector("currentAllocatedSize")
	sel_newBufferWithLength_options                         = newSelector("newBufferWithLength:options:")
	sel_newBufferWithBytesNoCopy_length_options_deallocator = newSelector("newBufferWithBytesNoCopy:length:options:deallocator:")
	sel_newLibraryWithSource_options_error                  = newSelector("newLibraryWithSource:options:error:")
	sel_newComputePipelineStateWithFunction_error           = newSelector("newComputePipelineStateWithFunction:error:")
	sel_newCommandQueue                                     = newSelector("newCommandQueue")
	sel_newCommandQueueWithMaxCommandBufferCount            = newSelector("newCommandQueueWithMaxCommandBufferCount:")
	sel_setShouldMaximizeConcurrentCompilation              = newSelector("setShouldMaximizeConcurrentCompilation:")
	sel_newSharedEvent                                      = newSelector("newSharedEvent")
	sel_newResidencySetWithDescriptor_error                 = newSelector("newResidencySetWithDescriptor:error:")

	// MTLBuffer
	sel_contents = newSelector("contents")
	sel_length   = newSelector("length")

	// MTLCompileOptions
	sel_setFastMathEnabled    = newSelector("setFastMathEnabled:")
	sel_setLanguageVersion    = newSelector("setLanguageVersion:")
	sel_setPreprocessorMacros = newSelector("setPreprocessorMacros:")

	// MTLLibrary, MTLFunctionConstantValues
	sel_functionNames                            = newSelector("functionNames")
	sel_newFunctionWithName                      = newSelector("newFunctionWithName:")
	sel_newFunctionWithName_constantValues_error = newSelector("newFunctionWithName:constantValues:error:")
	sel_setConstantValue_type_atIndex            = newSelector("setConstantValue:type:atIndex:")

	// MTLComputePipelineState
	sel_maxTotalThreadsPerThreadgroup = newSelector("maxTotalThreadsPerThreadgroup")
	sel_threadExecutionWidth          = newSelector("threadExecutionWidth")
	sel_staticThreadgroupMemoryLength = newSelector("staticThreadgroupMemoryLength")

	// MTLCommandQueue
	sel_commandBuffer                         = newSelector("commandBuffer")
	sel_commandBufferWithUnretainedReferences = newSelector("commandBufferWithUnretainedReferences")
	sel_addResidencySet                       = newSelector("addResidencySet:")
	sel_removeResidencySet                    = newSelector("removeResidencySet:")

	// MTLCommandBuffer
	sel_computeCommandEncoderWithDispatchType = newSelector("computeCommandEncoderWithDispatchType:")
	sel_blitCommandEncoder                    = newSelector("blitCommandEncoder")
	sel_encodeSignalEvent_value               = newSelector("encodeSignalEvent:value:")
	sel_encodeWaitForEvent_value              = newSelector("encodeWaitForEvent:value:")
	sel_commit                                = newSelector("commit")
	sel_waitUntilScheduled                    = newSelector("waitUntilScheduled")
	sel_waitUntilCompleted                    = newSelector("waitUntilCompleted")
	sel_status                                = newSelector("status")
	sel_error                                 = newSelector("error")
	sel_GPUStartTime                          = newSelector("GPUStartTime")
	sel_GPUEndTime                            = newSelector("GPUEndTime")

	// MTLComputeCommandEncoder
	sel_setComputePipelineState                    = newSelector("setComputePipelineState:")
	sel_setBuffer_offset_atIndex                   = newSelector("setBuffer:offset:atIndex:")
	sel_setBuffers_offsets_withRange               = newSelector("setBuffers:offsets:withRange:")
	sel_setBufferOffset_atIndex                    = newSelector("setBufferOffset:atIndex:")
	sel_setBytes_length_atIndex                    = newSelector("setBytes:length:atIndex:")
	sel_setThreadgroupMemoryLength_atIndex         = newSelector("setThreadgroupMemoryLength:atIndex:")
	sel_dispatchThreadgroups_threadsPerThreadgroup = newSelector("dispatchThreadgroups:threadsPerThreadgroup:")
	sel_dispatchThreads_threadsPerThreadgroup      = newSelector("dispatchThreads:threadsPerThreadgroup:")
	sel_memoryBarrierWithScope                     = newSelector("memoryBarrierWithScope:")
	sel_memoryBarrierWithResources_count           = newSelector("memoryBarrierWithResources:count:")
	sel_useResource_usage                          = newSelector("useResource:usage:")
	sel_endEncoding                                = newSelector("endEncoding")

	// MTLBlitCommandEncoder
	sel_copyFromBuffer_sourceOffset_toBuffer_destinationOffset_size = newSelector("copyFromBuffer:sourceOffset:toBuffer:destinationOffset:size:")
	sel_fillBuffer_range_value                                      = newSelector("fillBuffer:range:value:")

	// MTLSharedEvent
	sel_signaledValue                    = newSelector("signaledValue")
	sel_setSignaledValue                 = newSelector("setSignaledValue:")
	sel_waitUntilSignaledValue_timeoutMS = newSelector("waitUntilSignaledValue:timeoutMS:")

	// MTLResidencySet and its descriptor
	sel_setInitialCapacity   = newSelector("setInitialCapacity:")
	sel_addAllocation        = newSelector("addAllocation:")
	sel_removeAllocation     = newSelector("removeAllocation:")
	sel_removeAllAllocations = newSelector("removeAllAllocations")
	sel_allocatedSize        = newSelector("allocatedSize")
	sel_requestResidency     = newSelector("requestResidency")
	sel_endResidency         = newSelector("endResidency")

	// MTLCaptureManager and its descriptor
	sel_sharedCaptureManager             = newSelector("sharedCaptureManager")
	sel_supportsDestination              = newSelector("supportsDestination:")
	sel_setCaptureObject                 = newSelector("setCaptureObject:")
	sel_setDestination                   = newSelector("setDestination:")
	sel_setOutputURL                     = newSelector("setOutputURL:")
	sel_startCaptureWithDescriptor_error = newSelector("startCaptureWithDescriptor:error:")
	sel_stopCapture                      = newSelector("stopCapture")
)

var (
	class_NSString                  = newClass("NSString")
	class_NSDictionary              = newClass("NSDictionary")
	class_NSURL                     = newClass("NSURL")
	class_MTLCompileOptions         = newClass("MTLCompileOptions")
	class_MTLFunctionConstantValues = newClass("MTLFunctionConstantValues")
	class_MTLResidencySetDescriptor = newClass("MTLResidencySetDescriptor")
	class_MTLCaptureManager         = newClass("MTLCaptureManager")
	class_MTLCaptureDescriptor      = newClass("MTLCaptureDescriptor")
)

// names is what load registers, in the order of the declarations above.
var names struct {
	selectors []*selector
	classes   []*class
}

// A selector is the name of a method, interned by the Objective-C runtime.
type selector struct {
	name string
	id   uintptr
}

func newSelector(name string) *selector {
	s := &selector{name: name}
	names.selectors = append(names.selectors, s)
	return s
}

// A class is an Objective-C class; its id is 0 where the system lacks it.
type class struct {
	name string
	id   uintptr
}

func newClass(name string) *class {
	c := &class{name: name}
	names.classes = append(names.classes, c)
	return c
}
