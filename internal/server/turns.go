package server

import (
	"maps"
	"slices"

	"github.com/glm4-metal/glm4-metal/model"
)

// turns are the messages of a request. APIs tell by an id which call a tool's result belongs to; the prompt tells it by
// their order.
type turns struct {
	messages []model.Message
	calls    map[string]int // how many calls came before the one of this id
	called   int
	results  []result // that came last, which settle puts in order
}

type result struct {
	call    int
	content string
}

// clone gives turns that may go on without a change of these.
func (c *turns) clone() turns {
	n := turns{messages: slices.Clone(c.messages), calls: maps.Clone(c.calls), called: c.called}
	if last := len(n.messages) - 1; last >= 0 {
		n.messages[last].ToolCalls = slices.Clip(n.messages[last].ToolCalls)
	}
	return n
}

func (c *turns) add(m model.Message) {
	c.settle()
	c.messages = append(c.messages, m)
}

// settle adds the results that have come, in the order of their calls.
func (c *turns) settle() {
	slices.SortStableFunc(c.results, func(a, b result) int { return a.call - b.call })
	for _, r := range c.results {
		c.messages = append(c.messages, model.ToolResult(r.content))
	}
	c.results = nil
}

// system adds what a system text says.
func (c *turns) system(text string) {
	c.settle()
	if text != "" {
		c.add(systemMessage(c.messages, text))
	}
}

// systemMessage is what a system text says behind some messages. GLM-4-0414's prompts have all system texts in front:
// one that came late there would have everything behind it computed again, so it is put where it is said, in the form
// that Claude Code has for that.
func systemMessage(before []model.Message, text string) model.Message {
	if last := len(before) - 1; last >= 0 && before[last].Role != model.RoleSystem {
		return model.UserMessage("<system-reminder>\n" + text + "\n</system-reminder>")
	}
	return model.SystemMessage(text)
}

// call adds a call to the assistant's message before it, or to a new one.
func (c *turns) call(id, name, arguments string) {
	c.settle()
	last := len(c.messages) - 1
	if last < 0 || c.messages[last].Role != model.RoleAssistant {
		c.add(model.Message{Role: model.RoleAssistant})
		last++
	}
	m := &c.messages[last]
	m.ToolCalls = append(m.ToolCalls, model.ToolCall{Name: name, Arguments: arguments})
	if c.calls == nil {
		c.calls = map[string]int{}
	}
	c.calls[id] = c.called
	c.called++
}

// answer adds what the model has answered.
func (c *turns) answer(output []any) {
	for _, item := range output {
		switch item := item.(*responseItem); {
		case item.Type == "function_call":
			c.call(item.CallID, item.Name, *item.Arguments)
		case item.Type == "message" && item.text != "":
			c.add(model.AssistantMessage(item.text))
		}
	}
}

// result takes what the call of an id gave. f is the id's field.
func (c *turns) result(f field, id, content string) {
	call, known := c.calls[id]
	if !known {
		f.refuse("is %q, and there is no tool call of this id before it", id)
		return
	}
	c.results = append(c.results, result{call, content})
}

// toolSet collects the tools of a request.
type toolSet struct {
	tools []model.Tool
}

// add declares a function; its schema may be absent.
func (s *toolSet) add(name, description, schema field) {
	var parameters any
	if schema.present() {
		parameters = schema.raw
		if !schema.is('{') {
			schema.mustBe("a JSON schema, which is an object")
			return
		}
	}
	n := name.required("the function's name").text()
	if declares(s.tools, n) {
		name.refuse("is %q, as an earlier tool is called; names must differ", n)
		return
	}
	t, err := model.NewTool(n, description.text(), parameters)
	if err != nil {
		name.refuse("is wrong: %v", err)
		return
	}
	s.tools = append(s.tools, t)
}

// require is the choice of some call, or of one of a tool that is declared.
func (s *toolSet) require(f field) model.ToolChoice {
	if len(s.tools) == 0 {
		f.refuse("requires a call, and no function is declared; declare one in tools")
	}
	return model.ToolChoice{Mode: model.ToolRequired}
}

func (s *toolSet) named(f field) model.ToolChoice {
	name := f.required("the name of a tool").text()
	if !declares(s.tools, name) {
		f.refuse("is %q, which is not declared; declare it in tools", name)
	}
	return model.ToolChoice{Mode: model.ToolNamed, Name: name}
}
