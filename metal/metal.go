// Package metal runs compute shaders on Apple GPUs: a binding of the part of Metal that computes, in Go without cgo.
//
// A program opens Metal, takes a device, compiles a library from shader source, makes a pipeline of one of its kernels,
// and then encodes dispatches into command buffers:
//
//	m, err := metal.Open()
//	device, err := m.DefaultDevice()
//	library, err := device.NewLibrary(source, metal.CompileOptions{})
//	function, err := library.NewFunction("square", metal.FunctionConstants{})
//	pipeline, err := device.NewComputePipeline(function)
//	queue, err := device.NewQueue()
//	err = m.Do(func() error {
//		commands, err := queue.NewCommandBuffer()
//		defer commands.Release()
//		encoder, err := commands.ComputeEncoder(metal.Serial)
//		encoder.SetPipeline(pipeline)
//		encoder.SetBuffer(buffer, 0, 0)
//		encoder.DispatchThreads(metal.Size{Width: n, Height: 1, Depth: 1}, metal.Size{Width: 256, Height: 1, Depth: 1})
//		encoder.End()
//		commands.Commit()
//		return commands.Wait()
//	})
//
// The example of the package is a whole one.
//
// # Ownership
//
// Handles are Objective-C references and are copied like pointers. What a function whose name starts with New returns
// is the caller's, who calls Release once; so are the devices. Encoders belong to the autorelease pool of the
// [Metal.Do] that they were made in and end with it. Metal keeps what it needs: a pipeline outlives its function and
// library, and a command buffer keeps the buffers that it uses unless it was made without references.
// Using a handle after its release, or one that was never made, is a fault of the program; sends to a zero handle do
// nothing.
//
// # Threads
//
// Devices, queues, libraries, pipelines and buffers may be used by several goroutines at once; a command buffer and
// its encoders by one at a time. Autorelease pools belong to OS threads, so everything that encodes runs inside
// [Metal.Do], which locks the goroutine to its thread and empties the pool at its end.
//
// # Checks
//
// Metal checks few arguments by itself: a wrong index or offset is undefined behaviour. MTL_DEBUG_LAYER=1 and
// MTL_SHADER_VALIDATION=1 in the environment turn on the checks of the system.
package metal

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
)

// ErrUnavailable is wrapped by the errors of [Open] on a machine without Metal.
var ErrUnavailable = errors.New("no Metal here")

// Metal is the loaded framework. There is one in a process.
type Metal struct{}

var loaded struct {
	sync.Mutex
	from  string // path of the stand-in, or systemFrameworks
	metal *Metal
}

const systemFrameworks = "the system's frameworks"

// Open loads Metal.framework. Later calls return the same Metal. Away from macOS the error wraps [ErrUnavailable].
func Open() (*Metal, error) {
	if runtime.GOOS != "darwin" {
		return nil, fmt.Errorf("metal: %w: Metal needs a Mac and this is %s/%s; run on macOS 12 or later, or use the CPU",
			ErrUnavailable, runtime.GOOS, runtime.GOARCH)
	}
	return open(systemFrameworks, frameworks)
}

// OpenLibraries loads everything that Open would take from the system, libobjc's functions included, from one shared
// library: a stand-in for Metal. A process can load one Metal only, the system's or a stand-in.
func OpenLibraries(path string) (*Metal, error) {
	return open(path, []string{path})
}

func open(from string, paths []string) (*Metal, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.metal != nil {
		if loaded.from != from {
			return nil, fmt.Errorf("metal: cannot load %s: this process has loaded %s", from, loaded.from)
		}
		return loaded.metal, nil
	}
	if err := load(paths); err != nil {
		return nil, fmt.Errorf("metal: %w: %w", ErrUnavailable, err)
	}
	loaded.from, loaded.metal = from, &Metal{}
	return loaded.metal, nil
}

// frameworks are the libraries of macOS that the package calls. CoreGraphics is there because without it a process
// has no default device.
var frameworks = []string{
	"/usr/lib/libobjc.A.dylib",
	"/System/Library/Frameworks/Foundation.framework/Foundation",
	"/System/Library/Frameworks/CoreGraphics.framework/CoreGraphics",
	"/System/Library/Frameworks/Metal.framework/Metal",
}

// Do runs f on a locked OS thread with an autorelease pool, which it empties when f returns, and returns f's error.
// Calls may be nested. A program that encodes for long calls it once a step, so that what Metal autoreleases does not
// pile up.
func (m *Metal) Do(f func() error) error {
	var err error
	withPool(func() { err = f() })
	return err
}

// DefaultDevice returns the GPU that the system prefers. The caller releases it. Where there is none, as on many
// virtual machines, the error wraps [ErrUnavailable].
//
// Reference: https://developer.apple.com/documentation/metal/mtlcreatesystemdefaultdevice()?language=objc
func (m *Metal) DefaultDevice() (Device, error) {
	var d Device
	withPool(func() { d.id = call(functions.createSystemDefaultDevice) })
	if d.id == 0 {
		return Device{}, fmt.Errorf("metal: %w: the system names no default GPU; virtual machines often have none",
			ErrUnavailable)
	}
	return d, nil
}

// Devices returns every GPU of the machine. The caller releases each.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcopyalldevices()?language=objc
func (m *Metal) Devices() []Device {
	var devices []Device
	withPool(func() {
		array := call(functions.copyAllDevices)
		for i := range send(array, sel_count) {
			d := Device{Object{send(array, sel_objectAtIndex, i)}}
			d.retain()
			devices = append(devices, d)
		}
		Object{array}.Release()
	})
	return devices
}
