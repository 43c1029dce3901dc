package server

import (
	"encoding/json"
	"net/http"

	"github.com/glm4-metal/glm4-metal/model"
)

// chatRequest is OpenAI's: https://platform.openai.com/docs/api-reference/chat/create. Fields that change nothing here,
// such as user, metadata, store and service_tier, are not looked at.
type chatRequest struct {
	sampling
	constraints
	streaming
	Messages            []json.RawMessage `json:"messages"`
	Tools               []json.RawMessage `json:"tools"`
	ToolChoice          json.RawMessage   `json:"tool_choice"`
	ParallelToolCalls   *bool             `json:"parallel_tool_calls"`
	MaxCompletionTokens *integer          `json:"max_completion_tokens"`
	N                   *integer          `json:"n"`
	Logprobs            bool              `json:"logprobs"`
	TopLogprobs         *integer          `json:"top_logprobs"`
	ReasoningEffort     string            `json:"reasoning_effort"`
	EnableThinking      *bool             `json:"enable_thinking"`
	TemplateArguments   struct {
		EnableThinking *bool `json:"enable_thinking"`
	} `json:"chat_template_kwargs"`

	Functions    json.RawMessage `json:"functions"`
	FunctionCall json.RawMessage `json:"function_call"`
	Audio        json.RawMessage `json:"audio"`
	Modalities   []string        `json:"modalities"`
}

// streaming are the fields that say how an answer is sent.
type streaming struct {
	Stream        bool `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

// request is what the model is asked for.
func (q *chatRequest) request(defaults model.Options) (r model.Request, err error) {
	if err := q.check(); err != nil {
		return r, err
	}
	if r.Messages, err = chatMessages(q.Messages); err != nil {
		return r, err
	}
	if r.Tools, err = functionTools(q.Tools); err != nil {
		return r, err
	}
	if r.Choice, err = toolChoice(q.ToolChoice, r.Tools); err != nil {
		return r, err
	}
	if q.MaxCompletionTokens != nil {
		q.MaxTokens = nil // its old name
	}
	if r.Options, err = q.options(defaults); err != nil {
		return r, err
	}
	if q.MaxCompletionTokens != nil {
		if err = limitTokens(&r.Options, "max_completion_tokens", int(*q.MaxCompletionTokens)); err != nil {
			return r, err
		}
	}
	r.Options.Logprobs = q.Logprobs
	setInt(&r.Options.TopLogprobs, q.TopLogprobs)
	if !q.Logprobs && r.Options.TopLogprobs != 0 {
		return r, badRequest("top_logprobs", "top_logprobs needs logprobs to be true")
	}
	for _, thinks := range []*bool{q.EnableThinking, q.TemplateArguments.EnableThinking} {
		if thinks != nil && !*thinks || q.ReasoningEffort == "none" {
			r.Options.MaxReasoning = -1
		}
	}
	return r, r.Options.Check()
}

// check refuses what cannot be obeyed.
func (q *chatRequest) check() error {
	for field, data := range map[string]json.RawMessage{"functions": q.Functions, "function_call": q.FunctionCall} {
		if !isNull(data) {
			return unsupported(field, "%s is not supported; use tools and tool_choice", field)
		}
	}
	if !isNull(q.Audio) {
		return unsupported("audio", "audio is not supported; the model writes text only")
	}
	for _, m := range q.Modalities {
		if m != "text" {
			return unsupported("modalities", "modalities has %q; the model writes text only", m)
		}
	}
	return q.constraints.check()
}

func (s *Server) chatCompletions(w http.ResponseWriter, r *http.Request) error {
	var q chatRequest
	if err := s.readJSON(w, r, &q); err != nil {
		return err
	}
	request, err := q.request(s.o.Defaults)
	if err != nil {
		return err
	}
	n, err := choiceCount(q.N)
	if err != nil {
		return err
	}
	pool, m, release, err := s.engine.use(r.Context())
	if err != nil {
		return err
	}
	defer release()
	all, err := submit(r, pool, several(request, n))
	if err != nil {
		return err
	}
	defer all.close()
	c := &chatWriter{
		text: m.Text(), oneCall: q.ParallelToolCalls != nil && !*q.ParallelToolCalls, logprobs: q.Logprobs,
		usage: q.StreamOptions.IncludeUsage, choices: make([]chatChoice, n),
		head: head{newID("chatcmpl-"), "chat.completion", now(), s.o.Model, fingerprint},
	}
	if q.Stream {
		c.head.Object = "chat.completion.chunk"
		return stream(w, r, all, c)
	}
	return whole(w, r, all, c)
}

// choiceCount reads n.
func choiceCount(n *integer) (int, error) {
	switch {
	case n == nil:
		return 1, nil
	case *n < 1 || *n > maxChoices:
		return 0, badRequest("n", "n is %d; it must lie between 1 and %d", *n, maxChoices)
	}
	return int(*n), nil
}

// several are n requests like one. Where it has a seed, each has one of its own, so that the answers differ.
func several(r model.Request, n int) []model.Request {
	all := make([]model.Request, n)
	for i := range all {
		all[i] = r
		if r.Options.Seed != 0 {
			all[i].Options.Seed += uint64(i)
		}
	}
	return all
}
