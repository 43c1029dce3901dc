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

// Token is one step of a generation.
type Token struct {
	// ID is the token; -1 comes at the end with text that was held back until then.
	ID int32
	// Text is what it adds to the answer: whole UTF-8 characters, often none while one is incomplete or while the
	// text may still become a stop text.
	Text string
	// Logprob and Top are set when the options ask for them; Top is likeliest first.
	Logprob float32
	Top     []Logprob
}

// FinishReason says why a generation ended.
type FinishReason string

// The reasons.
const (
	FinishStop      FinishReason = "stop"       // a stop token or a stop text
	FinishLength    FinishReason = "length"     // MaxTokens, or prompt and answer fill the context
	FinishToolCalls FinishReason = "tool_calls" // the answer calls tools; only a Chat tells
	FinishCancelled FinishReason = "cancelled"  // the context was cancelled or the loop left early
	FinishError     FinishReason = "error"
)

// Result sums up a generation.
type Result struct {
	FinishReason     FinishReason
	StopToken        int32 // the stop token that ended it, -1 when none did
	PromptTokens     int
	CachedTokens     int    // of the prompt, found in the cache
	CompletionTokens int    // without the stop token
	Seed             uint64 // that was used, also when it was a random one
	TTFT             time.Duration
	GenerationTime   time.Duration // from the first token on
}

// PromptTPS is the speed of the prefill in tokens a second, cached tokens not counted.
func (r Result) PromptTPS() float64 { return perSecond(r.PromptTokens-r.CachedTokens, r.TTFT) }

// GenerationTPS is the speed of the decoding in tokens a second, the first token, which is the prefill's, not counted.
func (r Result) GenerationTPS() float64 { return perSecond(r.CompletionTokens-1, r.GenerationTime) }

func perSecond(n int, d time.Duration) float64 {
	if n <= 0 || d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// then adds the result of an answer's next part. The first one replaces what says that nothing has begun.
func (r *Result) then(next Result) {
	if r.PromptTokens == 0 {
		*r = next
		return
	}
	r.FinishReason, r.StopToken = next.FinishReason, next.StopToken
	r.CompletionTokens += next.CompletionTokens
	r.GenerationTime += next.TTFT + next.GenerationTime
}

// refused is the result of a generation that did not begin.
var refused = Result{FinishReason: FinishError, StopToken: -1}

// Result tells about the last generation, once its loop has ended. Of one that was refused it says FinishError and no
// numbers.
func (s *Session) Result() Result {
	if r := s.result.Load(); r != nil {
		return *r
	}
	return Result{}
}

// Generate continues a text. It puts the tokenizer's prefix ([gMASK]<sop>) in front and takes everything else as
// plain text: no chat template, and no control tokens unless o.ParseSpecial is set, with which the prefix may be in the
// text. An error ends the loop; a cancelled context is ctx's error.
func (s *Session) Generate(ctx context.Context, prompt string, o Options) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		refuse := func(err error) {
			s.result.Store(&refused)
			yield(Token{ID: -1}, err)
		}
		switch {
		case s.m.tokenizer == nil:
			refuse(errNoTokenizer)
			return
		case prompt == "":
			refuse(errEmptyPrompt)
			return
		}
		encode := s.m.EncodeContext
		if o.ParseSpecial {
			encode = s.m.EncodePrompt
		}
		ids, err := encode(ctx, prompt)
		if err != nil {
			refuse(err)
			return
		}
		s.GenerateTokens(ctx, ids, o)(yield)
	}
}

var (
	errEmptyPrompt = errors.New("the prompt is empty; give it some text")
	errNoTokenizer = errors.New("the checkpoint has no tokenizer; it can only generate from ids")
)

// GenerateTokens continues ids, which are the whole prompt: what the session's cache holds of it is not computed
// again, and what it holds beyond is forgotten.
func (s *Session) GenerateTokens(ctx context.Context, ids []int32, o Options) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		if err := s.m.explain(s.generate(ctx, ids, &o, yield)); err != nil {
			yield(Token{ID: -1}, err)
		}
	}
}

func (s *Session) generate(ctx context.Context, ids []int32, o *Options, yield func(Token, error) bool) (err error) {
	m, r := s.m, refused
	defer func() { s.result.Store(&r) }()
	if err := o.check(m.vocab); err != nil {
		return err
	}
	if len(ids) == 0 {
		return errEmptyPrompt
	}
	if err := s.begin(0, ids, 1); err != nil {
		return err
	}
	defer s.mu.Unlock()
	defer s.follow(ctx)()

	r.FinishReason, r.PromptTokens = FinishCancelled, len(ids)
	defer func() {
		if err = cause(ctx, err); err != nil && !errors.Is(err, ctx.Err()) {
			r.FinishReason = FinishError
		}
	}()
	seed := o.Seed
	for seed == 0 {
		seed = rand.Uint64N(1 << 53) // which JSON can carry
	}
	r.Seed = seed
	pick := newPicker(s, o, seed, ids)
	text := newTextStream(m.tokenizer, o.Stop)

	start := time.Now()
	if r.CachedTokens, err = s.prefill(ctx, ids, pick.onDevice(0), pick.read(), o.OnPrefill); err != nil {
		return err
	}
	first := time.Now()
	r.TTFT = first.Sub(start)
	defer func() { r.GenerationTime = time.Since(first) }()
	defer pick.settle()
	for {
		tok, err := pick.next(ctx, r.CompletionTokens)
		if err != nil {
			return err
		}
		if m.stops[tok.ID] && !o.IgnoreEOS {
			r.FinishReason, r.StopToken = FinishStop, tok.ID
			break
		}
		pick.tokens = append(pick.tokens, tok.ID)
		r.CompletionTokens++
		var stopped bool
		tok.Text, stopped = text.next(tok.ID)
		if stopped {
			r.FinishReason = FinishStop
		}
		if !yield(tok, nil) || stopped {
			return nil
		}
		if !pick.more(r.CompletionTokens) || o.enough != nil && o.enough() {
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
		yield(Token{ID: -1, Text: rest}, nil)
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
	sampler sampler
	prompt  int     // tokens of it
	tokens  []int32 // prompt and answer
	logits  []float32
	device  backend.Sampling
	async   bool
	started int // id number of the last step that was started
}

func newPicker(s *Session, o *Options, seed uint64, prompt []int32) *picker {
	return &picker{
		session: s, sampler: sampler{o: o, seed: seed}, prompt: len(prompt), tokens: slices.Clone(prompt),
		async: o.onDevice() && s.m.device.Info().Async,
	}
}

// number counts the ids of an answer, of which a part may have been generated before.
func (p *picker) number(n int) uint64 { return uint64(p.sampler.o.answered + n) }

// onDevice says how the device is to choose id number n, nil when it is not.
func (p *picker) onDevice(n int) *backend.Sampling {
	o := p.sampler.o
	if !o.onDevice() {
		return nil
	}
	p.device = backend.Sampling{Temperature: backend.Temperature(o.Temperature), Seed: p.sampler.seed, Step: p.number(n), Valid: p.session.m.vocab}
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
	return (o.MaxTokens == 0 || o.answered+n < o.MaxTokens) && p.prompt+n < p.session.m.context
}

// step computes on the last token, for id number n.
func (p *picker) step(ctx context.Context, n int) error {
	if p.async {
		return nil // next has started it
	}
	return p.session.step(ctx, p.tokens[len(p.tokens)-1:], p.session.logits, 1, p.onDevice(n), p.read())
}

// next gives id number n.
func (p *picker) next(ctx context.Context, n int) (tok Token, err error) {
	switch {
	case p.async:
		if p.more(n + 1) {
			if err := p.session.ahead(ctx, p.number(n+1), p.prompt+n, p.onDevice(n+1)); err != nil {
				return tok, err
			}
			p.started = n + 1
		}
		if tok.ID, err = p.session.await(ctx, p.number(n), p.started-n); err == nil && n > 0 {
			p.session.tokens = append(p.session.tokens, p.tokens[len(p.tokens)-1])
		}
	case p.sampler.o.onDevice():
		tok.ID, err = p.session.await(ctx, p.number(n), 0)
	default:
		tok.ID, tok.Logprob, tok.Top, err = p.sampler.pick(p.tokens, p.logits, p.number(n))
	}
	return tok, err
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
