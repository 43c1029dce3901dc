package cpu

import (
	"sync"
	"sync/atomic"
)

// pool is a fixed set of goroutines that share the tasks of one op at a time.
type pool struct {
	mu      sync.Mutex // one op at a time
	workers []*worker
	start   chan struct{}
	done    sync.WaitGroup
	next    atomic.Int64
	tasks   int64
	f       func(w *worker, task int)
}

// worker is the scratch memory of one goroutine, kept from op to op.
type worker struct {
	rows []float32 // dequantised rows of a matrix
	tile []float32 // products of those rows with the tokens
	attn attnScratch
}

func newPool(n int) *pool {
	p := &pool{start: make(chan struct{})}
	for i := range n {
		w := &worker{}
		p.workers = append(p.workers, w)
		if i == 0 {
			continue // the caller's own goroutine
		}
		go func() {
			for range p.start {
				p.work(w)
				p.done.Done()
			}
		}()
	}
	return p
}

// run calls f for each task from 0 to tasks-1, on all workers, and returns when all are done.
func (p *pool) run(tasks int, f func(w *worker, task int)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.f, p.tasks = f, int64(tasks)
	p.next.Store(0)
	helpers := min(len(p.workers), tasks) - 1
	for range helpers {
		p.done.Add(1)
		p.start <- struct{}{}
	}
	p.work(p.workers[0])
	p.done.Wait()
	p.f = nil
}

func (p *pool) work(w *worker) {
	for {
		task := p.next.Add(1) - 1
		if task >= p.tasks {
			return
		}
		p.f(w, int(task))
	}
}

func (p *pool) close() { close(p.start) }

// grow gives a slice of n floats, reusing the memory of buf.
func grow(buf *[]float32, n int) []float32 {
	if cap(*buf) < n {
		*buf = make([]float32, n)
	}
	return (*buf)[:n]
}
