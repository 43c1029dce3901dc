// Package cpu is the backend on all cores: in plain Go, the readable reference that the other devices are tested
// against, and in SIMD where the processor has it. It is what runs where there is no Metal.
//
// An op runs when it is called, so Submit and Wait only report the first error; Stop is looked at between the tasks of an
// op. Each op is in the file of its name;
// matrix.go holds the product that most of them share, pool.go the goroutines. simd.go lists the functions that a SIMD
// path consists of and how one is chosen; quantised.go, plain.go and attend_simd.go call them. *_amd64.s are AVX2's
// and, with avx512 in their name, AVX-512's; *_arm64.s are NEON's and, with dot, those of its dot products.
package cpu

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
)

// Device is the CPU.
type Device struct {
	pool    *pool
	kernels *simd.Kernels // nil for plain Go
	err     error         // why the path that the environment asks for cannot be taken
	info    backend.Info

	readahead readahead
}

// Open starts a device with one worker a core that Go may use (GOMAXPROCS), on the best path of the processor or the
// one that GLM4_CPU names ("plain", "avx2", "avx512", "neon", "neon-dot"). Where the machine lacks that path, every
// NewMatrix says so.
func Open() *Device {
	k, err := simd.Choose()
	d := openPath(k)
	d.err = err
	return d
}

// openPath starts a device on a SIMD path, or on plain Go when it is nil.
func openPath(k *simd.Kernels) *Device {
	workers, name := runtime.GOMAXPROCS(0), "plain Go"
	if k != nil {
		name = k.Name
	}
	info := backend.Info{Backend: "cpu", Device: fmt.Sprintf("%s, %d cores, %s", cpuName(), workers, name), Paged: true}
	info.Memory, info.MemoryLimit = memory()
	info.Room, info.RoomLimit = processRoom()
	return &Device{pool: newPool(workers), kernels: k, info: info}
}

// Info implements [backend.Device].
func (d *Device) Info() backend.Info { return d.info }

// Map implements [backend.Device]. The CPU reads everything where it is; it sees to it that it is in memory, and takes faults
// there for errors.
func (d *Device) Map(regions, tensors [][]byte) {
	d.pool.mapped = regions
	d.readahead.start(regions, d.info.Memory)
}

// NewMatrix implements [backend.Device]; the data is read in place.
func (d *Device) NewMatrix(m backend.MatrixData) (backend.Matrix, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	if d.err != nil {
		return nil, d.err
	}
	return &matrix{MatrixData: m, kernels: fit(d.kernels, &m), panels: panels(m.Rows, len(d.pool.workers))}, nil
}

// NewVector implements [backend.Device].
func (d *Device) NewVector(v []float32) (backend.Vector, error) {
	return vector(append([]float32(nil), v...)), nil
}

// NewBuffer implements [backend.Device].
func (d *Device) NewBuffer(n int) (backend.Buffer, error) { return make(buffer, n), nil }

// NewTokens implements [backend.Device].
func (d *Device) NewTokens(n int) (backend.Tokens, error) { return make(tokens, n), nil }

// NewStream implements [backend.Device].
func (d *Device) NewStream() (backend.Stream, error) {
	return &stream{pool: d.pool, kernels: d.kernels}, nil
}

// Close implements [backend.Device]; it ends the workers and the readahead.
func (d *Device) Close() error {
	d.readahead.end()
	d.pool.close()
	return nil
}

type vector []float32

func (v vector) Len() int { return len(v) }

type buffer []float32

func (b buffer) Floats() []float32 { return b }
func (b buffer) Close() error      { return nil }

type tokens []int32

func (t tokens) IDs() []int32 { return t }
func (t tokens) Close() error { return nil }

// stream runs each op at once and keeps the first error.
type stream struct {
	pool    *pool
	kernels *simd.Kernels
	rope    rope
	kv      []float32 // keys or values of a step before they go into the cache
	input   input     // of the product that runs
	err     error
	stopped atomic.Bool
	onPart  func(share float64)

	// The jobs of the ops, kept so that an op allocates nothing.
	quantise quantiseJob
	product  productJob
	gateUp   gateUpJob
	attend   attendJob
	merge    mergeJob
	addNorm  addNormJob
}

// run does the tasks of an op.
func (s *stream) run(tasks int, j job) { s.runJob(tasks, j, nil) }

// runProduct does the tasks of a product, which take long where there are many tokens.
func (s *stream) runProduct(tasks int, j job) { s.runJob(tasks, j, s.onPart) }

func (s *stream) runJob(tasks int, j job, onPart func(share float64)) {
	if s.err == nil {
		s.err = s.pool.run(tasks, j, &s.stopped, onPart)
		s.checkStop()
	}
}

func (s *stream) OnPart(f func(share float64)) { s.onPart = f }

// checkStop makes a Stop the stream's error.
func (s *stream) checkStop() {
	if s.err == nil && s.stopped.Load() {
		s.err = backend.ErrStopped
	}
}

func (s *stream) Mark(f func()) {
	if s.checkStop(); s.err == nil {
		f()
	}
}

func (s *stream) Submit() error {
	s.checkStop()
	return s.err
}

func (s *stream) Wait(int) error {
	s.checkStop()
	err := s.err
	if s.err = nil; errors.Is(err, backend.ErrStopped) {
		s.stopped.Store(false)
	}
	return err
}

func (s *stream) Stop() { s.stopped.Store(true) }

func (s *stream) Close() error { return nil }

var errForeign = errors.New("cpu: this object belongs to another device")

// floats gives a buffer's first n numbers; too short or foreign a buffer becomes the stream's error.
func (s *stream) floats(b backend.Buffer, n int) []float32 {
	v, ok := b.(buffer)
	switch {
	case s.err != nil:
		return nil
	case !ok:
		s.err = errForeign
		return nil
	case len(v) < n:
		s.err = fmt.Errorf("cpu: buffer of %d floats, the op needs %d", len(v), n)
		return nil
	}
	return v[:n]
}

// weights gives a matrix of this device.
func (s *stream) weights(m backend.Matrix) *matrix {
	w, ok := m.(*matrix)
	if s.err == nil && !ok {
		s.err = errForeign
	}
	return w
}

// vector gives the numbers of a norm weight or bias, which must be n.
func (s *stream) vector(v backend.Vector, n int) []float32 {
	w, ok := v.(vector)
	switch {
	case s.err != nil:
		return nil
	case !ok:
		s.err = errForeign
		return nil
	case len(w) != n:
		s.err = fmt.Errorf("cpu: vector of %d numbers, the op needs %d", len(w), n)
		return nil
	}
	return w
}
