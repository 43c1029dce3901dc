package gpu

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/decoder"
	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// A process can open one Metal only, so the one that does nothing is opened by this test binary run again, with the
// path of the library in this variable.
const nullVariable = "GPU_TEST_NULL"

// encoding is what one decoded token costs the CPU.
type encoding struct {
	Dispatches, Barriers, Messages int
	Best, Mean                     time.Duration
	Allocations                    float64
}

func TestEncodingAllocatesOrSendsMore(t *testing.T) {
	if library := os.Getenv(nullVariable); library != "" {
		require.NoError(t, json.NewEncoder(os.Stderr).Encode(measureEncoding(t, library, 2000)))
		return
	}
	e := encodeInProcess(t)
	t.Logf("%+v", e)
	require.LessOrEqual(t, e.Dispatches, 283)
	require.Less(t, e.Barriers, e.Dispatches)
	require.Zero(t, e.Allocations)
	require.LessOrEqual(t, e.Messages-e.Barriers, 1150)
}

func BenchmarkEncodeToken(b *testing.B) {
	for b.Loop() {
		e := encodeInProcess(b)
		b.ReportMetric(float64(e.Mean.Nanoseconds())/float64(e.Dispatches), "ns/dispatch")
		b.ReportMetric(float64(e.Mean.Nanoseconds()), "ns/token")
		b.ReportMetric(float64(e.Messages), "messages/token")
		b.ReportMetric(e.Allocations, "allocs/token")
		b.ReportMetric(0, "ns/op") // would be the process's
	}
}

// encodeInProcess measures in a process of its own.
func encodeInProcess(t testing.TB) (e encoding) {
	library := filepath.Join(t.TempDir(), "null.so")
	out, err := exec.Command("cc", "-shared", "-fPIC", "-O2", "-o", library, "testdata/null.c").CombinedOutput()
	require.NoError(t, err, "%s", out)
	command := exec.Command(os.Args[0], "-test.run=^TestEncodingAllocatesOrSendsMore$")
	command.Env = append(os.Environ(), nullVariable+"="+library)
	var result strings.Builder
	command.Stderr = &result
	out, err = command.Output()
	require.NoError(t, err, "%s%s", out, result.String())
	require.NoError(t, json.Unmarshal([]byte(result.String()), &e))
	return e
}

// measureEncoding decodes tokens with GLM-4-9B's shape, each from the first op to the end of its wait.
func measureEncoding(t testing.TB, library string, tokens int) (e encoding) {
	m, err := metal.OpenLibraries(library)
	require.NoError(t, err)
	d, err := open(m, shaders.Source) // it computes nothing
	require.NoError(t, err)
	handle, err := purego.Dlopen(library, purego.RTLD_NOW)
	require.NoError(t, err)
	counter := func(name string) *uint64 {
		address, err := purego.Dlsym(handle, name)
		require.NoError(t, err)
		return *(**uint64)(unsafe.Pointer(&address))
	}
	step := decodeStep(t, d)
	step(0)
	counters := []*uint64{counter("null_dispatches"), counter("null_barriers"), counter("null_messages")}
	before := []uint64{*counters[0], *counters[1], *counters[2]}
	step(1)
	for i, count := range []*int{&e.Dispatches, &e.Barriers, &e.Messages} {
		*count = int(*counters[i] - before[i])
	}

	e.Allocations = testing.AllocsPerRun(100, func() { step(2) })
	e.Best = time.Hour
	start := time.Now()
	for i := range tokens {
		begin := time.Now()
		step(i)
		e.Best = min(e.Best, time.Since(begin))
	}
	e.Mean = time.Since(start) / time.Duration(tokens)
	return e
}

// decodeStep gives a function that decodes a token at a position, with weights that have addresses but no memory.
func decodeStep(t testing.TB, d *Device) func(pos int) {
	const layers, hidden, heads, kvHeads, dim, ffn, vocab = 40, 4096, 32, 2, 128, 13696, 151552
	file, err := unix.Mmap(-1, 0, 6<<30, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	require.NoError(t, err)
	store := d.Map([][]byte{file}, nil)
	used := 0
	tensor := func(n int) []byte {
		used = roundUp(used, 256) + n
		return file[used-n : used : used]
	}
	matrix := func(rows, cols int) backend.Matrix {
		m, err := store.NewMatrix(backend.MatrixData{
			Rows: rows, Cols: cols, Format: backend.Q4, Data: tensor(rows * cols / 2),
			GroupSize: 64, ScaleFormat: backend.BF16, Scales: tensor(rows * cols / 32), Biases: tensor(rows * cols / 32),
		})
		require.NoError(t, err)
		return m
	}
	vector := func(n int) backend.Vector {
		v, err := d.NewVector(make([]float32, n))
		require.NoError(t, err)
		return v
	}
	norm := func() *backend.Norm { return &backend.Norm{Weight: vector(hidden), Eps: 1e-5} }
	w := decoder.Weights{Embed: matrix(vocab, hidden), Norm: *norm()}
	for range layers {
		w.Layers = append(w.Layers, decoder.Layer{
			Input: *norm(), PostAttn: norm(), MLP: *norm(), PostMLP: norm(),
			QKV: backend.QKV{
				Q: matrix(heads*dim, hidden), K: matrix(kvHeads*dim, hidden), V: matrix(kvHeads*dim, hidden),
				QBias: vector(heads * dim), KBias: vector(kvHeads * dim), VBias: vector(kvHeads * dim),
			},
			Out: matrix(hidden, heads*dim), GateUp: matrix(2*ffn, hidden), Down: matrix(hidden, ffn),
		})
	}
	w.Head = matrix(vocab, hidden)
	x, err := w.NewScratch(d, 1)
	require.NoError(t, err)
	logits, err := d.NewBuffer(vocab)
	require.NoError(t, err)
	kv, err := d.NewCache(layers, backend.Attention{Heads: heads, KVHeads: kvHeads, HeadDim: dim, RotaryDims: 64,
		RopeTheta: 10000}, backend.F16)
	require.NoError(t, err)
	require.NoError(t, kv.Grow(512))
	s, err := d.NewStream()
	require.NoError(t, err)
	return func(pos int) {
		w.Forward(s, x, kv, x.Tokens, backend.Span{Pos: pos % 512, N: 1}, logits, 1)
		s.Sample(x.Tokens, 0, logits, backend.Sampling{Temperature: 0.8, Seed: 1, Step: uint64(pos), Valid: 151343})
		if err := s.Submit(); err != nil {
			t.Fatal(err)
		}
		if err := s.Wait(1); err != nil {
			t.Fatal(err)
		}
	}
}
