// Package metalsim stands in for Metal where there is none: one shared library that exports what libobjc,
// Metal.framework and a little of Foundation export, so that the same Go binding (package metal) and the same shader
// text that run on a Mac run on Linux too, and are judged more strictly there than a Mac would. It is test equipment;
// the shipped program contains none of it.
//
// [Library] builds the library with clang when it is first needed and returns its path, which
// [github.com/glm4-metal/glm4-metal/metal.OpenLibraries] takes:
//
//	path, err := metalsim.Library()
//	m, err := metal.OpenLibraries(path)
//	device, err := m.DefaultDevice() // and so on, as on a Mac
//
// # How it works
//
//   - sim/objc*.cpp are a small Objective-C runtime and Metal's classes. A call that Metal's validation layer would
//     stop with an assertion is put on record instead ([TakeError]), naming class, selector and values, and the command
//     buffer that it concerns fails with the same text.
//   - newLibraryWithSource:options:error: calls [Compile], which rewrites the shader to C++ and compiles it with clang
//     against a model of Metal's standard library (msl/).
//   - sim/exec*.cpp run a dispatch: the threads of a threadgroup are fibers, 32 of them a simdgroup. What a thread does
//     wrong (a bad address, a race, a barrier that some miss) fails the command buffer, with kernel, line, threadgroup
//     and thread.
//
// With [SetCounting] libraries are compiled with instrumentation: accesses are then checked to the byte, races and
// hazards are found by what was really touched, and [Counters] tells for each dispatch what it loaded, stored and
// computed. Without it kernels run at nearly full speed, a buffer's end is only guarded to the page, and of hazards
// between dispatches only those are found where both are bound to the same address; and, within an encoder, where one
// of them takes it to read only, since two that write may write different parts.
//
// Kernels compute as the processor does, without contraction, so that a result is the same on every machine. With
// GLM4_METALSIM_ARITHMETIC=apple in the environment they compute as on Apple's GPUs as far as that is known: a product
// and a sum of one expression are rounded once, and float32 denormals are zero, while those of half are kept.
//
// # What it proves, and what it cannot
//
// A program that passes here computes correctly under emulation and compiles against our model of the shading language:
// indexing, layouts, the binding between Go and shader, barriers, bounds, simdgroup and matrix logic, address spaces,
// ownership of objects, order of commands. It says nothing about whether Apple's compiler accepts the text, about
// fast-math, memory order between threadgroups, registers and occupancy, the watchdog, or time.
//
// # Three ways to run it
//
//   - go test on Linux builds it and runs the tests of package metal and of all that use it; on a Mac the same tests
//     run on the real device.
//   - The build tag metalsim puts it behind the command line, for a look at the GPU path on a machine without a GPU.
//     With GLM4_METALSIM_MAC in the environment it is then the GPU of a Mac, with the limits of [SetLimit] that this
//     holds, such as "family=1005 residencySets=0".
//   - A program of one's own opens it as above.
//
// It needs Linux on amd64 or arm64, clang 19 and, for instrumentation, the headers of LLVM 19.
package metalsim

// Order is the order in which the threads of a dispatch run. A result that depends on it is a race.
type Order int

const (
	Ascending Order = iota
	Descending
	Shuffled // by a seed
)

// A ResidencySet is one that lives.
type ResidencySet struct {
	Bytes    int64 `json:"bytes"` // of its buffers, as of the last commit
	Pages    int64 `json:"pages"` // of 16 KiB that these are on; where buffers overlap, a page counts once
	Buffers  int   `json:"buffers"`
	Requests int   `json:"requests"` // how often residency was asked for
}

// A Dispatch is one that has run.
type Dispatch struct {
	CommandBuffer         uint64    `json:"command_buffer"` // a number that the dispatches of one command buffer share
	Kernel                string    `json:"kernel"`
	Threads               [3]uint64 `json:"threads"` // of the whole grid
	ThreadsPerThreadgroup [3]uint64 `json:"threads_per_threadgroup"`
	ThreadgroupMemory     uint64    `json:"threadgroup_memory"` // bytes of a threadgroup
	Buffers               []Binding `json:"buffers"`

	// What follows is counted by instrumented libraries only.
	Loads         uint64 `json:"loads"` // instructions, from device and constant memory
	Stores        uint64 `json:"stores"`
	LoadedBytes   uint64 `json:"loaded_bytes"`
	StoredBytes   uint64 `json:"stored_bytes"`
	DistinctBytes uint64 `json:"distinct_bytes"` // loaded or stored at least once
	// lines of 128 bytes touched, summed over the loads of simdgroups
	LoadLines              uint64 `json:"load_lines"`
	LoadGroups             uint64 `json:"load_groups"` // how many those loads of simdgroups are
	ThreadgroupLoadedBytes uint64 `json:"threadgroup_loaded_bytes"`
	ThreadgroupStoredBytes uint64 `json:"threadgroup_stored_bytes"`
	SIMDOps                uint64 `json:"simd_ops"`
	Barriers               uint64 `json:"barriers"`
	SimdgroupBarriers      uint64 `json:"simdgroup_barriers"`
	FloatOps               uint64 `json:"float_ops"` // each lane of a vector counted, a fused multiply-add as two
}

// A Binding is what a kernel's buffer argument was bound to.
type Binding struct {
	Index  uint32 `json:"index"`
	Label  string `json:"label"` // the buffer's, or setBytes
	Offset uint64 `json:"offset"`
	Length uint64 `json:"length"` // of the whole buffer

	// Counted by instrumented libraries only. Where bindings overlap, as parts of one buffer do, a byte belongs to the one
	// that begins last before it.
	LoadedBytes   uint64 `json:"loaded_bytes"`
	StoredBytes   uint64 `json:"stored_bytes"`
	DistinctBytes uint64 `json:"distinct_bytes"` // loaded or stored at least once
}

// A Leak is a number of live objects of a class with the same label.
type Leak struct {
	Class, Label string
	Count        int
}
