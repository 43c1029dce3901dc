package gpu

import (
	"errors"
	"fmt"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// probe implements [backend.Probe] with the kernels of [shaders.Probes], by the GPU's clock. They are encoded as a step
// is.
type probe struct {
	d            *Device
	stream       *stream
	memory, sums metal.Buffer
	tiles        int // of the memory: what a threadgroup reads
	numbered     int // uint32s of the memory that hold their index

	read, matrices, floats, launch, copy, barriers backend.Burst
}

// The work of a threadgroup, and the most of them in a dispatch where memory is no bound: more than any GPU runs at
// once, so that few wait for the last ones.
const (
	readTurns = 4
	tileBytes = readTurns * shaders.ProbeBytes
	peakTurns = 64
	mostPeaks = 2048
)

// NewProbe implements [backend.Device]. What a measurement needs of the memory is written before it.
func (d *Device) NewProbe(bytes int64) (backend.Probe, error) {
	p, err := d.newProbe(bytes)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (d *Device) newProbe(bytes int64) (*probe, error) {
	s, err := d.newStream()
	if err != nil {
		return nil, err
	}
	p := &probe{d: d, stream: s, tiles: max(int(bytes+tileBytes-1)/tileBytes, 1)}
	if err := p.open(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *probe) open() (err error) {
	if err = p.d.kernels.compile(shaders.Probes, shaders.Source); err != nil {
		return err
	}
	if p.memory, err = p.d.allocate(p.tiles*tileBytes, metal.StorageShared); err != nil {
		return fmt.Errorf("memory to measure with, %d bytes: %w", p.tiles*tileBytes, err)
	}
	sums := max(p.tiles*shaders.ProbeRead.Threads/32, mostPeaks*shaders.ProbeFloats.Threads)
	p.sums, err = p.d.allocate(4*sums, metal.StorageShared)
	return err
}

// Close implements [backend.Probe].
func (p *probe) Close() error {
	p.d.free(p.memory)
	p.d.free(p.sums)
	p.memory = metal.Buffer{}
	return p.stream.Close()
}

// seconds is the time that some threadgroups take, in dispatches of at most `most`.
func (p *probe) seconds(k *shaders.Kernel, turns, groups, most int, buffers ...binding) (seconds float64, err error) {
	args := shaders.ProbeArgs{Turns: uint32(turns), One: 1}
	for ; groups > 0; groups -= most {
		add(p.stream, variant{kernel: k}, args, [3]int{min(groups, most), 1, 1}, 0, buffers...)
	}
	return p.stream.timed()
}

// timed submits what was written down, which is one command buffer, and gives the seconds that it takes on the GPU.
func (s *stream) timed() (seconds float64, err error) {
	if s.Submit() == nil {
		commands := s.running[0].commands
		commands.Wait() // an error is the stream's, too
		seconds = commands.GPUEndTime() - commands.GPUStartTime()
	}
	if err := s.Wait(0); err != nil {
		return 0, err
	}
	return s.d.told(seconds)
}

// told is a time that a GPU has told, or that it tells none.
func (d *Device) told(seconds float64) (float64, error) {
	if !(seconds > 0) {
		return 0, fmt.Errorf("metal: %s does not tell how long it computes", d.info.Device)
	}
	return seconds, nil
}

// burst runs as much work as takes long enough, when all else on the device is done.
func (p *probe) burst(b *backend.Burst, run func(work int) (float64, error)) (work, seconds float64, err error) {
	if p.d.settle() || p.memory.IsZero() {
		return 0, 0, errClosed
	}
	return b.Run(run)
}

// rate is how much is done a second, each being of a threadgroup.
func (p *probe) rate(b *backend.Burst, each float64, run func(groups int) (float64, error)) (float64, error) {
	groups, seconds, err := p.burst(b, run)
	if err != nil {
		return 0, err
	}
	return groups * each / seconds, nil
}

// Bandwidth implements [backend.Probe].
func (p *probe) Bandwidth() (float64, error) { return p.rate(&p.read, tileBytes, p.readTiles) }

// readTiles reads some tiles, and once more from the first on where there are not so many.
func (p *probe) readTiles(n int) (float64, error) {
	p.number(n)
	return p.seconds(shaders.ProbeRead, readTurns, n, p.tiles, binding{p.memory, 0}, binding{p.sums, 0})
}

// number writes numbers into some tiles, where there are none yet.
func (p *probe) number(n int) {
	if words := min(n, p.tiles) * tileBytes / 4; words > p.numbered {
		all := metal.Slice[uint32](p.memory.Contents())
		for ; p.numbered < words; p.numbered++ {
			all[p.numbered] = uint32(p.numbered)
		}
	}
}

// Products implements [backend.Probe]; all weights are multiplied as float32.
func (p *probe) Products(backend.Format) (float64, error) {
	return p.rate(&p.matrices, peakTurns*shaders.ProbeOps, func(groups int) (float64, error) {
		return p.seconds(shaders.ProbeMatrices, peakTurns, groups, mostPeaks, binding{p.sums, 0})
	})
}

// Attention implements [backend.Probe]: no way to multiply is faster than that of single numbers.
func (p *probe) Attention() (float64, error) {
	return p.rate(&p.floats, peakTurns*shaders.ProbeOps, func(groups int) (float64, error) {
		return p.seconds(shaders.ProbeFloats, peakTurns, groups, mostPeaks, binding{p.sums, 0})
	})
}

// Launch implements [backend.Probe].
func (p *probe) Launch() (float64, error) {
	return p.link(&p.launch, func(n int) (float64, error) {
		return p.seconds(shaders.ProbeLaunch, 0, n, 1, binding{p.sums, 0})
	})
}

// link is the seconds of a dispatch in a chain. Of a long chain, an eighth as long a one is taken off, and with it what
// a command buffer takes by itself.
func (p *probe) link(b *backend.Burst, chain func(n int) (float64, error)) (float64, error) {
	eighth, long, err := p.burst(b, func(work int) (float64, error) { return chain(8 * work) })
	if err != nil {
		return 0, err
	}
	short, err := chain(int(eighth))
	if err != nil {
		return 0, err
	}
	if short >= long { // something else took the GPU
		return long / (8 * eighth), nil
	}
	return (long - short) / (7 * eighth), nil
}
