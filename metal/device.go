package metal

// A Device is a GPU.
//
// Reference: https://developer.apple.com/documentation/metal/mtldevice?language=objc
type Device struct{ Object }

// Name returns the marketing name, such as "Apple M3 Max".
//
// Reference: https://developer.apple.com/documentation/metal/mtldevice/name?language=objc
func (d Device) Name() (name string) {
	withPool(func() { name = goString(send(d.id, sel_name)) })
	return name
}

// A GPUFamily is a set of features that GPUs share.
//
// Reference: https://developer.apple.com/documentation/metal/mtlgpufamily?language=objc
type GPUFamily int

const (
	FamilyApple7  GPUFamily = 1007 // M1
	FamilyApple8  GPUFamily = 1008 // M2
	FamilyApple9  GPUFamily = 1009 // M3, M4
	FamilyApple10 GPUFamily = 1010 // M5
	FamilyMac2    GPUFamily = 2002 // every GPU of a Mac
	FamilyCommon3 GPUFamily = 3003 // what Apple silicon and other GPUs have in common
	FamilyMetal3  GPUFamily = 5001 // has Metal 3
	FamilyMetal4  GPUFamily = 5002 // has Metal 4
)

// SupportsFamily reports whether the GPU has the features of a family. Apple families include the ones before them.
//
// Reference: https://developer.apple.com/documentation/metal/mtldevice/supportsfamily(_:)?language=objc
func (d Device) SupportsFamily(f GPUFamily) bool {
	return yes(send(d.id, sel_supportsFamily, uintptr(f)))
}

// RecommendedMaxWorkingSetSize returns the bytes that the device can use at once without being slowed down.
//
// Reference: https://developer.apple.com/documentation/metal/mtldevice/recommendedmaxworkingsetsize?language=objc
func (d Device) RecommendedMaxWorkingSetSize() int {
	return int(send(d.id, sel_recommendedMaxWorkingSetSize))
}

// MaxBufferLength returns the length in bytes of the longest buffer.
//
// Reference: https://developer.apple.com/documentation/metal/mtldevice/maxbufferlength?language=objc
func (d Device) MaxBufferLength() int { return int(send(d.id, sel_maxBufferLength)) }

// MaxThreadgroupMemoryLength returns the bytes of threadgroup memory that a threadgroup can have.
//
// Reference: https://developer.apple.com/documentation/metal/mtldevice/maxthreadgroupmemorylength?language=objc
func (d Device) MaxThreadgroupMemoryLength() int {
	return int(send(d.id, sel_maxThreadgroupMemoryLength))
}

// HasUnifiedMemory reports whether the GPU and the CPU share their memory.
//
// Reference: https://developer.apple.com/documentation/metal/mtldevice/hasunifiedmemory?language=objc
func (d Device) HasUnifiedMemory() bool { return yes(send(d.id, sel_hasUnifiedMemory)) }

// CurrentAllocatedSize returns the bytes that this process has allocated on the device.
//
// Reference: https://developer.apple.com/documentation/metal/mtldevice/currentallocatedsize?language=objc
func (d Device) CurrentAllocatedSize() int { return int(send(d.id, sel_currentAllocatedSize)) }
