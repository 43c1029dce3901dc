package model

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
)

// ErrQueueFull is the error of a request that a [Pool] has no place for.
var ErrQueueFull = errors.New("too many requests wait already; try again later")

// PoolOptions say how much a [Pool] does at once and keeps.
type PoolOptions struct {
	Parallel int // answers that are generated side by side, their steps in turns; 0: 4
	Queue    int // requests that wait for that; 0: 64; negative: none; more are refused with ErrQueueFull
	// CacheBytes is how much the KV caches of sessions that are kept for later prompts may take, not counting those that
	// are in use; negative: none are kept. 0: what Parallel full contexts take, or less where the device's memory leaves
	// less beside the weights and one full context.
	CacheBytes int64
}

// A Pool answers the requests of many with the sessions of one model: [Model.NewPool] makes it. Its methods may be
// called from several goroutines, and it has none of its own.
//
// Requests are answered in the order of their Submits. A session is kept when its answer has ended, also when that was
// cancelled, and goes to the prompt that has most in common with it:
//
//   - A conversation that goes on gets the session that has computed it so far.
//   - Another prompt gets the session with the longest common prefix, such as a system text, if the session has no more
//     than that to lose behind it: requests that come only once share one cache, and a long conversation is not
//     lost for its beginning. A conversation that comes back after such a loss gets a session of its own.
//   - Otherwise the prompt gets a new session or, where CacheBytes has no room for one, the least recently used one.
//
// What a prompt has in common with the one before ends where they first differ. GLM-4-0414's chat format has the tools
// and all system messages in front of a prompt, wherever they were in the conversation, so a system message that
// changes, or comes late, has the conversation computed again. That of glm-4-9b-chat has it where it came.
type Pool struct {
	m *Model
	o PoolOptions

	mu      sync.Mutex
	left    sync.Cond // an answer has lost its place
	closed  bool
	answers []*Answer // that have a place, in the order of their Submits
	running int       // of these
	idle    idleSessions
	errs    []error   // of closing sessions
	stats   PoolStats // the sums
}

// NewPool makes a pool. It is to be closed before the model.
func (m *Model) NewPool(o PoolOptions) *Pool {
	if o.Parallel <= 0 {
		o.Parallel = 4
	}
	o.Queue = max(0, cmp.Or(o.Queue, 64))
	if o.CacheBytes == 0 {
		o.CacheBytes = int64(o.Parallel) * m.memory.KV
		d := m.device.Info()
		if d.Memory > 0 {
			o.CacheBytes = min(o.CacheBytes, max(m.memory.KV, d.Memory-m.memory.Total()))
		}
		if d.Room > 0 {
			o.CacheBytes = min(o.CacheBytes, max(m.memory.KV, d.Room-m.memory.Scratch-m.memory.KV))
		}
	}
	p := &Pool{m: m, o: o, idle: idleSessions{most: o.CacheBytes}}
	p.left.L = &p.mu
	return p
}

// Request is what a [Pool] is asked for: an answer to a conversation, as [Chat.Reply] gives it, or the continuation of
// some ids.
type Request struct {
	Messages []Message // nil: Prompt is continued
	Tools    []Tool
	Choice   ToolChoice
	Prompt   []int32 // whole, with the tokenizer's prefix: see Text.EncodePrompt
	Options  Options
}

// ToolMode says whether an answer is to call tools.
type ToolMode string

// The modes.
const (
	ToolAuto     ToolMode = ""         // as the model sees fit
	ToolNone     ToolMode = "none"     // the tools are not declared to it
	ToolRequired ToolMode = "required" // it calls one or more
	ToolNamed    ToolMode = "named"    // it calls this one
)

// ToolChoice is a mode, and the tool's name where that needs one. Where a call is required, its first line is forced
// and its arguments are a JSON object.
type ToolChoice struct {
	Mode ToolMode
	Name string
}

// Submit checks a request, makes its prompt and gives it a place in the queue. The context is that of the whole answer:
// when it ends before the answer's turn has come, the place is free again. Errors are a [*ContextError] of a prompt
// that does not fit, an [*OptionError], [ErrQueueFull], [ErrClosed], the context's, or one of [Text.Prompt]. The caller
// closes the answer.
func (p *Pool) Submit(ctx context.Context, r Request) (*Answer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a := &Answer{pool: p, options: r.Options, ready: make(chan struct{})}
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	if err := p.admit(a); err != nil {
		a.cancel(nil)
		return nil, err
	}
	if err := a.prepare(r); err != nil {
		err = a.cause(err)
		a.withdraw()
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Requests++
	return a, nil
}

// admit gives an answer a place, until the end of its context or Close.
func (p *Pool) admit(a *Answer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed || p.m.closed.Load():
		return ErrClosed
	case len(p.answers) >= p.o.Parallel+p.o.Queue:
		return ErrQueueFull
	}
	p.answers = append(p.answers, a)
	a.unfollow = context.AfterFunc(a.ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if a.state != answerRuns {
			p.leave(a, a.cause(a.ctx.Err()))
		}
	})
	return nil
}

// leave takes an answer's place and lets the next ones run. A loop that waits for its turn, or is yet to come, gets the
// error. p.mu is held.
func (p *Pool) leave(a *Answer, err error) {
	if a.state == answerEnded {
		return
	}
	ran := a.state == answerRuns
	a.state, a.err = answerEnded, err
	if ran {
		p.running--
	} else {
		a.result.FinishReason = failure(a.ctx, err)
		close(a.ready)
	}
	p.answers = slices.DeleteFunc(p.answers, func(b *Answer) bool { return a == b })
	p.start()
	p.left.Broadcast()
}

// start gives sessions to the answers whose turn it is: the first of those whose loops wait for it. p.mu is held.
func (p *Pool) start() {
	for _, a := range p.answers {
		if p.running == p.o.Parallel {
			return
		}
		if a.state != answerWaits {
			continue
		}
		bytes := attention(p.m.config).CacheBytes(p.m.config.Layers, len(a.question.ids)+1, p.m.kvFormat)
		if a.session = p.idle.take(a.question.ids, bytes); a.session == nil {
			a.session = p.m.NewSession()
		}
		a.state = answerRuns
		p.running++
		close(a.ready)
	}
}

// finish takes the session of an answer back that has run, and its place.
func (p *Pool) finish(a *Answer) {
	errs := []error{a.session.rest()}
	p.mu.Lock()
	closing := []*Session{a.session}
	if !a.broken {
		closing = p.idle.keep(a.session, a.opening)
	}
	a.session = nil
	p.mu.Unlock()
	for _, s := range closing {
		errs = append(errs, s.Close())
	}
	err := errors.Join(errs...)
	p.mu.Lock()
	if err != nil {
		p.errs = append(p.errs, err)
	}
	p.stats.PromptTokens += int64(a.result.PromptTokens)
	p.stats.CachedTokens += int64(a.result.CachedTokens)
	p.stats.CompletionTokens += int64(a.result.CompletionTokens)
	p.leave(a, ErrClosed)
	p.mu.Unlock()
	a.unfollow()
	a.cancel(nil)
}

// PoolStats is what a [Pool] does at the moment, and has done.
type PoolStats struct {
	Running, Waiting int
	Sessions         int   // kept, in use or not
	CacheBytes       int64 // of these
	Requests         int64 // that Submit has taken since the pool was made
	PromptTokens     int64 // of the answers that have ended, as are the following
	CachedTokens     int64 // of the prompts
	CompletionTokens int64
}

// Stats gives them.
func (p *Pool) Stats() PoolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Running, s.Waiting = p.running, len(p.answers)-p.running
	s.Sessions, s.CacheBytes = len(p.idle.sessions), p.idle.bytes()
	for _, a := range p.answers {
		if a.session != nil {
			s.Sessions++
			s.CacheBytes += a.session.CacheBytes()
		}
	}
	return s
}

// Close refuses further requests, ends those that run or wait with [ErrClosed], waits for the ends of their loops, and
// frees the sessions. It must not be called within such a loop. Closing twice is no error.
func (p *Pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, a := range p.answers {
		a.cancel(ErrClosed)
	}
	for len(p.answers) > 0 {
		p.left.Wait()
	}
	errs := p.errs
	for _, k := range p.idle.sessions {
		errs = append(errs, k.Close())
	}
	p.idle.sessions, p.errs = nil, nil
	return errors.Join(errs...)
}
