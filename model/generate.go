package model

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/tokenizer"
)

// Result tells about the last generation, once its loop has ended. Of one that was refused it says FinishError and no
// numbers; one that was refused with [ErrBusy] changes nothing.
func (s *Session) Result() Result {
	if r := s.result.Load(); r != nil {
		return *r
	}
	return Result{}
}

// Generate continues a text. It puts the tokenizer's prefix ([gMASK]<sop>) in front and takes everything else as
// plain text: no chat template, and no control tokens unless o.ParseSpecial is set, with which the prefix may be in
// the text. The generation runs while the loop does; leaving the loop ends it. Events bring Text only.
//
// An error ends the loop, in a last turn without an event. It is ctx's error where that has ended, else an
// [*OptionError], a [*ContextError], [ErrBusy], [ErrClosed], a [*loader.FaultError], or one that only its text tells.
// What the answer was up to there stays in the session.
func (s *Session) Generate(ctx context.Context, prompt string, o Options) iter.Seq2[Event, error] {
	return s.events(ctx, o, part{}, func() ([]int32, error) {
		if prompt == "" {
			return nil, errEmptyPrompt
		}
		return s.m.text.EncodePrompt(ctx, prompt, o.ParseSpecial)
	})
}

// GenerateTokens continues ids, which are the whole prompt: what the session's cache holds of it is not computed
// again, and what it holds beyond is forgotten. ids must not change before the loop begins. Otherwise it is Generate.
func (s *Session) GenerateTokens(ctx context.Context, ids []int32, o Options) iter.Seq2[Event, error] {
	return s.events(ctx, o, part{}, func() ([]int32, error) { return ids, nil })
}

// part is one of the parts in which a Chat generates an answer. The zero part is a whole one.
type part struct {
	answered int         // tokens of the answer that the prompt ends with
	enough   func() bool // ends the part behind a token; nil: nothing does
}

func (s *Session) events(ctx context.Context, o Options, p part,
	prompt func() ([]int32, error)) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := s.m.explain(s.generate(ctx, &o, p, prompt, yield)); err != nil {
			yield(Event{}, err)
		}
	}
}

func (s *Session) generate(
	ctx context.Context, o *Options, p part, prompt func() ([]int32, error), yield func(Event, error) bool,
) (err error) {
	m, r := s.m, refused
	defer func() {
		if err = cause(ctx, err); errors.Is(err, ErrBusy) {
			return
		}
		if err != nil {
			r.FinishReason = failure(ctx, err)
		}
		s.result.Store(&r)
	}()
	if err := o.check(m.vocab); err != nil {
		return err
	}
	ids, err := prompt()
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return errEmptyPrompt
	}
	if err := s.begin(); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := m.checkPrompt(0, ids, 1); err != nil {
		return err
	}
	defer s.follow(ctx)()

	r.FinishReason, r.PromptTokens = FinishCancelled, len(ids)
	seed := o.Seed
	for seed == 0 {
		seed = rand.Uint64N(1 << 53) // which JSON can carry
	}
	r.Seed = seed
	pick := newPicker(s, o, p, seed, ids)
	text := newTextStream(m.text.tokenizer, o.Stop)

	start := time.Now()
	if r.CachedTokens, err = s.prefill(ctx, ids, pick.onDevice(0), pick.read(), o.OnPrefill); err != nil {
		return err
	}
	first := time.Now()
	r.TTFT = first.Sub(start)
	defer func() { r.GenerationTime = time.Since(first) }()
	defer pick.settle()
	for {
		token, err := pick.next(ctx, r.CompletionTokens)
		if err != nil {
			return err
		}
		if m.stops[token.ID] && !o.IgnoreEOS {
			r.FinishReason, r.Stopped, r.StopToken = FinishStop, true, token.ID
			break
		}
		pick.tokens = append(pick.tokens, token.ID)
		r.CompletionTokens++
		piece, stopped := text.next(token.ID)
		if stopped {
			r.FinishReason = FinishStop
		}
		if !yield(Event{Token: &token, Text: piece}, nil) || stopped {
			return nil
		}
		if !pick.more(r.CompletionTokens) || p.enough != nil && p.enough() {
			r.FinishReason = FinishLength
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := pick.step(ctx, r.CompletionTokens); err != nil {
			return err
		}
	}
	if rest := text.flush(); rest != "" {
		yield(Event{Text: rest}, nil)
	}
	return nil
}

// picker chooses the next id after a step: the device has, where the options allow it; otherwise the sampler does.
//
// Where the device picks and runs on its own, it is kept one step ahead: the next step starts, on an id that only the
// device knows yet, before the last one is waited for. When that id ends the answer the step was for nothing; what it
// wrote into the cache lies behind the session's tokens and counts for nothing.
type picker struct {
	session *Session
	part    part
	sampler sampler
	prompt  int     // tokens of it
	tokens  []int32 // prompt and answer
	logits  []float32
	device  backend.Sampling
	async   bool
}

func newPicker(s *Session, o *Options, p part, seed uint64, prompt []int32) *picker {
	return &picker{
		session: s, part: p, sampler: sampler{o: o, seed: seed}, prompt: len(prompt), tokens: slices.Clone(prompt),
		async: o.onDevice() && s.m.device.Info().Async,
	}
}

// number counts the ids of an answer, of which a part may have been generated before.
func (p *picker) number(n int) uint64 { return uint64(p.part.answered + n) }

// onDevice says how the device is to choose id number n, nil when it is not.
func (p *picker) onDevice(n int) *backend.Sampling {
	o := p.sampler.o
	if !o.onDevice() {
		return nil
	}
	p.device = backend.Sampling{Temperature: backend.Temperature(o.Temperature), Seed: p.sampler.seed, Step: p.number(n),
		Valid: p.session.m.vocab}
	return &p.device
}

// read takes over the logits of a step, for the sampler.
func (p *picker) read() func([]float32) {
	if p.sampler.o.onDevice() {
		return nil
	}
	return func(logits []float32) { p.logits = append(p.logits[:0], logits[:p.session.m.vocab]...) }
}

// more tells whether an answer of n tokens may go on.
func (p *picker) more(n int) bool {
	o := p.sampler.o
	return (o.MaxTokens == 0 || p.part.answered+n < o.MaxTokens) && p.prompt+n < p.session.m.context
}

// step computes on the last token, for id number n.
func (p *picker) step(ctx context.Context, n int) error {
	if p.async {
		return nil // next has started it
	}
	return p.session.step(ctx, p.tokens[len(p.tokens)-1:], p.session.logits, 1, p.onDevice(n), p.read())
}

// next gives id number n.
func (p *picker) next(ctx context.Context, n int) (token Token, err error) {
	switch {
	case p.async:
		var following *backend.Sampling
		if p.more(n + 1) {
			following = p.onDevice(n + 1)
		}
		err = p.session.ahead(ctx, p.number(n), p.prompt+n, following)
		if token.ID = p.session.chosen; err == nil && n > 0 {
			p.session.tokens = append(p.session.tokens, p.tokens[len(p.tokens)-1])
		}
	case p.sampler.o.onDevice():
		token.ID = p.session.chosen
	default:
		token.ID, token.Logprob, token.Top, err = p.sampler.pick(p.tokens, p.logits, p.number(n))
	}
	return token, err
}

// settle waits for a step that was started for nothing.
func (p *picker) settle() {
	if p.async {
		p.session.settle()
	}
}

// textStream turns ids to the text that may go out.
type textStream struct {
	decoder *tokenizer.Decoder // nil without a tokenizer
	stop    stopTexts
}

func newTextStream(t *tokenizer.Tokenizer, stop []string) *textStream {
	s := &textStream{stop: stopTexts{texts: stop}}
	if t != nil {
		s.decoder = t.NewDecoder()
	}
	return s
}

func (s *textStream) next(id int32) (text string, stopped bool) {
	if s.decoder == nil {
		return "", false
	}
	return s.stop.next(s.decoder.Next(id))
}

// flush gives what was held back, up to a stop text.
func (s *textStream) flush() string {
	if s.decoder == nil {
		return ""
	}
	text, stopped := s.stop.next(s.decoder.Flush())
	if stopped {
		return text
	}
	return text + s.stop.held
}
