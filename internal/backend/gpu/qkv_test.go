package gpu

import (
	"encoding/binary"
	"math"

	"github.com/stretchr/testify/require"
	"github.com/x448/float16"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
	"github.com/glm4-metal/glm4-metal/metal"
)

// qkvCase is one QKV op.
type qkvCase struct {
	geometry backend.Attention
	cols     int
	weights  [3]backendtest.Storage // of q, k and v
	bias     bool
	kv       backend.Format
	at       backend.Span
	scale    float32 // of x
}

// qkv runs the op on both devices with random data and compares queries, keys and values, and that no other place of
// the cache was written. The keys that the CPU gives are the queries of an op whose query matrix is the key matrix, and
// the values those of one that rotates nothing: so they are known before they are rounded.
func (p *pair) qkv(c qkvCase) {
	p.Helper()
	g, n := c.geometry, c.at.N
	rows := [3]int{g.Heads * g.HeadDim, g.KVHeads * g.HeadDim, g.KVHeads * g.HeadDim}
	var m [3][2]backend.Matrix
	var bias [3][2]backend.Vector
	for i := range m {
		m[i] = p.matrix(rows[i], c.cols, c.weights[i])
		if c.bias {
			bias[i] = p.vector(p.floats(rows[i], c.scale))
		}
	}
	x := p.buffer(p.floats(n*c.cols, c.scale))
	q := p.empty(n * rows[0])
	caches := p.cache(1, g, c.kv, c.at.Pos+n)
	onGPU := caches[1].(*cache)
	memory := onGPU.layers[0].Contents()
	const untouched = 0x5a
	for i := range memory {
		memory[i] = untouched
	}
	p.run(func(s backend.Stream, i int) {
		w := backend.QKV{Q: m[0][i], K: m[1][i], V: m[2][i], QBias: bias[0][i], KBias: bias[1][i], VBias: bias[2][i]}
		s.QKV(q[i], caches[i], 0, x[i], &w, c.at)
	})
	p.close(q, "queries of %+v", c)

	half := len(memory) / 2
	for i, part := range [][]byte{memory[:half], memory[half:]} {
		kind := g
		kind.Heads = g.KVHeads
		if i == 1 {
			kind.RotaryDims = 0
		}
		want := make([]float32, n*rows[1])
		w := backend.QKV{Q: m[1+i][0], K: m[1+i][0], V: m[1+i][0], QBias: bias[1+i][0], KBias: bias[1+i][0],
			VBias: bias[1+i][0]}
		out := p.buffer(want)[0]
		other := p.cache(1, kind, backend.F32, c.at.Pos+n)[0]
		p.streams[0].QKV(out, other, 0, x[0], &w, c.at)
		require.NoError(p, p.streams[0].Wait(0))
		copy(want, out.Floats())

		what := []string{"keys", "values"}[i]
		from, to := c.at.Pos*onGPU.row(), (c.at.Pos+n)*onGPU.row()
		for j, b := range part {
			if (j < from || j >= to) && b != untouched {
				require.Failf(p, "the GPU wrote outside", "%s of %+v: byte %d of the cache", what, c, j)
			}
		}
		if c.kv == backend.F32 {
			p.closeFloats(want, metal.Slice[float32](part[from:to]), what+" of %+v", c)
			continue
		}
		p.closeHalves(want, part[from:to], what+" of %+v", c)
	}
}

// closeHalves holds float16s against the numbers that they were rounded from, clamped to what is finite.
func (p *pair) closeHalves(want []float32, data []byte, what string, args ...any) {
	p.Helper()
	high := 0.0
	for _, w := range want {
		high = max(high, math.Abs(float64(w)))
	}
	for i, w := range want {
		got := float64(float16.Frombits(binary.LittleEndian.Uint16(data[2*i:])).Float32())
		expected := max(-65504, min(65504, float64(w)))
		rounding := math.Exp2(math.Floor(math.Log2(max(math.Abs(expected), 0x1p-14))) - 11) // half the last place
		if d := math.Abs(got - expected); !(d <= tolerance*high+rounding) {
			require.Failf(p, "the GPU differs", what+": number %d is %v, expected %v", append(args, i, got, expected)...)
		}
	}
}
