package chatformat

import (
	"context"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/jinja"
)

// glmZ1Name is GLM-Z1-9B-0414 and GLM-Z1-32B-0414.
const glmZ1Name = "glm-z1-0414"

const glmZ1Persona = "你是一个名为 ChatGLM 的人工智能助手。你是基于智谱 AI 公司训练的语言模型 GLM-4 模型开发的，你的任务是针对用户的问题和要求提供适当的答复和支持。"

// glmZ1 writes what testdata/glm-z1-0414.jinja writes.
type glmZ1 struct{ persona string }

func (glmZ1) Name() string { return glmZ1Name }

func (glmZ1) NewParser(tools []Tool, forceTool string) *Parser {
	return newParser(replyStyle{newline: true, think: thinkOpen}, tools, forceTool)
}

func (f glmZ1) Render(ctx context.Context, messages []Message, o Options) (Prompt, error) {
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
		p.text("\n" + f.persona + "\n\n" + tools)
	}
	for _, m := range items {
		if m.Role == System {
			p.special("<|system|>")
			p.text("\n" + m.Content)
		}
	}
	for _, m := range items {
		visible := m.Content
		if i := strings.LastIndex(visible, "</think>"); i >= 0 {
			visible = visible[i+len("</think>"):]
		}
		visible = jinja.Strip(visible)
		switch m.Role {
		case User:
			p.special("<|user|>")
			p.text("\n" + visible)
		case Assistant:
			p.special("<|assistant|>")
			p.text(m.Metadata + "\n" + visible)
		case Observation:
			p.special("<|observation|>")
			p.text("\n" + visible)
		}
	}
	p.generationPrompt(o, "\n", "\n<think>")
	return p.prompt(), ctx.Err()
}
