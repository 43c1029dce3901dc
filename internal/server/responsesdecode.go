package server

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/model"
)

// responsesRequest is a request for an OpenAI response, as https://platform.openai.com/docs/api-reference/responses has
// it.
type responsesRequest struct {
	model.Request          // Messages are those of input and history, behind the instructions
	response      response // what it tells of the request
	conversation  turns
	stream        bool
	store         bool
	drop          bool // messages from the beginning where they do not fit
	oneCall       bool
}

// decodeResponses reads a request. history gives the conversation of an earlier response. Fields without a meaning here
// are ignored: include, user, service_tier, prompt_cache_key, safety_identifier, stream_options and the like.
func decodeResponses(
	raw rawObject, defaults model.Options, history func(id string) (turns, bool),
) (*responsesRequest, error) {
	o, doc := readBody(raw)
	refuseUnsupported(o)
	r := &responsesRequest{stream: o.get("stream").flag(false), store: o.get("store").flag(true)}
	r.drop = o.get("truncation").oneOf("disabled", "auto") == "auto"
	r.oneCall = !o.get("parallel_tool_calls").flag(true)
	r.Options = defaults
	r.Options.Temperature = o.get("temperature").number(defaults.Temperature)
	r.Options.TopP = o.get("top_p").number(defaults.TopP)
	if f := o.get("max_output_tokens"); f.present() {
		r.Options.MaxTokens = f.positive(0)
		r.response.MaxOutputTokens = &r.Options.MaxTokens
	}
	r.decodeReasoning(o.get("reasoning").object())
	tools := decodeResponsesTools(o.get("tools"))
	r.decodeToolChoice(o.get("tool_choice"), tools)
	r.Tools = tools.tools

	var c turns
	previous := o.get("previous_response_id")
	if id := previous.text(); id != "" {
		earlier, known := history(id)
		if !known && doc.err == nil {
			doc.err = &apiError{http.StatusBadRequest, invalidRequest, "previous_response_not_found", previous.path,
				noResponse(id).Error()}
		}
		c = earlier.clone()
	}
	decodeInput(&c, o.get("input"))
	c.settle()
	if len(c.messages) == 0 {
		o.get("input").refuse("is empty; at least one message is needed")
	}
	r.conversation, r.Messages = c, c.messages
	instructions := o.get("instructions").text()
	if instructions != "" {
		r.Messages = append([]model.Message{model.SystemMessage(instructions)}, c.messages...)
	}
	r.describe(o)
	if doc.err == nil {
		doc.err = r.Options.Check()
	}
	return r, doc.err
}

// refuseUnsupported refuses what would change the answer and cannot be obeyed.
func refuseUnsupported(o object) {
	refuseConstraints(o)
	if f := o.get("conversation"); f.present() {
		f.unsupported("use previous_response_id")
	}
	if f := o.get("prompt"); f.present() {
		f.unsupported("use instructions and input: there are no stored prompts")
	}
	if f := o.get("background"); f.flag(false) {
		f.unsupported("leave it out, and stream")
	}
	if f := o.get("top_logprobs"); f.integer(0) != 0 {
		f.unsupported("use /v1/chat/completions")
	}
	for _, f := range o.get("include").list() {
		if f.text() == "message.output_text.logprobs" {
			f.unsupported("use logprobs of /v1/chat/completions")
		}
	}
	if format := o.get("text").object().get("format").object(); format.present() {
		if kind := format.get("type"); kind.required(`"text"`).text() != "text" {
			kind.unsupported(`use "text": structured output is not there yet`)
		}
	}
}

// describe fills in what a response tells of its request.
func (r *responsesRequest) describe(o object) {
	v := &r.response
	v.Object, v.Status, v.Output = "response", "in_progress", []any{}
	v.Instructions = o.get("instructions").raw
	v.Metadata = o.get("metadata").object().orElse("{}")
	v.ParallelToolCalls = !r.oneCall
	v.PreviousResponseID = o.get("previous_response_id").raw
	v.Reasoning = o.get("reasoning").orElse(`{"effort":null,"summary":null}`)
	v.Store = r.store
	v.Temperature, v.TopP = r.Options.Temperature, r.Options.TopP
	if v.TopP == 0 {
		v.TopP = 1
	}
	v.Text = members{"format": members{"type": "text"}}
	v.ToolChoice = o.get("tool_choice").orElse(`"auto"`)
	v.Tools = o.get("tools").orElse("[]")
	v.Truncation = "disabled"
	if r.drop {
		v.Truncation = "auto"
	}
}

func (r *responsesRequest) decodeReasoning(reasoning object) {
	if reasoning.get("effort").oneOf("none", "minimal", "low", "medium", "high", "xhigh", "max") == "none" {
		r.Options.MaxReasoning = -1
	}
	for _, name := range []string{"summary", "generate_summary"} { // the latter is the older name
		switch reasoning.get(name).oneOf("auto", "concise", "detailed", "none") {
		case "auto", "concise", "detailed":
			r.response.summarize = true
		}
	}
}

// decodeResponsesTools skips what is no function: OpenAI's servers run it, or its models know it.
func decodeResponsesTools(f field) *toolSet {
	s := &toolSet{}
	for _, item := range f.atMost(maxTools) {
		tool := item.required("a tool").object()
		if tool.get("type").required(`the kind of the tool, such as "function"`).text() == "function" {
			s.add(tool.get("name"), tool.get("description"), tool.get("parameters"))
		}
	}
	return s
}

// decodeToolChoice may leave some tools out of the set.
func (r *responsesRequest) decodeToolChoice(f field, tools *toolSet) {
	mode := func(f field) {
		switch f.oneOf("auto", "none", "required") {
		case "none":
			r.Choice.Mode = model.ToolNone
		case "required":
			r.Choice = tools.require(f)
		}
	}
	if !f.is('{') {
		mode(f)
		return
	}
	choice := f.object()
	switch kind := choice.get("type").required(`"function" or "allowed_tools"`); kind.text() {
	case "function":
		r.Choice = tools.named(choice.get("name"))
	case "allowed_tools":
		var names []string
		for _, item := range choice.get("tools").list() {
			if tool := item.object(); tool.get("type").text() == "function" {
				names = append(names, tools.named(tool.get("name")).Name)
			}
		}
		tools.tools = slices.DeleteFunc(tools.tools, func(t model.Tool) bool { return !slices.Contains(names, t.Name) })
		mode(choice.get("mode"))
	default:
		kind.unsupported("only functions can be chosen")
	}
}

func decodeInput(c *turns, input field) {
	if input.is('"') {
		c.add(model.UserMessage(input.text()))
		return
	}
	if !input.is('[') {
		input.mustBe("a string or an array of items")
	}
	for _, item := range input.atMost(maxMessages) {
		decodeItem(c, item.required("an item").object())
	}
}

// decodeItem takes an item that a client sends, which may be one of an earlier response.
func decodeItem(c *turns, item object) {
	kind := item.get("type")
	switch kind.text() {
	case "", "message":
		content := item.get("content").required("a string or an array of parts")
		switch item.get("role").required("a role").oneOf("user", "assistant", "system", "developer") {
		case "user":
			c.add(model.UserMessage(decodeParts(content, "\n")))
		case "assistant":
			c.add(model.AssistantMessage(decodeParts(content, "")))
		case "system", "developer":
			c.system(decodeParts(content, "\n"))
		}
	case "function_call":
		id := item.get("call_id").required("a string").text()
		c.call(id, item.get("name").required("a string").text(), item.get("arguments").required("a string").text())
	case "function_call_output":
		id := item.get("call_id").required("the call_id of a function_call")
		c.result(id, id.text(), decodeParts(item.get("output").required("a string or an array of parts"), "\n"))
	case "reasoning": // no prompt shows it to the model again
	case "item_reference":
		kind.unsupported("send the item itself, or use previous_response_id")
	default:
		kind.unsupported("use message, function_call and function_call_output")
	}
}

// decodeParts joins the texts of a content.
func decodeParts(content field, separator string) string {
	if content.is('"') {
		return content.text()
	}
	var texts []string
	for _, item := range content.list() {
		part := item.required("a content part").object()
		switch kind := part.get("type").required("the kind of the part"); kind.text() {
		case "input_text", "output_text", "text":
			texts = append(texts, part.get("text").required("a string").text())
		case "refusal":
			texts = append(texts, part.get("refusal").required("a string").text())
		default:
			kind.unsupported("the model reads text only")
		}
	}
	return strings.Join(texts, separator)
}

// orElse is the value as it was sent, or another.
func (f field) orElse(absent string) json.RawMessage {
	if f.present() {
		return f.raw
	}
	return json.RawMessage(absent)
}
