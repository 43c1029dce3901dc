package chatformat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Tool is a function that the model may call.
type Tool struct {
	// Name is what the model writes to call it.
	Name string
	// JSON is the tool as the caller wrote it, key order and all: {"type": "function", "function": {...}}, the bare function, or one of
	// glm-4-9b-chat's own tools, {"type": "python"}, {"type": "simple_browser"} and {"type": "cogview"}.
	JSON json.RawMessage
}

// ToolCall is the model's wish to call a tool.
type ToolCall struct {
	Name string
	// Arguments is JSON text, as the model wrote it.
	Arguments string
}

func (c ToolCall) arguments() string {
	if strings.TrimSpace(c.Arguments) == "" {
		return "{}"
	}
	return c.Arguments
}

func hasTool(tools []Tool, name string) bool {
	return slices.ContainsFunc(tools, func(t Tool) bool { return t.Name == name })
}

// ParseTools reads a JSON array of tools. null and an empty array give none.
func ParseTools(data []byte) ([]Tool, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("tools: expected a JSON array of tools: %w", err)
	}
	tools := make([]Tool, 0, len(raw))
	for i, r := range raw {
		t := Tool{JSON: bytes.Clone(r)}
		name, err := t.declaredName()
		if err != nil {
			return nil, fmt.Errorf("tools[%d]: %w", i, err)
		}
		t.Name = name
		if hasTool(tools, name) {
			return nil, fmt.Errorf("tools[%d]: the name %q is taken by an earlier tool: names must differ", i, name)
		}
		tools = append(tools, t)
	}
	return tools, nil
}

// builtinTools are the tool types that glm-4-9b-chat's template describes itself.
var builtinTools = []string{"python", "simple_browser", "cogview"}

func (t Tool) declaredName() (string, error) {
	tool, err := t.value()
	if err != nil {
		return "", err
	}
	typ, _ := tool.get("type").(string)
	if slices.Contains(builtinTools, typ) {
		return typ, nil
	}
	fn := tool
	if f, found := tool.lookup("function"); found {
		var ok bool
		if fn, ok = f.(*object); !ok {
			return "", errors.New(`"function" is not an object: expected {"name": ..., "description": ..., "parameters": ...}`)
		}
	}
	name, _ := fn.get("name").(string)
	if name == "" || strings.TrimSpace(name) != name || strings.ContainsAny(name, "\r\n") {
		return "", fmt.Errorf("function name is %q: expected a name on one line", name)
	}
	return name, nil
}

// value parses the tool's JSON, keeping the order of keys.
func (t Tool) value() (*object, error) {
	v, err := parseJSON(t.JSON)
	if err != nil {
		return nil, fmt.Errorf("tool %q: %w", t.Name, err)
	}
	o, ok := v.(*object)
	if !ok {
		return nil, fmt.Errorf("tool %q: expected a JSON object, found %.40q", t.Name, t.JSON)
	}
	return o, nil
}

const callNote = "\n在调用上述函数时，请使用 Json 格式表示调用的参数。"

// describeTools is the tools block of the 0414 templates, from the heading on.
func describeTools(tools []Tool) (string, error) {
	var b strings.Builder
	b.WriteString("# 可用工具")
	for _, t := range tools {
		fn, err := t.value()
		if err != nil {
			return "", err
		}
		if f, ok := fn.get("function").(*object); ok && len(f.keys) > 0 {
			fn = f
		}
		name, err := printed(fn.get("name"))
		if err != nil {
			return "", fmt.Errorf("tool %q: name: %w", t.Name, err)
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s%s", name, dumps(fn, dumpStyle{indent: 4}), callNote)
	}
	return b.String(), nil
}
