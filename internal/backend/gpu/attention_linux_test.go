package gpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/metalsim"
)

// counts runs with instrumentation, so that an access outside a buffer, a race or a read of what nobody wrote fails the
// test, and returns what was counted of the attention.
func (a attention) counts(p *pair) metalsim.Dispatch {
	before, err := metalsim.Counters()
	require.NoError(p, err)
	a.run(p)
	counted, err := metalsim.Counters()
	require.NoError(p, err)
	return counted[len(before)]
}

// rowBytes is a key and a value.
func (a attention) rowBytes() uint64 { return uint64(2 * a.dim * a.format.Bits() / 8) }

func TestDecodeLoadsKeysTwice(t *testing.T) {
	p := newPair(t, true)
	for _, c := range []struct {
		format      backend.Format
		keys, chunk int
	}{{backend.F16, 257, 0}, {backend.F16, 1000, 256}, {backend.F16, 4097, 512}, {backend.F32, 255, 0},
		{backend.F32, 257, 64}} {
		a, one := glm4Attention(c.keys-1, c.format), glm4Attention(0, c.format)
		if c.chunk > 0 {
			a.chunk, one.chunk, one.empty = c.chunk, c.chunk, (c.keys-1)/c.chunk
		}
		// Queries and arguments are loaded for one key, too.
		require.Equal(t, uint64((c.keys-1)*a.kvHeads)*a.rowBytes(), a.counts(p).LoadedBytes-one.counts(p).LoadedBytes,
			"keys and values of %+v", a)
	}
}

// A threadgroup has 32 rows and loads once what the last of them sees.
func TestPrefillLoadsKeysTwice(t *testing.T) {
	p := newPair(t, true)
	for _, a := range []attention{
		{pos: 250, n: 5, heads: 32, kvHeads: 2, dim: 128, format: backend.F16},
		{pos: 0, n: 64, heads: 4, kvHeads: 2, dim: 128, format: backend.F16},
		{pos: 45, n: 41, heads: 4, kvHeads: 2, dim: 128, format: backend.F32, chunk: 64},
		{pos: 45, n: 33, heads: 4, kvHeads: 4, dim: 104, format: backend.F16, chunk: 32, empty: 1},
		{pos: 45, n: 41, heads: 3, kvHeads: 1, dim: 16, format: backend.F16},
		{pos: 20, n: 15, heads: 6, kvHeads: 2, dim: 40, format: backend.F32},
	} {
		a.prefill = true
		group := a.heads / a.kvHeads
		rows := a.n * group
		keys, threadgroups := 0, 0
		for first := 0; first < rows; first += 32 {
			keys += a.pos + (min(first+32, rows)-1)/group + 1
			threadgroups++
		}
		counted := a.counts(p)
		loaded := uint64(a.kvHeads*keys) * a.rowBytes()
		require.Equal(t, loaded, counted.Buffers[2].LoadedBytes+counted.Buffers[3].LoadedBytes, "%+v", a)
		splits := 1
		if a.chunk > 0 {
			splits = (a.pos+a.n+a.chunk-1)/a.chunk + a.empty
		}
		most := loaded + uint64(splits*a.kvHeads*threadgroups*(32*a.dim*4+128*64)) // queries and arguments
		require.LessOrEqual(t, counted.LoadedBytes, most, "%+v", a)
	}
}

// What grows with the keys of a threadgroup.
func TestPrefillPaysForItsTiles(t *testing.T) {
	p := newPair(t, true)
	for _, f := range []backend.Format{backend.F16, backend.F32} {
		few := attention{pos: 94, n: 2, heads: 32, kvHeads: 2, dim: 128, format: f, prefill: true}
		many := few
		many.pos += 64
		a, b := few.counts(p), many.counts(p)
		require.LessOrEqual(t, b.ThreadgroupMemory, uint64(16<<10), "so that two threadgroups fit a core, %v", f)
		require.Equal(t, 4*(b.LoadGroups-a.LoadGroups), b.LoadLines-a.LoadLines,
			"lines of 128 bytes, loads of 512 by a simdgroup, %v", f)
		products := 64 * 2 * few.heads * few.n * few.dim // with keys and with values
		require.LessOrEqual(t, float64(b.FloatOps-a.FloatOps)/float64(products), 2.06,
			"float operations a multiply-add, %v", f)
	}
}
