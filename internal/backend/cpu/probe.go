package cpu

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
)

// probe implements [backend.Probe] with jobs for all workers.
type probe struct {
	pool              *pool
	memory            []byte
	words             []uint64 // in memory
	quantised, floats peak
	launch            backend.Burst
	never             atomic.Bool // stops its jobs
}

var errClosed = errors.New("cpu: the device or its probe is closed")

// NewProbe implements [backend.Device]. The memory is in huge pages where the system has them, as mapped weights may
// be.
func (d *Device) NewProbe(bytes int64) (backend.Probe, error) {
	if d.err != nil {
		return nil, d.err
	}
	page := int64(os.Getpagesize())
	bytes = (bytes + page - 1) / page * page
	memory, err := unix.Mmap(-1, 0, int(bytes), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("cpu: no memory to measure with, %d bytes: %w", bytes, err)
	}
	adviseHugePages(memory)
	p := &probe{pool: d.pool, memory: memory, words: unsafe.Slice((*uint64)(unsafe.Pointer(&memory[0])), bytes/8)}
	p.quantised, p.floats = peaks(d.kernels)
	if _, err := p.seconds(1, p.chunks(), (*fillJob)(p)); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Close implements [backend.Probe].
func (p *probe) Close() error {
	if p.memory == nil {
		return nil
	}
	memory := p.memory
	p.memory, p.words = nil, nil
	return unix.Munmap(memory)
}

// seconds is the time that a job takes, done some times.
func (p *probe) seconds(times, tasks int, j job) (float64, error) {
	if p.memory == nil || p.pool.closed.Load() {
		return 0, errClosed
	}
	start := time.Now()
	for range times {
		if err := p.pool.run(tasks, j, &p.never, nil); err != nil {
			return 0, err
		}
	}
	return time.Since(start).Seconds(), nil
}

// chunkWords are what a task reads.
const chunkWords = 1 << 17

func (p *probe) chunks() int { return (len(p.words) + chunkWords - 1) / chunkWords }

// chunk gives one of the chunks.
func (p *probe) chunk(i int) []uint64 {
	return p.words[i*chunkWords : min((i+1)*chunkWords, len(p.words))]
}

// fillJob numbers the words, which gives every page memory of its own.
type fillJob probe

func (j *fillJob) do(_ *worker, task int) {
	for i, words := 0, (*probe)(j).chunk(task); i < len(words); i++ {
		words[i] = uint64(task*chunkWords + i)
	}
}

// scanJob adds up the words.
type scanJob struct {
	*probe
	sum atomic.Uint64
}

func (j *scanJob) do(_ *worker, task int) { j.sum.Add(sum(j.chunk(task))) }

// sum takes a line of memory a turn, so that the loads and not the additions are what takes the time.
func sum(words []uint64) uint64 {
	var a, b, c, d uint64
	for ; len(words) >= 8; words = words[8:] {
		w := words[:8:8]
		a += w[0] + w[4]
		b += w[1] + w[5]
		c += w[2] + w[6]
		d += w[3] + w[7]
	}
	return a + b + c + d
}

// Bandwidth implements [backend.Probe]. All of the memory is read once, also where that takes less than a burst.
func (p *probe) Bandwidth() (float64, error) {
	seconds, err := p.seconds(1, p.chunks(), &scanJob{probe: p})
	if err != nil {
		return 0, err
	}
	return float64(len(p.memory)) / seconds, nil
}

// peak is a job of multiply-adds that need no memory.
type peak struct {
	backend.Burst
	loop  func(turns int)
	turns int // of a task, which takes some 100 µs
	adds  int // multiply-adds of a turn
}

func (p *peak) do(_ *worker, _ int) { p.loop(p.turns) }

// peaks are those of products with quantised weights and of all else, on a path or in plain Go.
func peaks(k *simd.Kernels) (quantised, floats peak) {
	if k == nil {
		x := slices.Repeat([]float32{1}, plainColumns)
		loop := func(turns int) {
			for range turns {
				dot4(x, x, x, x, x)
			}
		}
		floats = peak{loop: loop, turns: 1 << 6, adds: 4 * plainColumns}
		return floats, floats
	}
	quantised.loop = func(turns int) { k.GEMMPeak(new([16]int32), turns) }
	quantised.turns, quantised.adds = 1<<14, k.GEMMAdds
	floats.loop = func(turns int) { k.DotsPeak(new([16]float32), turns) }
	floats.turns, floats.adds = 1<<14, k.DotsAdds
	return quantised, floats
}

// Products implements [backend.Probe].
func (p *probe) Products(f backend.Format) (float64, error) {
	if f.Quantised() {
		return p.operations(&p.quantised)
	}
	return p.operations(&p.floats)
}

// Attention implements [backend.Probe].
func (p *probe) Attention() (float64, error) { return p.operations(&p.floats) }

// operations a second of a peak, on all workers.
func (p *probe) operations(peak *peak) (float64, error) {
	workers := len(p.pool.workers)
	work, seconds, err := peak.Run(func(work int) (float64, error) { return p.seconds(1, work*workers, peak) })
	if err != nil {
		return 0, err
	}
	return work * float64(workers*peak.turns) * float64(2*peak.adds) / seconds, nil
}

// meetJob has a task a worker, which waits for the others to begin: else one worker would do all of them at once. Who
// has no processor is not waited for long.
type meetJob struct {
	workers int64
	begun   atomic.Int64 // tasks of all rounds
}

func (j *meetJob) do(*worker, int) {
	all := (j.begun.Add(1) + j.workers - 1) / j.workers * j.workers
	for i := 0; i < spins && j.begun.Load() < all; i++ {
		simd.Pause(1)
	}
}

// Launch implements [backend.Probe]: what it takes until all workers are at a job, and until they have left.
func (p *probe) Launch() (float64, error) {
	workers := len(p.pool.workers)
	meet := meetJob{workers: int64(workers)}
	rounds, seconds, err := p.launch.Run(func(work int) (float64, error) { return p.seconds(work, workers, &meet) })
	if err != nil {
		return 0, err
	}
	return seconds / rounds, nil
}
