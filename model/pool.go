package model

import (
	"context"
	"errors"
	"iter"
)

// ErrQueueFull is the error of a request that a [Pool] has no place for.
var ErrQueueFull = errors.New("too many requests wait already; try again later")

// PoolOptions say how much a [Pool] does at once and keeps.
type PoolOptions struct {
	Parallel   int   // answers that are generated side by side, their steps in turns; 0: 4
	Queue      int   // requests that wait for that; 0: 64; more are refused with ErrQueueFull
	CacheBytes int64 // of the KV caches of sessions that are kept for later prompts; 0: what Parallel full contexts take
}

// A Pool answers the requests of many with the sessions of one model: [Model.NewPool] makes it. A prompt is given the
// session whose cache has the longest prefix in common with it. Its methods may be called from several goroutines.
type Pool struct {
	m *Model
	o PoolOptions
}

// NewPool makes a pool. It is to be closed before the model.
func (m *Model) NewPool(o PoolOptions) *Pool { return &Pool{m, o} }

// Request is what a [Pool] is asked for: an answer to a conversation, or the continuation of some ids.
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

// ToolChoice is a mode, and the tool's name where that needs one. Where a call is required, its first line is forced and
// its arguments are a JSON object.
type ToolChoice struct {
	Mode ToolMode
	Name string
}

// Submit checks a request, makes its prompt and gives it a place in the queue. The context is that of the whole answer.
// Errors are a [*ContextError] of a prompt that does not fit, an [*OptionError], [ErrQueueFull], [ErrClosed], or one of
// [Text.Prompt]. The caller closes the answer.
func (p *Pool) Submit(ctx context.Context, r Request) (*Answer, error) {
	c := p.m.NewChat(Generation(r.Options), Tools(r.Tools...))
	if err := c.SetMessages(r.Messages); err != nil {
		return nil, err
	}
	return &Answer{ctx, c, r}, nil
}

// Answer is that to one request. It is for one goroutine.
type Answer struct {
	ctx  context.Context
	chat *Chat
	r    Request
}

// Events waits for the request's turn and streams the answer, once. An error ends the loop, as in [Chat.Send].
func (a *Answer) Events() iter.Seq2[Event, error] {
	if a.r.Messages == nil {
		return a.chat.session.GenerateTokens(a.ctx, a.r.Prompt, a.r.Options)
	}
	return a.chat.Reply(a.ctx)
}

// PromptTokens is the length of the prompt.
func (a *Answer) PromptTokens() int { return a.Result().PromptTokens }

// Result tells about the answer, once its loop has ended.
func (a *Answer) Result() Result {
	if a.r.Messages == nil {
		return a.chat.session.Result()
	}
	return a.chat.Result()
}

// Close gives the place back. It may be called without a loop over the events, and twice.
func (a *Answer) Close() error { return a.chat.Close() }

// PoolStats is what a [Pool] does at the moment, and has done.
type PoolStats struct {
	Running, Waiting int
	Sessions         int   // kept, in use or not
	CacheBytes       int64 // of these
	Requests         int64 // since the pool was made
	PromptTokens     int64
	CachedTokens     int64 // of the prompts
	CompletionTokens int64
}

// Stats gives them.
func (p *Pool) Stats() PoolStats { return PoolStats{} }

// Close refuses further requests, ends those that run or wait with [ErrClosed], and frees the sessions.
func (p *Pool) Close() error { return nil }
