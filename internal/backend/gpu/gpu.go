// Package gpu is the backend on Apple's GPUs: the ops of package backend, each one dispatch of a kernel of package
// shaders, encoded through package metal.
//
// A [Device] holds the weights, in place in the mapped file where they are aligned for the kernels' loads
// (memory.go, matrix.go). A stream writes its ops down as they come (ops.go, attend.go, head.go) and encodes them at
// Submit, into one command buffer a decoded token, or as many as keep each short in a prefill (stream.go, watchdog.go).
// What the GPU gives at its best, a probe measures with kernels of its own (probe.go).
//
// What orders the work: within a command buffer a barrier stands in front of every dispatch, but between those that
// their op names as parts of one result ([stream.apart]), so that no barrier can be forgotten. Command buffers, of all
// streams, share one queue; the system has each wait for those before it where they touch the same memory, which it
// tracks for every buffer that the GPU writes. Weights are untracked: the GPU only reads them.
package gpu

import (
	"errors"
	"fmt"
	"sync"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/fault"
	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// Device is a GPU. It may be used by several goroutines, a stream by one at a time.
type Device struct {
	metal     *metal.Metal
	device    metal.Device
	queue     metal.Queue
	residency *residency // nil before the queue is there
	info      backend.Info
	maxBuffer int
	kernels   *kernels
	gate      gate

	mu      sync.Mutex
	closed  bool
	buffers map[metal.Buffer]struct{} // every one that lives
	own     weights                   // those that live as long as the device
	none    metal.Buffer              // bound where an op has nothing to bind
	half    metal.Buffer              // what readHalf writes
	tuning  shaders.Tuning            // of streams that are made
}

// Open takes the system's preferred GPU and compiles the kernels for it. One whose simdgroup matrices lie otherwise in
// its lanes than the kernels expect, or that computes wrong products, is refused.
func Open(m *metal.Metal) (*Device, error) { return openChecked(m, shaders.Source) }

func openChecked(m *metal.Metal, source func(file string) (string, error)) (*Device, error) {
	d, err := open(m, source)
	if err != nil {
		return nil, err
	}
	if err = d.checkLanes(); err == nil {
		err = d.checkProducts()
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// open takes a GPU at its word. source gives the text of a file.
func open(m *metal.Metal, source func(file string) (string, error)) (*Device, error) {
	device, err := m.DefaultDevice()
	if err != nil {
		return nil, fmt.Errorf("metal: no GPU: %w; use the CPU", err)
	}
	d := &Device{
		metal: m, device: device, maxBuffer: device.MaxBufferLength(), buffers: map[metal.Buffer]struct{}{},
		kernels: newKernels(m, device),
		info: backend.Info{Backend: "metal", Device: device.Name(), Memory: int64(device.RecommendedMaxWorkingSetSize()),
			Async: true},
	}
	d.own.d, d.own.vectors.step = d, vectorStep
	if err := d.open(source); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// CheckFamily refuses a GPU before anything runs on it: one that is not Apple silicon's may fail or hang there, as the
// paravirtual GPU of a hosted Mac does though it compiles the kernels (whisper.cpp#1387, colibri#947). Those that it
// lets pass are judged by what they compute.
func CheckFamily(d metal.Device) error {
	if d.HasUnifiedMemory() && d.SupportsFamily(metal.FamilyApple7) {
		return nil
	}
	return fmt.Errorf("metal: %s is no Apple silicon GPU (M1 or later), which the kernels need; use the CPU", d.Name())
}

func (d *Device) open(source func(file string) (string, error)) (err error) {
	if err := CheckFamily(d.device); err != nil {
		return err
	}
	if d.queue, err = d.device.NewQueue(); err != nil {
		return err
	}
	d.queue.SetLabel("glm4-metal")
	d.live(true)
	d.device.MaximizeConcurrentCompilation()
	d.residency = newResidency(d.device, d.queue, int(d.info.Memory))
	if d.none, err = d.allocate(256, metal.StorageShared); err != nil {
		return err
	}
	if d.half, err = d.allocate(4*shaders.HalfCodes.Threads, metal.StorageShared); err != nil {
		return err
	}
	if err = d.kernels.compile(shaders.Table, source); err != nil {
		return err
	}
	return d.checkHalves()
}

// checkHalves finds out whether the products may read codes as subnormal halves. The language allows a GPU to take them
// for zero.
func (d *Device) checkHalves() error {
	const code = 15
	if err := d.readHalf(code); err != nil {
		return err
	}
	if metal.Slice[float32](d.half.Contents())[0] == code {
		d.kernels.halfCodes = 1
	}
	return nil
}

// readHalf runs a kernel that reads a code as a half, and waits for it.
func (d *Device) readHalf(code uint32) error {
	p, err := d.kernels.get(variant{kernel: shaders.HalfCodes})
	if err != nil {
		return err
	}
	_, err = d.run(metal.Serial, func(encoder metal.ComputeEncoder) {
		args := shaders.ProbeArgs{Turns: code, One: 1}
		encoder.SetPipeline(p.ComputePipeline)
		encoder.SetBytes(metal.Bytes(&args), 0)
		encoder.SetBuffer(d.half, 0, 1)
		encoder.DispatchThreadgroups(metal.Size{Width: 1, Height: 1, Depth: 1},
			metal.Size{Width: shaders.HalfCodes.Threads, Height: 1, Depth: 1})
	})
	return err
}

// run runs a command buffer of its own, waits for it, and gives the seconds that it took on the GPU.
func (d *Device) run(t metal.DispatchType, encode func(metal.ComputeEncoder)) (seconds float64, err error) {
	err = d.metal.Do(func() error {
		commands, err := d.queue.NewCommandBuffer()
		if err != nil {
			return err
		}
		defer commands.Release()
		encoder, err := commands.ComputeEncoder(t)
		if err != nil {
			return err
		}
		encode(encoder)
		encoder.End()
		if err := d.gate.commit(commands); err != nil {
			return err
		}
		err = commands.Wait()
		seconds = commands.GPUEndTime() - commands.GPUStartTime()
		return err
	})
	return seconds, problem(err)
}

// Info implements [backend.Device].
func (d *Device) Info() backend.Info { return d.info }

// Notes tell what the device has to do otherwise than it would, a line each.
func (d *Device) Notes() (notes []string) {
	if d.kernels.halfCodes == 0 {
		notes = append(notes, "subnormal halves are not kept, so codes are converted, which is slower")
	}
	if err := d.residency.failed(); err != nil {
		notes = append(notes, fmt.Sprintf("there is no residency set for some buffers, so steps may wait for them: %v", err))
	}
	return notes
}

// Close implements [backend.Device]. It waits for what runs; streams that are still open fail from then on.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	d.drain()
	if d.residency != nil {
		d.residency.end()
		d.letGo()
	}
	for b := range d.buffers {
		b.Release()
	}
	d.buffers = nil
	d.kernels.release()
	<-d.gate.shut(func() {}) // End may have begun to wait for the queue
	d.live(false)
	d.queue.Release()
	d.device.Release()
	return nil
}

// letGo runs something, without which the system keeps what residency sets have given back (llama.cpp#25937).
func (d *Device) letGo() { d.readHalf(0) }

// settle waits until the queue is empty, and tells whether the device is closed instead.
func (d *Device) settle() (closed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.drain()
	}
	return d.closed
}

// drain waits until the queue is empty, so that nothing reads memory that is about to go.
func (d *Device) drain() {
	if d.queue.IsZero() {
		return
	}
	if errors.Is(d.runEmpty(d.gate.commit), errEnding) {
		<-d.gate.shut(nil) // which it is
	}
}

// runEmpty runs a command buffer with nothing in it, behind all others.
func (d *Device) runEmpty(commit func(metal.CommandBuffer) error) error {
	return d.metal.Do(func() error {
		last, err := d.queue.NewCommandBuffer()
		if err != nil {
			return err
		}
		defer last.Release()
		if err := commit(last); err != nil {
			return err
		}
		return last.Wait()
	})
}

// runLast waits until the queue is empty and its gate shut.
func (d *Device) runLast() {
	d.runEmpty(func(last metal.CommandBuffer) error {
		last.Commit()
		return nil
	})
}

var errClosed = errors.New("metal: the device is closed")

// problem tells what a person can do about an error of Metal.
func problem(err error) error {
	switch {
	case err == nil || errors.Is(err, errEnding):
		return err
	case errors.Is(err, metal.ErrOutOfMemory):
		return fmt.Errorf("%w: take a smaller context, close other programs, or use the CPU", err)
	case errors.Is(err, metal.ErrTimeout):
		return fmt.Errorf("%w: the system stopped a computation that took too long; "+
			"try again, or with a smaller prefill chunk", err)
	case errors.Is(err, metal.ErrDeviceLost):
		return fmt.Errorf("%w: load the model again, or use the CPU", err)
	}
	// A page fault, for one, comes from weights whose file has shrunk; the loader can tell.
	return &fault.Error{Err: fmt.Errorf("%w: try again, or use the CPU", err)}
}
