//go:build linux && (amd64 || arm64)

package metalsim

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// wide encodes a dispatch of the kernel wide as it should be, but for what change alters.
func wide(change func(x *fixture, e id)) func(*fixture, bool) string {
	return func(x *fixture, wrong bool) string {
		p := x.pipeline("wide")
		in, out := x.buffer(1024, shared, "in"), x.buffer(1024, shared, "out")
		return x.run(serial, func(e id) {
			send(e, "setComputePipelineState:", p)
			send(e, "setBuffer:offset:atIndex:", in, 0, 0)
			send(e, "setBuffer:offset:atIndex:", out, 0, 1)
			send(e, "setBytes:length:atIndex:", bytesOf(0), 8, 2)
			if wrong {
				change(x, e)
			}
			send(e, "dispatchThreadgroups:threadsPerThreadgroup:", size{1, 1, 1}, one)
		})
	}
}

func TestWrongEncodingGoesUnnoticed(t *testing.T) {
	const dispatch = "-[MTLComputeCommandEncoder dispatchThreadgroups:threadsPerThreadgroup:]: "
	judge(t, []verdict{
		{
			name: "offset beyond the end", fails: true,
			want: `-[MTLComputeCommandEncoder setBuffer:offset:atIndex:]: offset 1024 is beyond the end of buffer "small" of 1024 bytes, index 1 (kernel wide)`,
			use: wide(func(x *fixture, e id) {
				send(e, "setBuffer:offset:atIndex:", x.buffer(1024, shared, "small"), 1024, 1)
			}),
		},
		{
			name: "offset set beyond the end", fails: true,
			want: `-[MTLComputeCommandEncoder setBufferOffset:atIndex:]: offset 2048 is beyond the end of buffer "in" of 1024 bytes, index 0 (kernel wide)`,
			use:  wide(func(x *fixture, e id) { send(e, "setBufferOffset:atIndex:", 2048, 0) }),
		},
		{
			name: "offset of no buffer", fails: true,
			want: `-[MTLComputeCommandEncoder setBufferOffset:atIndex:]: there is no buffer at index 9 to set offset 16 of (kernel wide)`,
			use:  wide(func(x *fixture, e id) { send(e, "setBufferOffset:atIndex:", 16, 9) }),
		},
		{
			name: "index out of range", fails: true,
			want: `-[MTLComputeCommandEncoder setBytes:length:atIndex:]: index 31 is not a buffer index: they go from 0 to 30 (kernel wide)`,
			use:  wide(func(x *fixture, e id) { send(e, "setBytes:length:atIndex:", bytesOf(0), 8, 31) }),
		},
		{
			name: "device pointer misaligned", fails: true,
			want: dispatch + "offset 8 of argument device const float4 * in [[buffer(0)]] is not a multiple of 16 (kernel wide)",
			use:  wide(func(x *fixture, e id) { send(e, "setBufferOffset:atIndex:", 8, 0) }),
		},
		{
			name: "constant reference misaligned", fails: true,
			want: dispatch + "offset 2 of argument constant Params & p [[buffer(2)]] is not a multiple of 4 (kernel wide)",
			use: wide(func(x *fixture, e id) {
				send(e, "setBuffer:offset:atIndex:", x.buffer(64, shared, "params"), 2, 2)
			}),
		},
		{
			name: "buffer smaller than the reference's type", fails: true,
			want: dispatch +
				`argument constant Params & p [[buffer(2)]] takes 8 bytes, but buffer "params" of 64 bytes has 4 from offset 60 on (kernel wide)`,
			use: wide(func(x *fixture, e id) {
				send(e, "setBuffer:offset:atIndex:", x.buffer(64, shared, "params"), 60, 2)
			}),
		},
		{
			name: "setBytes of another size", fails: true,
			want: dispatch + "argument constant Params & p [[buffer(2)]] takes 8 bytes, but setBytes gave 4 (kernel wide)",
			use:  wide(func(x *fixture, e id) { send(e, "setBytes:length:atIndex:", bytesOf(0), 4, 2) }),
		},
		{
			name: "setBytes for what the kernel writes", fails: true,
			want: dispatch +
				"argument device float * out [[buffer(1)]] is written by the kernel and cannot be bound with setBytes (kernel wide)",
			use: wide(func(x *fixture, e id) { send(e, "setBytes:length:atIndex:", bytesOf(0), 16, 1) }),
		},
		{
			name: "setBytes too long", fails: true,
			want: "-[MTLComputeCommandEncoder setBytes:length:atIndex:]: length 4097 at index 2 is over the limit of 4096 " +
				"bytes: use a buffer (kernel wide)",
			use: wide(func(x *fixture, e id) {
				send(e, "setBytes:length:atIndex:", unsafe.Pointer(&make([]byte, 4097)[0]), 4097, 2)
			}),
		},
		{
			name: "unbound argument", fails: true,
			want: dispatch + "argument device float * out [[buffer(1)]] is not bound (kernel wide)",
			use:  wide(func(x *fixture, e id) { send(e, "setBuffer:offset:atIndex:", id(0), 0, 1) }),
		},
		{
			name: "no pipeline", fails: true,
			want: "-[MTLComputeCommandEncoder dispatchThreads:threadsPerThreadgroup:]: there is no pipeline: call " +
				"setComputePipelineState: first (no kernel yet)",
			use: func(x *fixture, wrong bool) string {
				p, b := x.pipeline("fill"), x.buffer(128, shared, "x")
				return x.run(serial, func(e id) {
					send(e, "setBuffer:offset:atIndex:", b, 0, 0)
					if !wrong {
						send(e, "setComputePipelineState:", p)
					}
					send(e, "dispatchThreads:threadsPerThreadgroup:", one, one)
				})
			},
		},
		{
			name: "threadgroup memory not a multiple of 16", fails: true,
			want: "-[MTLComputeCommandEncoder setThreadgroupMemoryLength:atIndex:]: threadgroup memory length 136 at index 0 " +
				"is not a multiple of 16 (kernel local)",
			use: local(136),
		},
		{
			name: "threadgroup memory over the limit", fails: true,
			want: "-[MTLComputeCommandEncoder setThreadgroupMemoryLength:atIndex:]: threadgroup memory length 32784 at index " +
				"0 is over the device's limit of 32768 (kernel local)",
			use: local(32784),
		},
		{
			name: "threadgroup memory over the limit with the static part", fails: true,
			want: dispatch +
				"threadgroup memory of 28688 bytes set and 4096 static is over the device's limit of 32768 (kernel local)",
			use: local(28688),
		},
		{
			name: "threadgroup memory without length", fails: true,
			want: dispatch +
				"argument threadgroup float * m [[threadgroup(0)]] has no length: call setThreadgroupMemoryLength:atIndex: " +
				"(kernel local)",
			use: local(0),
		},
		{
			name: "threadgroup of no threads", fails: true,
			want: dispatch + "threadsPerThreadgroup 32 x 0 x 1 has a 0 (kernel fill)",
			use:  grid("fill", size{1, 1, 1}, size{32, 0, 1}),
		},
		{
			name: "no threadgroups", fails: true,
			want: dispatch + "threadgroupsPerGrid 1 x 1 x 0 has a 0 (kernel fill)",
			use:  grid("fill", size{1, 1, 0}, one),
		},
		{
			name: "more threads than the device allows", fails: true,
			want: dispatch +
				"threadsPerThreadgroup 32 x 33 x 1 are more than the pipeline's maxTotalThreadsPerThreadgroup of 1024 (kernel fill)",
			use: grid("fill", size{1, 1, 1}, size{32, 33, 1}),
		},
		{
			name: "more threads than the kernel allows", fails: true,
			want: dispatch +
				"threadsPerThreadgroup 65 x 1 x 1 are more than the pipeline's maxTotalThreadsPerThreadgroup of 64 (kernel narrow)",
			use: grid("narrow", size{1, 1, 1}, size{65, 1, 1}),
		},
		{
			name: "ragged grid on a device that has none", fails: true,
			want: "-[MTLComputeCommandEncoder dispatchThreads:threadsPerThreadgroup:]: threadsPerGrid 40 x 1 x 1 is not a " +
				"multiple of " +
				"threadsPerThreadgroup 32 x 1 x 1, and this device has no non-uniform threadgroups (kernel fill)",
			use: func(x *fixture, wrong bool) string {
				p, b := x.pipeline("fill"), x.buffer(256, shared, "x")
				require.NoError(x, SetLimit("nonUniformThreadgroups", pick[uint64](wrong, 0, 1)))
				return x.run(serial, func(e id) {
					send(e, "setComputePipelineState:", p)
					send(e, "setBuffer:offset:atIndex:", b, 0, 0)
					send(e, "dispatchThreads:threadsPerThreadgroup:", size{40, 1, 1}, one)
				})
			},
		},
		{
			name: "barrier of no scope", fails: true,
			want: "-[MTLComputeCommandEncoder memoryBarrierWithScope:]: 0x0 is not an MTLBarrierScope (kernel wide)",
			use:  wide(func(x *fixture, e id) { send(e, "memoryBarrierWithScope:", 0) }),
		},
		{
			name: "copy beyond the end", fails: true,
			want: `-[MTLBlitCommandEncoder copyFromBuffer:sourceOffset:toBuffer:destinationOffset:size:]: offset 32 and size 64 are beyond the end of the destination, buffer "to" of 64 bytes`,
			use: func(x *fixture, wrong bool) string {
				from, to := x.buffer(64, shared, "from"), x.buffer(64, shared, "to")
				return x.finish(x.commands(func(c id) {
					e := send(c, "blitCommandEncoder")
					send(e, "copyFromBuffer:sourceOffset:toBuffer:destinationOffset:size:", from, 0, to, pick(wrong, 32, 0), 64)
					send(e, "endEncoding")
				}))
			},
		},
		{
			name: "fill off the word", fails: true,
			want: `-[MTLBlitCommandEncoder fillBuffer:range:value:]: offset 2 and size 8 of the range must be multiples of 4`,
			use: func(x *fixture, wrong bool) string {
				b := x.buffer(64, shared, "x")
				return x.finish(x.commands(func(c id) {
					e := send(c, "blitCommandEncoder")
					send(e, "fillBuffer:range:value:", b, pick(wrong, 2, 4), 8, 255)
					send(e, "endEncoding")
				}))
			},
		},
	})
}

// local dispatches the kernel local, its threadgroup memory of a wrong length.
func local(length int) func(*fixture, bool) string {
	return func(x *fixture, wrong bool) string {
		p, b := x.pipeline("local"), x.buffer(128, shared, "x")
		return x.run(serial, func(e id) {
			send(e, "setComputePipelineState:", p)
			send(e, "setBuffer:offset:atIndex:", b, 0, 0)
			send(e, "setThreadgroupMemoryLength:atIndex:", pick(wrong, length, 128), 0)
			send(e, "dispatchThreadgroups:threadsPerThreadgroup:", size{1, 1, 1}, one)
		})
	}
}

// grid dispatches a kernel with sizes that are wrong.
func grid(kernel string, groups, threads size) func(*fixture, bool) string {
	return func(x *fixture, wrong bool) string {
		p, b := x.pipeline(kernel), x.buffer(1<<16, shared, "x")
		return x.run(serial, func(e id) {
			send(e, "setComputePipelineState:", p)
			send(e, "setBuffer:offset:atIndex:", b, 0, 0)
			send(e, "dispatchThreadgroups:threadsPerThreadgroup:", pick(wrong, groups, size{1, 1, 1}), pick(wrong, threads, one))
		})
	}
}

// Metal ignores what is bound to an index that the kernel does not have.
func TestBindingThatTheKernelIgnoresIsTakenForAnError(t *testing.T) {
	var failure string
	errors := withFixture(t, false, func(x *fixture) {
		failure = wide(func(x *fixture, e id) { send(e, "setBytes:length:atIndex:", bytesOf(0), 4, 30) })(x, true)
	})
	require.Empty(t, errors)
	require.Empty(t, failure)
}
