package chatformat

import (
	"context"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/jinja"
)

// render0414 writes what testdata/glm-4-0414.jinja writes, or, for a model that reasons, testdata/glm-z1-0414.jinja.
func render0414(ctx context.Context, f *native, messages []Message, o Options) (Prompt, error) {
	// GLM-4's template writes a blank behind the name of a called tool.
	nameEnd, think := " \n", ""
	reasons := f.style.think == thinkOpen
	if reasons {
		nameEnd, think = "\n", "\n"+thinkOpenTag
	}
	items, err := turns(messages, o)
	if err != nil {
		return nil, err
	}
	var p promptBuilder
	p.special(maskToken)
	p.special(startToken)
	if len(o.Tools) > 0 {
		tools, err := describeTools(ctx, o.Tools)
		if err != nil {
			return nil, err
		}
		p.special(systemToken)
		p.text("\n")
		if f.persona != "" {
			p.text(f.persona + "\n\n")
		}
		p.text(tools)
	}
	for _, m := range items {
		if m.Role == System {
			p.special(systemToken)
			p.text("\n" + m.Content)
		}
	}
	for _, m := range items {
		visible := m.Content
		if reasons {
			if i := strings.LastIndex(visible, thinkCloseTag); i >= 0 {
				visible = visible[i+len(thinkCloseTag):]
			}
			visible = jinja.Strip(visible)
		}
		switch m.Role {
		case User:
			p.special(userToken)
			p.text("\n" + visible)
		case Assistant:
			p.special(assistantToken)
			if m.Metadata != "" {
				p.text(m.Metadata + nameEnd + visible)
			} else {
				p.text("\n" + visible)
			}
		case Observation:
			p.special(observationToken)
			p.text("\n" + visible)
		}
	}
	p.generationPrompt(o, nameEnd, think)
	return p.prompt(), ctx.Err()
}
