package gpu

import (
	"fmt"
	"sync"
	"unsafe"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/metal"
)

// A binding is a place in a buffer.
type binding struct {
	buffer metal.Buffer
	offset int
}

// allocate makes a buffer that the device frees at its Close, if nobody does before.
func (d *Device) allocate(bytes int, options metal.ResourceOptions) (metal.Buffer, error) {
	b, err := d.device.NewBuffer(bytes, options)
	return d.keep(b, err)
}

// keep takes note of a buffer and makes it resident.
func (d *Device) keep(b metal.Buffer, err error) (metal.Buffer, error) {
	if err != nil {
		return b, problem(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		b.Release()
		return metal.Buffer{}, errClosed
	}
	d.buffers[b] = struct{}{}
	d.residency.add(b, b.Length())
	return b, nil
}

// free gives a buffer back. What runs and uses it keeps it until it is done.
func (d *Device) free(b metal.Buffer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.buffers[b]; !ok {
		return
	}
	delete(d.buffers, b)
	d.residency.remove(b, b.Length())
	b.Release()
}

// A buffer holds activations.
type buffer struct {
	d      *Device
	metal  metal.Buffer
	floats []float32
}

// NewBuffer implements [backend.Device].
func (d *Device) NewBuffer(n int) (backend.Buffer, error) {
	b, err := d.allocate(max(n, 1)*4, metal.StorageShared)
	if err != nil {
		return nil, fmt.Errorf("activations of %d numbers: %w", n, err)
	}
	return &buffer{d, b, metal.Slice[float32](b.Contents())[:n]}, nil
}

func (b *buffer) Floats() []float32 { return b.floats }

func (b *buffer) Close() error {
	b.d.free(b.metal)
	b.floats = nil
	return nil
}

// tokens are ids.
type tokens struct {
	d     *Device
	metal metal.Buffer
	ids   []int32
}

// NewTokens implements [backend.Device].
func (d *Device) NewTokens(n int) (backend.Tokens, error) {
	b, err := d.allocate(max(n, 1)*4, metal.StorageShared)
	if err != nil {
		return nil, fmt.Errorf("%d ids: %w", n, err)
	}
	return &tokens{d, b, metal.Slice[int32](b.Contents())[:n]}, nil
}

func (t *tokens) IDs() []int32 { return t.ids }

func (t *tokens) Close() error {
	t.d.free(t.metal)
	t.ids = nil
	return nil
}

// vector is a norm weight or a bias.
type vector struct {
	d *Device
	binding
	n int
}

func (v *vector) Len() int { return v.n }

// NewVector implements [backend.Device].
func (d *Device) NewVector(v []float32) (backend.Vector, error) { return d.own.NewVector(v) }

// NewVector implements [backend.Store].
func (s *weights) NewVector(v []float32) (backend.Vector, error) {
	at, to, err := s.vectors.take(s.d, 4*len(v))
	if err != nil {
		return nil, fmt.Errorf("a vector of %d numbers: %w", len(v), err)
	}
	copy(metal.Slice[float32](to), v)
	return &vector{s.d, at, len(v)}, nil
}

// arenaAlignment is more than any load needs, and that of buffer offsets on every GPU.
const arenaAlignment = 256

// An arena hands out pieces of untracked buffers that live as long as their store: of one that takes all that was
// announced, or as much of it as a buffer can hold, and of others of at least a step.
type arena struct {
	mu        sync.Mutex
	announced int // bytes that will still be taken
	step      int
	buffer    metal.Buffer
	memory    []byte
	used      int
	buffers   []metal.Buffer // all of them
}

// take gives aligned memory, zero if the caller keeps to its length.
func (a *arena) take(d *Device, bytes int) (binding, []byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	start := roundUp(a.used, arenaAlignment)
	if start+bytes > len(a.memory) {
		b, err := d.allocate(max(bytes, a.step, min(a.announced, d.maxBuffer), 1), metal.HazardTrackingUntracked)
		if err != nil {
			return binding{}, nil, err
		}
		a.buffer, a.memory, start = b, b.Contents(), 0
		a.buffers = append(a.buffers, b)
	}
	a.used = start + bytes
	a.announced -= roundUp(bytes, arenaAlignment)
	return binding{a.buffer, start}, a.memory[start:a.used:a.used], nil
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
