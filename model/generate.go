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
	FinishLength    FinishReason = "length"     // MaxTokens, or the context is full
	FinishToolCalls FinishReason = "tool_calls" // the answer calls tools; only a Chat tells
	FinishCancelled FinishReason = "cancelled"  // the context was cancelled or the loop left early
	FinishError     FinishReason = "error"
)

// Result sums up a generation.
type Result struct {
	FinishReason     FinishReason
	StopToken        int32 // the stop token that ended it, -1 when none did
	PromptTokens     int
	CachedTokens     int // of the prompt, found in the cache
	CompletionTokens int // without the stop token
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

// Result tells about the last generation, once its loop has ended.
func (s *Session) Result() Result { return s.result }

// Generate continues a text. It puts the tokenizer's prefix ([gMASK]<sop>) in front and takes everything else as
// plain text: no chat template, no control tokens. An error ends the loop; a cancelled context is ctx's error.
func (s *Session) Generate(ctx context.Context, prompt string, o Options) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		if s.m.tokenizer == nil {
			yield(Token{ID: -1}, errNoTokenizer)
			return
		}
		if prompt == "" {
			yield(Token{ID: -1}, errEmptyPrompt)
			return
		}
		s.GenerateTokens(ctx, s.m.Encode(prompt), o)(yield)
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
		if err := s.generate(ctx, ids, &o, yield); err != nil {
			yield(Token{ID: -1}, err)
		}
	}
}

func (s *Session) generate(ctx context.Context, ids []int32, o *Options, yield func(Token, error) bool) (err error) {
	m := s.m
	if err := o.check(m.vocab); err != nil {
		return err
	}
	if len(ids) == 0 {
		return errEmptyPrompt
	}
	if err := s.begin(0, ids); err != nil {
		return err
	}
	defer s.mu.Unlock()

	s.result = Result{FinishReason: FinishCancelled, StopToken: -1, PromptTokens: len(ids)}
	r := &s.result
	defer func() {
		if err != nil && ctx.Err() == nil {
			r.FinishReason = FinishError
		}
	}()
	seed := o.Seed
	for seed == 0 {
		seed = rand.Uint64()
	}
	pick := picker{session: s, sampler: sampler{o: o, seed: seed}, tokens: slices.Clone(ids)}
	text := newTextStream(m.tokenizer, o.Stop)

	start := time.Now()
	if r.CachedTokens, err = s.prefill(ctx, ids, pick.onDevice(0)); err != nil {
		return err
	}
	first := time.Now()
	r.TTFT = first.Sub(start)
	defer func() { r.GenerationTime = time.Since(first) }()
	for {
		tok, err := pick.next(uint64(r.CompletionTokens))
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
		if r.CompletionTokens == o.MaxTokens || len(s.tokens) == m.context {
			r.FinishReason = FinishLength
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.step([]int32{tok.ID}, s.logits, 1, pick.onDevice(uint64(r.CompletionTokens))); err != nil {
			return err
		}
	}
	if rest := text.flush(); rest != "" {
		yield(Token{ID: -1, Text: rest}, nil)
	}
	return nil
}

// picker chooses the next id after a step: the device has, where the options allow it; otherwise the sampler does.
type picker struct {
	session *Session
	sampler sampler
	tokens  []int32 // prompt and answer
	logits  []float32
	device  backend.Sampling
}

// onDevice says how the device is to choose, nil when it is not.
func (p *picker) onDevice(step uint64) *backend.Sampling {
	o := p.sampler.o
	if !o.onDevice() {
		return nil
	}
	p.device = backend.Sampling{Temperature: float32(o.Temperature), Seed: p.sampler.seed, Step: step, Valid: p.session.m.vocab}
	return &p.device
}

func (p *picker) next(step uint64) (tok Token, err error) {
	if p.sampler.o.onDevice() {
		return Token{ID: p.session.picked.IDs()[0]}, nil
	}
	p.logits = append(p.logits[:0], p.session.logits.Floats()[:p.session.m.vocab]...)
	tok.ID, tok.Logprob, tok.Top, err = p.sampler.pick(p.tokens, p.logits, step)
	return tok, err
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
