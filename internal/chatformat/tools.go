package chatformat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/jinja"
)

// Tool is a function that the model may call.
type Tool struct {
	// Name is what the model writes to call it.
	Name string
	// JSON is the tool as the caller wrote it, key order and all: {"type": "function", "function": {...}}, the bare
	// function, or one of glm-4-9b-chat's own tools, {"type": "python"}, {"type": "simple_browser"} and {"type":
	// "cogview"}.
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

// ParseTools reads a JSON array of tools. null and an empty array give none.
func ParseTools(data []byte) ([]Tool, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("tools: expected a JSON array of tools: %w", err)
	}
	tools := make([]Tool, 0, len(raw))
	taken := make(map[string]bool, len(raw))
	for i, r := range raw {
		t, err := ParseTool(r)
		if err != nil {
			return nil, fmt.Errorf("tools[%d]: %w", i, err)
		}
		if taken[t.Name] {
			return nil, fmt.Errorf("tools[%d]: the name %q is taken by an earlier tool: names must differ", i, t.Name)
		}
		taken[t.Name] = true
		tools = append(tools, t)
	}
	return tools, nil
}

// ParseTool reads one tool.
func ParseTool(data []byte) (Tool, error) {
	t := Tool{JSON: bytes.Clone(data)}
	name, err := t.declaredName()
	if err != nil {
		return Tool{}, err
	}
	t.Name = name
	return t, nil
}

// builtinTools are the tool types that glm-4-9b-chat's template describes itself.
var builtinTools = []string{"python", "simple_browser", "cogview"}

func (t Tool) declaredName() (string, error) {
	tool, err := t.value()
	if err != nil {
		return "", err
	}
	if typ, _ := tool.Get("type").(jinja.Text); slices.Contains(builtinTools, typ.String()) {
		return typ.String(), nil
	}
	fn := tool
	if f, found := tool.Lookup("function"); found {
		var ok bool
		if fn, ok = f.(*jinja.Dict); !ok {
			return "", errors.New(`"function" is not an object: expected {"name": ..., "description": ..., "parameters": ...}`)
		}
	}
	text, _ := fn.Get("name").(jinja.Text)
	name := text.String()
	if name == "" || strings.TrimSpace(name) != name || strings.ContainsAny(name, "\r\n") {
		return "", fmt.Errorf("function name is %q: expected a name on one line", name)
	}
	return name, nil
}

// value parses the tool's JSON, keeping the order of keys.
func (t Tool) value() (*jinja.Dict, error) {
	v, err := jinja.ParseJSON(t.JSON)
	if err != nil {
		return nil, fmt.Errorf("tool %q: %w", t.Name, err)
	}
	o, ok := v.(*jinja.Dict)
	if !ok {
		return nil, fmt.Errorf("tool %q: expected a JSON object, found %.40q", t.Name, t.JSON)
	}
	return o, nil
}

const callNote = "\n在调用上述函数时，请使用 Json 格式表示调用的参数。"

// describeTools is the tools block of the 0414 templates, from the heading on.
func describeTools(ctx context.Context, tools []Tool) (string, error) {
	var b strings.Builder
	b.WriteString("# 可用工具")
	for _, t := range tools {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		fn, err := t.value()
		if err != nil {
			return "", err
		}
		if f, ok := fn.Get("function").(*jinja.Dict); ok && f.Len() > 0 {
			fn = f
		}
		name, err := jinja.Print(fn.Get("name"))
		if err != nil {
			return "", fmt.Errorf("tool %q: name: %w", t.Name, err)
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s%s", name.String(), jinja.Dump(fn, 4), callNote)
	}
	return b.String(), nil
}
