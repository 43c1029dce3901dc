package server

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/model"
)

// chatMessage is a message of OpenAI's chat completions.
type chatMessage struct {
	Role             string          `json:"role"`
	Content          json.RawMessage `json:"content"`
	ReasoningContent string          `json:"reasoning_content"`
	ToolCalls        []chatToolCall  `json:"tool_calls"`
	ToolCallID       string          `json:"tool_call_id"`
	FunctionCall     json.RawMessage `json:"function_call"`
}

type chatToolCall struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"` // a string of JSON; some clients send the object itself
	} `json:"function"`
}

// chatMessages makes messages for the model of those of a request. Results of tools come in the order of their calls.
func chatMessages(raw []json.RawMessage) ([]model.Message, error) {
	switch {
	case len(raw) == 0:
		return nil, badRequest("messages", "messages is missing or empty; it must have a message at least")
	case len(raw) > maxMessages:
		return nil, badRequest("messages", "messages has %d entries; it may have %d", len(raw), maxMessages)
	}
	var out []model.Message
	var open openCalls
	for i, data := range raw {
		field := fmt.Sprintf("messages[%d]", i)
		var m chatMessage
		if err := fieldJSON(field, data, &m); err != nil {
			return nil, err
		}
		text, err := contentText(field+".content", m.Content)
		if err != nil {
			return nil, err
		}
		if m.Role == "tool" {
			if err := open.answer(field, m.ToolCallID, text); err != nil {
				return nil, err
			}
			continue
		}
		out = append(out, open.close()...)
		message := model.Message{Role: model.Role(m.Role), Content: text}
		switch m.Role {
		case "system", "developer", "user":
			if isNull(m.Content) {
				return nil, badRequest(field+".content", "%s.content is missing; a %s message needs it", field, m.Role)
			}
			if m.Role != "user" {
				message = systemMessage(out, text)
			}
		case "assistant":
			if !isNull(m.FunctionCall) {
				return nil, unsupported(field+".function_call", "%s.function_call is not supported; use tool_calls", field)
			}
			message.Reasoning = m.ReasoningContent
			if message.ToolCalls, err = open.begin(field, m.ToolCalls); err != nil {
				return nil, err
			}
		case "function":
			return nil, unsupported(field+".role", `%s.role is "function", which is not supported; use "tool"`, field)
		default:
			return nil, badRequest(field+".role",
				"%s.role is %q; it must be system, developer, user, assistant or tool", field, m.Role)
		}
		out = append(out, message)
	}
	return append(out, open.close()...), nil
}

// contentText is the text of a message's content: a string, or parts, which stand on lines of their own.
func contentText(field string, data json.RawMessage) (string, error) {
	switch {
	case isNull(data):
		return "", nil
	case data[0] == '"':
		var text string
		err := json.Unmarshal(data, &text)
		return text, err
	case data[0] != '[':
		return "", badRequest(field, "%s is %s; it must be a string or an array of parts", field, kind(data))
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(data, &parts); err != nil {
		return "", err
	}
	var lines []string
	for i, raw := range parts {
		at := fmt.Sprintf("%s[%d]", field, i)
		var part struct {
			Type    string `json:"type"`
			Text    string `json:"text"`
			Refusal string `json:"refusal"`
		}
		if err := fieldJSON(at, raw, &part); err != nil {
			return "", err
		}
		switch part.Type {
		case "text":
			lines = append(lines, part.Text)
		case "refusal":
			lines = append(lines, part.Refusal)
		default:
			return "", unsupported(at+".type", "%s.type is %q; the model reads text only", at, part.Type)
		}
	}
	return strings.Join(lines, "\n"), nil
}

// openCalls are the calls of the last assistant's message, and the results that have come for them.
type openCalls struct {
	ids     []string
	results []*string // nil where none has come
	others  []string  // results without a call that is known
}

// begin takes an assistant's calls.
func (c *openCalls) begin(field string, calls []chatToolCall) (out []model.ToolCall, err error) {
	for i, call := range calls {
		at := fmt.Sprintf("%s.tool_calls[%d]", field, i)
		switch {
		case call.Type != "" && call.Type != "function":
			return nil, unsupported(at+".type", "%s.type is %q; it must be function", at, call.Type)
		case call.Function.Name == "":
			return nil, badRequest(at+".function.name", "%s.function.name is missing", at)
		case call.ID != "" && slices.Contains(c.ids, call.ID):
			return nil, badRequest(at+".id", "%s.id is %q, as that of an earlier call; ids must differ", at, call.ID)
		}
		arguments := string(call.Function.Arguments)
		if strings.HasPrefix(arguments, `"`) {
			if err := json.Unmarshal(call.Function.Arguments, &arguments); err != nil {
				return nil, err
			}
		} else if arguments == "null" {
			arguments = ""
		}
		out = append(out, model.ToolCall{Name: call.Function.Name, Arguments: arguments})
		c.ids = append(c.ids, call.ID)
	}
	c.results = make([]*string, len(c.ids))
	return out, nil
}

// answer takes a result. One without an id is that of the first call that has none.
func (c *openCalls) answer(field, id, text string) error {
	for i := range c.ids {
		if c.results[i] == nil && (id == "" || id == c.ids[i]) {
			c.results[i] = &text
			return nil
		}
	}
	if id != "" {
		return badRequest(field+".tool_call_id",
			"%s.tool_call_id is %q; no call of the assistant's message before it has this id and no result yet", field, id)
	}
	c.others = append(c.others, text)
	return nil
}

// close gives the results.
func (c *openCalls) close() (out []model.Message) {
	for _, text := range c.results {
		if text != nil {
			out = append(out, model.ToolResult(*text))
		}
	}
	for _, text := range c.others {
		out = append(out, model.ToolResult(text))
	}
	*c = openCalls{}
	return out
}
