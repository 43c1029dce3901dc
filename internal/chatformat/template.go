package chatformat

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/glm4-metal/glm4-metal/internal/jinja"
)

// Tokens are what a template's renderer has to know of the tokenizer.
type Tokens struct {
	// Special holds the text of every control token. Empty stands for GLM-4's own.
	Special []string
	// Named holds the texts that templates know by name: "bos_token", "eos_token", "pad_token" and so on.
	Named map[string]string
	// Additional holds the texts that templates know as additional_special_tokens. nil leaves that name undefined.
	Additional []string
}

// MaxTemplate is the longest template that FromTemplate and Detect take, in bytes.
const MaxTemplate = jinja.MaxSource

// templateFormat renders a Jinja template.
type templateFormat struct {
	name     string
	template *jinja.Template
	openAI   bool // the template reads tool_calls; otherwise calls are turns with metadata
	literal  string
	tokens   Tokens
	specials *specials
	style    replyStyle
	now      func() time.Time
}

// FromTemplate returns a Format that renders a Jinja chat template, whatever its family. It fails on a template that
// might come out otherwise than in transformers: includes, and every filter, test, method or function that is not known
// to agree. The error is the context's if that ended.
//
// A template that reads message['tool_calls'] gets OpenAI's form of calls, and role "tool"; any other gets GLM-4's,
// metadata and role "observation". Replies are read as those of the native format whose template it resembles; for any
// other, by how its generation prompt ends.
//
// A control token of the prompt consists of characters that the template itself writes, or that are one of the tokens
// or roles; text of a message, tool or name never becomes one, nor a part of one.
func FromTemplate(ctx context.Context, name, template string, t Tokens) (Format, error) {
	f, err := newTemplateFormat(ctx, name, template, t)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("chat template %q: %w; choose one of %s in its place, or a simpler template", name, err,
			strings.Join(Names(), ", "))
	}
	return f, nil
}

func newTemplateFormat(ctx context.Context, name, template string, t Tokens) (*templateFormat, error) {
	parsed, err := jinja.Parse(template)
	if err != nil {
		return nil, err
	}
	f := &templateFormat{name: name, template: parsed, literal: template, tokens: t, now: time.Now,
		openAI: strings.Contains(template, "tool_calls")}
	special := append(slices.Clone(t.Special), t.Additional...)
	for _, text := range t.Named {
		special = append(special, text)
	}
	if len(t.Special) == 0 {
		special = append(special, FamilyOf("").Control...)
	}
	f.specials = newSpecials(special)
	f.style = f.replyStyle(ctx)
	return f, nil
}

// replyStyle finds out how replies begin: as of a native format, or else by how the generation prompt ends.
func (f *templateFormat) replyStyle(ctx context.Context) replyStyle {
	if n := nativeOf(f.literal); n != nil {
		return n.style
	}
	style := replyStyle{think: thinkNever}
	if strings.Contains(f.literal, thinkCloseTag) {
		style.think = thinkMaybe
	}
	prompt, err := f.render(ctx, []Message{{Role: User, Content: "?"}}, Options{AddGenerationPrompt: true},
		f.template.Probe)
	if err != nil || len(prompt) == 0 {
		return style
	}
	last := prompt[len(prompt)-1]
	style.newline = last.Special && last.Text == assistantToken
	if strings.HasSuffix(strings.TrimSpace(last.Text), thinkOpenTag) {
		style.think = thinkOpen
	}
	return style
}

func (f *templateFormat) Name() string { return f.name }

func (f *templateFormat) Forces() bool {
	return !f.openAI && strings.Contains(f.literal, assistantToken)
}

func (f *templateFormat) NewParser(tools []Tool, forceTool string) *Parser {
	return newParser(f.style, tools, forceTool)
}

func (f *templateFormat) Render(ctx context.Context, messages []Message, o Options) (Prompt, error) {
	if o.ForceTool == "" {
		return f.render(ctx, messages, o, f.template.Render)
	}
	if err := checkConversation(messages, o); err != nil {
		return nil, err
	}
	if !f.Forces() {
		return nil, fmt.Errorf("chat template %q: forcing tool %q needs a template of the GLM-4 families", f.name,
			o.ForceTool)
	}
	forced := o.ForceTool
	o.ForceTool, o.AddGenerationPrompt = "", false
	prompt, err := f.render(ctx, messages, o, f.template.Render)
	if err != nil {
		return nil, err
	}
	// The template's own way of opening a call, if it prints one that is still empty.
	opened, err := f.render(ctx, append(slices.Clone(messages), Message{Role: Assistant, Metadata: forced}), o,
		f.template.Render)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err == nil && strings.HasPrefix(opened.String(), prompt.String()+assistantToken+forced) {
		return opened, nil
	}
	return append(prompt, Segment{Text: assistantToken, Special: true}, Segment{Text: forced + "\n"}), nil
}

// renderer is Render or Probe of a jinja.Template.
type renderer func(context.Context, map[string]jinja.Value, func() time.Time) (jinja.Text, error)

func (f *templateFormat) render(ctx context.Context, messages []Message, o Options, render renderer) (Prompt, error) {
	if err := checkConversation(messages, o); err != nil {
		return nil, err
	}
	if !f.openAI {
		var err error
		if messages, err = turns(messages, o); err != nil {
			return nil, err
		}
	}
	list := &jinja.List{}
	for i, message := range messages {
		v, err := f.message(ctx, message)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("messages[%d]: %w", i, err)
		}
		list.Items = append(list.Items, v)
	}
	variables := map[string]jinja.Value{}
	for name, text := range f.tokens.Named {
		variables[name] = jinja.Literal(text)
	}
	if f.tokens.Additional != nil {
		additional := &jinja.List{}
		for _, text := range f.tokens.Additional {
			additional.Items = append(additional.Items, jinja.Literal(text))
		}
		variables["additional_special_tokens"] = additional
	}
	variables["messages"], variables["documents"], variables["tools"] = list, nil, nil
	variables["add_generation_prompt"] = o.AddGenerationPrompt
	if o.Tools != nil {
		var err error
		if variables["tools"], err = toolValues(ctx, o.Tools); err != nil {
			return nil, err
		}
	}
	text, err := render(ctx, variables, f.now)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("chat template %q: %w", f.name, err)
	}
	return f.specials.segment(ctx, text)
}

// message is a message as templates read it. Its role is one of a few words, and no user's text.
func (f *templateFormat) message(ctx context.Context, message Message) (jinja.Value, error) {
	m := jinja.NewDict()
	set := func(name string, v jinja.Value) { m.Set(jinja.Literal(name), v) }
	role := message.Role
	if f.openAI && role == Observation {
		role = toolRole
	}
	// transformers gives the reasoning under two names, the older of them in front.
	if message.Reasoning != "" {
		set("thinking", jinja.Data(message.Reasoning))
	}
	set("role", jinja.Literal(string(role)))
	set("content", jinja.Data(message.Content))
	if message.Reasoning != "" {
		set("reasoning_content", jinja.Data(message.Reasoning))
	}
	if message.Metadata != "" {
		set("metadata", jinja.Data(message.Metadata))
	}
	if message.Tools != nil {
		tools, err := toolValues(ctx, message.Tools)
		if err != nil {
			return nil, err
		}
		set("tools", tools)
	}
	if len(message.ToolCalls) > 0 {
		calls := &jinja.List{}
		for _, c := range message.ToolCalls {
			calls.Items = append(calls.Items, callValue(c))
		}
		set("tool_calls", calls)
	}
	return m, nil
}

// callValue is a call in OpenAI's form. Arguments that are no JSON stay text.
func callValue(c ToolCall) jinja.Value {
	arguments, err := jinja.ParseJSON([]byte(c.arguments()))
	if err != nil {
		arguments = jinja.Data(c.Arguments)
	}
	fn, call := jinja.NewDict(), jinja.NewDict()
	fn.Set(jinja.Literal("name"), jinja.Data(c.Name))
	fn.Set(jinja.Literal("arguments"), arguments)
	call.Set(jinja.Literal("type"), jinja.Literal("function"))
	call.Set(jinja.Literal("function"), fn)
	return call
}

func toolValues(ctx context.Context, tools []Tool) (jinja.Value, error) {
	l := &jinja.List{}
	for _, t := range tools {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		v, err := t.value()
		if err != nil {
			return nil, err
		}
		l.Items = append(l.Items, v)
	}
	return l, nil
}
