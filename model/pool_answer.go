package model

import (
	"context"
	"errors"
	"iter"
	"slices"
)

// answerState is how far an [Answer] is.
type answerState int

const (
	answerPlaced answerState = iota // it has a place, and no loop yet
	answerWaits                     // its loop waits for its turn
	answerRuns
	answerEnded
)

// Answer is that to one request. It is for one goroutine.
type Answer struct {
	pool     *Pool
	ctx      context.Context
	cancel   context.CancelCauseFunc
	unfollow func() bool // ends what happens at the end of ctx

	options  Options
	chat     *Chat // nil where ids are continued
	question question
	opening  int // tokens of the prompt up to where the answer begins

	ready   chan struct{} // closed when the answer runs, or has ended without that
	state   answerState   // under the pool's mutex, as err and session
	err     error         // of a loop after the end
	session *Session      // while it runs
	broken  bool          // an error has ended it that is not the context's
	result  Result
}

// prepare makes the prompt and checks it.
func (a *Answer) prepare(r Request) error {
	m := a.pool.m
	if err := r.Options.check(m.vocab); err != nil {
		return err
	}
	if r.Messages == nil {
		a.question.ids = slices.Clone(r.Prompt)
		a.opening = len(r.Prompt)
	} else {
		a.chat = &Chat{m: m, messages: slices.Clip(r.Messages), options: r.Options}
		if r.Choice.Mode != ToolNone {
			a.chat.tools = r.Tools
		}
		var err error
		if a.question, err = a.chat.ask(a.ctx); err != nil {
			return err
		}
		// what comes behind the assistant's token need not be in the prompt of the conversation's next turn
		next, _ := m.text.Special(m.text.family.Assistant)
		a.opening = len(a.question.ids)
		for i, id := range a.question.ids {
			if id == next {
				a.opening = i + 1
			}
		}
	}
	if len(a.question.ids) == 0 {
		return errEmptyPrompt
	}
	return m.checkPrompt(0, a.question.ids, 1)
}

// Events waits for the request's turn and streams the answer, once. An error ends the loop, as in [Chat.Send]; it is
// [ErrClosed] where the pool's Close has ended the answer, and in a loop after the first one or after Close.
func (a *Answer) Events() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := a.wait(); err != nil {
			yield(Event{}, err)
			return
		}
		defer a.finish()
		say := func(e Event, err error) bool {
			if err != nil {
				a.broken = a.ctx.Err() == nil
				err = a.cause(err)
			}
			return yield(e, err)
		}
		if a.chat != nil {
			a.chat.session = a.session
			a.chat.respond(a.ctx, a.question, say)
		} else {
			a.session.GenerateTokens(a.ctx, a.question.ids, a.options)(say)
		}
	}
}

// wait returns when the answer has a session, or with the error why it gets none.
func (a *Answer) wait() error {
	p := a.pool
	p.mu.Lock()
	if a.state == answerWaits || a.state == answerRuns {
		p.mu.Unlock()
		return ErrBusy
	}
	if a.state == answerPlaced {
		a.state = answerWaits
		p.start()
	}
	p.mu.Unlock()
	<-a.ready
	return a.err
}

// finish gives the session back.
func (a *Answer) finish() {
	if a.chat != nil {
		a.result, a.chat.session = a.chat.result, nil
	} else {
		a.result = a.session.Result()
	}
	if a.result.FinishReason == FinishCancelled && a.closedByPool() {
		a.result.FinishReason = FinishError
	}
	a.pool.finish(a)
}

// cause is ErrClosed in place of the error that the pool's Close gives the context.
func (a *Answer) cause(err error) error {
	if errors.Is(err, context.Canceled) && a.closedByPool() {
		return ErrClosed
	}
	return err
}

func (a *Answer) closedByPool() bool { return errors.Is(context.Cause(a.ctx), ErrClosed) }

// PromptTokens is the length of the prompt.
func (a *Answer) PromptTokens() int { return len(a.question.ids) }

// Result tells about the answer, once its loop has ended.
func (a *Answer) Result() Result {
	a.pool.mu.Lock() // the end of the context may just be taking the place
	defer a.pool.mu.Unlock()
	return a.result
}

// Close gives the place back, where the end of the loop over the events has not. It may be called without such a loop,
// and twice; within one it does nothing but give [ErrBusy].
func (a *Answer) Close() error {
	if !a.withdraw() {
		return ErrBusy
	}
	return nil
}

// withdraw takes the place of an answer that does not run.
func (a *Answer) withdraw() bool {
	a.pool.mu.Lock()
	defer a.pool.mu.Unlock()
	if a.state == answerRuns {
		return false
	}
	a.pool.leave(a, ErrClosed)
	a.unfollow()
	a.cancel(nil)
	return true
}
