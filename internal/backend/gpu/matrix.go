package gpu

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"unsafe"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/fault"
	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// weights is where matrices and vectors lie.
type weights struct {
	mu      sync.Mutex
	mapped  []mapping
	copies  arena // what is not aligned in the file
	vectors arena
}

// mapping is a mapped file, wrapped in buffers where matrices are used in place: window i starts i·step bytes into it.
type mapping struct {
	region  []byte
	windows map[int]metal.Buffer
}

// Alignment is where a tensor must begin in a mapped region for the kernels' loads to reach it in place, in bytes.
const Alignment = 16

// Map implements [backend.Device].
func (d *Device) Map(regions, tensors [][]byte) {
	for _, r := range regions {
		d.weights.mapped = append(d.weights.mapped, mapping{r, map[int]metal.Buffer{}})
	}
	for _, t := range tensors {
		if address(t)%Alignment != 0 {
			d.weights.copies.announced += roundUp(len(t), arenaAlignment)
		}
	}
}

// stored is how a matrix is stored, as far as kernels differ by it.
type stored struct {
	weights shaders.Weights
	format  uint32 // of W16
	group   uint32
	scale   uint32 // format of the scales
}

func storedAs(m *backend.MatrixData) stored {
	switch m.Format {
	case backend.Q4, backend.Q8:
		s := stored{weights: shaders.Q4, group: uint32(m.GroupSize), scale: uint32(m.ScaleFormat)}
		if m.Format == backend.Q8 {
			s.weights = shaders.Q8
		}
		return s
	case backend.F16, backend.BF16:
		return stored{weights: shaders.W16, format: uint32(m.Format)}
	}
	return stored{weights: shaders.W32}
}

// matrix is a weight matrix; scales and biases are bound to anything when it has none.
type matrix struct {
	d                    *Device
	rows, cols           int
	stored               stored
	bytes                int // all of it
	data, scales, biases binding
}

func (m *matrix) Shape() (rows, cols int) { return m.rows, m.cols }

// NewMatrix implements [backend.Device]. The data is used in place where it is aligned in a mapped region, and copied
// where it is not.
func (d *Device) NewMatrix(m backend.MatrixData) (backend.Matrix, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	if m.Cols%8 != 0 {
		return nil, fmt.Errorf("metal: matrix %s has %d columns: %w, the kernels need a multiple of 8; use --backend cpu", m.Name, m.Cols, backend.ErrUnsupported)
	}
	w := &matrix{d: d, rows: m.Rows, cols: m.Cols, stored: storedAs(&m), bytes: int(m.Bytes())}
	for _, part := range []struct {
		to   *binding
		data []byte
	}{{&w.data, m.Data}, {&w.scales, m.Scales}, {&w.biases, m.Biases}} {
		if len(part.data) == 0 {
			*part.to = binding{d.none, 0}
			continue
		}
		var err error
		if *part.to, err = d.place(part.data); err != nil {
			return nil, fmt.Errorf("matrix %s: %w", m.Name, err)
		}
	}
	return w, nil
}

// place gives the GPU a tensor.
func (d *Device) place(data []byte) (binding, error) {
	if address(data)%Alignment == 0 {
		for i := range d.weights.mapped {
			m := &d.weights.mapped[i]
			if start := address(data) - address(m.region); address(data) >= address(m.region) && int(start)+len(data) <= len(m.region) {
				return d.inPlace(m, int(start), len(data))
			}
		}
	}
	at, to, err := d.weights.copies.take(d, len(data))
	if err == nil {
		err = d.copyParallel(to, data)
	}
	return at, err
}

// inPlace wraps the part of a mapping that holds a tensor. Windows overlap by half, so that a tensor of up to half of
// the longest buffer lies in one; a longer one gets its own.
func (d *Device) inPlace(m *mapping, start, length int) (binding, error) {
	d.weights.mu.Lock()
	defer d.weights.mu.Unlock()
	page := metal.PageSize()
	size := roundUp(len(m.region), page)
	window, begin := 0, 0
	if limit := d.maxBuffer / page * page; size > limit {
		step := roundUp(limit/2, page)
		window = start / step
		begin, size = window*step, min(limit, size-window*step)
		if start+length > begin+size {
			window, begin = -1-start, start/page*page
			size = roundUp(start+length-begin, page)
		}
	}
	b, ok := m.windows[window]
	if !ok {
		memory := unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(m.region)), begin)), size)
		var err error
		if b, err = d.keep(d.device.NewBufferNoCopy(memory, metal.HazardTrackingUntracked)); err != nil {
			return binding{}, err
		}
		m.windows[window] = b
	}
	return binding{b, start - begin}, nil
}

// copyParallel reads a mapped file with as many page faults at once as there are cores.
func (d *Device) copyParallel(to, from []byte) error {
	const piece = 4 << 20
	var regions [][]byte
	for _, m := range d.weights.mapped {
		regions = append(regions, m.region)
	}
	var wg sync.WaitGroup
	workers := min(runtime.GOMAXPROCS(0), (len(from)+piece-1)/piece)
	errs := make([]error, workers)
	for w := range workers {
		wg.Go(func() {
			defer fault.Catch(regions, debug.SetPanicOnFault(true), &errs[w])
			for at := w * piece; at < len(from); at += workers * piece {
				end := min(at+piece, len(from))
				copy(to[at:end], from[at:end])
			}
		})
	}
	wg.Wait()
	return cmp.Or(errs...)
}
