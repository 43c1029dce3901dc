package server

import (
	"strings"

	"github.com/glm4-metal/glm4-metal/model"
)

// messagesRequest is a request for an Anthropic message, as https://docs.anthropic.com/en/api/messages has it.
type messagesRequest struct {
	model.Request
	stream  bool
	prefill bool // the last message is the beginning of the answer
	hidden  bool // the reasoning is not shown
	oneCall bool
}

// decodeMessages reads a request; where it is only counted, max_tokens may be absent. Fields without a meaning here are
// ignored: metadata, service_tier, cache_control, context_management, container and the like.
func decodeMessages(raw rawObject, defaults model.Options, count bool) (*messagesRequest, error) {
	o, doc := readBody(raw)
	r := &messagesRequest{stream: o.get("stream").flag(false)}
	maxTokens := o.get("max_tokens")
	if !count {
		maxTokens.required("the number of tokens to generate at most")
	}
	r.Options = defaults
	r.Options.MaxTokens = maxTokens.positive(1)
	r.Options.Temperature = o.get("temperature").number(defaults.Temperature)
	r.Options.TopP = o.get("top_p").number(defaults.TopP)
	r.Options.TopK = max(0, o.get("top_k").integer(defaults.TopK)) // -1 is off, for some clients
	for _, stop := range o.get("stop_sequences").list() {
		text := stop.required("a string").text()
		if text == "" {
			stop.refuse(`is ""; it must be of some length`)
		}
		r.Options.Stop = append(r.Options.Stop, text)
	}
	r.decodeThinking(o.get("thinking").object())
	refuseConstraints(o)
	for _, format := range []field{o.get("output_config").object().get("format"), o.get("output_format")} {
		if format.present() {
			format.unsupported("structured output is not there yet: leave it out")
		}
	}
	tools := decodeMessagesTools(o.get("tools"))
	r.Tools = tools.tools
	r.decodeToolChoice(o.get("tool_choice").object(), tools)

	var c turns
	c.system(decodeSystem(o.get("system")))
	messages := o.get("messages").required("an array of messages")
	for _, m := range messages.atMost(maxMessages) {
		decodeMessage(&c, m.required("a message").object())
	}
	c.settle()
	r.Messages = c.messages
	switch n := len(c.messages); {
	case n == 0:
		messages.refuse("is empty; at least one message is needed")
	case c.messages[n-1].Role != model.RoleAssistant:
	case len(c.messages[n-1].ToolCalls) > 0:
		messages.refuse("ends with a tool call; its tool_result must follow")
	case r.Choice.Mode == model.ToolRequired || r.Choice.Mode == model.ToolNamed:
		messages.refuse("ends with the beginning of an answer, and tool_choice requires a call; leave one of them out")
	default:
		r.prefill = true
	}
	if doc.err == nil {
		doc.err = r.Options.Check()
	}
	return r, doc.err
}

// decodeThinking sets how long the model may reason. Without the field it does not: clients that do not ask for
// thinking expect no block of it.
func (r *messagesRequest) decodeThinking(thinking object) {
	r.Options.MaxReasoning = -1
	switch thinking.get("type").oneOf("enabled", "adaptive", "between_tools", "disabled") {
	case "enabled":
		r.Options.MaxReasoning = thinking.get("budget_tokens").required("a number of tokens").positive(1)
	case "adaptive":
		r.Options.MaxReasoning = 0
	case "":
		if thinking.present() {
			thinking.get("type").required(`"enabled", "adaptive" or "disabled"`)
		}
	}
	r.hidden = thinking.get("display").oneOf("summarized", "omitted") == "omitted"
}

// decodeMessagesTools skips the tools with a type of their own, which Anthropic's servers run or its models know.
func decodeMessagesTools(f field) *toolSet {
	s := &toolSet{}
	for _, item := range f.atMost(maxTools) {
		tool := item.required("a tool").object()
		if kind := tool.get("type").text(); kind == "" || kind == "custom" {
			s.add(tool.get("name"), tool.get("description"), tool.get("input_schema"))
		}
	}
	return s
}

func (r *messagesRequest) decodeToolChoice(choice object, tools *toolSet) {
	switch kind := choice.get("type"); kind.oneOf("auto", "any", "tool", "none") {
	case "any":
		r.Choice = tools.require(choice.field)
	case "tool":
		r.Choice = tools.named(choice.get("name"))
	case "none":
		r.Choice.Mode = model.ToolNone
	case "":
		if choice.present() {
			kind.required(`"auto", "any", "tool" or "none"`)
		}
	}
	r.oneCall = choice.get("disable_parallel_tool_use").flag(false)
}

// billing is how Claude Code begins a block of the system text that is new with each request. No cached prefix would
// reach beyond it, and it means nothing to a model.
const billing = "x-anthropic-billing-header:"

func decodeSystem(f field) string {
	if f.is('"') || !f.present() {
		return withoutBilling(f.text())
	}
	if !f.is('[') {
		f.mustBe("a string or an array of text blocks")
	}
	var texts []string
	for _, item := range f.list() {
		block := item.required("a text block").object()
		block.get("type").required(`"text"`).oneOf("text")
		if text := withoutBilling(block.get("text").text()); text != "" {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, "\n\n")
}

func withoutBilling(text string) string {
	if !strings.HasPrefix(text, billing) {
		return text
	}
	_, rest, _ := strings.Cut(text, "\n")
	return strings.TrimLeft(rest, "\n")
}

func decodeMessage(c *turns, m object) {
	content := m.get("content").required("a string or an array of blocks")
	switch m.get("role").required(`"user" or "assistant"`).oneOf("user", "assistant", "system") {
	case "user":
		decodeUser(c, content)
	case "assistant":
		decodeAssistant(c, content)
	case "system":
		c.system(decodeSystem(content))
	}
}

// decodeUser puts the results of tools in front of what the user says beside them.
func decodeUser(c *turns, content field) {
	if content.is('"') {
		c.add(model.UserMessage(content.text()))
		return
	}
	var texts []string
	for _, item := range content.list() {
		block := item.required("a content block").object()
		if block.get("type").text() != "tool_result" {
			texts = append(texts, decodeBlock(block))
			continue
		}
		id := block.get("tool_use_id").required("the id of a tool_use block")
		text := decodeResult(block.get("content"))
		if block.get("is_error").flag(false) {
			text = "Error: " + text
		}
		c.result(id, id.text(), text)
	}
	if texts != nil {
		c.add(model.UserMessage(strings.Join(texts, "\n")))
	}
}

func decodeResult(content field) string {
	if content.is('"') || !content.present() {
		return content.text()
	}
	var texts []string
	for _, item := range content.list() {
		texts = append(texts, decodeBlock(item.required("a content block").object()))
	}
	return strings.Join(texts, "\n")
}

// decodeBlock gives the text of a block that holds some.
func decodeBlock(block object) string {
	switch kind := block.get("type").required("the kind of the block"); kind.text() {
	case "text":
		return block.get("text").required("a string").text()
	case "document":
		source := block.get("source").object()
		if source.get("type").text() == "text" {
			return source.get("data").required("a string").text()
		}
		source.get("type").unsupported("the model reads text only: send the document as text")
	default:
		kind.unsupported("the model reads text only")
	}
	return ""
}

// decodeAssistant leaves out what the model thought, and what Anthropic's own tools did.
func decodeAssistant(c *turns, content field) {
	if content.is('"') {
		c.add(model.AssistantMessage(content.text()))
		return
	}
	var text strings.Builder
	message := model.Message{Role: model.RoleAssistant}
	c.settle()
	before := len(c.messages)
	for _, item := range content.list() {
		block := item.required("a content block").object()
		switch kind := block.get("type").required("the kind of the block"); kind.text() {
		case "text":
			text.WriteString(block.get("text").required("a string").text())
		case "tool_use":
			id := block.get("id").required("a string").text()
			name := block.get("name").required("a string").text()
			input := block.get("input").object()
			if len(c.messages) == before {
				c.add(message)
			}
			c.call(id, name, string(input.raw))
		case "image", "document", "tool_result":
			kind.unsupported("it cannot be in an assistant's message")
		}
	}
	if len(c.messages) == before && text.Len() > 0 {
		c.add(message)
	}
	if len(c.messages) > before {
		c.messages[before].Content = text.String()
	}
}
