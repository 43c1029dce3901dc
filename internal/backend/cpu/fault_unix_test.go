//go:build unix

package cpu

import (
	"os"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/fault"
)

// torn is memory with some data, of which only the first pages can still be read. The signal is not that of a file that
// has shrunk, whose address qemu does not tell, but the runtime treats them alike.
func torn(t *testing.T, data []byte, pages int) []byte {
	region, err := unix.Mmap(-1, 0, len(data), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Munmap(region)) })
	copy(region, data)
	require.NoError(t, unix.Mprotect(region[pages*os.Getpagesize():], unix.PROT_NONE))
	return region
}

// requireFault takes the error of a step, which must be a fault in the region.
func (b *bench) requireFault(region []byte, what any) {
	b.Helper()
	submitted, err := b.s.Submit(), b.s.Wait(0)
	var f *fault.Error
	require.ErrorAs(b, err, &f, "%+v", what)
	require.Equal(b, submitted, err)
	require.True(b, fault.Within(region, f.Addr), "%+v", what)
}

func TestFaultOfWeightsEndsTheProcess(t *testing.T) {
	page := os.Getpagesize()
	eachPath(t, func(t *testing.T, b *bench) {
		for _, f := range []backend.Format{backend.Q4, backend.Q8, backend.F16, backend.BF16, backend.F32} {
			for _, scales := range []backend.Format{backend.F32, backend.BF16} {
				if !f.Quantised() && scales != backend.F32 {
					continue
				}
				const cols = 256
				rows := 2 * page / (cols / 32 * 4) // so that the scales have a page that can go
				whole, _ := b.matrix(rows, cols, f, 32, scales)
				for _, part := range []string{"data", "scales", "biases"} {
					data := whole.(*matrix).MatrixData
					bytes := map[string]*[]byte{"data": &data.Data, "scales": &data.Scales, "biases": &data.Biases}[part]
					if len(*bytes) == 0 {
						continue
					}
					*bytes = torn(t, *bytes, len(*bytes)/page/2)
					b.d.pool.mapped = [][]byte{make([]byte, 8), *bytes}
					broken, err := b.d.NewMatrix(data)
					require.NoError(t, err)
					for _, n := range []int{1, 2, 5, 20, 40} {
						x := b.buffer(b.floats(n * rows))
						y := b.buffer(make([]float32, n*rows))
						what := []any{f, scales, part, n}

						b.s.Out(y, x, whole, n)
						b.run()
						want := append([]float32(nil), y.Floats()...)
						b.s.Out(y, x, broken, n)
						b.requireFault(*bytes, what)
						b.s.GateUp(y, x, broken, n)
						b.requireFault(*bytes, what)
						b.s.Out(y, x, whole, n)
						b.run()
						require.Equal(t, want, y.Floats(), "the next step works: %v", what)
					}
				}
			}
		}
	})
}

// A fault in assembly makes the runtime call Go from there, whose stack may have to grow.
func TestFaultNeedsStack(t *testing.T) {
	page := os.Getpagesize()
	eachPath(t, func(t *testing.T, b *bench) {
		var broken []backend.Matrix
		for _, f := range []backend.Format{backend.Q4, backend.Q8, backend.F16, backend.F32} {
			m, _ := b.matrix(64, 4*page/f.Bits(), f, 32, backend.BF16)
			data := m.(*matrix).MatrixData
			data.Data = torn(t, data.Data, 0)
			b.d.pool.mapped = append(b.d.pool.mapped, data.Data)
			m, err := b.d.NewMatrix(data)
			require.NoError(t, err)
			broken = append(broken, m)
		}
		for _, n := range []int{1, 5, 40} {
			x, y := b.buffer(b.floats(n*4*page)), b.buffer(make([]float32, n*64))
			for depth := range 150 {
				for _, m := range broken {
					done := make(chan struct{})
					go func() { // with a stack of its own
						defer close(done)
						deep(depth, func() { b.s.Out(y, x, m, n) })
					}()
					<-done
					require.IsType(t, &fault.Error{}, b.s.Wait(0))
				}
			}
		}
	})
}

//go:noinline
func deep(depth int, f func()) byte {
	var room [40]byte
	room[depth%len(room)] = 1
	if depth == 0 {
		f()
	} else {
		room[0] += deep(depth-1, f)
	}
	return room[depth%len(room)]
}

// touch is a job whose tasks from some on read memory that is gone.
type touch struct {
	region []byte
	from   int
	done   count
}

func (j *touch) do(w *worker, task int) {
	if task >= j.from {
		w.eight[0] = float32(j.region[task])
	}
	j.done.do(w, task)
}

func TestFaultLeavesThePoolInUse(t *testing.T) {
	p := newPool(4)
	defer p.close()
	region := torn(t, make([]byte, 1<<16), 0)
	p.mapped = [][]byte{region}
	for i := range 1000 {
		tasks := 1 + i%29
		j := &touch{region, i % 31, make(count, tasks)}
		err := p.run(tasks, j, new(atomic.Bool), nil)
		require.Equal(t, j.from < tasks, err != nil)
		require.Nil(t, p.job)
		require.Zero(t, p.gate.Load())
		for task, n := range j.done {
			if j.from < tasks {
				require.LessOrEqual(t, n, int32(1))
			} else {
				require.EqualValues(t, 1, n, "task %d of %d", task, tasks)
			}
		}
	}
}

// bug is a job with a mistake in the caller's own share.
type bug struct{ count }

func (j bug) do(w *worker, task int) {
	if task == 0 {
		var missing *worker
		missing.share = 1
	}
	j.count.do(w, task)
}

func TestBugPassesForAFault(t *testing.T) {
	p := newPool(1)
	defer p.close()
	p.mapped = [][]byte{torn(t, make([]byte, 1<<16), 0)}
	require.Panics(t, func() { p.run(2, bug{make(count, 2)}, new(atomic.Bool), nil) })
	elsewhere := torn(t, make([]byte, 1<<16), 0)
	require.Panics(t, func() { p.run(2, &touch{elsewhere, 0, make(count, 2)}, new(atomic.Bool), nil) },
		"memory that nobody announced")
	c := make(count, 3)
	require.NoError(t, p.run(3, c, new(atomic.Bool), nil))
	require.Equal(t, count{1, 1, 1}, c)
}
