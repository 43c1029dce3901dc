// Package jinja renders the chat templates of strangers: Jinja templates, as they come with checkpoints. A template
// comes out exactly as from jinja2 set up as transformers sets it up (trim_blocks, lstrip_blocks, the immutable
// sandbox, break and continue, {% generation %}), or it is refused with an error: by Parse for what is not supported,
// by Render for what shows only then.
//
//	t, err := jinja.Parse(source)
//	text, err := t.Render(ctx, map[string]jinja.Value{"messages": messages}, time.Now)
//	for run, literal := range text.Runs() { ... }
//
// A template is untrusted. Every step of a rendering is paid for before it is taken, from one budget (budget.go), and
// the context is looked at.
//
// Texts know of each of their characters whether it is a literal of the template or came with the data (text.go). What
// a template makes of a user's text is told from what the template says itself, whatever filters the text has gone
// through.
//
// The files follow a template's way: source.go cuts it into text and tags, lexer.go a tag into tokens, parse.go and
// expression.go make the tree of node.go, frames.go finds out which names are hidden where, statements.go and eval.go
// run it.
package jinja

import (
	"context"
	"time"
)

// Template is a parsed template. It is safe for concurrent use.
type Template struct {
	body   []statement
	hidden []string // see frame
}

// Parse parses a template. It fails on whatever might come out otherwise than in jinja2, or is not known to agree.
func Parse(source string) (*Template, error) {
	p, err := newParser(source)
	if err != nil {
		return nil, err
	}
	body, err := p.template()
	if err != nil {
		return nil, p.scanner.at(err)
	}
	return &Template{body, hideNames(body)}, nil
}

// Render renders the template. now is the clock of strftime_now. The variables are not changed. The error is the
// context's if that ended.
func (t *Template) Render(ctx context.Context, variables map[string]Value, now func() time.Time) (Text, error) {
	return t.render(ctx, variables, now, 1)
}

// Probe renders like Render, with an eighth of its budget: for a conversation of a few words, made up to see what the
// template does.
func (t *Template) Probe(ctx context.Context, variables map[string]Value, now func() time.Time) (Text, error) {
	return t.render(ctx, variables, now, 8)
}

func (t *Template) render(ctx context.Context, variables map[string]Value, now func() time.Time, share int64) (Text,
	error) {
	e := &evaluator{
		budget: budget{ctx: ctx, work: maxWork / share, bytes: maxBytes / share},
		scope:  &scope{vars: variables},
		out:    &textBuilder{},
		now:    now,
	}
	err := e.scoped(t.hidden, func() error { return e.run(t.body) })
	switch {
	case err == nil:
		return e.out.text(), nil
	case ctx.Err() != nil:
		return Text{}, ctx.Err()
	}
	return Text{}, err
}
