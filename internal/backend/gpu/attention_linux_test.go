package gpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/metalsim"
)

// loads runs with instrumentation, so that an access outside a buffer, a race or a read of what nobody wrote fails the
// test, and returns the bytes that the attention loaded.
func (a attention) loads(p *pair) uint64 {
	before, err := metalsim.Counters()
	require.NoError(p, err)
	a.run(p)
	counted, err := metalsim.Counters()
	require.NoError(p, err)
	return counted[len(before)].LoadedBytes
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
		require.Equal(t, uint64((c.keys-1)*a.kvHeads)*a.rowBytes(), a.loads(p)-one.loads(p), "keys and values of %+v", a)
	}
}

func TestPrefillLoadsUnseenKeys(t *testing.T) {
	p := newPair(t, true)
	for _, a := range []attention{
		{pos: 0, n: 64, heads: 4, kvHeads: 2, dim: 128, format: backend.F16, prefill: true},
		{pos: 45, n: 41, heads: 4, kvHeads: 2, dim: 128, format: backend.F32, prefill: true, chunk: 64},
		{pos: 45, n: 41, heads: 3, kvHeads: 1, dim: 16, format: backend.F16, prefill: true},
	} {
		group := a.heads / a.kvHeads
		rows := a.n * group
		keys, simdgroups := 0, 0
		for first := 0; first < rows; first += 8 {
			keys += a.pos + (min(first+8, rows)-1)/group + 1
			simdgroups++
		}
		most := uint64(a.kvHeads*keys)*a.rowBytes() + // each simdgroup those that its last row sees
			2*uint64(a.kvHeads*simdgroups*(8*a.dim*4+32*64)) // queries and arguments
		require.LessOrEqual(t, a.loads(p), most, "%+v", a)
	}
}
