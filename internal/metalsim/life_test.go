//go:build linux && (amd64 || arm64)

package metalsim

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// specialised makes a pipeline of the kernel multiply with a factor.
func (x *fixture) specialised(factor uint32) id {
	values := x.own(send(class("MTLFunctionConstantValues"), "new"))
	send(values, "setConstantValue:type:atIndex:", unsafe.Pointer(&factor), 33, 0)
	var e id
	function := send(x.library(), "newFunctionWithName:constantValues:error:", "multiply", values, unsafe.Pointer(&e))
	require.NotZero(x, function, goText(send(e, "localizedDescription")))
	x.own(function)
	pipeline := send(x.device, "newComputePipelineStateWithFunction:error:", function, unsafe.Pointer(&e))
	require.NotZero(x, pipeline, goText(send(e, "localizedDescription")))
	return x.own(pipeline)
}

func TestSpecialisationsShareTheirConstants(t *testing.T) {
	errors := withFixture(t, false, func(x *fixture) {
		buffer := x.buffer(128, shared, "x")
		pipelines := []id{x.specialised(2), x.specialised(5), x.specialised(7)}
		for i, want := range []float32{6, 15, 21} {
			require.Empty(t, x.run(serial, func(e id) { encodeFill(e, pipelines[i], buffer) }))
			require.Equal(t, want, floatsOf(buffer, 32)[31])
		}
	})
	require.Empty(t, errors)
}

func TestLibrariesWithOneKernelsNameShareIt(t *testing.T) {
	errors := withFixture(t, false, func(x *fixture) {
		buffer := x.buffer(128, shared, "x")
		var pipelines []id
		for _, value := range []string{"1", "2"} {
			var e id
			library := x.own(send(x.device, "newLibraryWithSource:options:error:",
				"kernel void k(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] = "+value+"; }", 0,
				unsafe.Pointer(&e)))
			function := x.own(send(library, "newFunctionWithName:", "k"))
			pipelines = append(pipelines, x.own(send(x.device, "newComputePipelineStateWithFunction:error:", function,
				unsafe.Pointer(&e))))
		}
		for i, want := range []float32{1, 2} {
			require.Empty(t, x.run(serial, func(e id) { encodeFill(e, pipelines[i], buffer) }))
			require.Equal(t, want, floatsOf(buffer, 32)[31])
		}
	})
	require.Empty(t, errors)
}

// Two queues hand an event to and fro: neither could go on if one ran after the other.
func TestQueuesDoNotOverlap(t *testing.T) {
	errors := withFixture(t, false, func(x *fixture) {
		event, other := x.own(send(x.device, "newEvent")), x.own(send(x.device, "newCommandQueue"))
		fill, buffer := x.pipeline("fill"), x.buffer(128, shared, "x")
		ping, pong := send(x.queue, "commandBuffer"), send(other, "commandBuffer")
		for i := range 10 {
			x.compute(ping, serial, func(e id) { encodeFill(e, fill, buffer) })
			send(ping, "encodeSignalEvent:value:", event, 2*i+1)
			send(ping, "encodeWaitForEvent:value:", event, 2*i+2)
			send(pong, "encodeWaitForEvent:value:", event, 2*i+1)
			x.compute(pong, serial, func(e id) { encodeFill(e, fill, buffer) })
			send(pong, "encodeSignalEvent:value:", event, 2*i+2)
		}
		send(ping, "commit")
		send(pong, "commit")
		require.Empty(t, x.wait(ping))
		require.Empty(t, x.wait(pong))
	})
	require.Empty(t, errors)
}

func TestCommandBuffersOfAQueueRunOutOfOrder(t *testing.T) {
	errors := withFixture(t, false, func(x *fixture) {
		fill, cp := x.pipeline("fill"), x.pipeline("copy")
		a, b := x.buffer(128, shared, "a"), x.buffer(128, shared, "b")
		first := x.commands(func(c id) { x.compute(c, serial, func(e id) { encodeFill(e, fill, a) }) })
		second := x.commands(func(c id) { x.compute(c, serial, func(e id) { encodeCopy(e, cp, a, 0, b) }) })
		send(first, "enqueue") // its place is taken before the second's
		require.EqualValues(t, 1, send(first, "status"))
		send(second, "commit")
		send(first, "commit")
		require.Empty(t, x.wait(second))
		require.EqualValues(t, 4, send(first, "status"))
		require.Equal(t, float32(7), floatsOf(b, 32)[31])
	})
	require.Empty(t, errors)
}

func TestWaitBehindAnUncommittedCommandBufferHangs(t *testing.T) {
	errors := withFixture(t, false, func(x *fixture) {
		first := x.commands(func(c id) { send(c, "setLabel:", "first") })
		second := x.commands(func(c id) { send(c, "setLabel:", "second") })
		send(first, "enqueue")
		send(second, "commit")
		send(second, "waitUntilCompleted")
		send(first, "commit")
		require.Empty(t, x.wait(second))
	})
	require.Equal(t, []string{`-[MTLCommandBuffer waitUntilCompleted]: deadlock: MTLCommandBuffer "second" waits behind ` +
		`MTLCommandBuffer "first", which is enqueued but not committed`}, errors)
}

// A failed command buffer still signals, so that who waits for it is not taken for the one at fault.
func TestFailureLeavesOthersWaiting(t *testing.T) {
	withFixture(t, false, func(x *fixture) {
		event := x.own(send(x.device, "newSharedEvent"))
		failing := x.commands(func(c id) {
			x.compute(c, serial, func(e id) { send(e, "dispatchThreads:threadsPerThreadgroup:", one, one) })
			send(c, "encodeSignalEvent:value:", event, 1)
		})
		after := x.commands(func(c id) { send(c, "encodeWaitForEvent:value:", event, 1) })
		require.NotEmpty(t, x.finish(failing))
		require.Empty(t, x.finish(after))
		require.EqualValues(t, 1, send(event, "signaledValue"))
	})
}

func TestCaptureLosesDispatches(t *testing.T) {
	path := filepath.Join(t.TempDir(), "step.gputrace")
	errors := withFixture(t, false, func(x *fixture) {
		fill, buffer := x.pipeline("fill"), x.buffer(128, shared, "x")
		manager := send(class("MTLCaptureManager"), "sharedCaptureManager")
		descriptor := x.own(send(class("MTLCaptureDescriptor"), "new"))
		send(descriptor, "setCaptureObject:", x.device)
		send(descriptor, "setDestination:", 2)
		send(descriptor, "setOutputURL:", send(class("NSURL"), "fileURLWithPath:", path))
		var e id
		require.EqualValues(t, 1, send(manager, "startCaptureWithDescriptor:error:", descriptor, unsafe.Pointer(&e))&0xff)
		require.Empty(t, x.run(serial, func(e id) { encodeFill(e, fill, buffer) }))
		send(manager, "stopCapture")
		require.Zero(t, send(manager, "startCaptureWithDescriptor:error:", descriptor, unsafe.Pointer(&e))&0xff)
		require.Equal(t, path+": File exists", goText(send(e, "localizedDescription")))
	})
	require.Empty(t, errors)
	data, err := os.ReadFile(filepath.Join(path, "trace.json"))
	require.NoError(t, err)
	var trace struct {
		CommandBuffers []struct {
			Passes []struct{ Dispatches []Dispatch }
		} `json:"command_buffers"`
	}
	require.NoError(t, json.Unmarshal(data, &trace), string(data))
	require.Equal(t, "fill", trace.CommandBuffers[0].Passes[0].Dispatches[0].Kernel)
}

func TestCountersForgetADispatch(t *testing.T) {
	for _, counted := range []bool{false, true} {
		withFixture(t, counted, func(x *fixture) {
			p, a, b := x.pipeline("copy"), x.buffer(128, shared, "a"), x.buffer(256, shared, "b")
			require.Empty(t, x.run(serial, func(e id) { encodeCopy(e, p, a, 0, b) }))
		})
		dispatches, err := Counters()
		require.NoError(t, err)
		require.Len(t, dispatches, 1)
		d := dispatches[0]
		require.Equal(t, "copy", d.Kernel)
		require.Equal(t, [3]uint64{32, 1, 1}, d.Threads)
		require.Equal(t, [3]uint64{32, 1, 1}, d.ThreadsPerThreadgroup)
		require.Equal(t, pick(counted, []Binding{{0, "a", 0, 128, 128, 0, 128}, {1, "b", 0, 256, 0, 128, 128}},
			[]Binding{{0, "a", 0, 128, 0, 0, 0}, {1, "b", 0, 256, 0, 0, 0}}), d.Buffers)
		require.Equal(t, pick[uint64](counted, 128, 0), d.LoadedBytes)
		require.Equal(t, pick[uint64](counted, 128, 0), d.StoredBytes)
		require.Equal(t, pick[uint64](counted, 256, 0), d.DistinctBytes)
	}
}

func TestUnknownLimit(t *testing.T) {
	require.EqualError(t, SetLimit("maxBuffers", 1), `the Metal stand-in has no limit called "maxBuffers"`)
}

// What the program has seen complete orders what it commits later, also while something older is still in flight.
func TestObservedCommandBufferStillConflicts(t *testing.T) {
	errors := withFixture(t, false, func(x *fixture) {
		fill, cp := x.pipeline("fill"), x.pipeline("copy")
		a, b := x.buffer(128, untracked, "a"), x.buffer(128, shared, "b")
		event, other := x.own(send(x.device, "newSharedEvent")), x.own(send(x.device, "newCommandQueue"))
		old := send(other, "commandBuffer")
		send(old, "encodeWaitForEvent:value:", event, 1)
		send(old, "commit")
		require.Empty(t, x.run(serial, func(e id) { encodeFill(e, fill, a) }))
		require.Empty(t, x.run(serial, func(e id) { encodeCopy(e, cp, a, 0, b) }))
		send(event, "setSignaledValue:", 1)
		require.Empty(t, x.wait(old))
	})
	require.Empty(t, errors)
}

func TestCompletedCommandBufferKeepsItsBuffers(t *testing.T) {
	errors := withFixture(t, false, func(x *fixture) {
		fill := x.pipeline("fill")
		before := send(x.device, "currentAllocatedSize")
		buffer := send(x.device, "newBufferWithLength:options:", 1<<20, shared)
		c := x.commands(func(c id) { x.compute(c, serial, func(e id) { encodeFill(e, fill, buffer) }) })
		send(buffer, "release")
		require.Equal(t, before+1<<20, send(x.device, "currentAllocatedSize"))
		require.Empty(t, x.finish(c))
		require.Equal(t, before, send(x.device, "currentAllocatedSize"))
	})
	require.Empty(t, errors)
}
