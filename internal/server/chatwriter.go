package server

import (
	"encoding/json"
	"strings"

	"github.com/glm4-metal/glm4-metal/model"
)

// chatWriter writes the answers of a chat completion
// (https://platform.openai.com/docs/api-reference/chat/object and /chat/streaming).
type chatWriter struct {
	head     head
	text     *model.Text
	oneCall  bool // parallel_tool_calls is false
	logprobs bool
	usage    bool // streams end with it
	choices  []chatChoice
}

// chatChoice is one of the answers, as far as it has come.
type chatChoice struct {
	content, reasoning strings.Builder
	calls              []callJSON
	thoughts           thoughts
	logprobs           []tokenLogprob // that no chunk has had
	opened             bool           // its stream has begun
	texts, thinking    frame
}

type callJSON struct {
	Index    *int         `json:"index,omitempty"` // in streams
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type,omitempty"`
	Function functionJSON `json:"function"`
}

type functionJSON struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

func (c *chatWriter) add(i int, e model.Event) error {
	choice := &c.choices[i]
	choice.content.WriteString(e.Text)
	choice.reasoning.WriteString(e.Reasoning)
	choice.thoughts.add(e)
	if c.logprobs && e.Token != nil {
		choice.logprobs = append(choice.logprobs, newTokenLogprob(c.text, e.Token))
	}
	if e.Call == nil {
		return nil
	}
	choice.calls = append(choice.calls, callJSON{ID: newID("call_"), Type: "function",
		Function: functionJSON{e.Call.Name, e.Call.Arguments}})
	if c.oneCall {
		return errEnough
	}
	return nil
}

// finish is the reason why an answer ended.
func (choice *chatChoice) finish(r model.Result) *string {
	reason := string(r.FinishReason)
	if len(choice.calls) > 0 && r.FinishReason == model.FinishCancelled { // with errEnough
		reason = string(model.FinishToolCalls)
	}
	return &reason
}

type chatMessageJSON struct {
	Role      string     `json:"role"`
	Content   *string    `json:"content"`
	Reasoning string     `json:"reasoning_content,omitempty"`
	Refusal   *string    `json:"refusal"`
	ToolCalls []callJSON `json:"tool_calls,omitempty"`
}

type chatChoiceJSON struct {
	Index        int             `json:"index"`
	Message      chatMessageJSON `json:"message"`
	Logprobs     *logprobsJSON   `json:"logprobs"`
	FinishReason *string         `json:"finish_reason"`
}

func (c *chatWriter) whole(results []model.Result) any {
	out := struct {
		head
		Choices []chatChoiceJSON `json:"choices"`
		Usage   *usage           `json:"usage"`
	}{head: c.head, Usage: c.sum(results)}
	for i := range c.choices {
		choice := &c.choices[i]
		content := choice.content.String()
		m := chatMessageJSON{Role: "assistant", Content: &content, Reasoning: choice.reasoning.String(),
			ToolCalls: choice.calls}
		if content == "" && len(choice.calls) > 0 {
			m.Content = nil
		}
		out.Choices = append(out.Choices, chatChoiceJSON{i, m, c.takeLogprobs(choice), choice.finish(results[i])})
	}
	return out
}

func (c *chatWriter) sum(results []model.Result) *usage {
	reasoning := 0
	for i := range c.choices {
		reasoning += c.choices[i].thoughts.tokens
	}
	return newUsage(results, len(results), reasoning)
}

// takeLogprobs gives what no chunk has had, nil where none are wanted.
func (c *chatWriter) takeLogprobs(choice *chatChoice) *logprobsJSON {
	if !c.logprobs {
		return nil
	}
	out := &logprobsJSON{Content: choice.logprobs}
	if out.Content == nil {
		out.Content = []tokenLogprob{}
	}
	choice.logprobs = nil
	return out
}

type deltaJSON struct {
	Role      string     `json:"role,omitempty"`
	Content   *string    `json:"content,omitempty"`
	Reasoning string     `json:"reasoning_content,omitempty"`
	ToolCalls []callJSON `json:"tool_calls,omitempty"`
}

type chatChunkChoice struct {
	Index        int           `json:"index"`
	Delta        deltaJSON     `json:"delta"`
	Logprobs     *logprobsJSON `json:"logprobs"`
	FinishReason *string       `json:"finish_reason"`
}

type chatChunk struct {
	head
	Choices []chatChunkChoice `json:"choices"`
	Usage   json.RawMessage   `json:"usage,omitempty"`
}

// chunk is one of a stream, with null for the usage that its last one has.
func (c *chatWriter) chunk(choices ...chatChunkChoice) chatChunk {
	out := chatChunk{head: c.head, Choices: choices}
	if c.usage {
		out.Usage = json.RawMessage("null")
	}
	return out
}

func (c *chatWriter) chunks(i int, e model.Event, send func(any) error) error {
	choice := &c.choices[i]
	if err := c.open(i, send); err != nil {
		return err
	}
	var delta deltaJSON
	switch {
	case e.Reasoning != "" || e.Text != "":
		return send(c.textChunk(i, e))
	case e.Call != nil:
		index := len(choice.calls) - 1
		call := choice.calls[index]
		call.Index, call.Function.Arguments = &index, ""
		if err := send(c.chunk(chatChunkChoice{Index: i, Delta: deltaJSON{ToolCalls: []callJSON{call}}})); err != nil {
			return err
		}
		delta.ToolCalls = []callJSON{{Index: &index, Function: functionJSON{Arguments: e.Call.Arguments}}}
	default:
		return nil
	}
	return send(c.chunk(chatChunkChoice{Index: i, Delta: delta, Logprobs: c.takeLogprobs(choice)}))
}

// textChunk is the chunk of a text or of reasoning.
func (c *chatWriter) textChunk(i int, e model.Event) any {
	choice := &c.choices[i]
	chunk := func(text string) any {
		delta := deltaJSON{Content: &text}
		if e.Reasoning != "" {
			delta = deltaJSON{Reasoning: text}
		}
		return c.chunk(chatChunkChoice{Index: i, Delta: delta, Logprobs: c.takeLogprobs(choice)})
	}
	switch {
	case c.logprobs:
		return chunk(e.Reasoning + e.Text) // one of them
	case e.Reasoning != "":
		return choice.thinking.event(e.Reasoning, chunk)
	}
	return choice.texts.event(e.Text, chunk)
}

// open begins the stream of an answer with its role.
func (c *chatWriter) open(i int, send func(any) error) error {
	if c.choices[i].opened {
		return nil
	}
	c.choices[i].opened = true
	none := ""
	return send(c.chunk(chatChunkChoice{Index: i, Delta: deltaJSON{Role: "assistant", Content: &none}}))
}

func (c *chatWriter) end(results []model.Result, send func(any) error) error {
	for i := range c.choices {
		if err := c.open(i, send); err != nil {
			return err
		}
		choice := &c.choices[i]
		last := chatChunkChoice{Index: i, FinishReason: choice.finish(results[i])}
		if len(choice.logprobs) > 0 {
			last.Logprobs = c.takeLogprobs(choice)
		}
		if err := send(c.chunk(last)); err != nil {
			return err
		}
	}
	if !c.usage {
		return nil
	}
	sum, err := json.Marshal(c.sum(results))
	if err != nil {
		return err
	}
	return send(chatChunk{head: c.head, Choices: []chatChunkChoice{}, Usage: sum})
}
