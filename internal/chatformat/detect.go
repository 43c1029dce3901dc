package chatformat

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// Detect returns the Format for a checkpoint's own chat template. The parts that only one family's template has decide the family, as published
// texts differ in white space and in the sentence that introduces the model. If the template, rendered as FromTemplate does, gives what the
// family's renderer gives, that renderer is returned, with the template's own sentence; if it differs in a space somewhere, the template rules,
// under the family's name; if it cannot be rendered, the family's renderer is returned. A template of no family is FromTemplate's matter.
func Detect(ctx context.Context, template string, t Tokens) (Format, error) {
	name := family(template)
	if name == "" {
		return FromTemplate(ctx, "chat_template", template, t)
	}
	f, err := ByName(name)
	if err != nil {
		return nil, err
	}
	if persona := personaRE.FindString(template); persona != "" {
		switch name {
		case glm4ChatName:
			f = glm4Chat{persona: persona}
		case glmZ1Name:
			f = glmZ1{persona: persona}
		}
	}
	rendered, err := newTemplateFormat(ctx, name, template, t)
	same := err == nil && agree(ctx, f, rendered)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil || same:
		return f, nil
	}
	return rendered, nil
}

// personaRE finds the sentence that introduces the model in front of the tools.
var personaRE = regexp.MustCompile(`你是一个名为[^\n{]*[^\s{]`)

// family names the family whose distinctive parts a template has, or "".
func family(template string) string {
	// White space and the kind of quotes vary.
	squeezed := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		if r == '"' {
			return '\''
		}
		return r
	}, template)
	has := func(parts ...string) bool {
		for _, part := range parts {
			if !strings.Contains(squeezed, part) {
				return false
			}
		}
		return true
	}
	hasAny := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(squeezed, part) {
				return true
			}
		}
		return false
	}
	turns := has("[gMASK]<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>", "#可用工具", "metadata") &&
		!hasAny("tool_calls", "reasoning_content", "<tool_call>", "%macro", "%-macro", "enable_thinking")
	switch {
	case has("[gMASK]<sop>", "item['tools']", "<|{{item['role']}}|>{{item['metadata']}}", "'simple_browser'", "'cogview'"):
		return glm4ChatName
	case turns && has("split('</think>')", "<think>"):
		return glmZ1Name
	case turns && !hasAny("think>"):
		return glm4Name
	}
	return ""
}

// agree says whether a template renders the same prompts as a family's renderer.
func agree(ctx context.Context, a Format, b *templateFormat) bool {
	tools, err := ParseTools([]byte(`[{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}},
		{"type": "function", "function": {"name": "g", "parameters": {"z": [1.0, "é"], "a": {}}}}]`))
	if err != nil {
		return false
	}
	special := append(tools[:1:1], Tool{Name: "python", JSON: []byte(`{"type": "python"}`)}, Tool{Name: "cogview", JSON: []byte(`{"type": "cogview"}`)},
		Tool{Name: "simple_browser", JSON: []byte(`{"type": "simple_browser"}`)}, tools[1])
	conversation := []Message{
		{Role: System, Content: " s "}, {Role: User, Content: " u\n"}, {Role: Assistant, Content: "\n<think>t</think>\n a "}, {Role: System, Content: ""},
		{Role: User, Content: ""}, {Role: Assistant, Metadata: "f", Content: `{"x": 1}`}, {Role: Assistant, Metadata: "g", Content: "{}"},
		{Role: Observation, Content: " o "}, {Role: Assistant, Content: ""}, {Role: User, Content: "</think>"},
	}
	for i := range 8 {
		messages := append([]Message{}, conversation[i&1*3:]...)
		o := Options{AddGenerationPrompt: i&2 == 0}
		if i&4 == 0 {
			// glm-4-9b-chat reads a message's tools, the others the template's.
			if a.Name() == glm4ChatName {
				messages[0].Tools = special
			} else {
				o.Tools = tools
			}
		}
		x, errX := a.Render(ctx, messages, o)
		y, errY := b.render(ctx, messages, o, b.template.Probe)
		if errX != nil || errY != nil || fmt.Sprint(x) != fmt.Sprint(y) {
			return false
		}
	}
	return true
}
