package server

import (
	"encoding/json"
	"iter"
	"strings"

	"github.com/glm4-metal/glm4-metal/model"
)

// response is an answer in the form of OpenAI's Responses API.
type response struct {
	ID                 string          `json:"id"`
	Object             string          `json:"object"`
	CreatedAt          int64           `json:"created_at"`
	CompletedAt        *int64          `json:"completed_at"`
	Status             string          `json:"status"`
	Background         bool            `json:"background"`
	Error              any             `json:"error"`
	IncompleteDetails  any             `json:"incomplete_details"`
	Instructions       json.RawMessage `json:"instructions"`
	MaxOutputTokens    *int            `json:"max_output_tokens"`
	Metadata           json.RawMessage `json:"metadata"`
	Model              string          `json:"model"`
	Output             []any           `json:"output"`
	ParallelToolCalls  bool            `json:"parallel_tool_calls"`
	PreviousResponseID json.RawMessage `json:"previous_response_id"`
	Reasoning          json.RawMessage `json:"reasoning"`
	Store              bool            `json:"store"`
	Temperature        float64         `json:"temperature"`
	Text               any             `json:"text"`
	ToolChoice         json.RawMessage `json:"tool_choice"`
	Tools              json.RawMessage `json:"tools"`
	TopP               float64         `json:"top_p"`
	Truncation         string          `json:"truncation"`
	Usage              any             `json:"usage"`

	summarize bool // the reasoning is shown as a summary
}

// responseItem is an item of a response's output: a message, a function_call or reasoning, which have their fields set.
type responseItem struct {
	ID        string  `json:"id"`
	Type      string  `json:"type"`
	Status    string  `json:"status"`
	Role      string  `json:"role,omitempty"`
	Content   *[]any  `json:"content,omitempty"`
	Summary   *[]any  `json:"summary,omitempty"`
	CallID    string  `json:"call_id,omitempty"`
	Name      string  `json:"name,omitempty"`
	Arguments *string `json:"arguments,omitempty"`

	text string // of its content, once it is whole
}

// responseStream makes a response of an answer's events, and tells each step of it in the API's events.
type responseStream struct {
	response *response
	newID    func(prefix string) string
	now      func() int64 // in seconds of Unix
	send     func(event string, data any) error
	done     func() error // keeps the whole response, nil: nothing does

	sequence int
	item     *responseItem // that is open, the last of the output
	text     strings.Builder
	thoughts thoughts
	err      error
}

func (s *responseStream) emit(event string, data members) {
	if s.err == nil {
		data["type"], data["sequence_number"] = event, s.sequence
		s.sequence++
		s.err = s.send(event, data)
	}
}

// run goes through the events. An error is theirs, or that of send.
func (s *responseStream) run(events iter.Seq2[model.Event, error], result func() model.Result) error {
	s.emit("response.created", members{"response": s.response})
	s.emit("response.in_progress", members{"response": s.response})
	for e, err := range events {
		if err != nil {
			return err
		}
		s.event(e)
		if s.err != nil {
			return s.err
		}
	}
	s.finish(result())
	return s.err
}

func (s *responseStream) event(e model.Event) {
	s.thoughts.add(e)
	if e.Reasoning != "" {
		s.open("reasoning")
		s.text.WriteString(e.Reasoning)
		if s.response.summarize {
			s.at("response.reasoning_summary_text.delta", "summary_index", members{"delta": e.Reasoning})
		} else {
			s.at("response.reasoning_text.delta", "content_index", members{"delta": e.Reasoning})
		}
	}
	if e.Text != "" {
		s.open("message")
		s.text.WriteString(e.Text)
		s.at("response.output_text.delta", "content_index", members{"delta": e.Text, "logprobs": []any{}})
	}
	if e.Call != nil {
		s.call(e.Call)
	}
}

// at is an event about the item that is open, or about its only part, which index names.
func (s *responseStream) at(event, index string, data members) {
	data["item_id"], data["output_index"] = s.item.ID, len(s.response.Output)-1
	if index != "" {
		data[index] = 0
	}
	s.emit(event, data)
}

func (s *responseStream) begin(item *responseItem) {
	s.close("completed")
	s.item = item
	s.response.Output = append(s.response.Output, item)
	s.emit("response.output_item.added", members{"output_index": len(s.response.Output) - 1, "item": item})
}

// open begins a message or reasoning, unless one is open.
func (s *responseStream) open(kind string) {
	if s.item != nil && s.item.Type == kind {
		return
	}
	if kind == "message" {
		s.begin(&responseItem{ID: s.newID("msg_"), Type: kind, Status: "in_progress", Role: "assistant", Content: &[]any{}})
		s.at("response.content_part.added", "content_index", members{"part": outputText("")})
		return
	}
	s.begin(&responseItem{ID: s.newID("rs_"), Type: kind, Status: "in_progress", Summary: &[]any{}})
	if s.response.summarize {
		s.at("response.reasoning_summary_part.added", "summary_index", members{"part": summaryText("")})
	} else {
		s.at("response.content_part.added", "content_index", members{"part": reasoningText("")})
	}
}

func outputText(text string) members {
	return members{"type": "output_text", "text": text, "annotations": []any{}, "logprobs": []any{}}
}

func reasoningText(text string) members { return members{"type": "reasoning_text", "text": text} }

func summaryText(text string) members { return members{"type": "summary_text", "text": text} }

func (s *responseStream) call(call *model.ToolCall) {
	item := &responseItem{ID: s.newID("fc_"), Type: "function_call", Status: "in_progress", CallID: s.newID("call_"),
		Name: call.Name, Arguments: new(string)}
	s.begin(item)
	item.Arguments = &call.Arguments
	s.at("response.function_call_arguments.delta", "", members{"delta": call.Arguments})
	s.at("response.function_call_arguments.done", "", members{"name": call.Name, "arguments": call.Arguments})
}

// close ends the item that is open.
func (s *responseStream) close(status string) {
	if s.item == nil {
		return
	}
	text := s.text.String()
	s.item.text = text
	switch {
	case s.item.Type == "message":
		s.item.Content = &[]any{outputText(text)}
		s.at("response.output_text.done", "content_index", members{"text": text, "logprobs": []any{}})
		s.at("response.content_part.done", "content_index", members{"part": outputText(text)})
	case s.item.Type == "reasoning" && s.response.summarize:
		s.item.Summary = &[]any{summaryText(text)}
		s.at("response.reasoning_summary_text.done", "summary_index", members{"text": text})
		s.at("response.reasoning_summary_part.done", "summary_index", members{"part": summaryText(text)})
	case s.item.Type == "reasoning":
		s.item.Content = &[]any{reasoningText(text)}
		s.at("response.reasoning_text.done", "content_index", members{"text": text})
		s.at("response.content_part.done", "content_index", members{"part": reasoningText(text)})
	}
	s.text.Reset()
	s.item.Status = status
	s.emit("response.output_item.done", members{"output_index": len(s.response.Output) - 1, "item": s.item})
	s.item = nil
}

func (s *responseStream) finish(r model.Result) {
	status := "completed"
	if r.FinishReason == model.FinishLength {
		status = "incomplete"
		s.response.IncompleteDetails = members{"reason": "max_output_tokens"}
	}
	if len(s.response.Output) == 0 {
		s.open("message") // clients expect one
	}
	s.close(status)
	now := s.now()
	s.response.Status, s.response.CompletedAt = status, &now
	s.response.Usage = members{
		"input_tokens":          r.PromptTokens,
		"input_tokens_details":  members{"cached_tokens": r.CachedTokens, "cache_write_tokens": 0},
		"output_tokens":         r.CompletionTokens,
		"output_tokens_details": members{"reasoning_tokens": s.thoughts.tokens},
		"total_tokens":          r.PromptTokens + r.CompletionTokens,
	}
	if s.done != nil && s.err == nil {
		s.err = s.done()
	}
	s.emit("response."+status, members{"response": s.response})
}

// fail ends a stream that has begun.
func (s *responseStream) fail(e *apiError) {
	code := e.Code
	if code == "" {
		code = "server_error"
	}
	s.response.Status = "failed"
	s.response.Error = members{"code": code, "message": e.Message}
	s.emit("response.failed", members{"response": s.response})
}
