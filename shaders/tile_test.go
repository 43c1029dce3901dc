package shaders

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// products are the ops with one token, and how many rows of the matrix a number of the result takes.
var products = map[string]struct {
	Product
	rowsEach int
}{"qkv": {QKV, 1}, "out": {Out, 1}, "gate_up": {GateUp, 2}, "head": {Head, 1}}

func TestBuiltInTileIsAnother(t *testing.T) {
	wide, plain := Tile{8, 16, 1}, Tile{8, 8, 1}
	for _, c := range []struct {
		shape Shape
		want  Tile
	}{
		{Shape{"qkv", Q4, 64, 4608, 4096}, Tile{8, 16, 2}},
		{Shape{"out", Q4, 64, 4096, 4096}, Tile{8, 16, 2}},
		{Shape{"out", Q4, 64, 4096, 13696}, Tile{8, 16, 2}},
		{Shape{"gate_up", Q4, 64, 27392, 4096}, wide},
		{Shape{"head", Q4, 64, 151552, 4096}, wide},
		{Shape{"out", Q4, 128, 8200, 4096}, wide},
		{Shape{"out", Q4, 32, 4096, 4096}, Tile{8, 8, 2}},
		{Shape{"out", Q8, 64, 4096, 4096}, Tile{8, 16, 2}},
		{Shape{"out", BF16, 0, 4096, 4096}, Tile{8, 8, 2}},
		{Shape{"head", F16, 0, 151552, 4096}, plain},
		{Shape{"out", Q4, 64, 40, 64}, wide},
		{Shape{"out", F32, 0, 1, 8}, plain},
	} {
		require.Equal(t, c.want, c.shape.Tiles()[0], "%+v", c.shape)
		require.Equal(t, c.want, Tuning(nil).For(c.shape), "%+v", c.shape)
	}
}

func TestTuningTakesATileThatCannotComputeTheShape(t *testing.T) {
	codes := Shape{"out", Q4, 64, 4096, 4096}
	for _, c := range []struct {
		shape    Shape
		measured Tile
		taken    bool
	}{
		{codes, Tile{4, 16, 4}, true},
		{codes, Tile{8, 8, 1}, true},
		{codes, Tile{4, 8, 1}, false},
		{codes, Tile{8, 16, 3}, false},
		{codes, Tile{}, false},
		{Shape{"out", Q4, 32, 4096, 4096}, Tile{8, 16, 1}, false}, // a quad has columns of two groups
		{Shape{"out", BF16, 0, 4096, 4096}, Tile{8, 16, 1}, false},
		{Shape{"gate_up", Q4, 64, 27392, 4096}, Tile{4, 16, 1}, true},
		{Shape{"gate_up", Q4, 64, 27392, 4096}, Tile{8, 16, 2}, false},
		{Shape{"head", Q4, 64, 151552, 4096}, Tile{8, 8, 2}, false},
		{Shape{"other", Q8, 64, 64, 64}, Tile{8, 8, 1}, true},
	} {
		want := c.shape.Tiles()[0]
		if c.taken {
			want = c.measured
		}
		require.Equal(t, want, Tuning{c.shape: c.measured}.For(c.shape), "%+v in %v", c.shape, c.measured)
		require.Equal(t, c.taken, slices.Contains(c.shape.Tiles(), c.measured), "%+v in %v", c.shape, c.measured)
	}
	other := codes
	other.Rows++
	require.Equal(t, codes.Tiles()[0], Tuning{other: {4, 16, 4}}.For(codes), "measured of another shape")
}

// Every tile that is said to compute a shape has a kernel with that cut, and no kernel is for nothing.
func TestTileHasNoKernel(t *testing.T) {
	taken := map[*Kernel]bool{}
	for op, p := range products {
		for format := range formats {
			for _, group := range []int{0, 32, 64, 128} {
				if (group > 0) != (format == Q4 || format == Q8) {
					continue
				}
				shape := Shape{op, format, group, 40, 1280}
				all := shape.Tiles()
				require.Contains(t, all, Tile{8, 8, 1})
				for i, tile := range all {
					require.NotContains(t, all[:i], tile, "%+v", shape)
					k := p.Kernel(1, shape, Tuning{shape: tile})
					taken[k] = true
					require.Equal(t, tile, k.Lanes, "%+v", shape)
					require.Zero(t, k.Threads/32%tile.Split)
					require.Equal(t, k.Threads/32/tile.Split*tile.Rows, k.Tile[0]*p.rowsEach, "%+v in %v", shape, tile)
					if tile.Split > 1 {
						require.Equal(t, 32*tile.Split, k.Threads, "a threadgroup waits for all of its simdgroups or for none")
					}
				}
			}
		}
	}
	for _, k := range Table {
		require.Equal(t, k.File == "gemv" && k != HalfCodes, taken[k], "%s in %v", k.Name, k.Lanes)
	}
}

func TestTuningAllocates(t *testing.T) {
	shape := Shape{"out", Q4, 64, 4096, 4096}
	for _, tuning := range []Tuning{nil, {shape: {4, 16, 4}}} {
		require.Zero(t, testing.AllocsPerRun(100, func() { Out.Kernel(1, shape, tuning) }))
	}
}

func BenchmarkTuning(b *testing.B) {
	shape := Shape{"out", Q4, 64, 4096, 4096}
	for name, tuning := range map[string]Tuning{"built in": nil, "measured": {shape: {4, 16, 4}}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Out.Kernel(1, shape, tuning)
			}
		})
	}
}
