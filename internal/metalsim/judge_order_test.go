//go:build linux && (amd64 || arm64)

package metalsim

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// orders judges uses that fail the command buffer without being a misuse of the API, in plain and in counted builds.
func orders(t *testing.T, counted bool, want string, use func(x *fixture, wrong bool) string) {
	t.Helper()
	var failure string
	errors := withFixture(t, counted, func(x *fixture) { failure = use(x, true) })
	require.Empty(t, errors)
	require.Equal(t, want, failure)
	errors = withFixture(t, counted, func(x *fixture) { failure = use(x, false) })
	require.Empty(t, errors)
	require.Empty(t, failure, "the right twin")
	leaks, err := Leaks()
	require.NoError(t, err)
	require.Empty(t, leaks)
}

// encodeFill and encodeCopy encode a dispatch of one threadgroup.
func encodeFill(e, pipeline, out id) {
	send(e, "setComputePipelineState:", pipeline)
	send(e, "setBuffer:offset:atIndex:", out, 0, 0)
	send(e, "dispatchThreads:threadsPerThreadgroup:", one, one)
}

func encodeCopy(e, pipeline, in id, offset int, out id) {
	send(e, "setComputePipelineState:", pipeline)
	send(e, "setBuffer:offset:atIndex:", in, offset, 0)
	send(e, "setBuffer:offset:atIndex:", out, 0, 1)
	send(e, "dispatchThreads:threadsPerThreadgroup:", one, one)
}

const noBarrier = ", with no barrier between them: call memoryBarrierWithScope: or memoryBarrierWithResources:count:"

func TestMissingBarrierGoesUnnoticed(t *testing.T) {
	for name, barrier := range map[string]func(e, x, y id){
		"by scope": func(e, x, y id) { send(e, "memoryBarrierWithScope:", 1) },
		"by resource": func(e, x, y id) {
			resources := []id{x}
			send(e, "memoryBarrierWithResources:count:", pointer(resources), 1)
		},
	} {
		use := func(x *fixture, wrong bool) string {
			fill, cp := x.pipeline("fill"), x.pipeline("copy")
			a, b := x.buffer(128, shared, "a"), x.buffer(128, shared, "b")
			return x.run(concurrent, func(e id) {
				encodeFill(e, fill, a)
				if !wrong {
					barrier(e, a, b)
				}
				encodeCopy(e, cp, a, 0, b)
			})
		}
		t.Run(name, func(t *testing.T) {
			orders(t, false,
				`kernel copy reads tracked buffer "a" of 128 bytes, bytes 0 to 3, which kernel fill, earlier in the same concurrent encoder, writes`+noBarrier, use)
			orders(t, true, `kernel copy (program_source:10) reads tracked buffer "a" of 128 bytes, bytes 0 to 127, which kernel fill (program_source:13), earlier in the same concurrent encoder, writes`+noBarrier, use)
		})
	}
}

func TestBarrierOnAnotherBufferTakenForOrder(t *testing.T) {
	use := func(x *fixture, wrong bool) string {
		fill, cp := x.pipeline("fill"), x.pipeline("copy")
		a, b := x.buffer(128, shared, "a"), x.buffer(128, shared, "b")
		return x.run(concurrent, func(e id) {
			encodeFill(e, fill, a)
			send(e, "memoryBarrierWithResources:count:", pointer([]id{pick(wrong, b, a)}), 1)
			encodeCopy(e, cp, a, 0, b)
		})
	}
	orders(t, false,
		`kernel copy reads tracked buffer "a" of 128 bytes, bytes 0 to 3, which kernel fill, earlier in the same concurrent encoder, writes`+noBarrier, use)
}

// Only instrumentation tells what is touched beyond the first element; the twin shares a buffer, not bytes.
func TestOverlapAtAnotherOffsetGoesUnnoticed(t *testing.T) {
	orders(t, true, `kernel copy (program_source:10) reads tracked buffer "a" of 512 bytes, bytes 64 to 127, which kernel fill (program_source:13), earlier in the same concurrent encoder, writes`+noBarrier,
		func(x *fixture, wrong bool) string {
			fill, cp := x.pipeline("fill"), x.pipeline("copy")
			a, b := x.buffer(512, shared, "a"), x.buffer(128, shared, "b")
			return x.run(concurrent, func(e id) {
				encodeFill(e, fill, a)
				encodeCopy(e, cp, a, pick(wrong, 64, 128), b)
			})
		})
}

func TestOneMemoryUnderTwoArgumentsGoesUnnoticed(t *testing.T) {
	orders(t, true, "kernel copy: [[buffer(0)]] 'in' and [[buffer(1)]] 'out' are the same memory, which it writes: Metal's "+
		"compiler takes it that they are not", func(x *fixture, wrong bool) string {
		cp := x.pipeline("copy")
		a, b := x.buffer(512, shared, "a"), x.buffer(128, shared, "b")
		return x.run(serial, func(e id) { encodeCopy(e, cp, a, 0, pick(wrong, a, b)) })
	})
}

func TestSecondWriterWithoutBarrierGoesUnnoticed(t *testing.T) {
	orders(t, true, `kernel fill (program_source:13) writes tracked buffer "a" of 128 bytes, bytes 0 to 127, which kernel copy (program_source:10), earlier in the same concurrent encoder, reads`+noBarrier,
		func(x *fixture, wrong bool) string {
			fill, cp := x.pipeline("fill"), x.pipeline("copy")
			a, b := x.buffer(128, shared, "a"), x.buffer(128, shared, "b")
			return x.run(concurrent, func(e id) {
				encodeCopy(e, cp, a, 0, b)
				encodeFill(e, fill, pick(wrong, a, x.buffer(128, shared, "c")))
			})
		})
}

// Parts of one result may be written side by side, which only instrumentation tells from writing one part twice.
func TestPartsOfOneResultAreRefused(t *testing.T) {
	use := func(x *fixture, wrong bool) string {
		fill, a := x.pipeline("fill"), x.buffer(128, shared, "a")
		return x.run(concurrent, func(e id) {
			encodeFill(e, fill, a)
			if !wrong {
				send(e, "memoryBarrierWithScope:", 1)
			}
			encodeFill(e, fill, a)
		})
	}
	orders(t, true, `kernel fill (program_source:13) writes tracked buffer "a" of 128 bytes, bytes 0 to 127, which kernel fill (program_source:13), earlier in the same concurrent encoder, writes`+noBarrier, use)
	orders(t, false, "", use)
}

const unordered = ", and nothing orders the two: use a fence, an event, or a tracked buffer"

// Each way to order two encoders is a right twin of using an untracked buffer without.
func TestUntrackedBufferWithoutFenceGoesUnnoticed(t *testing.T) {
	want := `kernel copy reads untracked buffer "a" of 128 bytes, bytes 0 to 3, which kernel fill in MTLCommandBuffer "first" writes` + unordered
	const (
		fence = iota
		event
		host
		tracked
	)
	for name, way := range map[string]int{"fence": fence, "event": event, "host": host, "tracked": tracked} {
		t.Run(name, func(t *testing.T) {
			orders(t, false, want, func(x *fixture, wrong bool) string {
				fill, cp := x.pipeline("fill"), x.pipeline("copy")
				a := x.buffer(128, pick(!wrong && way == tracked, shared, untracked), "a")
				b := x.buffer(128, shared, "b")
				f, ev := x.own(send(x.device, "newFence")), x.own(send(x.device, "newEvent"))
				first := x.commands(func(c id) {
					send(c, "setLabel:", "first")
					x.compute(c, serial, func(e id) {
						encodeFill(e, fill, a)
						if !wrong && way == fence {
							send(e, "updateFence:", f)
						}
					})
					if !wrong && way == event {
						send(c, "encodeSignalEvent:value:", ev, 1)
					}
				})
				second := x.commands(func(c id) {
					if !wrong && way == event {
						send(c, "encodeWaitForEvent:value:", ev, 1)
					}
					x.compute(c, serial, func(e id) {
						if !wrong && way == fence {
							send(e, "waitForFence:", f)
						}
						encodeCopy(e, cp, a, 0, b)
					})
				})
				send(first, "commit")
				if !wrong && way == host {
					send(first, "waitUntilCompleted")
				}
				return x.finish(second)
			})
		})
	}
}

func TestUntrackedBufferBetweenEncodersGoesUnnoticed(t *testing.T) {
	orders(t, true, `kernel copy (program_source:10) reads untracked buffer "a" of 128 bytes, bytes 0 to 127, which kernel fill (program_source:13) in MTLCommandBuffer writes`+unordered,
		func(x *fixture, wrong bool) string {
			fill, cp := x.pipeline("fill"), x.pipeline("copy")
			a, b := x.buffer(128, untracked, "a"), x.buffer(128, shared, "b")
			f := x.own(send(x.device, "newFence"))
			return x.finish(x.commands(func(c id) {
				x.compute(c, serial, func(e id) {
					encodeFill(e, fill, a)
					send(e, "updateFence:", f)
				})
				x.compute(c, serial, func(e id) {
					if !wrong {
						send(e, "waitForFence:", f)
					}
					encodeCopy(e, cp, a, 0, b)
				})
			}))
		})
}

func TestBlitOfUntrackedBufferGoesUnnoticed(t *testing.T) {
	orders(t, false,
		`a blit fill writes untracked buffer "a" of 128 bytes, bytes 0 to 3, which kernel fill in MTLCommandBuffer writes`+
			unordered,
		func(x *fixture, wrong bool) string {
			fill := x.pipeline("fill")
			a := x.buffer(128, pick(wrong, untracked, shared), "a")
			return x.finish(x.commands(func(c id) {
				x.compute(c, serial, func(e id) { encodeFill(e, fill, a) })
				e := send(c, "blitCommandEncoder")
				send(e, "fillBuffer:range:value:", a, 0, 64, 1)
				send(e, "endEncoding")
			}))
		})
}

func TestDeadlockHangs(t *testing.T) {
	orders(t, false,
		`deadlock: MTLCommandBuffer "consumer" waits for MTLSharedEvent "step" to reach 2, but it is at 0: no committed command buffer signals that`,
		func(x *fixture, wrong bool) string {
			event := x.own(send(x.device, "newSharedEvent"))
			send(event, "setLabel:", "step")
			if !wrong {
				send(event, "setSignaledValue:", 2)
			}
			return x.finish(x.commands(func(c id) {
				send(c, "setLabel:", "consumer")
				send(c, "encodeWaitForEvent:value:", event, 2)
			}))
		})
}

// The signal comes after the wait on the same queue; the twin signals on another.
func TestSignalBehindItsWaitHangs(t *testing.T) {
	orders(t, false,
		`deadlock: MTLCommandBuffer "consumer" waits for MTLEvent to reach 1, but it is at 0: its signal is encoded in `+
			`MTLCommandBuffer "producer", which comes after a wait that is not met either`,
		func(x *fixture, wrong bool) string {
			event, other := x.own(send(x.device, "newEvent")), x.own(send(x.device, "newCommandQueue"))
			consumer := x.commands(func(c id) {
				send(c, "setLabel:", "consumer")
				send(c, "encodeWaitForEvent:value:", event, 1)
			})
			producer := send(pick(wrong, x.queue, other), "commandBuffer")
			send(producer, "setLabel:", "producer")
			send(producer, "encodeSignalEvent:value:", event, 1)
			send(consumer, "commit")
			send(producer, "commit")
			failure := x.wait(consumer)
			require.Empty(x, x.wait(producer))
			return failure
		})
}

func TestLostDeviceIsNotReported(t *testing.T) {
	orders(t, false, "the device was lost", func(x *fixture, wrong bool) string {
		require.NoError(x, SetLimit("deviceLost", pick[uint64](wrong, 1, 0)))
		fill, a := x.pipeline("fill"), x.buffer(128, shared, "a")
		return x.run(serial, func(e id) { encodeFill(e, fill, a) })
	})
}
