package model

import (
	"context"
	"errors"
	"time"

	"github.com/glm4-metal/glm4-metal/internal/chatformat"
)

// Event is one step of a generation: a token, and what has become certain of the answer with it. At most one of Text,
// Reasoning and Call is set; often none is, while a character is incomplete, or while the text may still become a stop
// text or a tool call. Where a token brings several of them, further events without a token follow it.
//
// The texts of all events put together are the answer; [Message.Add] does that.
type Event struct {
	// Token is the generated token, nil where the event only brings out what was held back. Each token of an answer is in
	// one event, the stop token that ends it in none.
	Token *Token
	// Text is the next piece of the answer, in whole UTF-8 characters.
	Text string
	// Reasoning is the next piece of what the model thinks before its answer. Only a [Chat] tells it from Text.
	Reasoning string
	// Call is a whole call of a declared tool. Only a [Chat] tells it from Text.
	Call *ToolCall
	// Malformed says that Text begins what looked like a tool call and is none: a declared tool's name at a line's start,
	// and no JSON object, or more than that, behind it. What else there is of it follows as text. A call that was cut
	// short, as by MaxTokens, comes out so.
	Malformed bool
}

// Token is a generated token.
type Token struct {
	ID int32 // Text.Decode and Text.Token tell what it is
	// Logprob is the token's own log probability, as in [Logprob], if Options.Logprobs or TopLogprobs asks for it.
	Logprob float32
	// Top are the Options.TopLogprobs likeliest tokens, likeliest first.
	Top []Logprob
}

// Logprob is the natural logarithm of an id's probability at temperature 1, after bias, penalties and processors.
type Logprob struct {
	ID      int32   // below Text.VocabSize
	Logprob float32 // 0 or less; -Inf for a forbidden id
}

// fromDeltas gives what a parser has read, with the token that brought it, if one did.
func fromDeltas(token *Token, deltas []chatformat.Delta) []Event {
	var out []Event
	for _, d := range deltas {
		e := Event{Text: d.Text, Reasoning: d.Reasoning, Malformed: d.Malformed}
		if d.Call != nil {
			e.Call = &ToolCall{d.Call.Name, d.Call.Arguments}
		}
		out = append(out, e)
	}
	if token != nil {
		if out == nil {
			out = []Event{{}}
		}
		out[0].Token = token
	}
	return out
}

// FinishReason says why a generation ended.
type FinishReason string

// The reasons.
const (
	FinishStop      FinishReason = "stop"       // a stop token or a stop text
	FinishLength    FinishReason = "length"     // MaxTokens, or prompt and answer fill the context
	FinishToolCalls FinishReason = "tool_calls" // the answer calls tools; only a Chat tells
	FinishCancelled FinishReason = "cancelled"  // the context was cancelled or the loop left early
	FinishError     FinishReason = "error"      // an error ended it, or it was refused
)

// Result sums up a generation.
type Result struct {
	FinishReason     FinishReason  // "" before the first generation has ended
	Stopped          bool          // a stop token ended it, not a stop text
	StopToken        int32         // that one, where Stopped is set
	StopText         string        // the one of Options.Stop that ended it, "" where none did
	PromptTokens     int           // all of the prompt's
	CachedTokens     int           // of the prompt, found in the cache and not computed again
	CompletionTokens int           // generated, without the stop token
	Seed             uint64        // that was used, also when it was a random one
	TTFT             time.Duration // time to first token: computing the prompt
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
	r.FinishReason, r.Stopped, r.StopToken, r.StopText = next.FinishReason, next.Stopped, next.StopToken, next.StopText
	r.CompletionTokens += next.CompletionTokens
	r.GenerationTime += next.TTFT + next.GenerationTime
}

// refused is the result of a generation that did not begin.
var refused = Result{FinishReason: FinishError}

// failure is why a generation has ended with an error, which may have come before its first step.
func failure(ctx context.Context, err error) FinishReason {
	if errors.Is(err, ctx.Err()) {
		return FinishCancelled
	}
	return FinishError
}
