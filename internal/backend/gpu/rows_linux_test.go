package gpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
	"github.com/glm4-metal/glm4-metal/internal/metalsim"
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

// A threadgroup with fewer threads than a kernel is made for takes more turns.
func TestFewerThreadsComputeOtherwise(t *testing.T) {
	p := newPair(t, true)
	require.NoError(t, metalsim.SetLimit("maxThreadsPerThreadgroup", 256))
	const width = 4096
	h, y, xn := p.buffer(p.floats(width, 1)), p.buffer(p.floats(width, 1)), p.empty(width)
	post, next := p.vector(p.floats(width, 1)), p.vector(p.floats(width, 1))
	p.run(func(s backend.Stream, i int) {
		s.AddNorm(h[i], xn[i], y[i], &backend.Norm{Weight: post[i], Eps: 1e-5}, backend.Norm{Weight: next[i], Eps: 1e-5}, 1)
	})
	p.close(h, "sum")
	p.close(xn, "norm")
	require.EqualValues(t, 256, lastDispatch(t).ThreadsPerThreadgroup[0])
	p.testPick(backendtest.Quantised(backend.Q4, 64, backend.F16), 20000, 64, backend.Sampling{Valid: 19990, Temperature: 1})
	require.Equal(t, "sample_pick", lastDispatch(t).Kernel)
	require.EqualValues(t, 256, lastDispatch(t).ThreadsPerThreadgroup[0])
	require.NoError(t, metalsim.SetLimit("maxThreadsPerThreadgroup", 128))
	_, err := p.devices[1].NewCache(1, backend.Attention{Heads: 1, KVHeads: 1, HeadDim: 64}, backend.F16)
	require.ErrorIs(t, err, backend.ErrUnsupported)
	require.ErrorContains(t, err, "kernel attend_f16 needs 256 threads a threadgroup, this GPU runs 128; use the CPU")
}
