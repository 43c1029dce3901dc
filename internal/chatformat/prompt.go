package chatformat

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/jinja"
)

// Segment is a piece of a prompt.
type Segment struct {
	Text string
	// Special is true when Text is exactly one control token, such as <|user|>. In any other segment nothing is a control
	// token, whatever it looks like.
	Special bool
}

// Prompt is a rendered conversation.
type Prompt []Segment

// String returns the prompt as transformers' apply_chat_template(tokenize=False) renders it.
func (p Prompt) String() string {
	var b strings.Builder
	for _, s := range p {
		b.WriteString(s.Text)
	}
	return b.String()
}

// promptBuilder puts a prompt together; neighbouring texts become one segment. The zero promptBuilder is empty.
type promptBuilder struct {
	segments Prompt
	pending  strings.Builder
}

func (b *promptBuilder) text(s string) { b.pending.WriteString(s) }

func (b *promptBuilder) special(token string) {
	b.flush()
	b.segments = append(b.segments, Segment{Text: token, Special: true})
}

func (b *promptBuilder) flush() {
	if b.pending.Len() > 0 {
		b.segments = append(b.segments, Segment{Text: b.pending.String()})
		b.pending.Reset()
	}
}

func (b *promptBuilder) prompt() Prompt {
	b.flush()
	return b.segments
}

// generationPrompt ends a prompt with the assistant's token and, for a forced tool, the tool's name line; think is what
// a reasoning model gets instead of the latter.
func (b *promptBuilder) generationPrompt(o Options, nameEnd, think string) {
	switch {
	case o.ForceTool != "":
		b.special(assistantToken)
		b.text(o.ForceTool + nameEnd)
	case o.AddGenerationPrompt:
		b.special(assistantToken)
		b.text(think)
	}
}

// specials finds control tokens in what a template says itself.
type specials [256][]string // by their first byte, the longest first: a token may begin with another

func newSpecials(tokens []string) *specials {
	var s specials
	for _, token := range tokens {
		if token != "" && !slices.Contains(s[token[0]], token) {
			s[token[0]] = append(s[token[0]], token)
		}
	}
	for _, tokens := range s {
		slices.SortStableFunc(tokens, func(a, b string) int { return len(b) - len(a) })
	}
	return &s
}

// maxMatching bounds the comparisons of one prompt: a hostile tokenizer's tokens may all begin alike.
const maxMatching = 100_000_000

// segment cuts a rendered prompt up. A control token consists of literals of the template alone.
func (s *specials) segment(ctx context.Context, t jinja.Text) (Prompt, error) {
	var b promptBuilder
	work, looked := 0, 0
	for run, literal := range t.Runs() {
		if !literal {
			b.text(run)
			continue
		}
		from := 0
		for at := 0; at < len(run); {
			token := ""
			for _, candidate := range s[run[at]] {
				work += 1 + len(candidate)/16
				if strings.HasPrefix(run[at:], candidate) {
					token = candidate
					break
				}
			}
			if token != "" {
				b.text(run[from:at])
				b.special(token)
				from = at + len(token)
			}
			at += max(1, len(token))
			if work++; work-looked > 1_000_000 {
				if looked = work; ctx.Err() != nil {
					return nil, ctx.Err()
				}
				if work > maxMatching {
					return nil, errors.New("the template writes too much text that looks like control tokens")
				}
			}
		}
		b.text(run[from:])
	}
	return b.prompt(), nil
}
