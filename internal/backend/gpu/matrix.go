package gpu

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"unsafe"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/fault"
	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// weights is where the matrices and vectors of a checkpoint lie.
type weights struct {
	d       *Device
	mu      sync.Mutex
	mapped  []mapping
	copies  arena // what is not aligned in the file
	vectors arena
}

// vectorStep is what vectors take at a time: GLM-4-9B has 281 of them, 3.4 MB.
const vectorStep = 2 << 20

// mapping is a mapped file, wrapped in buffers where matrices are used in place: window i starts i·step bytes into it.
type mapping struct {
	region  []byte
	windows map[int]metal.Buffer
}

// Alignment is where a tensor must begin in a mapped region for the kernels' loads to reach it in place, in bytes.
const Alignment = 16

// Map implements [backend.Device].
func (d *Device) Map(regions, tensors [][]byte) backend.Store {
	s := &weights{d: d, vectors: arena{step: vectorStep}}
	for _, r := range regions {
		s.mapped = append(s.mapped, mapping{r, map[int]metal.Buffer{}})
	}
	for _, t := range tensors {
		if address(t)%Alignment != 0 {
			s.copies.announced += roundUp(len(t), arenaAlignment)
		}
	}
	return s
}

// Close implements [backend.Store].
func (s *weights) Close() error {
	if s.d.settle() {
		return nil // everything is gone already
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.mapped {
		for _, b := range m.windows {
			s.d.free(b)
		}
	}
	for _, b := range slices.Concat(s.copies.buffers, s.vectors.buffers) {
		s.d.free(b)
	}
	s.mapped, s.copies, s.vectors = nil, arena{}, arena{}
	s.d.letGo()
	return nil
}

// formatOf gives the kernels' name for a format.
func formatOf(f backend.Format) (shaders.Format, error) {
	switch f {
	case backend.F32:
		return shaders.F32, nil
	case backend.F16:
		return shaders.F16, nil
	case backend.BF16:
		return shaders.BF16, nil
	case backend.Q4:
		return shaders.Q4, nil
	case backend.Q8:
		return shaders.Q8, nil
	}
	return 0, fmt.Errorf("metal: numbers in %v: %w", f, backend.ErrUnsupported)
}

// stored is how a matrix is stored, as far as pipelines differ by it.
type stored struct {
	format, scale shaders.Format
	group         uint32
}

func storedAs(m *backend.MatrixData) (s stored, err error) {
	if s.format, err = formatOf(m.Format); err == nil && m.Format.Quantised() {
		s.group = uint32(m.GroupSize)
		s.scale, err = formatOf(m.ScaleFormat)
	}
	return s, err
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

// NewMatrix implements [backend.Device].
func (d *Device) NewMatrix(m backend.MatrixData) (backend.Matrix, error) { return d.own.NewMatrix(m) }

// NewMatrix implements [backend.Store]. The data is used in place where it is aligned in a mapped region, and copied
// where it is not.
func (s *weights) NewMatrix(m backend.MatrixData) (backend.Matrix, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	if m.Cols%8 != 0 {
		return nil, fmt.Errorf("metal: matrix %s has %d columns: %w, the kernels need a multiple of 8; use the CPU", m.Name,
			m.Cols, backend.ErrUnsupported)
	}
	how, err := storedAs(&m)
	if err != nil {
		return nil, fmt.Errorf("matrix %s: %w", m.Name, err)
	}
	w := &matrix{d: s.d, rows: m.Rows, cols: m.Cols, stored: how, bytes: int(m.Bytes())}
	for _, part := range []struct {
		to   *binding
		data []byte
	}{{&w.data, m.Data}, {&w.scales, m.Scales}, {&w.biases, m.Biases}} {
		if len(part.data) == 0 {
			*part.to = binding{s.d.none, 0}
			continue
		}
		if *part.to, err = s.place(part.data); err != nil {
			return nil, fmt.Errorf("matrix %s: %w", m.Name, err)
		}
	}
	return w, nil
}

// place gives the GPU a tensor.
func (s *weights) place(data []byte) (binding, error) {
	if address(data)%Alignment == 0 {
		for i := range s.mapped {
			m := &s.mapped[i]
			if start := address(data) - address(m.region); address(data) >= address(m.region) &&
				int(start)+len(data) <= len(m.region) {
				return s.inPlace(m, int(start), len(data))
			}
		}
	}
	at, to, err := s.copies.take(s.d, len(data))
	if err == nil {
		err = s.copyParallel(to, data)
	}
	return at, err
}

// A window is at most so long, so that a residency set can have it, and at least so long where buffers may be.
const (
	longestWindow  = 512 << 20
	shortestWindow = 256 << 20
)

// inPlace wraps the part of a mapping that holds a tensor. Windows overlap by half, so that a tensor of up to half of
// the longest lies in one; a longer one gets its own.
func (s *weights) inPlace(m *mapping, start, length int) (binding, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	page := metal.PageSize()
	size := roundUp(len(m.region), page)
	window, begin := 0, 0
	limit := min(s.d.maxBuffer, longestWindow, max(s.d.residency.limit, shortestWindow)) / page * page
	if size > limit {
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
		if b, err = s.d.keep(s.d.device.NewBufferNoCopy(memory, metal.HazardTrackingUntracked)); err != nil {
			return binding{}, err
		}
		m.windows[window] = b
	}
	return binding{b, start - begin}, nil
}

// copyParallel reads a mapped file with as many page faults at once as there are cores.
func (s *weights) copyParallel(to, from []byte) error {
	const piece = 4 << 20
	var regions [][]byte
	for _, m := range s.mapped {
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
