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
	placed  map[[2]int]binding // tensors, by their start in the region and their length: tied matrices come twice
}

// alignments are where the numbers of a format must begin for the kernels to reach them in place, in bytes: weights at
// a multiple of their widest load, the GEMMs' Piece; scales and biases at one of their width, and of 4 as the offset of
// a binding, for which every GPU takes that.
var alignments = [...]struct{ weights, scales int }{
	backend.F32: {16, 4}, backend.F16: {16, 4}, backend.BF16: {16, 4}, backend.Q4: {weights: 8}, backend.Q8: {weights: 16},
}

// tensor is a part of a matrix, and where it must begin to be used in place.
type tensor struct {
	data      []byte
	alignment int
}

func (t tensor) misaligned() bool { return address(t.data)%uintptr(t.alignment) != 0 }

// tensorsOf gives weights, scales and biases of a matrix of formats that there are; the last two may be empty.
func tensorsOf(m *backend.MatrixData) [3]tensor {
	scales := 1
	if m.Format.Quantised() {
		scales = max(alignments[m.ScaleFormat].scales, 1)
	}
	return [3]tensor{{m.Data, alignments[m.Format].weights}, {m.Scales, scales}, {m.Biases, scales}}
}

// Reach tells which slices of a matrix in a mapped region the kernels reach in place, and which are copied for them.
func Reach(m *backend.MatrixData) (inPlace, copied [][]byte) {
	for _, t := range tensorsOf(m) {
		if t.misaligned() {
			copied = append(copied, t.data)
		} else if len(t.data) > 0 {
			inPlace = append(inPlace, t.data)
		}
	}
	return inPlace, copied
}

// Map implements [backend.Device].
func (d *Device) Map(regions [][]byte, matrices []backend.MatrixData) backend.Store {
	s := &weights{d: d, vectors: arena{step: vectorStep}}
	for _, r := range regions {
		s.mapped = append(s.mapped, mapping{r, map[int]metal.Buffer{}, map[[2]int]binding{}})
	}
	for i := range matrices {
		_, copied := Reach(&matrices[i])
		for _, t := range copied {
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
	parts := tensorsOf(&m)
	for i, to := range []*binding{&w.data, &w.scales, &w.biases} {
		if len(parts[i].data) == 0 {
			*to = binding{s.d.none, 0}
			continue
		}
		if *to, err = s.place(parts[i], m.Copied); err != nil {
			return nil, fmt.Errorf("matrix %s: %w", m.Name, err)
		}
	}
	return w, nil
}

// place gives the GPU a tensor. copied, if it is not nil, is told of one that is copied.
func (s *weights) place(t tensor, copied func([]byte)) (binding, error) {
	if len(t.data) > s.d.maxBuffer {
		return binding{}, fmt.Errorf("%d bytes, and the longest buffer of %s has %d: %w; use the CPU", len(t.data),
			s.d.info.Device, s.d.maxBuffer, backend.ErrUnsupported)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, start := s.find(t.data)
	if m == nil {
		return s.copy(t.data, copied)
	}
	at, ok := m.placed[[2]int{start, len(t.data)}]
	if ok {
		return at, nil
	}
	var err error
	if !t.misaligned() {
		at, ok, err = s.wrap(m, start, len(t.data))
	}
	if err == nil && !ok {
		at, err = s.copy(t.data, copied)
	}
	if err == nil {
		m.placed[[2]int{start, len(t.data)}] = at
	}
	return at, err
}

// find gives the mapping that has a tensor, nil for none, and where in it the tensor starts.
func (s *weights) find(data []byte) (m *mapping, start int) {
	for i := range s.mapped {
		m = &s.mapped[i]
		if start = int(address(data) - address(m.region)); start >= 0 && start+len(data) <= len(m.region) {
			return m, start
		}
	}
	return nil, 0
}

// copy gives a copy of a tensor.
func (s *weights) copy(data []byte, copied func([]byte)) (binding, error) {
	at, to, err := s.copies.take(s.d, len(data))
	if err == nil {
		err = s.copyParallel(to, data)
	}
	if err == nil && copied != nil {
		copied(data)
	}
	return at, err
}

// A window is at most so long, so that a residency set can have it, and at least so long where buffers may be.
const (
	longestWindow  = 512 << 20
	shortestWindow = 256 << 20
)

// wrap wraps the part of a mapping that holds a tensor, unless its pages are more than a buffer can be. Windows overlap
// by half, so that a tensor of up to half of the longest lies in one; a longer one gets its own.
func (s *weights) wrap(m *mapping, start, length int) (at binding, ok bool, err error) {
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
	if size > s.d.maxBuffer {
		return binding{}, false, nil
	}
	b, ok := m.windows[window]
	if !ok {
		memory := unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(m.region)), begin)), size)
		if b, err = s.d.keep(s.d.device.NewBufferNoCopy(memory, metal.HazardTrackingUntracked)); err != nil {
			return binding{}, false, err
		}
		m.windows[window] = b
	}
	return binding{b, start - begin}, true, nil
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
