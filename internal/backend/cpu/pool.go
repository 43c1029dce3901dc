package cpu

import (
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
	"github.com/glm4-metal/glm4-metal/internal/fault"
)

// job is an op cut into tasks that may run at the same time.
type job interface{ do(w *worker, task int) }

// pool is a fixed set of goroutines that share the tasks of one job at a time. Between jobs they spin for a moment,
// because a step is some hundred jobs right behind each other, and then sleep.
type pool struct {
	mu      sync.Mutex // one job at a time
	workers []*worker
	round   atomic.Uint32 // counts the jobs; a helper that sees it change may have work
	gate    atomic.Int64  // helpers inside a job, and gateOpen while more may enter
	closed  atomic.Bool
	job     job
	stop    *atomic.Bool // true: leave the rest of the job undone
	onPart  func(share float64)
	shares  []share     // of the tasks, one a worker
	done    sleeper     // where the caller waits for helpers to leave
	empty   func() bool // none is inside

	mapped [][]byte                    // memory whose faults are a job's error
	fault  atomic.Pointer[fault.Error] // of the job
}

const gateOpen = 1 << 32

// share is a run of tasks in a row, so that a worker reads memory in sequence and what it fetches ahead is its own. Who
// is done with its share goes on with the others'.
type share struct {
	next, end atomic.Int64
	_         [48]byte // to the end of the cache line
}

// worker is one goroutine, with memory that it keeps from job to job.
type worker struct {
	sleeper
	scratch
	share int // the first that it works on
}

// sleeper lets one goroutine wait for a condition that others bring about.
type sleeper struct {
	asleep atomic.Bool
	wake   chan struct{}
}

// The spins of a waiting goroutine before it sleeps: some 100 µs.
const (
	spins  = 200
	pauses = 16
)

// wait returns when ready says so; whoever makes it true calls notify afterwards.
func (s *sleeper) wait(ready func() bool) {
	for range spins {
		if ready() {
			return
		}
		simd.Pause(pauses)
	}
	for {
		s.asleep.Store(true)
		if ready() && s.asleep.CompareAndSwap(true, false) {
			return
		}
		<-s.wake // not ready yet, or the notice is on its way
		if ready() {
			return
		}
	}
}

func (s *sleeper) notify() {
	if s.asleep.Load() && s.asleep.CompareAndSwap(true, false) {
		s.wake <- struct{}{}
	}
}

func newPool(n int) *pool {
	p := &pool{done: sleeper{wake: make(chan struct{}, 1)}}
	p.empty = func() bool { return p.gate.Load() == 0 }
	p.shares = make([]share, n)
	for i := range n {
		w := &worker{sleeper: sleeper{wake: make(chan struct{}, 1)}, share: i}
		p.workers = append(p.workers, w)
		if i > 0 { // the first belongs to the caller's own goroutine
			go p.help(w)
		}
	}
	return p
}

func (p *pool) help(w *worker) {
	debug.SetPanicOnFault(true)
	round := uint32(0)
	ready := func() bool { return p.round.Load() != round }
	for !p.closed.Load() {
		w.wait(ready)
		round = p.round.Load()
		if !p.enter() {
			continue // too late, nothing is left
		}
		p.work(w)
		if p.gate.Add(-1) == 0 {
			p.done.notify()
		}
	}
}

// enter tells whether a helper may take part in the job of the moment.
func (p *pool) enter() bool {
	for {
		g := p.gate.Load()
		if g&gateOpen == 0 {
			return false
		}
		if p.gate.CompareAndSwap(g, g+1) {
			return true
		}
	}
}

// run does each task from 0 to tasks-1, on all workers, and returns when all are done, or, once stop is true, those
// that have begun. A helper that comes when the last task is taken is not waited for. onPart, if it is not nil, is told
// between the caller's own tasks how much of the job is done. A fault of mapped memory is an error, after which tasks
// are left undone.
func (p *pool) run(tasks int, j job, stop *atomic.Bool, onPart func(share float64)) (err error) {
	p.mu.Lock()
	p.job, p.stop, p.onPart = j, stop, onPart
	defer p.leave(debug.SetPanicOnFault(true), &err)
	for i := range p.shares {
		p.shares[i].next.Store(int64(i * tasks / len(p.shares)))
		p.shares[i].end.Store(int64((i + 1) * tasks / len(p.shares)))
	}
	if len(p.workers) > 1 && tasks > 1 {
		p.gate.Store(gateOpen)
		p.begin()
	}
	p.work(p.workers[0])
	return nil
}

// leave ends a run, also one that panics: it waits for the helpers.
func (p *pool) leave(before bool, err *error) {
	if p.gate.Load()&gateOpen != 0 && p.gate.Add(-gateOpen) != 0 {
		p.done.wait(p.empty)
	}
	if p.fault.Load() != nil {
		*err = p.fault.Swap(nil)
	}
	p.job, p.stop, p.onPart = nil, nil, nil
	debug.SetPanicOnFault(before)
	p.mu.Unlock()
}

// begin starts a round.
func (p *pool) begin() {
	p.round.Add(1)
	for _, w := range p.workers[1:] {
		w.notify()
	}
}

// announce adds memory whose faults are a job's error.
func (p *pool) announce(regions [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mapped = slices.Concat(p.mapped, regions) // a copy, as others may read the old list
}

// forget takes memory back that was announced.
func (p *pool) forget(regions [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mapped = slices.DeleteFunc(slices.Clone(p.mapped), func(m []byte) bool {
		return slices.ContainsFunc(regions, func(r []byte) bool { return unsafe.SliceData(r) == unsafe.SliceData(m) })
	})
}

// regions is the memory whose faults are errors, for an op that runs without a job.
func (p *pool) regions() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mapped
}

// work does tasks until all are taken.
func (p *pool) work(w *worker) {
	defer p.catch()
	stop, onPart := p.stop, p.onPart
	if w != p.workers[0] {
		onPart = nil
	}
	for i := range p.shares {
		s := &p.shares[(w.share+i)%len(p.shares)]
		for begin, end := s.next.Load(), s.end.Load(); ; {
			task := s.next.Add(1) - 1
			if task >= end || stop.Load() {
				break
			}
			p.job.do(w, int(task))
			if onPart != nil && i == 0 && task+1 < end { // the shares of others are about as far
				onPart(float64(task+1-begin) / float64(end-begin))
			}
		}
	}
}

// catch takes a worker out of a task that faults, and leaves no task for the others.
func (p *pool) catch() {
	if r := recover(); r != nil {
		p.fault.Store(fault.Recovered(r, p.mapped))
		for i := range p.shares {
			p.shares[i].next.Store(p.shares[i].end.Load())
		}
	}
}

// close ends the helpers.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed.Store(true)
	p.begin()
}

// runner runs the jobs of a stream and keeps their first error.
type runner struct {
	pool    *pool
	err     error
	stopped atomic.Bool
	onPart  func(share float64)
}

// run does the tasks of a job.
func (r *runner) run(tasks int, j job) { r.runParts(tasks, j, nil) }

// runParts is run, told to onPart, if it is not nil: also at the end, as helpers may take every task.
func (r *runner) runParts(tasks int, j job, onPart func(share float64)) {
	if r.err == nil {
		r.err = r.pool.run(tasks, j, &r.stopped, onPart)
		r.checkStop()
		if r.err == nil && onPart != nil {
			onPart(1)
		}
	}
}

// checkStop makes a Stop the stream's error.
func (r *runner) checkStop() {
	if r.err == nil && r.stopped.Load() {
		r.err = backend.ErrStopped
	}
}
