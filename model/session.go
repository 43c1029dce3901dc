package model

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// Session is one timeline of tokens and their KV cache, which starts empty and grows with the text; [Model.NewSession]
// makes it. It is for one goroutine at a time; several sessions of a model may be used side by side, and their steps,
// a chunk of a prompt or a token each, take turns in the order in which they ask. Close it to free the cache.
//
// While a generation runs, up to the end of its loop, another one and all that would change the tokens gives [ErrBusy].
type Session struct {
	m      *Model
	mu     sync.Mutex // held while a generation runs
	closed bool

	stream backend.Stream
	cache  backend.Cache
	logits backend.Buffer    // of one token, [vocab]
	picked [2]backend.Tokens // the ids that the device chose in even and in odd steps

	tokens    []int32      // what the cache holds
	bytes     atomic.Int64 // of the cache
	chosen    int32        // the id that the device picked in the last step that was waited for
	unsettled bool         // steps may run, or a stop be left, of an earlier generation
	meter     *meter       // while a prompt is computed and someone wants to know how far it is
	result    atomic.Pointer[Result]
}

// NewSession gives an empty session. It takes no memory before its first use.
func (m *Model) NewSession() *Session { return &Session{m: m} }

// open allocates what the session needs on the device, at its first use.
func (s *Session) open() (err error) {
	switch {
	case s.closed || s.m.closed.Load():
		return ErrClosed
	case s.stream != nil:
		return nil
	}
	d := s.m.device
	if s.logits == nil {
		if s.logits, err = d.NewBuffer(s.m.config.Vocab); err != nil {
			return err
		}
	}
	for i := range s.picked {
		if s.picked[i] == nil {
			if s.picked[i], err = d.NewTokens(1); err != nil {
				return err
			}
		}
	}
	if s.cache == nil {
		if s.cache, err = d.NewCache(s.m.config.Layers, attention(s.m.config), s.m.kvFormat); err != nil {
			return err
		}
	}
	s.stream, err = d.NewStream()
	return err
}

// Tokens gives the ids that the cache holds: prompt and answer, without the last token of an answer, which has not
// been computed on yet.
func (s *Session) Tokens() []int32 { return slices.Clone(s.tokens) }

// Len is the number of tokens in the cache.
func (s *Session) Len() int { return len(s.tokens) }

// CacheBytes is the memory that the KV cache takes on the device. It may be called from several goroutines.
func (s *Session) CacheBytes() int64 { return s.bytes.Load() }

// Truncate forgets all but the first n tokens; n beyond the end changes nothing. A generation cuts off by itself what
// its prompt does not begin with. The error is [ErrBusy], or nil.
func (s *Session) Truncate(n int) error {
	if !s.mu.TryLock() {
		return ErrBusy
	}
	defer s.mu.Unlock()
	s.truncate(n)
	return nil
}

func (s *Session) truncate(n int) { s.tokens = s.tokens[:max(0, min(n, len(s.tokens)))] }

// Close frees the cache. While a generation runs it does nothing but give [ErrBusy]. Closing twice is no error.
func (s *Session) Close() error {
	if !s.mu.TryLock() {
		return ErrBusy
	}
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var errs []error
	if s.stream != nil {
		s.stream.Wait(0) // what a step ended with is no matter any more
		errs = append(errs, s.stream.Close())
	}
	if s.cache != nil {
		errs = append(errs, s.cache.Close())
	}
	if s.logits != nil {
		errs = append(errs, s.logits.Close())
	}
	for i, t := range s.picked {
		if t != nil {
			errs = append(errs, t.Close())
		}
		s.picked[i] = nil
	}
	s.stream, s.cache, s.logits, s.tokens = nil, nil, nil, nil
	s.bytes.Store(0)
	return errors.Join(errs...)
}

// rest frees what the session has beside its cache, until it is used again. No generation may run.
func (s *Session) rest() error {
	if s.stream == nil {
		return nil
	}
	s.stream.Wait(0)
	err := errors.Join(s.stream.Close(), s.logits.Close())
	s.stream, s.logits, s.unsettled = nil, nil, false
	return err
}

// step computes ids behind what the cache holds and hands the logits of the last `rows` of them to read, if it is not
// nil; the device picks the next id from the last, if asked.
func (s *Session) step(ctx context.Context, ids []int32, logits backend.Buffer, rows int, pick *backend.Sampling,
	read func(logits []float32)) error {
	m := s.m
	if err := m.take(ctx); err != nil {
		return err
	}
	defer m.leave()
	if s.unsettled {
		s.stream.Wait(0)
		s.unsettled = false
	}
	copy(m.scratch.Tokens.IDs(), ids)
	err := s.submit(m.scratch.Tokens, backend.Span{Pos: len(s.tokens), N: len(ids)}, logits, rows, pick)
	if waited := s.stream.Wait(0); err == nil {
		err = waited
	}
	if err != nil {
		return err
	}
	s.tokens = append(s.tokens, ids...)
	if pick != nil {
		s.chosen = s.picked[pick.Step%2].IDs()[0]
	}
	if read != nil {
		read(logits.Floats())
	}
	return nil
}

// follow stops the steps of the stream when ctx ends. release ends that, and leaves a stream that can be used again.
func (s *Session) follow(ctx context.Context) (release func()) {
	stopped := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		s.stream.Stop()
		close(stopped)
	})
	return func() {
		if !cancel() {
			<-stopped
			s.settle()
		}
	}
}

// cause is the context's error in place of that of a step which was stopped for it.
func cause(ctx context.Context, err error) error {
	if errors.Is(err, backend.ErrStopped) {
		return ctx.Err()
	}
	return err
}

// submit starts a step. An id that the device picks goes to s.picked by the parity of its number.
func (s *Session) submit(ids backend.Tokens, at backend.Span, logits backend.Buffer, rows int,
	pick *backend.Sampling) error {
	if err := s.cache.Grow(at.Pos + at.N); err != nil {
		return err
	}
	s.bytes.Store(s.cache.Bytes())
	stream := s.stream
	if s.meter != nil {
		stream = s.meter.step(stream, at.N)
	}
	s.m.weights.Forward(stream, s.m.scratch, s.cache, ids, at, logits, rows)
	if pick != nil {
		s.stream.Sample(s.picked[pick.Step%2], 0, logits, *pick)
	}
	return s.stream.Submit()
}

// ahead waits for the step that chooses the id number n of the answer. Where pick is not nil it first starts the next
// step on that id, at a position of the context, which the device picks for. Both take one turn, so that a token waits
// for the other sessions once.
func (s *Session) ahead(ctx context.Context, n uint64, pos int, pick *backend.Sampling) error {
	if err := s.m.take(ctx); err != nil {
		return err
	}
	defer s.m.leave()
	running := 0
	if pick != nil {
		if err := s.submit(s.picked[n%2], backend.Span{Pos: pos, N: 1}, s.logits, 1, pick); err != nil {
			return err
		}
		running = 1
	}
	if err := s.stream.Wait(running); err != nil {
		return err
	}
	s.chosen = s.picked[n%2].IDs()[0]
	return nil
}

// settle waits for all steps and forgets what they ended with. While another session has its turn, that is left to the
// next step.
func (s *Session) settle() {
	select {
	case s.m.turn <- struct{}{}:
		defer s.m.leave()
		if !s.m.closed.Load() {
			s.stream.Wait(0)
		}
	default:
		s.unsettled = true
	}
}

// prefill makes the cache hold ids, reusing their longest prefix that it has, and gives the logits of the last one to
// read, or has the device pick an id from them. It returns how many tokens were there already, and tells report how far
// it is, if it is not nil.
func (s *Session) prefill(ctx context.Context, ids []int32, pick *backend.Sampling, read func(logits []float32),
	report func(done, total int)) (cached int, err error) {
	if err := s.m.checkWeights(ctx); err != nil {
		return 0, err
	}
	cached = commonPrefix(ids[:len(ids)-1], s.tokens) // the last one is computed again, for its logits
	s.truncate(cached)
	if report != nil {
		s.meter = newMeter(s.m.weights, cached, len(ids), report)
		s.stream.OnPart(s.meter.part)
		defer func() {
			s.meter = nil
			s.stream.OnPart(nil)
		}()
		report(cached, len(ids))
	}
	for begin := cached; begin < len(ids); {
		if err := ctx.Err(); err != nil {
			return cached, err
		}
		end := min(begin+s.m.chunk, len(ids))
		if end < len(ids) {
			err = s.step(ctx, ids[begin:end], s.logits, 0, nil, nil)
		} else {
			err = s.step(ctx, ids[begin:end], s.logits, 1, pick, read)
		}
		if err != nil {
			return cached, err
		}
		begin = end
	}
	if report != nil {
		report(len(ids), len(ids))
	}
	return cached, nil
}

// Logits computes ids behind the session's tokens, adds them to it, and gives the logits of the last `rows` of them:
// for each of these a row of float32, one for each id below Text.VocabSize, that tells what comes behind it. The log
// probability of an id is its logit less the logarithm of the sum of all exp(logit). It is for evaluation, such as
// perplexity. The slices are the caller's.
//
// The error is [ErrBusy], [ErrClosed], a [*ContextError], a [*loader.FaultError], the context's if that ended, or one
// that only its text tells. After an error the session holds the ids that were computed before it.
func (s *Session) Logits(ctx context.Context, ids []int32, rows int) ([][]float32, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if rows < 0 || rows > len(ids) {
		return nil, fmt.Errorf("logits of %d tokens asked for, %d given", rows, len(ids))
	}
	if err := s.m.checkPrompt(len(s.tokens), ids, 0); err != nil {
		return nil, err
	}
	defer s.follow(ctx)()
	if err := s.m.checkWeights(ctx); err != nil {
		return nil, err
	}
	vocab := s.m.config.Vocab
	out := make([][]float32, 0, rows)
	buf, err := s.m.device.NewBuffer(max(1, min(rows, s.m.chunk)) * vocab)
	if err != nil {
		return nil, err
	}
	defer buf.Close()
	for begin := 0; begin < len(ids); begin += s.m.chunk {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		end := min(begin+s.m.chunk, len(ids))
		n := min(end-begin, max(0, end-(len(ids)-rows)))
		err := s.step(ctx, ids[begin:end], buf, n, nil, func(logits []float32) {
			for row := range slices.Chunk(logits[:n*vocab], vocab) {
				out = append(out, slices.Clone(row[:s.m.vocab]))
			}
		})
		if err != nil {
			return nil, s.m.explain(cause(ctx, err))
		}
	}
	return out, nil
}

// begin takes the session for one generation. The caller unlocks s.mu unless there was an error.
func (s *Session) begin() error {
	if !s.mu.TryLock() {
		return ErrBusy
	}
	if err := s.open(); err != nil {
		s.mu.Unlock()
		return err
	}
	return nil
}
