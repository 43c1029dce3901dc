package gpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
	"github.com/glm4-metal/glm4-metal/internal/metalsim"
)

// What is aligned to half of what the kernels need is copied for a reason: some kernel fails on it.
func TestAlignmentIsMoreThanLoadsNeed(t *testing.T) {
	p := newPair(t, true)
	d := p.devices[1].(*Device)
	for _, s := range backendtest.Storages {
		f := &file{region: pages(t, 1<<20)}
		half := alignments[s.Format].weights / 2
		m := f.add(p.Matrix(40, s.Columns(72), s), half, 4, 4)
		store := d.Map([][]byte{f.region}, nil).(*weights)
		placed, err := store.NewMatrix(m)
		require.NoError(t, err)
		w := placed.(*matrix)
		inFile, ok, err := store.wrap(&store.mapped[0], half, len(m.Data))
		require.NoError(t, err)
		require.True(t, ok)
		w.data = inFile
		failed := false
		for _, n := range []int{1, 3, 20} {
			x, y := p.empty(n * m.Cols)[1], p.empty(n * m.Rows)[1]
			p.gpu.Out(y, x, w, n)
			require.NoError(t, p.gpu.Submit())
			if err := p.gpu.Wait(0); err != nil {
				require.ErrorContains(t, err, "misaligned", "%v", s)
				failed = true
			}
		}
		require.True(t, failed, "%v at a multiple of %d", s, half)
		for metalsim.TakeError() != nil {
		}
		require.NoError(t, store.Close())
	}
}

// A matrix that no buffer can hold belongs to the CPU; one that only its pages make too long is copied.
func TestMatrixAboveTheLongestBufferIsPlaced(t *testing.T) {
	d, err := Open(openMetal(t, false))
	require.NoError(t, err)
	defer d.Close()
	d.maxBuffer = 64 << 10
	f := &file{region: pages(t, 1<<20)}
	r := backendtest.NewRandom()
	f.used = 256
	long := f.add(r.Matrix(256, 64, backendtest.Plain(backend.F32)), 0, 0, 0)
	longer := f.add(r.Matrix(257, 64, backendtest.Plain(backend.F32)), 0, 0, 0)
	store := d.Map([][]byte{f.region}, nil)
	_, err = store.NewMatrix(long)
	require.NoError(t, err)
	require.Len(t, f.copied, 1)
	_, err = store.NewMatrix(longer)
	require.EqualError(t, err, "matrix test: 65792 bytes, and the longest buffer of metalsim has 65536: not supported; use "+
		"the CPU")
	require.ErrorIs(t, err, backend.ErrUnsupported)
	require.NoError(t, store.Close())
}
