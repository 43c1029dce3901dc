//go:build linux && (amd64 || arm64)

package metalsim

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A verdict is a wrong use of the API, its exact text, and its right twin, which must pass.
type verdict struct {
	name string
	want string
	use  func(x *fixture, wrong bool) (failure string) // the command buffer's error, or ""
	// whether the command buffer fails with the same text
	fails bool
}

// pick gives one value to the wrong use and another to its twin.
func pick[T any](wrong bool, bad, good T) T {
	if wrong {
		return bad
	}
	return good
}

func judge(t *testing.T, verdicts []verdict) {
	for _, v := range verdicts {
		t.Run(v.name, func(t *testing.T) {
			var failure string
			errors := withFixture(t, false, func(x *fixture) { failure = v.use(x, true) })
			require.Equal(t, []string{v.want}, errors)
			require.Equal(t, pick(v.fails, v.want, ""), failure)

			errors = withFixture(t, false, func(x *fixture) { failure = v.use(x, false) })
			require.Empty(t, errors, "the right twin")
			require.Empty(t, failure, "the right twin")
			leaks, err := Leaks()
			require.NoError(t, err)
			require.Empty(t, leaks)
		})
	}
}

func TestWrongUseOfObjectsGoesUnnoticed(t *testing.T) {
	judge(t, []verdict{
		{
			name: "unknown selector",
			want: "-[MTLBuffer contentz]: unrecognized selector sent to instance",
			use: func(x *fixture, wrong bool) string {
				send(x.buffer(64, shared, "x"), pick(wrong, "contentz", "contents"))
				return ""
			},
		},
		{
			name: "unknown class method",
			want: "+[MTLCaptureManager sharedManager]: unrecognized selector sent to class",
			use: func(x *fixture, wrong bool) string {
				send(class("MTLCaptureManager"), pick(wrong, "sharedManager", "sharedCaptureManager"))
				return ""
			},
		},
		{
			name: "used after release",
			want: `-[MTLBuffer contents]: MTLBuffer "weights" is used after its release`,
			use: func(x *fixture, wrong bool) string {
				b := x.buffer(64, shared, "weights")
				if wrong {
					x.owned = x.owned[:len(x.owned)-1]
					send(b, "release")
				}
				send(b, "contents")
				return ""
			},
		},
		{
			name: "argument used after release",
			want: `-[MTLComputeCommandEncoder setBuffer:offset:atIndex:]: the buffer MTLBuffer "weights" is used after its release`,
			use: func(x *fixture, wrong bool) string {
				b := x.buffer(128, shared, "weights")
				x.commands(func(c id) {
					x.compute(c, serial, func(e id) {
						if wrong {
							x.owned = x.owned[:len(x.owned)-1]
							send(b, "release")
						}
						send(e, "setBuffer:offset:atIndex:", b, 0, 0)
					})
				})
				return ""
			},
		},
		{
			name: "argument of another class",
			want: "-[MTLComputeCommandEncoder setComputePipelineState:]: the pipeline must be a MTLComputePipelineState, not " +
				"a MTLFunction",
			use: func(x *fixture, wrong bool) string {
				p := x.pipeline("fill")
				function := x.own(send(x.library(), "newFunctionWithName:", "fill"))
				x.commands(func(c id) {
					x.compute(c, serial, func(e id) { send(e, "setComputePipelineState:", pick(wrong, function, p)) })
				})
				return ""
			},
		},
		{
			name: "released once too often",
			want: `-[MTLBuffer release]: MTLBuffer "x" is used after its release`,
			use: func(x *fixture, wrong bool) string {
				b := x.buffer(64, shared, "x")
				if wrong {
					send(b, "release")
				}
				return ""
			},
		},
		{
			name: "released before its pool",
			want: "objc_autoreleasePoolPop: NSString is released once too often",
			use: func(x *fixture, wrong bool) string {
				s := nsString("text")
				if wrong {
					send(s, "release")
				}
				return ""
			},
		},
		{
			name: "buffer of no bytes",
			want: "-[MTLDevice newBufferWithLength:options:]: length 0: a buffer has at least one byte",
			use: func(x *fixture, wrong bool) string {
				x.own(send(x.device, "newBufferWithLength:options:", pick(wrong, 0, 1), shared))
				return ""
			},
		},
		{
			name: "buffer too long",
			want: "-[MTLDevice newBufferWithLength:options:]: length 1048577 exceeds maxBufferLength, 1048576",
			use: func(x *fixture, wrong bool) string {
				require.NoError(x, SetLimit("maxBufferLength", 1<<20))
				x.own(send(x.device, "newBufferWithLength:options:", pick(wrong, 1<<20+1, 1<<20), shared))
				return ""
			},
		},
		{
			name: "options of a texture",
			want: "-[MTLDevice newBufferWithLength:options:]: options 0x30 are not valid for a buffer",
			use: func(x *fixture, wrong bool) string {
				x.own(send(x.device, "newBufferWithLength:options:", 16, pick(wrong, 3<<4, 2<<4)))
				return ""
			},
		},
		{
			name: "no-copy length off the page",
			want: "-[MTLDevice newBufferWithBytesNoCopy:length:options:deallocator:]: length 20480 is not a multiple of the " +
				"page size, 16384 bytes",
			use: func(x *fixture, wrong bool) string {
				noCopy(x, 0, pick(wrong, 20480, 32768))
				return ""
			},
		},
		{
			name: "command buffer committed twice",
			want: `-[MTLCommandBuffer commit]: MTLCommandBuffer "step" is committed twice`,
			use: func(x *fixture, wrong bool) string {
				c := x.commands(func(c id) { send(c, "setLabel:", "step") })
				failure := x.finish(c)
				if wrong {
					send(c, "commit")
				}
				return failure
			},
		},
		{
			name: "waited for before commit",
			want: "-[MTLCommandBuffer waitUntilCompleted]: MTLCommandBuffer is waited for before its commit",
			use: func(x *fixture, wrong bool) string {
				x.commands(func(c id) {
					if !wrong {
						send(c, "commit")
					}
					send(c, "waitUntilCompleted")
				})
				return ""
			},
		},
		{
			name: "encoded after commit",
			want: "-[MTLCommandBuffer computeCommandEncoder]: MTLCommandBuffer has been committed: nothing more can be encoded",
			use: func(x *fixture, wrong bool) string {
				c := x.commands(func(id) {})
				if wrong {
					failure := x.finish(c)
					send(c, "computeCommandEncoder")
					return failure
				}
				send(send(c, "computeCommandEncoder"), "endEncoding")
				return x.finish(c)
			},
		},
		{
			name:  "committed with an open encoder",
			want:  `-[MTLCommandBuffer commit]: MTLCommandBuffer is committed while MTLComputeCommandEncoder "mlp" is open: call endEncoding first`,
			fails: true,
			use: func(x *fixture, wrong bool) string {
				c := x.commands(func(id) {})
				e := send(c, "computeCommandEncoder")
				send(e, "setLabel:", "mlp")
				if wrong {
					failure := x.finish(c)
					send(e, "endEncoding")
					return failure
				}
				send(e, "endEncoding")
				return x.finish(c)
			},
		},
		{
			name: "two encoders at once",
			want: "-[MTLCommandBuffer blitCommandEncoder]: MTLComputeCommandEncoder is still encoding to MTLCommandBuffer: " +
				"call endEncoding first",
			fails: true,
			use: func(x *fixture, wrong bool) string {
				c := x.commands(func(id) {})
				e := send(c, "computeCommandEncoder")
				if wrong {
					send(c, "blitCommandEncoder")
					send(e, "endEncoding")
				} else {
					send(e, "endEncoding")
					send(send(c, "blitCommandEncoder"), "endEncoding")
				}
				return x.finish(c)
			},
		},
		{
			name: "encoder left open",
			want: "objc_autoreleasePoolPop: MTLComputeCommandEncoder is released before endEncoding",
			use: func(x *fixture, wrong bool) string {
				x.commands(func(c id) {
					e := send(c, "computeCommandEncoder")
					if !wrong {
						send(e, "endEncoding")
					}
				})
				return ""
			},
		},
		{
			name: "encoder used after endEncoding",
			want: "-[MTLComputeCommandEncoder setBytes:length:atIndex:]: MTLComputeCommandEncoder is used after endEncoding",
			use: func(x *fixture, wrong bool) string {
				return x.finish(x.commands(func(c id) {
					e := send(c, "computeCommandEncoder")
					if wrong {
						send(e, "endEncoding")
					}
					send(e, "setBytes:length:atIndex:", bytesOf(1), 4, 0)
					if !wrong {
						send(e, "endEncoding")
					}
				}))
			},
		},
		{
			name: "freed while an unretaining command buffer uses it",
			want: `-[MTLBuffer release]: MTLBuffer "scratch" is deallocated while a command buffer that does not retain it has not completed`,
			use: func(x *fixture, wrong bool) string {
				p := x.pipeline("fill")
				b := x.buffer(128, shared, "scratch")
				c := send(x.queue, "commandBufferWithUnretainedReferences")
				x.compute(c, serial, func(e id) {
					send(e, "setComputePipelineState:", p)
					send(e, "setBuffer:offset:atIndex:", b, 0, 0)
					send(e, "dispatchThreads:threadsPerThreadgroup:", one, one)
				})
				if wrong {
					x.owned = x.owned[:len(x.owned)-1]
					send(b, "release")
				}
				return x.finish(c)
			},
		},
		{
			name: "all command buffers of a queue uncommitted",
			want: "-[MTLCommandQueue commandBuffer]: deadlock: the queue's 2 command buffers all exist and none is committed",
			use: func(x *fixture, wrong bool) string {
				q := x.own(send(x.device, "newCommandQueueWithMaxCommandBufferCount:", 2))
				var last id
				for range 3 {
					c := send(q, "commandBuffer")
					if !wrong {
						send(c, "commit")
						last = c
					}
				}
				send(last, "waitUntilCompleted")
				return ""
			},
		},
	})
}

// noCopy wraps part of a mapping.
func noCopy(x *fixture, offset, length int) {
	memory, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(x, err)
	x.Cleanup(func() { _ = unix.Munmap(memory) })
	start := (uintptr(unsafe.Pointer(&memory[0]))+16383)/16384*16384 + uintptr(offset)
	x.own(send(x.device, "newBufferWithBytesNoCopy:length:options:deallocator:", start, length, shared, 0))
}

func TestNoCopyPointerOffThePageGoesUnnoticed(t *testing.T) {
	errors := withFixture(t, false, func(x *fixture) { noCopy(x, 4096, 16384) })
	require.Len(t, errors, 1)
	require.Regexp(t,
		`^-\[MTLDevice newBufferWithBytesNoCopy:length:options:deallocator:\]: pointer 0x[0-9a-f]+000 is not aligned to a page of 16384 bytes$`, errors[0])
}

func TestLeakIsNotNamed(t *testing.T) {
	withFixture(t, false, func(x *fixture) {
		x.buffer(64, shared, "kept")
		x.buffer(64, shared, "kept")
		send(x.device, "newCommandQueue")
		x.owned = x.owned[:1]
	})
	leaks, err := Leaks()
	require.NoError(t, err)
	require.Equal(t, []Leak{{"MTLBuffer", "kept", 2}, {"MTLCommandQueue", "", 1}}, leaks)
}

func TestAutoreleaseWithoutPoolGoesUnnoticed(t *testing.T) {
	loadObjC(t)
	require.NoError(t, Reset())
	done := make(chan error)
	go func() {
		nsString("text") // on another thread than any pool
		done <- TakeError()
	}()
	require.EqualError(t, <-done,
		"+[NSString stringWithUTF8String:]: NSString is autoreleased with no pool in place on this thread, "+
			"and so leaks: call objc_autoreleasePoolPush first, and keep to one OS thread until the pop")
}
