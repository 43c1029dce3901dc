package gpu

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

func openTimer(t testing.TB, bytes int64) *Timer {
	d, err := Open(openMetal(t, false))
	require.NoError(t, err)
	timer, err := d.NewTimer(bytes)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, timer.Close())
		require.NoError(t, d.Close())
	})
	return timer
}

// smallGEMVs are products of each op and of each way to store weights.
func smallGEMVs() (all []GEMV) {
	for format, group := range map[shaders.Format]int{shaders.Q4: 64, shaders.Q8: 64, shaders.BF16: 0} {
		for _, op := range []string{"qkv", "out", "gate_up", "head"} {
			g := GEMV{Shape: shaders.Shape{Op: op, Format: format, Group: group, Rows: 512, Cols: 192}}
			if op == "qkv" {
				g.KVRows = 64
			}
			all = append(all, g)
		}
	}
	return all
}

func TestGEMVIsNotTimed(t *testing.T) {
	timer := openTimer(t, 1<<20)
	d := timer.probe.d
	d.Tune(shaders.Tuning{{Op: "out"}: {Rows: 1}})
	before, tuning := len(d.buffers), d.tuning
	for _, g := range smallGEMVs() {
		times, err := timer.GEMV(t.Context(), g)
		require.NoError(t, err)
		require.Len(t, times, len(g.Tiles()))
		for i, one := range times {
			require.Equal(t, g.Tiles()[i], one.Tile)
			require.Equal(t, g, one.GEMV)
			require.Positive(t, one.Seconds)
			require.Positive(t, one.Rate())
			require.GreaterOrEqual(t, one.Timed, 256)
		}
		require.Equal(t, before, len(d.buffers), "buffers that a product leaves")
		require.Equal(t, tuning, d.tuning, "the device's own tiles")
	}
}

// A matrix that stays in the caches is faster than any of a model.
func TestOneMatrixIsTimed(t *testing.T) {
	timer := openTimer(t, 1<<20)
	for _, g := range smallGEMVs() {
		r, err := timer.prepare(g, g)
		require.NoError(t, err)
		size := timer.probe.tiles * tileBytes
		require.InDelta(t, size/g.Bytes(), len(r.matrices), 1)
		require.LessOrEqual(t, r.at, size)
		used := map[int]bool{}
		for _, m := range r.matrices {
			for _, part := range []any{m.Q, m.K, m.V} {
				if part, ok := part.(*matrix); ok {
					for _, b := range []binding{part.data, part.scales, part.biases} {
						require.True(t, b.buffer == timer.probe.d.none || !used[b.offset], "two parts at %d", b.offset)
						used[b.offset] = true
					}
				}
			}
		}
		_, err = r.sample(0, len(r.matrices)+1)
		require.NoError(t, err)
		require.Equal(t, len(r.matrices)+1, r.next)
		require.NoError(t, r.close())
	}
}

// The fastest tile may be the one that computes too little.
func TestTileThatMiscomputesIsTimed(t *testing.T) {
	timer := openTimer(t, 1<<20)
	for _, g := range smallGEMVs() {
		r, err := timer.prepare(g, g)
		require.NoError(t, err)
		want, err := r.product(0)
		require.NoError(t, err)
		written := map[string]int{"qkv": 384, "out": 512, "gate_up": 256, "head": 512}[g.Op]
		for i, y := range want {
			require.False(t, math.IsNaN(float64(y)) || math.IsInf(float64(y), 0))
			require.Equal(t, i < written, y != 0, "%s: number %d", g.Op, i)
		}
		r.tiles = append(r.tiles[:1:1], shaders.Tile{Rows: 1, Columns: 2, Split: 3})
		for _, wrong := range []float32{0, float32(math.NaN()), float32(math.Inf(1))} {
			other := slices.Clone(want)
			product := func(tile int) ([]float32, error) { return [][]float32{want, other}[tile], nil }
			require.NoError(t, r.agree(product))
			other[slices.Index(want, slices.Max(want))] = wrong
			require.ErrorContains(t, r.agree(product), g.Op+" of [512, 192] in tiles of 1x2/3 is off by ")
		}
		require.NoError(t, r.close())
	}
}

func TestGEMVIsCutToHalves(t *testing.T) {
	qkv := GEMV{Shape: shaders.Shape{Op: "qkv", Rows: 4608, Cols: 4096, Format: shaders.Q4, Group: 64}, KVRows: 256}
	head := GEMV{Shape: shaders.Shape{Op: "head", Rows: 151552, Cols: 4096, Format: shaders.BF16}}
	require.Equal(t, 4608*4096*9/16, qkv.Bytes())
	require.Equal(t, 151552*4096*2, head.Bytes())
	for _, c := range []struct {
		g          GEMV
		rows, want int
	}{{qkv, 5000, 4608}, {qkv, 4608, 4608}, {qkv, 3000, 2816}, {qkv, 1, 768}, {head, 1000, 896}, {head, 1, 128}} {
		require.Equal(t, c.want, c.g.cut(c.rows).Rows, "%s of %d", c.g.Op, c.rows)
	}
	timer := openTimer(t, 1<<20)
	require.InDelta(t, 1<<20/8192, timer.fitting(head), 1)
	_, err := timer.prepare(head, head)
	require.ErrorContains(t, err, "1048576 bytes of memory do not hold 1241513984 bytes of weights to time")
}

func TestTimingDoesNotStop(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := openTimer(t, 1<<20).GEMV(ctx, smallGEMVs()[0])
	require.ErrorIs(t, err, context.Canceled)
}

func TestCopySkipsMemory(t *testing.T) {
	timer := openTimer(t, 4*tileBytes)
	p := timer.probe
	rate, err := timer.Copy()
	require.NoError(t, err)
	require.Positive(t, rate)
	to, err := p.d.allocate(2*tileBytes, metal.StorageShared)
	require.NoError(t, err)
	defer p.d.free(to)
	_, err = p.seconds(shaders.ProbeCopy, readTurns, 2, 2, binding{p.memory, 2 * tileBytes}, binding{to, 0})
	require.NoError(t, err)
	require.Equal(t, p.memory.Contents()[2*tileBytes:], to.Contents())
}

func TestChainWithBarriersSkipsADispatch(t *testing.T) {
	timer := openTimer(t, 1)
	_, err := timer.probe.chainBarriers(37)
	require.NoError(t, err)
	sums := metal.Slice[float32](timer.probe.sums.Contents())
	require.EqualValues(t, 37, sums[0])
	require.EqualValues(t, 37, sums[31])
	require.Zero(t, sums[32])
	for _, kind := range []metal.DispatchType{metal.Serial, metal.Concurrent} {
		link, err := timer.Chain(kind)
		require.NoError(t, err)
		require.Positive(t, link)
	}
}
