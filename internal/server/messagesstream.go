package server

import (
	"encoding/json"
	"iter"
	"strings"

	"github.com/glm4-metal/glm4-metal/model"
)

// message is an answer in Anthropic's form.
type message struct {
	ID           string         `json:"id"`
	Type         string         `json:"type"`
	Role         string         `json:"role"`
	Model        string         `json:"model"`
	Content      []messageBlock `json:"content"`
	StopReason   *string        `json:"stop_reason"`
	StopSequence *string        `json:"stop_sequence"`
	Usage        messageUsage   `json:"usage"`
}

type messageUsage struct {
	InputTokens              int `json:"input_tokens"` // that were computed
	CacheCreationInputTokens int `json:"cache_creation_input_tokens"`
	CacheReadInputTokens     int `json:"cache_read_input_tokens"`
	OutputTokens             int `json:"output_tokens"`
}

// messageBlock is a block of a message's content. The fields that its type has are set.
type messageBlock struct {
	Type      string          `json:"type"`
	Text      *string         `json:"text,omitempty"`
	Thinking  *string         `json:"thinking,omitempty"`
	Signature *string         `json:"signature,omitempty"`
	ID        string          `json:"id,omitempty"`
	Name      string          `json:"name,omitempty"`
	Input     json.RawMessage `json:"input,omitempty"`
}

// members are those of a JSON object.
type members map[string]any

// messageStream makes a message of an answer's events, and tells each step of it in Anthropic's events.
type messageStream struct {
	message   *message
	maxTokens int
	hidden    bool // the reasoning is not shown
	newID     func(prefix string) string
	send      func(event string, data any) error
	open      string          // the type of the last block, "" when that is whole
	text      strings.Builder // of the last block
	err       error
}

func (s *messageStream) emit(event string, data members) {
	if s.err == nil {
		data["type"] = event
		s.err = s.send(event, data)
	}
}

// run goes through the events. An error is theirs, or that of send.
func (s *messageStream) run(prompt int, events iter.Seq2[model.Event, error], result func() model.Result) error {
	s.message.Usage.InputTokens = prompt
	s.emit("message_start", members{"message": s.message})
	for e, err := range events {
		if err != nil {
			return err
		}
		if e.Reasoning != "" && !s.hidden {
			s.block(messageBlock{Type: "thinking", Thinking: new(string), Signature: new(string)})
			s.text.WriteString(e.Reasoning)
			s.delta(members{"type": "thinking_delta", "thinking": e.Reasoning})
		}
		if e.Text != "" {
			s.block(messageBlock{Type: "text", Text: new(string)})
			s.text.WriteString(e.Text)
			s.delta(members{"type": "text_delta", "text": e.Text})
		}
		if e.Call != nil {
			s.close()
			s.block(messageBlock{Type: "tool_use", ID: s.newID("toolu_"), Name: e.Call.Name, Input: json.RawMessage("{}")})
			s.text.WriteString(e.Call.Arguments)
			s.delta(members{"type": "input_json_delta", "partial_json": e.Call.Arguments})
		}
		if s.err != nil {
			return s.err
		}
	}
	s.close()
	s.finish(result())
	return s.err
}

// block opens a block, unless one of its type is open.
func (s *messageStream) block(b messageBlock) {
	if s.open == b.Type {
		return
	}
	s.close()
	s.open = b.Type
	s.message.Content = append(s.message.Content, b)
	s.emit("content_block_start", members{"index": len(s.message.Content) - 1, "content_block": b})
}

func (s *messageStream) delta(delta members) {
	s.emit("content_block_delta", members{"index": len(s.message.Content) - 1, "delta": delta})
}

// close ends the block that is open.
func (s *messageStream) close() {
	if s.open == "" {
		return
	}
	text, last := s.text.String(), len(s.message.Content)-1
	switch s.open {
	case "thinking":
		s.message.Content[last].Thinking = &text
	case "text":
		s.message.Content[last].Text = &text
	case "tool_use":
		s.message.Content[last].Input = json.RawMessage(text)
	}
	s.open = ""
	s.text.Reset()
	s.emit("content_block_stop", members{"index": last})
}

func (s *messageStream) finish(r model.Result) {
	m := s.message
	reason := "end_turn"
	switch {
	case r.FinishReason == model.FinishLength && r.CompletionTokens < s.maxTokens:
		reason = "model_context_window_exceeded"
	case r.FinishReason == model.FinishLength:
		reason = "max_tokens"
	case r.StopText != "":
		reason, m.StopSequence = "stop_sequence", &r.StopText
	case len(m.Content) > 0 && m.Content[len(m.Content)-1].Type == "tool_use":
		reason = "tool_use"
	}
	m.StopReason = &reason
	m.Usage = messageUsage{
		InputTokens:          r.PromptTokens - r.CachedTokens,
		CacheReadInputTokens: r.CachedTokens,
		OutputTokens:         r.CompletionTokens,
	}
	s.emit("message_delta", members{
		"delta": members{"stop_reason": reason, "stop_sequence": m.StopSequence},
		"usage": m.Usage,
	})
	s.emit("message_stop", members{})
}

// ping is the event that keeps a slow stream alive.
func ping() (event string, data any) { return "ping", members{"type": "ping"} }

// anthropic is an error in Anthropic's form. Its types follow from the status:
// https://docs.anthropic.com/en/api/errors.
func anthropic(e *apiError) any {
	kind, known := map[int]string{
		401: "authentication_error",
		403: "permission_error",
		404: "not_found_error",
		413: "request_too_large",
		429: "rate_limit_error",
		503: "overloaded_error",
		504: "timeout_error",
		529: "overloaded_error",
	}[e.Status]
	switch {
	case known:
	case e.Status >= 500:
		kind = "api_error"
	default:
		kind = "invalid_request_error"
	}
	return members{"type": "error", "error": members{"type": kind, "message": e.Message}}
}
