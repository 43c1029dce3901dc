// Package chatformat turns a conversation into the prompt text of a GLM-4 model and the model's reply back into text,
// reasoning and tool calls. It works on text alone: it knows no tokenizer, no model and no history.
//
// A Format is one way of writing prompts. GLM-4's three have renderers of their own, listed in native.go:
//
//	glm-4-9b-chat   glm4chat.go   tools ride on a message
//	glm-4-0414      glm4.go       tools, then every system message, then the rest
//	glm-z1-0414     glm4.go       the same, with reasoning: the prompt ends inside <think>
//
// What a model's control tokens mean is in the table of family.go.
//
// ByName picks one by name, Detect by a checkpoint's own chat template, and FromTemplate renders any other that package
// jinja lets through:
//
//	f, err := chatformat.Detect(ctx, template, chatformat.Tokens{Special: specials})
//	messages := []chatformat.Message{{Role: chatformat.User, Content: "你好"}}
//	prompt, err := f.Render(ctx, messages, chatformat.Options{AddGenerationPrompt: true})
//	p := f.NewParser(nil, "")
//	for piece := range reply { use(p.Write(piece)) }
//	use(p.Close())
//
// A prompt is a list of segments, so that a control token is never made from text that a user typed.
package chatformat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Role says who speaks in a Message.
type Role string

// The roles of the GLM-4 templates. "tool", OpenAI's name for an observation, is accepted wherever a role is read.
const (
	System      Role = "system"
	User        Role = "user"
	Assistant   Role = "assistant"
	Observation Role = "observation"

	toolRole Role = "tool"
)

// Message is one turn of a conversation.
type Message struct {
	Role    Role
	Content string
	// Reasoning is what the model thought before Content. The GLM-4 prompts leave it out of the history.
	Reasoning string
	// Metadata is printed behind the role's token; on an assistant message it is the name of the tool that Content calls.
	Metadata string
	// ToolCalls (assistant only) are rendered behind Content, each as an assistant turn of its own: metadata Name, content
	// Arguments.
	ToolCalls []ToolCall
	// Tools is glm-4-9b-chat's item['tools']; nil and empty differ there. The other families ignore it.
	Tools []Tool
}

// Options are the choices of one rendering.
type Options struct {
	// AddGenerationPrompt ends the prompt where the assistant's answer begins.
	AddGenerationPrompt bool
	// Tools are declared to the model. glm-4-9b-chat, whose template reads tools from messages only, gets them in front of
	// the conversation.
	Tools []Tool
	// ForceTool makes the model call this declared tool: the prompt ends behind an assistant turn's NAME line. It implies
	// AddGenerationPrompt.
	ForceTool string
}

// Format writes prompts and reads replies. Implementations are safe for concurrent use.
type Format interface {
	// Name is one of Names, or the name given to FromTemplate.
	Name() string
	// Render writes the prompt. It fails on an empty conversation, an unknown role, tool calls outside an assistant
	// message, or an undeclared ForceTool; a template may refuse a conversation for reasons of its own. The error is the
	// context's if that ended.
	Render(ctx context.Context, messages []Message, o Options) (Prompt, error)
	// Forces tells whether Render takes ForceTool, and so whether the model's own way to call a tool is its name's line
	// and its arguments.
	Forces() bool
	// NewParser reads one reply to a prompt with these tools (see DeclaredTools) and this Options.ForceTool.
	NewParser(tools []Tool, forceTool string) *Parser
}

// Names lists the formats that ByName knows.
func Names() (names []string) {
	for _, f := range natives {
		names = append(names, f.name)
	}
	return names
}

// ByName returns the renderer of that name.
func ByName(name string) (Format, error) {
	for _, f := range natives {
		if f.name == name {
			return f, nil
		}
	}
	return nil, fmt.Errorf("unknown chat format %q: use one of %s, or a template file", name, strings.Join(Names(), ", "))
}

// DeclaredTools returns the tools that a conversation declares, those of o first, each name once.
func DeclaredTools(messages []Message, o Options) []Tool {
	var all []Tool
	seen := map[string]bool{}
	add := func(tools []Tool) {
		for _, t := range tools {
			if !seen[t.Name] {
				seen[t.Name] = true
				all = append(all, t)
			}
		}
	}
	add(o.Tools)
	for _, m := range messages {
		add(m.Tools)
	}
	return all
}

// turns checks a conversation and spells it the way the GLM-4 templates want it: "tool" becomes observation, and every
// tool call an assistant turn with metadata.
func turns(messages []Message, o Options) ([]Message, error) {
	if err := checkConversation(messages, o); err != nil {
		return nil, err
	}
	var out []Message
	for _, m := range messages {
		if m.Role == toolRole {
			m.Role = Observation
		}
		calls := m.ToolCalls
		m.ToolCalls = nil
		if len(calls) == 0 || m.Content != "" || m.Tools != nil {
			out = append(out, m)
		}
		for _, c := range calls {
			out = append(out, Message{Role: Assistant, Metadata: c.Name, Content: c.arguments()})
		}
	}
	return out, nil
}

func checkConversation(messages []Message, o Options) error {
	if len(messages) == 0 {
		return errors.New("conversation is empty: at least one message is needed")
	}
	for i, m := range messages {
		switch m.Role {
		case System, User, Assistant, Observation, toolRole:
		default:
			return fmt.Errorf("messages[%d]: unknown role %q: use system, user, assistant, observation or tool", i, m.Role)
		}
		if len(m.ToolCalls) > 0 && m.Role != Assistant {
			return fmt.Errorf("messages[%d]: tool calls on role %q: only an assistant message may hold them", i, m.Role)
		}
		for j, c := range m.ToolCalls {
			if c.Name == "" || strings.ContainsAny(c.Name, "\r\n") {
				return fmt.Errorf("messages[%d]: tool call %d has the name %q: expected one line", i, j, c.Name)
			}
		}
	}
	if o.ForceTool != "" && !slices.ContainsFunc(DeclaredTools(messages, o),
		func(t Tool) bool { return t.Name == o.ForceTool }) {
		return fmt.Errorf("forced tool %q is not declared: declare it among the tools, or force another", o.ForceTool)
	}
	return nil
}
