package gpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// A row of 4096 of each is read once, with two sums over the threadgroup.
func TestAddNormReadsAgain(t *testing.T) {
	p := newPair(t, true)
	const width, row = 4096, 4 * 4096
	h, y, xn := p.buffer(p.floats(width, 1)), p.buffer(p.floats(width, 1)), p.empty(width)
	post, next := p.vector(p.floats(width, 1)), p.vector(p.floats(width, 1))
	p.run(func(s backend.Stream, i int) {
		s.AddNorm(h[i], xn[i], y[i], &backend.Norm{Weight: post[i], Eps: 1e-5}, backend.Norm{Weight: next[i], Eps: 1e-5}, 1)
	})
	d := lastDispatch(t)
	require.Equal(t, "add_norm", d.Kernel)
	const args = 1024 * 24 // which every thread reads
	require.LessOrEqual(t, int(d.LoadedBytes), 4*row+args)
	require.EqualValues(t, 2*row, d.StoredBytes)
	require.EqualValues(t, 2, d.Barriers)
}
