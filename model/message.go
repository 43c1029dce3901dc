package model

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/glm4-metal/glm4-metal/internal/chatformat"
)

// Role says who speaks in a [Message].
type Role string

// The roles. Any other is refused when a prompt is made.
const (
	RoleSystem      Role = "system"
	RoleUser        Role = "user"
	RoleAssistant   Role = "assistant"
	RoleObservation Role = "observation" // the result of a tool call; OpenAI's "tool" is taken, too
)

// Message is one turn of a conversation.
type Message struct {
	Role    Role   // who speaks
	Content string // as plain text: a control token in it is no control token
	// Reasoning is what the model thought before Content. No prompt shows it to the model again.
	Reasoning string
	// ToolCalls are the calls of an assistant's message, which come behind its Content. Other roles have none.
	ToolCalls []ToolCall
	// Metadata is written behind the role's token in the prompt. GLM-4 has the name of a tool there, if Content is the
	// arguments of its call; ToolCalls write it by themselves, so it is usually empty.
	Metadata string
}

// SystemMessage tells the model how to behave. It comes first in a conversation.
func SystemMessage(text string) Message { return Message{Role: RoleSystem, Content: text} }

// UserMessage is what a user says.
func UserMessage(text string) Message { return Message{Role: RoleUser, Content: text} }

// AssistantMessage is what the model answered, or is to have answered.
func AssistantMessage(text string) Message { return Message{Role: RoleAssistant, Content: text} }

// ToolResult is what a tool gave for a call, as text or JSON. The results of several calls follow each other in the
// calls' order.
func ToolResult(content string) Message { return Message{Role: RoleObservation, Content: content} }

// Add appends what an event brings to the message.
func (m *Message) Add(e Event) {
	m.Content += e.Text
	m.Reasoning += e.Reasoning
	if e.Call != nil {
		m.ToolCalls = append(m.ToolCalls, *e.Call)
	}
}

// empty tells whether nothing has been added.
func (m *Message) empty() bool {
	return m.Content == "" && m.Reasoning == "" && len(m.ToolCalls) == 0
}

// ToolCall is the model's wish to call a tool.
type ToolCall struct {
	Name string // of a declared tool
	// Arguments is a JSON object, spelled as the model wrote it. That it fits the tool's parameters is not checked.
	Arguments string
}

// Tool is a function that the model may call; [NewTool] and [ParseTools] make it.
type Tool struct {
	// Name is what the model writes to call it: one line, the one that JSON has.
	Name string
	// JSON is the declaration that the prompt shows: {"type": "function", "function": {"name": ..., "description": ...,
	// "parameters": ...}}, the function alone, or for glm-4-9b-chat one of its own tools, {"type": "python"},
	// {"type": "simple_browser"} and {"type": "cogview"}.
	JSON json.RawMessage
}

// NewTool declares a function. parameters is the JSON schema of its arguments, an object: a map, a struct or a
// [json.RawMessage]; nil stands for no arguments.
func NewTool(name, description string, parameters any) (Tool, error) {
	if parameters == nil {
		parameters = json.RawMessage(`{"type": "object", "properties": {}}`)
	}
	schema, err := json.Marshal(parameters)
	if err == nil && !bytes.HasPrefix(schema, []byte("{")) {
		err = fmt.Errorf(`the parameters are %.40s; they must be a JSON schema, such as {"type": "object", "properties": {}}`,
			schema)
	}
	if err != nil {
		return Tool{}, fmt.Errorf("tool %q: %w", name, err)
	}
	type function struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Parameters  json.RawMessage `json:"parameters"`
	}
	data, err := json.Marshal(struct {
		Type     string   `json:"type"`
		Function function `json:"function"`
	}{"function", function{name, description, schema}})
	if err != nil {
		return Tool{}, err
	}
	t, err := chatformat.ParseTool(data)
	return Tool(t), err
}

// ParseTools reads a JSON array of tools, each as in [Tool].JSON. null and an empty array give none. An error names the
// place in the array.
func ParseTools(data []byte) ([]Tool, error) {
	parsed, err := chatformat.ParseTools(data)
	if err != nil {
		return nil, err
	}
	tools := make([]Tool, len(parsed))
	for i, t := range parsed {
		tools[i] = Tool(t)
	}
	return tools, nil
}

// formatTools are tools as package chatformat has them.
func formatTools(tools []Tool) []chatformat.Tool {
	out := make([]chatformat.Tool, len(tools))
	for i, t := range tools {
		out[i] = chatformat.Tool(t)
	}
	return out
}

// formatMessages are messages as package chatformat has them.
func formatMessages(messages []Message) []chatformat.Message {
	out := make([]chatformat.Message, len(messages))
	for i, m := range messages {
		out[i] = chatformat.Message{Role: chatformat.Role(m.Role), Content: m.Content, Reasoning: m.Reasoning,
			Metadata: m.Metadata}
		for _, c := range m.ToolCalls {
			out[i].ToolCalls = append(out[i].ToolCalls, chatformat.ToolCall(c))
		}
	}
	return out
}
