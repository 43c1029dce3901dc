package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu"
	"github.com/glm4-metal/glm4-metal/internal/backend/gpu"
	"github.com/glm4-metal/glm4-metal/internal/tuning"
	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// fakeGPU makes kernels, one of which may fail.
type fakeGPU struct {
	fake
	made []gpu.Made
	half bool
}

func (f fakeGPU) Make() []gpu.Made { return f.made }
func (f fakeGPU) HalfCodes() bool  { return f.half }

// fakeTimer gives each product 100 GB/s.
type fakeTimer struct{ broken string }

func (t fakeTimer) failed(what string) error {
	if t.broken == what {
		return errors.New("the clock stands still")
	}
	return nil
}

func (t fakeTimer) Copy() (float64, error) { return 80e9, t.failed("copy") }

func (t fakeTimer) Chain(kind metal.DispatchType) (float64, error) {
	if kind == metal.Serial {
		return 2e-6, t.failed("chain")
	}
	return 1e-6, nil
}

func (t fakeTimer) GEMV(_ context.Context, g gpu.GEMV) ([]gpu.GEMVTime, error) {
	return []gpu.GEMVTime{{GEMV: g, Tile: g.Tiles()[0], Timed: min(g.Rows, 100_000), Seconds: float64(g.Bytes()) / 100e9}},
		t.failed(g.Op)
}

func (t fakeTimer) Close() error { return t.failed("close") }

func kernel(name, file string, threads, limit int) gpu.Made {
	return gpu.Made{Kernel: &shaders.Kernel{Name: name, File: file, Threads: threads}, Limit: limit, Width: 32,
		Language: metal.Language3_2, Took: 3 * time.Millisecond}
}

// newTimedMac is a Mac whose GPU makes kernels and is timed; its tunings go to a folder.
func newTimedMac(t *testing.T, timed fakeTimer) (x *examination, folder string) {
	x, folder = newMac(), filepath.Join(t.TempDir(), "cache")
	slow := kernel("gemm_out_q4", "gemm", 128, 128)
	slow.Took, slow.Language = 14*time.Millisecond, metal.Language2_4
	device := fakeGPU{fake{cpu.Reference(), "metal", 0},
		[]gpu.Made{kernel("gemv_out_q4", "gemv", 64, 448), kernel("add_norm", "rows", 256, 1024), slow}, true}
	x.open = func(string) (backend.Device, string, error) { return device, "", nil }
	x.openTimer = func(backend.Device) (timer, error) { return timed, nil }
	x.folder = func() (string, error) { return folder, nil }
	return x, folder
}

func TestReportOmitsTheGPU(t *testing.T) {
	x, folder := newTimedMac(t, fakeTimer{})
	r, err := x.examine(t.Context(), "metal")
	require.NoError(t, err)
	require.Empty(t, r.Failures())
	require.Equal(t, "3 of 3 files, made in 20 ms, the slowest in 14 ms (gemm_out_q4); threads limit 448 (gemv_out_q4) to "+
		"1024, width 32; language 2.4 of gemm, 3.2 of gemv, 3.2 of rows", text(r, "metal kernels"))
	require.Len(t, r.Kernels, 3)
	require.Equal(t, "subnormal halves are kept; simdgroup matrices lie in the lanes as expected",
		text(r, "metal probes"))
	require.Equal(t, "80.0 GB/s, which are read and written", text(r, "metal copies"))
	require.Equal(t, "a dispatch that waits for another: 2.0 µs, concurrent with barriers 1.0 µs", text(r, "metal chain"))
	for _, format := range []string{"q4", "q8", "bf16"} {
		require.Equal(t, "qkv 100, out 100, gate_up 100, down 100, head 100 GB/s (of fewer rows)",
			text(r, "metal gemv "+format))
	}
	// 40 layers and the head of GLM-4-9B are 8.779e9 weights of 0.5625 bytes, 0.04938 s, and 122 dispatches 0.000244 s.
	require.Equal(t, "GLM-4-9B by its GEMVs and 122 dispatches beside: 20.2 t/s at 4 bit (products 100 %), 10.7 t/s at "+
		"8 bit (products 100 %), 5.69 t/s at 16 bit (products 100 %)", text(r, "metal decoding"))
	require.Len(t, r.Timing.GEMVs, 15)
	gateUp := r.Timing.GEMVs[2]
	require.InDelta(t, 631.11168, gateUp.US, 1e-6)
	require.InDelta(t, 100, gateUp.Rate, 1e-6)
	gateUp.US, gateUp.Rate = 0, 0
	require.Equal(t, GEMV{"gate_up", "q4", 27392, 4096, gateUp.Tile, true, 27392, 0, 0}, gateUp)
	require.Equal(t, tuning.KeyOf("a chip").Path(folder), r.Tuning)
	require.FileExists(t, r.Tuning)
	require.Contains(t, text(r, "tuning"), "0 of 15 shapes differ from what is built in; models take "+folder)
}

func TestTilesOfABrokenGPUAreKept(t *testing.T) {
	x, folder := newTimedMac(t, fakeTimer{})
	x.openProbe = func(context.Context, string) (prober, error) { return nil, errors.New("no memory") }
	r, err := x.examine(t.Context(), "metal")
	require.NoError(t, err)
	require.Equal(t, "the fastest tiles are not kept, as a check failed", text(r, "tuning"))
	require.NoDirExists(t, folder)
	require.Empty(t, r.Tuning)

	x, folder = newTimedMac(t, fakeTimer{})
	require.NoError(t, os.WriteFile(folder, nil, 0o644))
	r, err = x.examine(t.Context(), "metal")
	require.NoError(t, err)
	require.Empty(t, r.Failures(), "no reason not to compute")
	require.Contains(t, r.Checks[len(r.Checks)-1].Text, "the fastest tiles are not kept: ")
}

func TestForeignTilesAreTakenInSilence(t *testing.T) {
	x, folder := newTimedMac(t, fakeTimer{})
	require.NoError(t, os.Mkdir(folder, 0o755))
	require.NoError(t, os.WriteFile(tuning.KeyOf("a chip").Path(folder), []byte("{}"), 0o644))
	r, err := x.examine(t.Context(), "metal")
	require.NoError(t, err)
	require.Empty(t, r.Failures())
	require.Contains(t, text(r, "tuning"), "the built-in tiles are taken: "+folder)
}

func TestTimingThatFailsIsIgnored(t *testing.T) {
	for _, what := range []string{"copy", "chain", "qkv", "head", "close"} {
		x, folder := newTimedMac(t, fakeTimer{what})
		r, err := x.examine(t.Context(), "metal")
		require.NoError(t, err)
		require.True(t, r.Failed("metal"))
		require.Equal(t, "cannot be measured: the clock stands still", text(r, "metal timing"))
		require.Nil(t, r.Timing)
		require.NoDirExists(t, folder)
	}
}

func TestKernelThatFailsIsNotNamed(t *testing.T) {
	x, folder := newTimedMac(t, fakeTimer{})
	broken := kernel("attend_f16", "attention", 256, 128)
	broken.Err = errors.New("needs 256 threads a threadgroup, this GPU runs 128")
	device := fakeGPU{fake{cpu.Reference(), "metal", 0}, []gpu.Made{broken, kernel("add_norm", "rows", 64, 64)}, false}
	x.open = func(string) (backend.Device, string, error) { return device, "", nil }
	r, err := x.examine(t.Context(), "metal")
	require.NoError(t, err)
	require.True(t, r.Failed("metal"))
	require.Equal(t, "1 of 2 cannot be used, use the CPU and report it: attend_f16: needs 256 threads a threadgroup, this "+
		"GPU runs 128", text(r, "metal kernels"))
	require.Equal(t, "needs 256 threads a threadgroup, this GPU runs 128", r.Kernels[0].Error)
	require.NotContains(t, text(r, "metal probes"), "halves")
	require.Nil(t, r.Timing, "of a GPU that fails")
	require.NoDirExists(t, folder)
	require.Contains(t, foldKernels(r.Kernels[1:]), "threads limit as declared, width 32")
}

func TestProcessorIsNotDescribed(t *testing.T) {
	r, err := newMac().examine(t.Context(), "cpu")
	require.NoError(t, err)
	require.Regexp(t, `^\S.*; the processor can take .*plain Go and has \w+`, text(r, "cpu kernels"))
	require.NotEmpty(t, r.Features)

	t.Setenv("GLM4_CPU", "plain")
	r, err = newMac().examine(t.Context(), "cpu")
	require.NoError(t, err)
	require.Regexp(t, `^plain Go, as GLM4_CPU=plain asks; `, text(r, "cpu kernels"))

	t.Setenv("GLM4_CPU", "mmx")
	r, err = newMac().examine(t.Context(), "cpu")
	require.NoError(t, err)
	require.Equal(t, Failed, states(r)["cpu kernels"])
	require.Contains(t, text(r, "cpu kernels"), "which this machine does not have")
}
