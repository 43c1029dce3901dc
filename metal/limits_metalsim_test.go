//go:build linux

package metal_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/metal"
)

// What only the stand-in can be made to do, because a Mac cannot be told to.

func TestOpenAwayFromMac(t *testing.T) {
	_, err := metal.Open()
	require.ErrorIs(t, err, metal.ErrUnavailable)
	require.ErrorContains(t, err, "Metal needs a Mac and this is "+runtime.GOOS+"/"+runtime.GOARCH+
		"; run on macOS 12 or later, or use the CPU")
}

func TestOutOfMemoryPanics(t *testing.T) {
	g := newGPU(t)
	require.NoError(t, metalsim.SetLimit("failAllocation", 1))
	_, err := g.device.NewBuffer(1<<20, metal.StorageShared)
	require.ErrorIs(t, err, metal.ErrOutOfMemory)
	require.ErrorContains(t, err, "buffer of 1048576 bytes")
	b, err := g.device.NewBuffer(1<<20, metal.StorageShared)
	require.NoError(t, err)
	b.Release()
}

func TestBufferAboveLimitReachesMetal(t *testing.T) {
	g := newGPU(t)
	page := metal.PageSize()
	require.NoError(t, metalsim.SetLimit("maxBufferLength", uint64(page)))
	for _, n := range []int{page + 1, math.MaxInt} {
		_, err := g.device.NewBuffer(n, metal.StorageShared)
		require.ErrorContains(t, err, "is above the device's limit of 16384; split it")
	}
	_, err := g.device.NewBufferNoCopy(pages(t, 2), metal.StorageShared)
	require.ErrorContains(t, err, "is above the device's limit of 16384; split it")
}

func TestLostDevicePassesForSuccess(t *testing.T) {
	g := newGPU(t)
	next := g.pipeline(t, kernels, "next", metal.FunctionConstants{})
	a, _ := buffer[float32](t, g, 32, metal.StorageShared)
	b, _ := buffer[float32](t, g, 32, metal.StorageShared)
	run := func() error {
		return g.compute(metal.Serial, func(e metal.ComputeEncoder) {
			e.SetPipeline(next)
			e.SetBuffer(a, 0, 0)
			e.SetBuffer(b, 0, 1)
			e.DispatchThreads(line(32), line(32))
		})
	}
	require.NoError(t, run())
	require.NoError(t, metalsim.SetLimit("deviceLost", 1))
	err := run()
	require.ErrorIs(t, err, metal.ErrDeviceLost)
	var e *metal.Error
	require.True(t, errors.As(err, &e))
	require.NotEmpty(t, e.Text)
}

// A shader's fault comes back as the text of Metal, here of the stand-in.
func TestFaultOfKernelLosesText(t *testing.T) {
	g := newGPU(t)
	require.NoError(t, metalsim.SetCounting(true))
	next := g.pipeline(t, kernels, "next", metal.FunctionConstants{})
	a, _ := buffer[float32](t, g, 32, metal.StorageShared)
	b, _ := buffer[float32](t, g, 16, metal.StorageShared)
	err := g.compute(metal.Serial, func(e metal.ComputeEncoder) {
		e.SetPipeline(next)
		e.SetBuffer(a, 0, 0)
		e.SetBuffer(b, 0, 1)
		e.DispatchThreads(line(32), line(32))
	})
	require.ErrorContains(t, err, "metal: run command buffer: ")
	require.ErrorContains(t, err, "next")
	require.ErrorContains(t, err, "program_source:")
}

// Two command buffers in flight, the second reads what the first writes: Metal orders them for tracked buffers only.
func TestUntrackedPassesForTracked(t *testing.T) {
	g := newGPU(t)
	next := g.pipeline(t, kernels, "next", metal.FunctionConstants{})
	for _, c := range []struct {
		options metal.ResourceOptions
		wrong   bool
	}{
		{metal.StorageShared, false},
		{metal.StorageShared | metal.HazardTrackingUntracked, true},
	} {
		a, _ := buffer[float32](t, g, 32, c.options)
		b, data := buffer[float32](t, g, 32, c.options)
		var flight [2]metal.CommandBuffer
		for i := range flight {
			require.NoError(t, g.Do(func() error {
				commands, err := g.queue.NewCommandBuffer()
				require.NoError(t, err)
				flight[i] = commands
				encoder, err := commands.ComputeEncoder(metal.Serial)
				require.NoError(t, err)
				encoder.SetPipeline(next)
				encoder.SetBuffer(a, 0, i)
				encoder.SetBuffer(b, 0, 1-i)
				encoder.DispatchThreads(line(32), line(32))
				encoder.End()
				commands.Commit()
				return nil
			}))
		}
		first, second := flight[0].Wait(), flight[1].Wait()
		flight[0].Release()
		flight[1].Release()
		require.NoError(t, first)
		if c.wrong {
			require.ErrorContains(t, second, "untracked")
			continue
		}
		require.NoError(t, second)
		require.EqualValues(t, 1, data[0])
	}
}

func TestSystemWithoutResidencySets(t *testing.T) {
	g := newGPU(t)
	require.True(t, g.device.SupportsResidencySets())
	require.NoError(t, metalsim.SetLimit("residencySets", 0))
	require.False(t, g.device.SupportsResidencySets())
	_, err := g.device.NewResidencySet("weights", 1)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, "macOS 15")
}

func TestCaptureNotAllowed(t *testing.T) {
	g := newGPU(t)
	path := filepath.Join(t.TempDir(), "step.gputrace")
	require.NoError(t, metalsim.SetLimit("capture", 0))
	err := g.StartCapture(g.device, path)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, "MTL_CAPTURE_ENABLED=1")

	require.NoError(t, metalsim.SetLimit("capture", 1))
	require.NoError(t, g.StartCapture(g.device, path))
	g.StopCapture()
	_, err = os.Stat(path)
	require.NoError(t, err)
	require.ErrorContains(t, g.StartCapture(g.device, path), "metal: capture to "+path)
	require.ErrorContains(t, g.StartCapture(g.device, "\xff"), "capture path: text is not valid UTF-8")
}

// The classes of the stand-in were written by others than the table: both must read Apple's headers alike.
func TestStandInDeclaresOtherwise(t *testing.T) {
	encodings := map[string]string{
		"void": "v", "id": "@", "self": "@", "SEL": ":", "block": "^v", "BOOL": "B", "double": "d",
		"id *": "^@", "const id *": "r^@", "const NSUInteger *": "r^Q", "void *": "^v", "const void *": "r^v",
		"const char *": "r*",
		"NSInteger":    "q", "NSUInteger": "Q", "uint64_t": "Q", "uint8_t": "C",
		"NSRange": "{_NSRange=QQ}", "MTLSize": "{?=QQQ}",
	}
	for name, d := range declarations {
		want := encodings[d.returns] + "@:"
		for _, arg := range d.args {
			want += encodings[arg]
		}
		for _, receiver := range d.classes() {
			signature, err := metalsim.Signature(receiver, name)
			require.NoError(t, err)
			require.Equal(t, want, signature, "%s %s", receiver, name)
		}
	}
}
