package chatformat

import (
	"context"
	"fmt"
	"regexp"
)

// Detect returns the Format for a checkpoint's own chat template. The parts that only the templates of one native
// format have decide, as published texts differ in white space and in the sentence that introduces the model. If the
// template, rendered as FromTemplate does, gives what the native renderer gives, that renderer is returned, with the
// template's own sentence; if it differs in a space somewhere, the template rules, under the renderer's name; if it
// cannot be rendered, the renderer is returned. Any other template is FromTemplate's matter.
func Detect(ctx context.Context, template string, t Tokens) (Format, error) {
	f := nativeOf(template)
	if f == nil {
		return FromTemplate(ctx, "chat_template", template, t)
	}
	if persona := personaRE.FindString(template); persona != "" && f.persona != "" {
		own := *f
		own.persona = persona
		f = &own
	}
	rendered, err := newTemplateFormat(ctx, f.name, template, t)
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

// agree says whether a template renders the same prompts as a native renderer.
func agree(ctx context.Context, a *native, b *templateFormat) bool {
	tools, err := ParseTools([]byte(`[
		{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}},
		{"type": "function", "function": {"name": "g", "parameters": {"z": [1.0, "é"], "a": {}}}}]`))
	if err != nil {
		return false
	}
	special := append(tools[:1:1], Tool{Name: "python", JSON: []byte(`{"type": "python"}`)},
		Tool{Name: "cogview", JSON: []byte(`{"type": "cogview"}`)},
		Tool{Name: "simple_browser", JSON: []byte(`{"type": "simple_browser"}`)}, tools[1])
	conversation := []Message{
		{Role: System, Content: " s "}, {Role: User, Content: " u\n"}, {Role: Assistant, Content: "\n<think>t</think>\n a "},
		{Role: System, Content: ""},
		{Role: User, Content: ""}, {Role: Assistant, Metadata: "f", Content: `{"x": 1}`},
		{Role: Assistant, Metadata: "g", Content: "{}"},
		{Role: Observation, Content: " o "}, {Role: Assistant, Content: ""}, {Role: User, Content: "</think>"},
	}
	for i := range 8 {
		messages := append([]Message{}, conversation[i&1*3:]...)
		o := Options{AddGenerationPrompt: i&2 == 0}
		if i&4 == 0 {
			if a.ownTools {
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
