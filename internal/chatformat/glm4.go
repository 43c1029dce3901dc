package chatformat

import "context"

// glm4Name is GLM-4-9B-0414 and GLM-4-32B-0414.
const glm4Name = "glm-4-0414"

// glm4 writes what testdata/glm-4-0414.jinja writes.
type glm4 struct{}

func (glm4) Name() string { return glm4Name }

func (glm4) NewParser(tools []Tool, forceTool string) *Parser {
	return newParser(replyStyle{newline: true}, tools, forceTool)
}

func (glm4) Render(ctx context.Context, messages []Message, o Options) (Prompt, error) {
	// The published template writes a blank behind the name of a called tool.
	const nameEnd = " \n"
	items, err := turns(messages, o)
	if err != nil {
		return nil, err
	}
	var p promptBuilder
	p.special("[gMASK]")
	p.special("<sop>")
	if len(o.Tools) > 0 {
		tools, err := describeTools(ctx, o.Tools)
		if err != nil {
			return nil, err
		}
		p.special("<|system|>")
		p.text("\n" + tools)
	}
	for _, m := range items {
		if m.Role == System {
			p.special("<|system|>")
			p.text("\n" + m.Content)
		}
	}
	for _, m := range items {
		switch m.Role {
		case User:
			p.special("<|user|>")
			p.text("\n" + m.Content)
		case Assistant:
			p.special("<|assistant|>")
			if m.Metadata != "" {
				p.text(m.Metadata + nameEnd + m.Content)
			} else {
				p.text("\n" + m.Content)
			}
		case Observation:
			p.special("<|observation|>")
			p.text("\n" + m.Content)
		}
	}
	p.generationPrompt(o, nameEnd, "")
	return p.prompt(), ctx.Err()
}
