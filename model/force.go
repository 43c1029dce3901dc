package model

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/chatformat"
	"github.com/glm4-metal/glm4-metal/internal/jsonmask"
	"github.com/glm4-metal/glm4-metal/internal/tokenizer"
)

const (
	// maxForcedCalls is how many calls an answer may have where one is required.
	maxForcedCalls = 16
	// maxForcedBlanks is how many bytes of white space may follow each other between the parts of a forced call's JSON:
	// more than any indentation needs, so that a model cannot write nothing else.
	maxForcedBlanks = 64
)

// checkChoice gives an [*OptionError] for a choice that no answer with these tools can obey.
func (t *Text) checkChoice(choice ToolChoice, tools []Tool) error {
	wrong := func(value, want string, a ...any) error {
		return &OptionError{"tool choice", strconv.Quote(value), fmt.Sprintf(want, a...)}
	}
	switch choice.Mode {
	case ToolAuto, ToolNone:
		return nil
	case ToolRequired:
		if !slices.ContainsFunc(tools, func(t Tool) bool { return t.Name != "" }) {
			return wrong(string(choice.Mode), "auto or none where no tools are declared")
		}
	case ToolNamed:
		if choice.Name == "" || !slices.ContainsFunc(tools, func(t Tool) bool { return t.Name == choice.Name }) {
			return wrong(choice.Name, "the name of a declared tool")
		}
	default:
		return wrong(string(choice.Mode), `auto (""), %q, %q or %q`, ToolNone, ToolRequired, ToolNamed)
	}
	if t.format != nil && !t.format.Forces() {
		return wrong(string(choice.Mode), "auto or none: with the chat template %q no call can be forced", t.format.Name())
	}
	return nil
}

// prompt makes the ids of the next answer's prompt, what reads the answer, and what forces its calls, if anything does.
func (c *Chat) prompt(ctx context.Context) ([]int32, *chatformat.Parser, *forcedCalls, error) {
	t, tools := c.m.text, formatTools(c.tools)
	if _, err := t.ChatFormat(); err != nil {
		return nil, nil, nil, err
	}
	if err := t.checkChoice(c.choice, c.tools); err != nil {
		return nil, nil, nil, err
	}
	if c.choice.Mode == ToolNone {
		tools = nil
	}
	o := chatformat.Options{AddGenerationPrompt: true, Tools: tools}
	parser := t.format.NewParser(tools, "")
	// Behind a forced name a model cannot reason: then the name is forced later.
	if c.choice.Mode == ToolNamed && !parser.Reasoning() {
		o.ForceTool = c.choice.Name
		parser = t.format.NewParser(tools, o.ForceTool)
	}
	_, ids, err := t.prompt(ctx, c.messages, o)
	if err != nil {
		return nil, nil, nil, err
	}
	if c.choice.Mode != ToolRequired && c.choice.Mode != ToolNamed {
		return ids, parser, nil, nil
	}
	return ids, parser, c.newForcedCalls(o, parser.Reasoning()), nil
}

// forcedCalls forbids all ids but those of calls: a declared tool's name on a line, then a JSON object. nil forbids
// nothing.
//
// Its mask comes last, on the host's logits. The JSON is followed byte by byte, so that a token may hold the end of one
// part and the beginning of the next.
type forcedCalls struct {
	masks     *callMasks
	tokenizer *tokenizer.Tokenizer
	names     []string // that may be called, sorted
	once      bool     // one call, no more
	ends      []int32  // what ends an answer
	next      int32    // opens a turn for another call; -1: nothing does
	maxTokens int      // of the answer; 0: no limit
	context   int

	thoughts *chatformat.Parser // reads the reasoning up to its end; nil behind it
	decoder  *tokenizer.Decoder // of that
	call     callPlace
	calls    int // whole ones
	blanks   int // white space in the JSON at the end of what was read
	answered int // tokens
	set      idSet
}

func (c *Chat) newForcedCalls(o chatformat.Options, reasons bool) *forcedCalls {
	t := c.m.text
	f := &forcedCalls{masks: &t.callMasks, tokenizer: t.tokenizer, once: c.choice.Mode == ToolNamed,
		maxTokens: c.options.MaxTokens, context: c.m.context, next: -1, set: newIDSet(t.tokenizer.Size())}
	f.masks.init(t.tokenizer)
	if !c.options.IgnoreEOS {
		f.ends = slices.Sorted(maps.Keys(c.m.stops))
	}
	if id, ok := t.Special(t.family.Assistant); ok {
		f.next = id
	}
	for _, tool := range o.Tools {
		if tool.Name != "" && (!f.once || tool.Name == c.choice.Name) {
			f.names = append(f.names, tool.Name)
		}
	}
	slices.Sort(f.names)
	f.call = callPlace{names: f.names, named: o.ForceTool != ""}
	if reasons {
		f.thoughts, f.decoder = t.format.NewParser(o.Tools, ""), t.tokenizer.NewDecoder()
	}
	return f
}

// over tells whether nothing more is to come.
func (f *forcedCalls) over() bool {
	return f != nil && f.thoughts == nil && f.call.object.Done() && (f.once || len(f.ends) == 0)
}

// read takes note of a token of the answer.
func (f *forcedCalls) read(id int32) {
	if f == nil {
		return
	}
	f.answered++
	f.follow(id)
}

// insert takes note of ids that the model did not write.
func (f *forcedCalls) insert(ids []int32) {
	if f == nil {
		return
	}
	for _, id := range ids {
		f.follow(id)
	}
}

func (f *forcedCalls) follow(id int32) {
	switch {
	case id == f.next:
		f.call, f.thoughts, f.blanks = callPlace{names: f.names}, nil, 0
		return
	case f.thoughts != nil:
		f.think(f.decoder.Next(id))
		return
	}
	for _, c := range f.tokenizer.DecodeBytes([]int32{id}) {
		f.call, _ = f.call.step(c)
		if f.blanks++; f.call.object.InString() || c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			f.blanks = 0
		}
	}
	if f.call.object.Done() {
		f.calls++
	}
}

// think looks for the end of the reasoning. The empty line behind it may still have to come; where the same token has
// more than that, the call needs a line of its own.
func (f *forcedCalls) think(text string) {
	f.thoughts.Write(text)
	if f.thoughts.Reasoning() {
		return
	}
	rest := text[strings.LastIndexByte(text, '>')+1:]
	f.thoughts = nil
	if f.call.apart = strings.Trim(rest, "\n") != ""; !f.call.apart {
		f.call.newlines = max(0, 2-len(rest))
	}
}

// process is a LogitsProcessor.
func (f *forcedCalls) process(tokens []int32, logits []float32) {
	if f.thoughts != nil {
		for _, id := range f.ends {
			logits[id] = float32(math.Inf(-1))
		}
		return
	}
	left := f.context - len(tokens)
	if f.maxTokens > 0 {
		left = min(left, f.maxTokens-f.answered)
	}
	clear(f.set)
	switch {
	case f.call.object.Done():
		for _, id := range f.ends {
			f.set.add(id)
		}
		if f.next >= 0 && f.calls < maxForcedCalls && left > f.room() {
			f.set.add(f.next)
		}
	case f.call.named:
		f.object(left)
	default:
		eachToken(f.masks.tokens, f.call, callPlace.step, func(t maskToken, _ callPlace) { f.set.add(t.id) })
	}
	f.set.mask(logits)
}

// room is how many tokens another call takes at least, and the end behind it, with as much again for its arguments.
func (f *forcedCalls) room() int {
	longest := slices.MaxFunc(f.names, func(a, b string) int { return len(a) - len(b) })
	return 2*len(longest) + 2*(jsonmask.MaxLocal+f.masks.nested)
}

// object puts into the set what may come in an object when some tokens are left, of which one is for what ends the
// answer. The shortest rest takes a token for each byte at most.
func (f *forcedCalls) object(left int) {
	s, missing := f.call.object, left-2
	switch {
	case s.Missing()+jsonmask.MaxLocal+f.masks.nested > missing:
		f.masks.ending(s, missing, f.set)
	default:
		f.masks.object(s, f.set)
		if f.blanks >= maxForcedBlanks {
			f.masks.withoutBlanks(f.set)
		}
	}
}

// callPlace is a place in a call.
type callPlace struct {
	names    []string // sorted, that it may still be
	at       int      // bytes of them that have come
	newlines int      // that may come before
	apart    bool     // one has to
	blank    bool     // the one that GLM-4's template writes behind a name has come
	named    bool     // and the name's line is over
	object   jsonmask.State
}

// step gives the place behind one more byte, and whether it may come.
func (p callPlace) step(c byte) (callPlace, bool) {
	switch {
	case p.named:
		var ok bool
		p.object, ok = objectByte(p.object, c)
		return p, ok
	case p.apart:
		p.apart = false
		return p, c == '\n'
	case p.at == 0 && c == '\n' && p.newlines > 0:
		p.newlines--
		return p, true
	}
	goesOn := func(name string) bool { return !p.blank && len(name) > p.at && name[p.at] == c }
	if from := slices.IndexFunc(p.names, goesOn); from >= 0 {
		p.names = p.names[from:]
		if n := slices.IndexFunc(p.names, func(name string) bool { return !goesOn(name) }); n >= 0 {
			p.names = p.names[:n]
		}
		p.at++
		return p, true
	}
	switch whole := len(p.names[0]) == p.at; {
	case whole && c == '\n':
		p.named = true
	case whole && c == ' ' && !p.blank:
		p.blank, p.names = true, p.names[:1]
	default:
		return p, false
	}
	return p, true
}
