package chatformat

import (
	"context"
	"strings"
	"unicode"
)

// native is a way of writing prompts that has a renderer of its own.
type native struct {
	name    string
	persona string // the sentence that introduces the model in front of the tools, "" for none
	style   replyStyle
	// ownTools says that a message carries tools, and not the conversation.
	ownTools bool
	// writes recognises the templates of the same prompts by the parts that only they have; white space is taken out of
	// a template first, and quotes are single.
	writes func(template string) bool
	render func(ctx context.Context, f *native, messages []Message, o Options) (Prompt, error)
}

var natives = []*native{
	{ // glm-4-9b-chat, glm-4-9b-chat-hf and their 1M variants
		name: "glm-4-9b-chat",
		// The sentence of the later revision of the template; earlier ones say 名为 GLM-4.
		persona:  "你是一个名为 ChatGLM 的人工智能助手。你是基于智谱AI训练的语言模型 GLM-4 模型开发的，你的任务是针对用户的问题和要求提供适当的答复和支持。",
		style:    replyStyle{newline: true},
		ownTools: true,
		writes: func(template string) bool {
			return has(template, maskToken+startToken, "item['tools']", "<|{{item['role']}}|>{{item['metadata']}}",
				"'simple_browser'", "'cogview'")
		},
		render: renderChat,
	},
	{ // GLM-4-9B-0414 and GLM-4-32B-0414
		name:   "glm-4-0414",
		style:  replyStyle{newline: true},
		writes: func(template string) bool { return writes0414(template) && !strings.Contains(template, "think>") },
		render: render0414,
	},
	{ // GLM-Z1-9B-0414 and GLM-Z1-32B-0414
		name:    "glm-z1-0414",
		persona: "你是一个名为 ChatGLM 的人工智能助手。你是基于智谱 AI 公司训练的语言模型 GLM-4 模型开发的，你的任务是针对用户的问题和要求提供适当的答复和支持。",
		style:   replyStyle{newline: true, think: thinkOpen},
		writes: func(template string) bool {
			return writes0414(template) && has(template, "split('"+thinkCloseTag+"')", thinkOpenTag)
		},
		render: render0414,
	},
}

func writes0414(template string) bool {
	return has(template, maskToken+startToken, systemToken, userToken, assistantToken, observationToken,
		"#可用工具", "metadata") &&
		!hasAny(template, "tool_calls", "reasoning_content", "<tool_call>", "%macro", "%-macro", "enable_thinking")
}

// has says whether a text has all parts.
func has(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

func hasAny(text string, parts ...string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// nativeOf gives the renderer whose distinctive parts a template has, or nil. White space and the kind of quotes vary.
func nativeOf(template string) *native {
	squeezed := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		if r == '"' {
			return '\''
		}
		return r
	}, template)
	for _, f := range natives {
		if f.writes(squeezed) {
			return f
		}
	}
	return nil
}

func (f *native) Name() string { return f.name }

func (f *native) Forces() bool { return true }

func (f *native) NewParser(tools []Tool, forceTool string) *Parser {
	return newParser(f.style, tools, forceTool)
}

func (f *native) Render(ctx context.Context, messages []Message, o Options) (Prompt, error) {
	return f.render(ctx, f, messages, o)
}
