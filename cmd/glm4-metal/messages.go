package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/model"
)

// messageJSON is a message as files hold it: OpenAI's form, with reasoning and metadata beside it.
type messageJSON struct {
	Role      string         `json:"role"`
	Content   string         `json:"content"`
	Reasoning string         `json:"reasoning,omitempty"`
	Metadata  string         `json:"metadata,omitempty"`
	ToolCalls []toolCallJSON `json:"tool_calls,omitempty"`
}

// toolCallJSON is a call; Arguments is JSON text. OpenAI's form, with both fields inside "function", can be read too.
type toolCallJSON struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

func (t *toolCallJSON) UnmarshalJSON(data []byte) error {
	type call struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	}
	var in struct {
		call
		Function *call `json:"function"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	if in.Function != nil {
		in.call = *in.Function
	}
	t.Name, t.Arguments = in.Name, string(in.Arguments)
	if bytes.HasPrefix(in.Arguments, []byte(`"`)) {
		return json.Unmarshal(in.Arguments, &t.Arguments)
	}
	return nil
}

func toolCallsJSON(calls []model.ToolCall) []toolCallJSON {
	var out []toolCallJSON
	for _, c := range calls {
		out = append(out, toolCallJSON(c))
	}
	return out
}

// parseMessages reads a JSON array of messages. field is what the array is called in errors.
func parseMessages(data []byte, field string) ([]model.Message, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("%s: expected an array of messages: %w", field, err)
	}
	messages := make([]model.Message, 0, len(raw))
	for i, r := range raw {
		m, err := parseMessage(r)
		if err != nil {
			return nil, fmt.Errorf("%s[%d]%w", field, i, err)
		}
		messages = append(messages, m)
	}
	return messages, nil
}

// promptMessages is what a prompt is made of: the messages of --messages, and the user's from the other flags and
// words.
func promptMessages(c *cli.Context, words []string) ([]model.Message, error) {
	messages, err := readMessages(c)
	if err != nil {
		return nil, err
	}
	text, err := inputText(c, words, messages != nil)
	if err != nil {
		return nil, err
	}
	if text != "" || messages == nil {
		messages = append(messages, model.UserMessage(text))
	}
	if system := c.String("system-prompt"); system != "" {
		if messages[0].Role == model.RoleSystem {
			return nil, usagef("%s begins with a system message, and %s gives another; leave one out", c.String("messages"),
				asTyped(c, "system-prompt"))
		}
		messages = slices.Insert(messages, 0, model.SystemMessage(system))
	}
	return messages, nil
}

// readMessages reads the file of --messages, nil if there is none: an array of messages, or what a chat's /save writes.
func readMessages(c *cli.Context) ([]model.Message, error) {
	if !c.IsSet("messages") {
		return nil, nil
	}
	name := c.String("messages")
	data, err := readText(c.Context, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", asTyped(c, "messages"), err)
	}
	var messages []model.Message
	if data = bytes.TrimSpace(data); bytes.HasPrefix(data, []byte("[")) {
		messages, err = parseMessages(data, "messages")
	} else {
		messages, err = parseConversation(data)
	}
	if err == nil && len(messages) == 0 {
		err = errors.New("messages: there is none")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return messages, nil
}

var roles = []model.Role{model.RoleSystem, model.RoleUser, model.RoleAssistant, model.RoleObservation}

// parseMessage gives errors that go on where the message's place was named.
func parseMessage(data []byte) (model.Message, error) {
	var m messageJSON
	if err := json.Unmarshal(data, &m); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return model.Message{}, fmt.Errorf(".%s: expected a %v, found a %s", wrong.Field, wrong.Type, wrong.Value)
		}
		return model.Message{}, fmt.Errorf(": expected an object {\"role\": ..., \"content\": ...}: %w", err)
	}
	out := model.Message{Role: model.Role(m.Role), Content: m.Content, Reasoning: m.Reasoning, Metadata: m.Metadata}
	if m.Role == "tool" { // OpenAI's name
		out.Role = model.RoleObservation
	}
	if !slices.Contains(roles, out.Role) {
		return out, fmt.Errorf(".role: %q is not one of %v", m.Role, roles)
	}
	if len(m.ToolCalls) > 0 && out.Role != model.RoleAssistant {
		return out, fmt.Errorf(".tool_calls: only an assistant's message may have them, this one's role is %s", out.Role)
	}
	for j, c := range m.ToolCalls {
		switch {
		case c.Name == "":
			return out, fmt.Errorf(".tool_calls[%d].name: missing", j)
		case c.Arguments != "" && !json.Valid([]byte(c.Arguments)):
			return out, fmt.Errorf(".tool_calls[%d].arguments: not valid JSON", j)
		}
		out.ToolCalls = append(out.ToolCalls, model.ToolCall(c))
	}
	return out, nil
}

func messagesJSON(messages []model.Message) []messageJSON {
	out := make([]messageJSON, 0, len(messages))
	for _, m := range messages {
		out = append(out, messageJSON{Role: string(m.Role), Content: m.Content, Reasoning: m.Reasoning, Metadata: m.Metadata,
			ToolCalls: toolCallsJSON(m.ToolCalls)})
	}
	return out
}
