package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/glm4-metal/glm4-metal/model"
)

// engine holds the model while it is used.
type engine struct {
	o Options

	mu      sync.Mutex
	model   *model.Model
	pool    *model.Pool
	users   int
	loads   int           // that were begun
	context int           // tokens of the model's, also when it is unloaded
	loading chan struct{} // closed when the load that runs has ended, nil when none runs
	err     error         // of the last load
	idle    *time.Timer   // unloads
	stop    context.CancelFunc
	closed  bool
	changed *sync.Cond // loading and users
}

func newEngine(o Options) *engine {
	e := &engine{o: o, stop: func() {}}
	e.changed = sync.NewCond(&e.mu)
	return e
}

// use gives the model and its pool, loads them if need be, and keeps them until release, which is called once. All who
// come while a load runs wait for that one; where it fails, all of them fail, and the next tries again.
func (e *engine) use(ctx context.Context) (p *model.Pool, m *model.Model, release func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for waited := false; e.model == nil || e.closed; waited = true {
		switch {
		case e.closed:
			return nil, nil, nil, model.ErrClosed
		case waited && e.err != nil:
			return nil, nil, nil, e.err
		case e.loading == nil:
			e.load()
		}
		loading := e.loading
		e.mu.Unlock()
		select {
		case <-loading:
		case <-ctx.Done():
		}
		e.mu.Lock()
		if ctx.Err() != nil {
			return nil, nil, nil, ctx.Err()
		}
	}
	e.users++
	if e.idle != nil {
		e.idle.Stop()
	}
	return e.pool, e.model, sync.OnceFunc(e.release), nil
}

// load begins to load. e is locked.
func (e *engine) load() {
	ctx, cancel := context.WithCancel(context.Background())
	loading := make(chan struct{})
	e.loading, e.err, e.stop = loading, nil, cancel
	e.loads++
	go func() {
		m, err := e.loadModel(ctx)
		cancel()
		e.mu.Lock()
		defer e.mu.Unlock()
		if err == nil {
			e.model, e.pool, e.context = m, m.NewPool(e.o.Pool), m.Info().Context
			e.rest()
		} else {
			e.err = loadError{err}
		}
		e.loading = nil
		close(loading)
		e.changed.Broadcast()
	}()
}

func (e *engine) loadModel(ctx context.Context) (m *model.Model, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	return e.o.Load(ctx)
}

func (e *engine) release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.users--; e.users == 0 {
		e.rest()
		e.changed.Broadcast()
	}
}

// rest has the model unloaded, unless somebody comes in time. e is locked.
func (e *engine) rest() {
	if e.o.KeepAlive > 0 && !e.closed {
		e.idle = time.AfterFunc(e.o.KeepAlive, e.unload)
	}
}

// unload frees the model if nobody uses it. Who comes meanwhile waits, so that there are never two in memory.
func (e *engine) unload() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.users == 0 {
		e.free()
	}
}

// free is unload without a look at the users. e is locked.
func (e *engine) free() error {
	if e.model == nil {
		return nil
	}
	err := errors.Join(e.pool.Close(), e.model.Close())
	e.model, e.pool = nil, nil
	return err
}

// engineState is what the engine does.
type engineState struct {
	loaded, loading bool
	loads, context  int
	stats           model.PoolStats
}

func (e *engine) state() engineState {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := engineState{loaded: e.model != nil, loading: e.loading != nil, loads: e.loads, context: e.context}
	if e.pool != nil {
		s.stats = e.pool.Stats()
	}
	return s
}

// end ends what runs or loads, and refuses what comes, with [model.ErrClosed].
func (e *engine) end() error {
	e.mu.Lock()
	e.closed = true
	pool := e.pool
	e.stop()
	if e.idle != nil {
		e.idle.Stop()
	}
	e.mu.Unlock()
	if pool == nil {
		return nil
	}
	return pool.Close()
}

// close is end, waits for what it ended, and frees the model.
func (e *engine) close() error {
	err := e.end()
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.loading != nil || e.users > 0 {
		e.changed.Wait()
	}
	return errors.Join(err, e.free())
}
