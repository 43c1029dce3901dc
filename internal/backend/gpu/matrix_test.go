package gpu

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
	"github.com/glm4-metal/glm4-metal/metal"
)

// pages gives memory that begins on a page, as a mapped file does.
func pages(t testing.TB, n int) []byte {
	page := metal.PageSize()
	b, err := unix.Mmap(-1, 0, n+page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Munmap(b)) })
	start := int(-uintptr(unsafe.Pointer(&b[0])) % uintptr(page))
	return b[start : start+n]
}

// file is a mapped file that is filled with tensors.
type file struct {
	region []byte
	used   int
	copied [][]byte // as the device tells
}

// add puts a matrix into the file, each of its parts so many bytes behind a multiple of 256.
func (f *file) add(m backend.MatrixData, weights, scales, biases int) backend.MatrixData {
	take := func(b []byte, behind int) []byte {
		at := roundUp(f.used, 256) + behind
		f.used = at + len(b)
		copy(f.region[at:], b)
		return f.region[at:f.used:f.used]
	}
	m.Data = take(m.Data, weights)
	if m.Format.Quantised() {
		m.Scales, m.Biases = take(m.Scales, scales), take(m.Biases, biases)
	}
	m.Copied = func(part []byte) { f.copied = append(f.copied, part) }
	return m
}

func TestAlignedWeightsAreCopied(t *testing.T) {
	p := newPair(t, false)
	d := p.devices[1].(*Device)
	f := &file{region: pages(t, 1<<20)}
	var data []backend.MatrixData
	for _, behind := range []int{0, 2, 1} {
		m := p.Matrix(24, 64, backendtest.Quantised(backend.Q4, 32, backend.F16))
		data = append(data, f.add(m, behind, behind, behind))
	}
	store := d.Map([][]byte{f.region}, data)
	before := len(d.buffers)
	x := p.buffer(p.floats(64, 1))
	var matrices []*matrix
	for _, m := range data {
		var w [2]backend.Matrix
		for i, s := range []backend.Store{p.devices[0], store} {
			var err error
			w[i], err = s.NewMatrix(m)
			require.NoError(t, err)
		}
		y := p.empty(24)
		p.run(func(s backend.Stream, i int) { s.Out(y[i], x[i], w[i], 1) })
		p.close(y, "product")
		matrices = append(matrices, w[1].(*matrix))
	}
	require.Same(t, &f.region[0], &matrices[0].data.buffer.Contents()[0], "the first is used where it is")
	require.Equal(t, matrices[1].data.buffer, matrices[2].biases.buffer, "the others share an arena")
	require.NotEqual(t, matrices[0].data.buffer, matrices[1].data.buffer)
	require.Equal(t, before+2+1+3, len(d.buffers), "one wraps the region, one is the arena; and x and three times y")
	require.Equal(t, 2*(768+256+256), matrices[1].data.buffer.Length(), "no byte more than the copies need")
	require.Equal(t, [][]byte{data[1].Data, data[1].Scales, data[1].Biases, data[2].Data, data[2].Scales, data[2].Biases},
		f.copied)
	again, err := store.NewMatrix(data[2])
	require.NoError(t, err)
	require.Equal(t, matrices[2], again, "a tied matrix")
	require.Len(t, f.copied, 6)
	require.NoError(t, store.Close())
	require.Equal(t, before+1+3, len(d.buffers), "x and three times y are left")
}

// A tensor lies where its loads reach it or is copied, by its own format.
func TestAlignmentIsThatOfAnotherFormat(t *testing.T) {
	p := newPair(t, true) // which judges each load
	d := p.devices[1].(*Device)
	for _, s := range backendtest.Storages {
		f := &file{region: pages(t, 4<<20)}
		const rows = 40
		cols := s.Columns(72)
		wanted := alignments[s.Format].weights
		for _, behind := range []int{1, 2, 4, 8, 16} {
			m := f.add(p.Matrix(rows, cols, s), behind, behind, 2*behind)
			store := d.Map([][]byte{f.region}, []backend.MatrixData{m})
			f.copied = nil
			w, err := store.NewMatrix(m)
			require.NoError(t, err)
			var want [][]byte
			for i, part := range [][]byte{m.Data, m.Scales, m.Biases} {
				if at := []int{behind, behind, 2 * behind}[i]; len(part) > 0 && at%[]int{wanted, 4, 4}[i] != 0 {
					want = append(want, part)
				}
			}
			require.Equal(t, want, f.copied, "%v, %d bytes behind", s, behind)
			_, copied := Reach(&m)
			require.Equal(t, want, copied)
			p.eachLoad(w, m)
			require.NoError(t, store.Close())
		}
	}
}

// eachLoad runs the kernels that load a matrix in different ways.
func (p *pair) eachLoad(w backend.Matrix, m backend.MatrixData) {
	p.Helper()
	reference, err := p.devices[0].NewMatrix(m)
	require.NoError(p, err)
	norm := p.vector(p.floats(m.Cols, 1))
	both := [2]backend.Matrix{reference, w}
	ids, h, xn := p.tokens([]int32{int32(m.Rows) - 1}), p.empty(m.Cols), p.empty(m.Cols)
	p.run(func(s backend.Stream, i int) {
		s.Embed(h[i], xn[i], ids[i], 1, both[i], backend.Norm{Weight: norm[i], Eps: 1e-5})
	})
	p.close(h, "embedding")
	for _, n := range []int{1, 3, 20} {
		x, y := p.buffer(p.floats(n*m.Cols, 1)), p.empty(n*m.Rows)
		p.run(func(s backend.Stream, i int) { s.Out(y[i], x[i], both[i], n) })
		p.close(y, "product of %d tokens", n)
	}
}
