package chatformat

import (
	"context"
	"fmt"

	"github.com/glm4-metal/glm4-metal/internal/jinja"
)

// renderChat writes what testdata/glm-4-9b-chat.jinja writes.
func renderChat(ctx context.Context, f *native, messages []Message, o Options) (Prompt, error) {
	items, err := turns(messages, o)
	if err != nil {
		return nil, err
	}
	if len(o.Tools) > 0 {
		declared, err := wrapFunctions(ctx, o.Tools)
		if err != nil {
			return nil, err
		}
		items = append([]Message{{Role: System, Tools: declared}}, items...)
	}
	var p promptBuilder
	p.special(maskToken)
	p.special(startToken)
	for _, m := range items {
		if m.Tools != nil {
			p.special(systemToken)
			p.text("\n" + f.persona + "\n\n# 可用工具")
			for _, t := range m.Tools {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				description, err := describeChatTool(t)
				if err != nil {
					return nil, err
				}
				p.text(description)
			}
		}
		if m.Content != "" {
			p.special("<|" + string(m.Role) + "|>")
			p.text(m.Metadata + "\n" + m.Content)
		}
	}
	p.generationPrompt(o, "\n", "")
	return p.prompt(), ctx.Err()
}

// wrapFunctions gives bare functions the {"type": "function"} around them without which this family's template passes
// them over.
func wrapFunctions(ctx context.Context, tools []Tool) ([]Tool, error) {
	wrapped := make([]Tool, len(tools))
	for i, t := range tools {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		tool, err := t.value()
		if err != nil {
			return nil, err
		}
		fn, hasFunction := tool.Lookup("function")
		_, hasType := tool.Lookup("type")
		switch {
		case hasFunction:
			t.JSON = fmt.Appendf(nil, `{"type": "function", "function": %s}`, jinja.Dump(fn, -1))
		case !hasType:
			t.JSON = fmt.Appendf(nil, `{"type": "function", "function": %s}`, t.JSON)
		}
		wrapped[i] = t
	}
	return wrapped, nil
}

// describeChatTool is one tool in the system turn. As in the template, a tool without a known type is passed over.
func describeChatTool(t Tool) (string, error) {
	tool, err := t.value()
	if err != nil {
		return "", err
	}
	switch typ, _ := tool.Get("type").(jinja.Text); typ.String() {
	case "function":
		fn, ok := tool.Get("function").(*jinja.Dict)
		if !ok {
			return "", fmt.Errorf("tool %q: \"function\" is not an object", t.Name)
		}
		name, err := jinja.Print(fn.Get("name"))
		if err != nil {
			return "", fmt.Errorf("tool %q: name: %w", t.Name, err)
		}
		return "\n## " + name.String() + "\n\n" + jinja.Dump(fn, 4) + callNote, nil
	case "python":
		return pythonTool, nil
	case "simple_browser":
		return browserTool, nil
	case "cogview":
		return cogviewTool, nil
	}
	return "", nil
}

const pythonTool = "\n" +
	"## python\n" +
	"\n" +
	"当你向 `python` 发送包含 Python 代码的消息时，该代码将会在一个有状态的 Jupyter notebook 环境中执行。\n" +
	"`python` 返回代码执行的输出，或在执行 60 秒后返回超时。\n" +
	"`/mnt/data` 将会持久化存储你的文件。在此会话中，`python` 无法访问互联网。不要使用 `python` 进行任何网络请求或者在线 API 调用，这些在线内容的访问将不会成功。"

const browserTool = "\n" +
	"## simple_browser\n" +
	"\n" +
	"你可以使用 `simple_browser` 工具。该工具支持以下函数：\n" +
	"`search(query: str, recency_days: int)`：使用搜索引擎进行查询并显示结果，可以使用 `recency_days` 参数控制搜索内容的时效性。\n" +
	"`mclick(ids: list[int])`：获取一系列指定 id " +
	"的页面内容。每次调用时，须选择3-10个页面。选择多个角度的页面，同时尽可能选择可信任的信息来源。考虑到部分页面是无法加载的，你也可以多打开一些可能有用的页面而不用担心内容过多。\n" +
	"`open_url(url: str)`：打开指定的 URL。\n" +
	"\n" +
	"使用 `【{引用 id}†{引用文本}】` 来引用内容。\n" +
	"\n" +
	"操作步骤：1. 使用 `search` 来获得信息列表; 2. 使用 `mclick` 来获取指定 ID 页面的内容; 3. 根据获得的内容进行回复。在回复中应当引用信息来源。\n" +
	" 如果用户提供了 URL，也可以用 `open_url` 直接打开页面。\n" +
	"如果初次搜索结果没有找到合适的信息，也可以再次使用 `search` 进行搜索。"

const cogviewTool = "\n" +
	"## cogview\n" +
	"\n" +
	"如果用户的请求中包含了对图像的描述，你可以使用 `cogview` 来生成图像并展示给用户。你需要向 `cogview` 发送图像描述，规则：\n" +
	"- 发送给 `cogview` 的消息必须使用英语。用户的中文描述必须完全翻译为英语。\n" +
	"- 应当尽可能详细地描述图像生成的需求，需求描述约 100 英文单词。\n" +
	"- 保持用户原始描述的意图。不要虚构内容或者没见过的人物。\n" +
	"- 如无特殊说明，所在地为中国，持有中国立场并遵循中国社会主义价值观。"
