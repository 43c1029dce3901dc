package server

import (
	"context"
	"iter"

	"github.com/glm4-metal/glm4-metal/internal/chatformat"
	"github.com/glm4-metal/glm4-metal/model"
)

// reply reads an answer that the last message of a request has begun: the model continues ids, and nobody but the
// server knows how the answer is to be read.
type reply struct {
	parser    *chatformat.Parser
	assistant int32 // the control token between two turns of the assistant
	skip      int   // bytes of the beginning that the parser holds back
}

// continuation makes a request to continue the last message.
func continuation(ctx context.Context, t *model.Text, r model.Request) (model.Request, *reply, error) {
	name, err := t.ChatFormat()
	if err != nil {
		return r, nil, err
	}
	format, err := chatformat.ByName(name)
	if err != nil {
		return r, nil, unsupported("messages",
			"messages ends with an assistant's message, which cannot be continued with the chat template %.80q; "+
				"end with a user's", name)
	}
	tools := declared(r)
	_, ids, err := t.Prompt(ctx, r.Messages, tools, false)
	if err != nil {
		return r, nil, err
	}
	formatTools := make([]chatformat.Tool, len(tools))
	for i, tool := range tools {
		formatTools[i] = chatformat.Tool(tool)
	}
	p := &reply{parser: format.NewParser(formatTools, "")}
	p.assistant, _ = t.Special(chatformat.FamilyOf("").Assistant)
	if p.parser.Reasoning() {
		p.parser.Write(chatformat.ReasoningEnd)
	} else {
		p.parser.Write("\n") // which the prompt has behind the assistant's token
	}
	begun := r.Messages[len(r.Messages)-1].Content
	p.skip = len(begun)
	for _, d := range p.parser.Write(begun) {
		p.skip -= len(d.Text)
	}
	return model.Request{Prompt: ids, Options: r.Options}, p, nil
}

func (p *reply) events(events iter.Seq2[model.Event, error]) iter.Seq2[model.Event, error] {
	return func(yield func(model.Event, error) bool) {
		for e, err := range events {
			if err != nil {
				yield(e, err)
				return
			}
			deltas := p.parser.Write(e.Text)
			if e.Token != nil && e.Token.ID == p.assistant {
				deltas = append(deltas, p.parser.Boundary()...)
			}
			if !p.say(e.Token, deltas, yield) {
				return
			}
		}
		p.say(nil, p.parser.Close(), yield)
	}
}

// say gives what the parser has read, without the beginning.
func (p *reply) say(token *model.Token, deltas []chatformat.Delta, yield func(model.Event, error) bool) bool {
	if token != nil && len(deltas) == 0 {
		return yield(model.Event{Token: token}, nil)
	}
	for _, d := range deltas {
		n := min(p.skip, len(d.Text))
		p.skip -= n
		e := model.Event{Token: token, Text: d.Text[n:], Reasoning: d.Reasoning, Malformed: d.Malformed}
		if d.Call != nil {
			p.skip = 0
			e.Call = &model.ToolCall{Name: d.Call.Name, Arguments: d.Call.Arguments}
		}
		if token = nil; !yield(e, nil) {
			return false
		}
	}
	return true
}
