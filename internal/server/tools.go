package server

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/model"
)

// functionTools reads tools. Those that are no functions, such as web_search, are left out: clients declare them to
// every server, and can do without.
func functionTools(raw []json.RawMessage) (tools []model.Tool, err error) {
	if len(raw) > maxTools {
		return nil, badRequest("tools", "tools has %d entries; it may have %d", len(raw), maxTools)
	}
	for i, data := range raw {
		field := fmt.Sprintf("tools[%d]", i)
		tool := struct {
			Type string `json:"type"`
		}{"function"}
		if err := fieldJSON(field, data, &tool); err != nil {
			return nil, err
		}
		if tool.Type != "function" {
			continue
		}
		parsed, err := model.ParseTools(slices.Concat([]byte("["), data, []byte("]")))
		if err != nil {
			return nil, badRequest(field, "%s: %s", field, strings.TrimPrefix(err.Error(), "tools[0]: "))
		}
		if declares(tools, parsed[0].Name) {
			return nil, badRequest(field, "%s has the name %q, as an earlier one; names must differ", field, parsed[0].Name)
		}
		tools = append(tools, parsed[0])
	}
	return tools, nil
}

func declares(tools []model.Tool, name string) bool {
	return slices.ContainsFunc(tools, func(t model.Tool) bool { return t.Name == name })
}

// toolChoice reads tool_choice: a word, or an object that names a function.
func toolChoice(data json.RawMessage, tools []model.Tool) (choice model.ToolChoice, err error) {
	if isNull(data) {
		return choice, nil
	}
	var named struct {
		Type     string `json:"type"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	if data[0] == '"' {
		err = json.Unmarshal(data, &named.Type)
	} else {
		err = fieldJSON("tool_choice", data, &named)
	}
	if err != nil {
		return choice, err
	}
	switch {
	case named.Type == "auto":
	case named.Type == "none":
		choice.Mode = model.ToolNone
	case named.Type == "required" && data[0] == '"':
		choice.Mode = model.ToolRequired
		if len(tools) == 0 {
			return choice, badRequest("tool_choice", `tool_choice is "required", and tools declares no function`)
		}
	case named.Type == "function" && data[0] == '{':
		choice = model.ToolChoice{Mode: model.ToolNamed, Name: named.Function.Name}
		if !declares(tools, choice.Name) {
			return choice, badRequest("tool_choice", "tool_choice names the function %q, which tools does not declare",
				choice.Name)
		}
	default:
		return choice, unsupported("tool_choice",
			`tool_choice is %q; it must be "none", "auto", "required" or name a function`, named.Type)
	}
	return choice, nil
}

// constraints are the fields that hold an answer to a grammar, under the names that servers have for it.
type constraints struct {
	ResponseFormat    json.RawMessage `json:"response_format"`
	Format            json.RawMessage `json:"format"`
	JSONSchema        json.RawMessage `json:"json_schema"`
	Grammar           json.RawMessage `json:"grammar"`
	GuidedJSON        json.RawMessage `json:"guided_json"`
	GuidedRegex       json.RawMessage `json:"guided_regex"`
	GuidedChoice      json.RawMessage `json:"guided_choice"`
	GuidedGrammar     json.RawMessage `json:"guided_grammar"`
	StructuredOutputs json.RawMessage `json:"structured_outputs"`
}

type constraint struct {
	name string
	data *json.RawMessage
}

func (c *constraints) all() []constraint {
	return []constraint{
		{"response_format", &c.ResponseFormat}, {"format", &c.Format}, {"json_schema", &c.JSONSchema},
		{"grammar", &c.Grammar}, {"guided_json", &c.GuidedJSON}, {"guided_regex", &c.GuidedRegex},
		{"guided_choice", &c.GuidedChoice}, {"guided_grammar", &c.GuidedGrammar},
		{"structured_outputs", &c.StructuredOutputs},
	}
}

// check refuses them by name: an answer that ignores them is worse than none.
func (c *constraints) check() error {
	for _, f := range c.all() {
		if err := plainText(f.name, *f.data); err != nil {
			return err
		}
	}
	return nil
}

// refuseConstraints is check for a request that is read field by field. Its API has other fields for a format, but
// clients take those that they know from elsewhere.
func refuseConstraints(o object) {
	var c constraints
	for _, f := range c.all() {
		*f.data = o.get(f.name).raw
	}
	if err := c.check(); err != nil && o.body.err == nil {
		o.body.err = err
	}
}

// plainText refuses a format of answers that is not plain text.
func plainText(field string, data json.RawMessage) error {
	var format struct {
		Type string `json:"type"`
	}
	if isNull(data) || string(data) == `""` {
		return nil
	}
	if data[0] == '{' && json.Unmarshal(data, &format) == nil && format.Type == "text" {
		return nil
	}
	return unsupported(field,
		`%s is not supported: answers cannot be held to a format; leave it out or send {"type": "text"}`, field)
}
