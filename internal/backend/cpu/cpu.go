// Package cpu is the backend on all cores: in plain Go, the readable reference that the other devices are tested
// against, and in SIMD where the processor has it. It is what runs where there is no Metal.
//
// An op runs when it is called, so Submit and Wait only report the first error; Stop is looked at between the tasks of
// an op. The files, each of which uses only what stands before it, and package simd for the kernels:
//
//	scratch, pool              the goroutines that share a job, and their memory
//	float, vector, matrix      formats, vectors of any length, the rows of a matrix and their products in plain Go
//	input, plain, quantised, product
//	                           products in SIMD, the forms of what they multiply, and the job that chooses among all
//	cache                      keys and values
//	norm, qkv, attend, mlp, head
//	                           what the ops compute beside products
//	stream, cpu                the ops in the order of a step, and the device
//	probe                      what the device gives at its best
//
// The file readahead knows the system, beside package machine.
package cpu

import (
	"fmt"
	"os"
	"runtime"
	"sync"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
	"github.com/glm4-metal/glm4-metal/internal/machine"
)

// Device is the CPU.
type Device struct {
	pool    *pool
	kernels *simd.Kernels // nil for plain Go
	err     error         // why the path that the environment asks for cannot be taken
	info    backend.Info

	mu   sync.Mutex
	open map[*mapping]struct{} // stores that are open
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

// Reference starts a device on plain Go, whatever the environment asks for: what others are held against.
func Reference() *Device { return openPath(nil) }

// openPath starts a device on a SIMD path, or on plain Go when it is nil.
func openPath(k *simd.Kernels) *Device {
	workers, name := runtime.GOMAXPROCS(0), "plain Go"
	if k != nil {
		name = k.Name
	}
	root := os.DirFS("/")
	info := backend.Info{Backend: "cpu", Paged: true,
		Device: fmt.Sprintf("%s, %d cores, %s", machine.Processor(root), workers, name)}
	info.Memory, info.MemoryLimit = machine.Memory(root)
	info.Room, info.RoomLimit = machine.Room(root)
	return &Device{pool: newPool(workers), kernels: k, info: info, open: map[*mapping]struct{}{}}
}

// Info implements [backend.Device].
func (d *Device) Info() backend.Info { return d.info }

// mapping is the mapped memory of one checkpoint. Its matrices are read where they are.
type mapping struct {
	*Device
	regions   [][]byte
	readahead readahead
}

// Map implements [backend.Device]. It sees to it that the regions are in memory, and takes faults there for errors.
func (d *Device) Map(regions [][]byte, _ []backend.MatrixData) backend.Store {
	m := &mapping{Device: d, regions: regions}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open[m] = struct{}{}
	d.pool.announce(regions)
	m.readahead.start(regions, d.info.Memory)
	return m
}

// Close implements [backend.Store]; it ends the readahead.
func (m *mapping) Close() error {
	m.readahead.end()
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.open, m)
	m.pool.forget(m.regions)
	return nil
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

// NewCache implements [backend.Device].
func (d *Device) NewCache(layers int, a backend.Attention, f backend.Format) (backend.Cache, error) {
	if err := backend.CheckCache(layers, a, f); err != nil {
		return nil, fmt.Errorf("cpu: %w", err)
	}
	return newCache(d.kernels, layers, a, f), nil
}

// NewStream implements [backend.Device].
func (d *Device) NewStream() (backend.Stream, error) {
	return backend.Checked(d.newStream()), nil
}

func (d *Device) newStream() *stream {
	s := &stream{runner: runner{pool: d.pool}, kernels: d.kernels}
	s.products.runner = &s.runner
	return s
}

// Close implements [backend.Device]; it ends the workers and the readaheads.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for m := range d.open {
		m.readahead.end()
	}
	d.pool.close()
	return nil
}
