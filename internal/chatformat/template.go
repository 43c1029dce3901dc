package chatformat

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nikolalohinski/gonja/v2/nodes"
)

// Tokens are what a template's renderer has to know of the tokenizer.
type Tokens struct {
	// Special holds the text of every control token. Empty stands for GLM-4's own.
	Special []string
	// Named holds the texts that templates know by name: "bos_token", "eos_token", "pad_token" and so on.
	Named map[string]string
}

// glmSpecial are the control tokens of GLM-4's tokenizer.
var glmSpecial = []string{
	"<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>",
	"<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>",
}

// templateFormat renders a Jinja template: canonicalSource cuts it up, gonja parses it, evaluator runs it.
type templateFormat struct {
	name      string
	body      []nodes.Node
	openAI    bool // the template reads tool_calls; otherwise calls are turns with metadata
	literal   string
	named     map[string]string
	specials  []string
	specialRE *regexp.Regexp
	style     replyStyle
	now       func() time.Time
}

// FromTemplate returns a Format that renders a Jinja chat template, whatever its family. It fails on a template that might come out otherwise than in
// transformers: macros, includes, and every filter, test, method or function that is not known to agree.
//
// A template that reads message['tool_calls'] gets OpenAI's form of calls, and role "tool"; any other gets GLM-4's, metadata and role "observation".
// Replies are read as the family's whose template it resembles; for any other, by how its generation prompt ends.
func FromTemplate(name, template string, t Tokens) (Format, error) {
	f, err := newTemplateFormat(name, template, t)
	if err != nil {
		return nil, fmt.Errorf("chat template %q: %w: use --chat-template with one of %s, or with a file that holds a simpler template",
			name, err, strings.Join(Names(), ", "))
	}
	return f, nil
}

func newTemplateFormat(name, template string, t Tokens) (*templateFormat, error) {
	body, err := parseTemplate(template)
	if err != nil {
		return nil, err
	}
	f := &templateFormat{name: name, body: body, literal: template, named: t.Named, now: time.Now, openAI: strings.Contains(template, "tool_calls")}
	for _, s := range append(slices.Clone(t.Special), t.Named["bos_token"], t.Named["eos_token"]) {
		if s != "" && !slices.Contains(f.specials, s) {
			f.specials = append(f.specials, s)
		}
	}
	if len(t.Special) == 0 {
		f.specials = append(f.specials, glmSpecial...)
	}
	// The longest first: a token may begin with another.
	slices.SortStableFunc(f.specials, func(a, b string) int { return len(b) - len(a) })
	quoted := make([]string, len(f.specials))
	for i, s := range f.specials {
		quoted[i] = regexp.QuoteMeta(s)
	}
	f.specialRE = regexp.MustCompile(strings.Join(quoted, "|"))
	f.style = f.replyStyle()
	return f, nil
}

// replyStyle finds out how replies begin: by the family, or else by how the generation prompt ends.
func (f *templateFormat) replyStyle() replyStyle {
	switch family(f.literal) {
	case glmZ1Name:
		return replyStyle{newline: true, think: thinkOpen}
	case glm4Name, glm4ChatName:
		return replyStyle{newline: true}
	}
	style := replyStyle{think: thinkNever}
	if strings.Contains(f.literal, thinkCloseTag) {
		style.think = thinkMaybe
	}
	prompt, err := f.Render([]Message{{Role: User, Content: "?"}}, Options{AddGenerationPrompt: true})
	if err != nil || len(prompt) == 0 {
		return style
	}
	last := prompt[len(prompt)-1]
	style.newline = last.Special && last.Text == "<|assistant|>"
	if strings.HasSuffix(strings.TrimSpace(last.Text), thinkOpenTag) {
		style.think = thinkOpen
	}
	return style
}

func (f *templateFormat) Name() string { return f.name }

func (f *templateFormat) NewParser(tools []Tool, forceTool string) *Parser {
	return newParser(f.style, tools, forceTool)
}

func (f *templateFormat) Render(messages []Message, o Options) (Prompt, error) {
	if o.ForceTool == "" {
		return f.render(messages, o)
	}
	if err := checkConversation(messages, o); err != nil {
		return nil, err
	}
	if f.openAI || !strings.Contains(f.literal, "<|assistant|>") {
		return nil, fmt.Errorf("chat template %q: forcing tool %q needs a template of the GLM-4 families", f.name, o.ForceTool)
	}
	forced := o.ForceTool
	o.ForceTool, o.AddGenerationPrompt = "", false
	prompt, err := f.render(messages, o)
	if err != nil {
		return nil, err
	}
	// The template's own way of opening a call, if it prints one that is still empty.
	opened, err := f.render(append(slices.Clone(messages), Message{Role: Assistant, Metadata: forced}), o)
	if err == nil && strings.HasPrefix(opened.String(), prompt.String()+"<|assistant|>"+forced) {
		return opened, nil
	}
	prompt.special("<|assistant|>")
	prompt.text(forced + "\n")
	return prompt, nil
}

func (f *templateFormat) render(messages []Message, o Options) (prompt Prompt, err error) {
	if err := checkConversation(messages, o); err != nil {
		return nil, err
	}
	if !f.openAI {
		if messages, err = turns(messages, o); err != nil {
			return nil, err
		}
	}
	m, err := newMarks(f, messages, o.Tools)
	if err != nil {
		return nil, err
	}
	list := &list{}
	for i, message := range messages {
		v, err := f.message(m, message)
		if err != nil {
			return nil, fmt.Errorf("messages[%d]: %w", i, err)
		}
		list.items = append(list.items, v)
	}
	variables := map[string]any{"messages": list, "documents": nil, "add_generation_prompt": o.AddGenerationPrompt, "tools": nil}
	if o.Tools != nil {
		if variables["tools"], err = m.tools(o.Tools); err != nil {
			return nil, err
		}
	}
	for name, text := range f.named {
		variables[name] = text
	}
	var out strings.Builder
	if err := renderTemplate(&out, f.body, variables, f.now); err != nil {
		return nil, fmt.Errorf("chat template %q: %w", f.name, err)
	}
	return m.split(out.String()), nil
}

// message is a message as templates read it.
func (f *templateFormat) message(m *marks, message Message) (any, error) {
	o := newObject()
	role := message.Role
	if f.openAI && role == Observation {
		role = toolRole
	}
	o.set("role", string(role))
	o.set("content", m.mark(message.Content))
	if message.Reasoning != "" {
		o.set("reasoning_content", m.mark(message.Reasoning))
	}
	if message.Metadata != "" {
		o.set("metadata", m.mark(message.Metadata))
	}
	if message.Tools != nil {
		tools, err := m.tools(message.Tools)
		if err != nil {
			return nil, err
		}
		o.set("tools", tools)
	}
	if len(message.ToolCalls) > 0 {
		calls := &list{}
		for _, c := range message.ToolCalls {
			fn, call := newObject(), newObject()
			fn.set("name", m.mark(c.Name))
			arguments, err := parseJSON([]byte(c.arguments()))
			if err != nil {
				arguments = c.Arguments
			}
			fn.set("arguments", m.markAll(arguments))
			call.set("type", "function")
			call.set("function", fn)
			calls.items = append(calls.items, call)
		}
		o.set("tool_calls", calls)
	}
	return o, nil
}

// marks keep control tokens that stand in a user's text apart from those that the template writes. The former go through the template between two
// characters that appear nowhere else, so that the template still sees them, and come out as text.
type marks struct {
	open, close string
	replacer    *strings.Replacer
	format      *templateFormat
}

// isMarker says whether a rune may serve as a mark: Unicode reserves these for use inside a program.
func isMarker(r rune) bool { return r >= 0xfdd0 && r <= 0xfdef }

func newMarks(f *templateFormat, messages []Message, tools []Tool) (*marks, error) {
	taken := map[rune]bool{}
	look := func(s string) {
		for _, r := range s {
			if isMarker(r) {
				taken[r] = true
			}
		}
	}
	lookTools := func(tools []Tool) {
		for _, t := range tools {
			if v, err := parseJSON(t.JSON); err == nil {
				look(dumps(v, dumpStyle{}))
			}
		}
	}
	look(f.literal)
	lookTools(tools)
	for _, m := range messages {
		look(m.Content + m.Reasoning + m.Metadata)
		lookTools(m.Tools)
		for _, c := range m.ToolCalls {
			look(c.Name)
			lookTools([]Tool{{JSON: []byte(c.arguments())}})
			look(c.Arguments)
		}
	}
	var free []string
	for r := rune(0xfdd0); r <= 0xfdef; r++ {
		if !taken[r] {
			free = append(free, string(r))
		}
	}
	if len(free) < 2 {
		return nil, errors.New("the conversation holds too many of the characters U+FDD0 to U+FDEF: remove some")
	}
	m := &marks{open: free[0], close: free[1], format: f}
	var pairs []string
	for _, s := range f.specials {
		pairs = append(pairs, s, m.open+s+m.close)
	}
	m.replacer = strings.NewReplacer(pairs...)
	return m, nil
}

func (m *marks) mark(s string) string { return m.replacer.Replace(s) }

func (m *marks) markAll(v any) any {
	switch v := v.(type) {
	case string:
		return m.mark(v)
	case *list:
		for i := range v.items {
			v.items[i] = m.markAll(v.items[i])
		}
	case *object:
		o := newObject()
		for _, key := range v.keys {
			o.set(m.mark(key), m.markAll(v.values[key]))
		}
		return o
	}
	return v
}

func (m *marks) tools(tools []Tool) (any, error) {
	l := &list{}
	for _, t := range tools {
		v, err := t.value()
		if err != nil {
			return nil, err
		}
		l.items = append(l.items, m.markAll(v))
	}
	return l, nil
}

// split cuts rendered text into segments and drops the marks.
func (m *marks) split(s string) Prompt {
	var p Prompt
	for s != "" {
		// Up to the next mark, control tokens are the template's. A lone mark, left behind by a template that cut a token up, is dropped, and what
		// stood on its two sides is never joined.
		at := strings.IndexAny(s, m.open+m.close)
		if at < 0 {
			m.splitSpecials(&p, s)
			return p
		}
		m.splitSpecials(&p, s[:at])
		opened := strings.HasPrefix(s[at:], m.open)
		s = s[at+len(m.open):] // both marks are three bytes long
		if !opened {
			continue
		}
		if token, rest, found := strings.Cut(s, m.close); found && slices.Contains(m.format.specials, token) {
			p.text(token)
			s = rest
		}
	}
	return p
}

func (m *marks) splitSpecials(p *Prompt, s string) {
	at := 0
	for _, span := range m.format.specialRE.FindAllStringIndex(s, -1) {
		p.text(s[at:span[0]])
		p.special(s[span[0]:span[1]])
		at = span[1]
	}
	p.text(s[at:])
}
