package server

import (
	"maps"
	"slices"

	"github.com/glm4-metal/glm4-metal/model"
)

// turns are the messages of a request. APIs tell by an id which call a tool's result belongs to; the prompt tells
// it by their order.
type turns struct {
	messages []model.Message
	results  []string       // the call's id of each message that is a result, "" for others
	calls    map[string]int // how many calls came before the one of this id
	called   int
}

func (c *turns) clone() turns {
	return turns{slices.Clone(c.messages), slices.Clone(c.results), maps.Clone(c.calls), c.called}
}

func (c *turns) add(m model.Message) {
	c.messages = append(c.messages, m)
	c.results = append(c.results, "")
}

// system adds what a system text says. GLM-4-0414's prompts have all system texts in front: one that came late there would
// have everything behind it computed again, so it is put where it is said, in the form that Claude Code has for that.
func (c *turns) system(text string) {
	late := slices.ContainsFunc(c.messages, func(m model.Message) bool { return m.Role != model.RoleSystem })
	switch {
	case text == "":
	case late:
		c.add(model.UserMessage("<system-reminder>\n" + text + "\n</system-reminder>"))
	default:
		c.add(model.SystemMessage(text))
	}
}

// call adds a call to the assistant's message before it, or to a new one.
func (c *turns) call(id, name, arguments string) {
	last := len(c.messages) - 1
	if last < 0 || c.messages[last].Role != model.RoleAssistant {
		c.add(model.Message{Role: model.RoleAssistant})
		last++
	}
	m := &c.messages[last]
	m.ToolCalls = append(slices.Clip(m.ToolCalls), model.ToolCall{Name: name, Arguments: arguments})
	if c.calls == nil {
		c.calls = map[string]int{}
	}
	c.calls[id] = c.called
	c.called++
}

// answer adds what the model has answered, with the ids of its calls.
func (c *turns) answer(m model.Message, ids []string) {
	calls := m.ToolCalls
	m.Reasoning, m.ToolCalls = "", nil
	if m.Content == "" && len(calls) == 0 {
		return
	}
	c.add(m)
	for i, call := range calls {
		c.call(ids[i], call.Name, call.Arguments)
	}
}

// result adds what the call of an id gave, in front of the results of later calls. f is the id's field.
func (c *turns) result(f field, id, content string) {
	rank, known := c.calls[id]
	if !known {
		f.refuse("is %q, and there is no tool call of this id before it", id)
		return
	}
	at := len(c.messages)
	for at > 0 && c.results[at-1] != "" && c.calls[c.results[at-1]] > rank {
		at--
	}
	c.messages = slices.Insert(c.messages, at, model.ToolResult(content))
	c.results = slices.Insert(c.results, at, id)
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
