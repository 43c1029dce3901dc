//go:build linux && (amd64 || arm64)

package metalsim

import (
	"runtime"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"
	"github.com/stretchr/testify/require"
)

// Messages to the stand-in without the safety of package metal, for calls that it does not allow.

type id uintptr

var objc struct {
	getClass, registerName, msgSend, push, pop, device uintptr
}

func loadObjC(t testing.TB) {
	path, err := Library()
	require.NoError(t, err)
	if objc.msgSend != 0 {
		return
	}
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	require.NoError(t, err)
	for name, address := range map[string]*uintptr{
		"objc_getClass": &objc.getClass, "sel_registerName": &objc.registerName, "objc_autoreleasePoolPush": &objc.push,
		"objc_autoreleasePoolPop": &objc.pop, "MTLCreateSystemDefaultDevice": &objc.device, "objc_msgSend": &objc.msgSend,
	} {
		*address, err = purego.Dlsym(handle, name)
		require.NoError(t, err)
	}
}

func cString(s string) *byte { return &append([]byte(s), 0)[0] }

func class(name string) id {
	r, _, _ := purego.SyscallN(objc.getClass, uintptr(unsafe.Pointer(cString(name))))
	return id(r)
}

func selector(name string) uintptr {
	r, _, _ := purego.SyscallN(objc.registerName, uintptr(unsafe.Pointer(cString(name))))
	return r
}

// A size is an MTLSize. On amd64 it lies on the stack, so the registers before it are filled up; on arm64 a pointer to
// it is passed.
type size [3]uintptr

// send sends a message of integers, ids, pointers, text (as NSString) and sizes.
func send(to id, name string, args ...any) id {
	words := []uintptr{uintptr(to), selector(name)}
	var sizes []*size
	var keep []any
	for _, a := range args {
		switch a := a.(type) {
		case int:
			words = append(words, uintptr(a))
		case uintptr:
			words = append(words, a)
		case id:
			words = append(words, uintptr(a))
		case string:
			words = append(words, uintptr(nsString(a)))
		case unsafe.Pointer:
			keep = append(keep, a)
			words = append(words, uintptr(a))
		case size:
			if runtime.GOARCH == "arm64" {
				words = append(words, uintptr(unsafe.Pointer(&a)))
			}
			sizes = append(sizes, &a)
		}
	}
	if len(sizes) > 0 && runtime.GOARCH == "amd64" {
		for len(words) < 6 {
			words = append(words, 0)
		}
		for _, s := range sizes {
			words = append(words, s[:]...)
		}
	}
	r, _, _ := purego.SyscallN(objc.msgSend, words...)
	runtime.KeepAlive(keep)
	runtime.KeepAlive(sizes)
	return id(r)
}

func nsString(s string) id {
	return send(class("NSString"), "stringWithUTF8String:", unsafe.Pointer(cString(s)))
}

func goText(s id) string {
	if s == 0 {
		return ""
	}
	return goString((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&[]uintptr{uintptr(send(s, "UTF8String"))}[0]))))
}

// A fixture is a device and a queue on a locked thread with an autorelease pool, and what a test makes with them. At
// its end everything is released and nothing may be left alive.
type fixture struct {
	testing.TB
	device, queue id
	owned         []id
	counted       bool
}

// withFixture runs f and returns the misuses on record, those of the final release included.
func withFixture(t testing.TB, counted bool, f func(*fixture)) []string {
	loadObjC(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	require.NoError(t, Reset())
	require.NoError(t, SetCounting(counted))
	require.NoError(t, SetLimit("eventGrace", 20))
	pool, _, _ := purego.SyscallN(objc.push)
	device, _, _ := purego.SyscallN(objc.device)
	x := &fixture{TB: t, device: id(device), counted: counted}
	x.queue = x.own(send(x.device, "newCommandQueue"))
	f(x)
	for i := len(x.owned) - 1; i >= 0; i-- {
		send(x.owned[i], "release")
	}
	purego.SyscallN(objc.pop, pool)
	var errors []string
	for err := TakeError(); err != nil; err = TakeError() {
		errors = append(errors, err.Error())
	}
	return errors
}

func (x *fixture) own(object id) id {
	x.owned = append(x.owned, object)
	return object
}

const (
	shared    = 0
	untracked = 1 << 8
)

// buffer makes a labelled buffer.
func (x *fixture) buffer(length int, options int, label string) id {
	b := send(x.device, "newBufferWithLength:options:", length, options)
	require.NotZero(x, b)
	send(b, "setLabel:", label)
	return x.own(b)
}

func (x *fixture) library() id {
	var failure id
	library := send(x.device, "newLibraryWithSource:options:error:", judgeShaders, 0, unsafe.Pointer(&failure))
	require.NotZero(x, library, goText(send(failure, "localizedDescription")))
	return x.own(library)
}

func (x *fixture) pipeline(kernel string) id {
	function := x.own(send(x.library(), "newFunctionWithName:", kernel))
	require.NotZero(x, function)
	var failure id
	pipeline := send(x.device, "newComputePipelineStateWithFunction:error:", function, unsafe.Pointer(&failure))
	require.NotZero(x, pipeline, goText(send(failure, "localizedDescription")))
	return x.own(pipeline)
}

const (
	serial     = 0
	concurrent = 1
)

// commands makes a command buffer and lets f encode into it.
func (x *fixture) commands(f func(commands id)) id {
	c := send(x.queue, "commandBuffer")
	require.NotZero(x, c)
	f(c)
	return c
}

// compute encodes one compute encoder.
func (x *fixture) compute(commands id, dispatches int, f func(encoder id)) {
	e := send(commands, "computeCommandEncoderWithDispatchType:", dispatches)
	require.NotZero(x, e)
	f(e)
	send(e, "endEncoding")
}

// finish commits, waits, and returns the command buffer's error.
func (x *fixture) finish(commands id) string {
	send(commands, "commit")
	return x.wait(commands)
}

func (x *fixture) wait(commands id) string {
	send(commands, "waitUntilCompleted")
	failure := send(commands, "error")
	if failure == 0 {
		require.EqualValues(x, 4, send(commands, "status"))
		return ""
	}
	require.EqualValues(x, 5, send(commands, "status"))
	return goText(send(failure, "localizedDescription"))
}

// run encodes one encoder and runs it.
func (x *fixture) run(dispatches int, f func(encoder id)) string {
	return x.finish(x.commands(func(c id) { x.compute(c, dispatches, f) }))
}

// bytes of a number, for setBytes.
func bytesOf(n uint32) unsafe.Pointer { return unsafe.Pointer(&[]uint32{n, 0, 0, 0}[0]) }

func floatsOf(buffer id, n int) []float32 {
	address := uintptr(send(buffer, "contents"))
	return unsafe.Slice(*(**float32)(unsafe.Pointer(&address)), n)
}

// one is a threadgroup of 32 threads, alone in its grid.
var one = size{32, 1, 1}

const judgeShaders = `#include <metal_stdlib>
using namespace metal;

struct Params { float scale; uint count; };

constant uint factor [[function_constant(0)]];

kernel void copy(device const float *in [[buffer(0)]], device float *out [[buffer(1)]],
                 uint i [[thread_position_in_grid]]) {
  out[i] = in[i];
}

kernel void fill(device float *out [[buffer(0)]], uint i [[thread_position_in_grid]]) { out[i] = 7; }

kernel void wide(device const float4 *in [[buffer(0)]], device float *out [[buffer(1)]],
                 constant Params &p [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  out[i] = in[i].x * p.scale + float(p.count);
}

kernel void local(device float *x [[buffer(0)]], threadgroup float *m [[threadgroup(0)]],
                  uint i [[thread_position_in_threadgroup]]) {
  threadgroup float fixed[1024];
  fixed[i] = x[i];
  m[i] = x[i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  x[i] = m[i] + fixed[i];
}

[[max_total_threads_per_threadgroup(64)]]
kernel void narrow(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] = 1; }

kernel void multiply(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] = 3 * factor; }
`

func pointer(objects []id) unsafe.Pointer { return unsafe.Pointer(&objects[0]) }
