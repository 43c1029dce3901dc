//go:build amd64 || arm64

package counters

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

func openShape(t *testing.T, shape Shape, tokens int) *counting {
	c, err := open(context.Background(), shape, tokens)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.close()) })
	return c
}

// tiny has more than one of everything that is scaled.
var tiny = Shape{
	Hidden: 128, Layers: 2, Heads: 10, KVHeads: 2, HeadDim: 128, RotaryDims: 64, FFN: 192, Vocab: 200, Bits: 4,
	GroupSize: 64, KVBits: 16,
}

// What is scaled from a layer, a tile, or shorter prompts is what a step counts that is computed whole.
func TestScaledCountsDifferFromWholeOnes(t *testing.T) {
	const prompt = 128
	c := openShape(t, tiny, 400)
	for _, at := range []backend.Span{{Pos: 300, N: 1}, {Pos: 20, N: 1}, {N: prompt}} {
		if at.N == 1 {
			clear(c.models)
			require.NoError(t, c.countDecode(at))
		} else {
			require.NoError(t, c.countPrefill(prompt))
		}
		got, err := c.record(false, func() { c.forward(tiny.Layers, at) })
		require.NoError(t, err)
		want, err := c.record(true, func() { c.forward(tiny.Layers, at) })
		require.NoError(t, err)
		require.Len(t, got, len(want))
		for i := range got {
			require.NoError(t, c.count(&got[i]))
			got[i].CommandBuffer = want[i].CommandBuffer
			require.Equal(t, want[i], got[i], "dispatch %d of %+v, %s", i, at, want[i].Kernel)
		}
	}
}

func TestMinimumIsAnotherModels(t *testing.T) {
	c := counting{Shape: GLM49B}
	require.EqualValues(t, 4939696384, c.weightBytes(backend.Span{Pos: 128, N: 1}))
	require.EqualValues(t, 130*40960, c.kvBytes(backend.Span{Pos: 128, N: 1}))
}

// kernel finds one in a step.
func kernel(t *testing.T, s Step, op string) Kernel {
	for _, k := range s.Kernels {
		if k.Op == op {
			return k
		}
	}
	require.Fail(t, "the step lacks the op", op)
	return Kernel{}
}

// All but the vocabulary is GLM-4-9B's: a layer's matrices are counted whole.
func TestTokenCostsMore(t *testing.T) {
	shape := GLM49B
	shape.Vocab = 4096
	at := backend.Span{Pos: 128, N: 1}
	c := openShape(t, shape, at.Pos+1)
	require.NoError(t, c.countDecode(at))
	s, err := c.step(at)
	require.NoError(t, err)
	require.LessOrEqual(t, s.Dispatches, 290)
	require.Equal(t, 1, s.CommandBuffers)
	require.Equal(t, 7, s.PerLayer)
	require.Equal(t, s.CodeBytes, s.CodeBytesLoaded, "each code is loaded once")
	require.LessOrEqual(t, float64(s.WeightBytes), 1.001*float64(s.WeightBytesMinimum))
	require.LessOrEqual(t, float64(s.KVBytesMoved), 1.05*float64(s.KVBytesMinimum))

	out := kernel(t, s, "out") // 4096 rows of 4096: less than ggml's 29.8 MB, MLX's 7.36 lines and 2.70 operations
	require.Less(t, float64(out.BytesRead)/float64(out.Dispatches), 29.8e6)
	require.Less(t, out.LinesPerLoad, 7.36)
	require.Less(t, *out.OpsPerMAC, 2.70)
}

func TestPromptCostsMore(t *testing.T) {
	at := backend.Span{N: 512}
	c := openShape(t, tiny, at.N)
	require.NoError(t, c.countDecode(backend.Span{N: 1}))
	require.NoError(t, c.countPrefill(at.N))
	list, err := c.record(false, func() { c.forward(tiny.Layers, at) })
	require.NoError(t, err)
	for i := range list {
		d := &list[i]
		require.NoError(t, c.count(d))
		require.LessOrEqual(t, d.ThreadgroupMemory, uint64(16<<10), "%s: two threadgroups fit", d.Kernel)
		for j, b := range d.Buffers {
			if d.roles[j] == codes && d.op != "embed" && d.op != "head" {
				require.Equal(t, uint64(at.N/64)*b.DistinctBytes, b.LoadedBytes, "%s: weights are loaded once for 64 tokens",
					d.Kernel)
			}
		}
	}
}

func TestReportLacksAFigure(t *testing.T) {
	r, err := run(context.Background(), tiny, backend.Span{Pos: 260, N: 1}, backend.Span{N: 128})
	require.NoError(t, err)
	data, err := json.Marshal(r)
	require.NoError(t, err)
	var decode, prefill map[string]any
	require.NoError(t, json.Unmarshal(data, &decode))
	prefill = decode["prefill"].(map[string]any)
	for _, step := range []map[string]any{decode, prefill} {
		for _, key := range []string{"tokens", "dispatches", "command_buffers", "dispatches_per_layer", "weight_bytes",
			"weight_bytes_minimum",
			"weight_bytes_loaded", "code_bytes", "code_bytes_loaded", "kv_bytes", "kv_bytes_minimum", "kv_bytes_moved"} {
			require.Positive(t, step[key], key)
		}
		dispatches := 0.0
		for _, k := range step["kernels"].([]any) {
			dispatches += k.(map[string]any)["dispatches"].(float64)
		}
		require.Equal(t, step["dispatches"], dispatches, "of all kernels")
	}
	require.EqualValues(t, 260, decode["context"])

	var text strings.Builder
	require.NoError(t, r.Print(&text))
	require.Regexp(t, `(?m)^One token behind 260\n19 dispatches, 8 a layer; command buffers: 1$`, text.String())
	require.Regexp(t, `(?m)^A prompt of 128 tokens\n17 dispatches, 7 a layer; command buffers: 1$`, text.String())
	require.Regexp(t, `(?m)^ +2 .*  attend_combine \(attend\)$`, text.String())
}

func TestInterruptIsIgnored(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	c, err := open(ctx, tiny, 1)
	require.NoError(t, err)
	defer func() { require.NoError(t, c.close()) }()
	cancel()
	require.ErrorIs(t, c.countDecode(backend.Span{N: 1}), context.Canceled)
}
