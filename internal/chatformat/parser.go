package chatformat

import (
	"bytes"
	"slices"
	"strings"
)

// Delta is a piece of a reply; exactly one of Text, Reasoning and Call is set.
type Delta struct {
	Text      string
	Reasoning string
	Call      *ToolCall
	// Malformed says that Text is the beginning of what looked like a call and is none; whatever else of it is text
	// follows.
	Malformed bool
}

// thinkMode says how a format's replies hold reasoning.
type thinkMode int

const (
	thinkNever thinkMode = iota // <think> is ordinary text
	thinkMaybe                  // a reply may open with <think>
	thinkOpen                   // the prompt ended with <think>: the reply starts inside
)

// replyStyle is how a format's replies are to be read.
type replyStyle struct {
	newline bool // the model writes the newline behind <|assistant|> itself
	think   thinkMode
}

// Parser reads one reply, piece by piece as the model writes it. However the reply is cut, the concatenated deltas are
// the same.
//
//   - The newline that the model writes behind <|assistant|> is no part of the answer.
//   - Reasoning ends at </think>, without one newline on either side; newlines between it and the answer are dropped.
//   - A tool call opens a line and is a declared tool's name, then, on that line or the next, one JSON object; or an
//     object in OpenAI's form (see openAICall). The call, or the object, may be in a fenced code block, or between
//     <tool_call> and </tool_call>, which then go with it, as does the newline before.
//   - Only white space, the end of the block and further calls may follow a call in its turn; otherwise all of it is
//     text, whose beginning is malformed. So is a call that is cut short, or in a code block that began as text.
//   - What may become a call is held back: a line while it may open one, then its JSON; calls come out at the turn's
//     end.
//
// The zero Parser is not usable: see Format.NewParser. A Parser belongs to one goroutine.
type Parser struct {
	style replyStyle
	names []string // sorted
	width int      // beyond it a line is no name, whatever blanks it has
	state parserState
	ended bool

	calls     callReader
	codeBlock codeBlock // of the text so far
	held      []byte    // read but undecided
	written   bool      // some text has come out

	pending          []byte // text, or reasoning, on its way out
	pendingReasoning bool
	out              []Delta
}

type parserState int

const (
	stateThinkStart parserState = iota // a newline, <think> and a newline may still be to come
	stateThinkLine                     // behind a literal <think>: drop one newline
	stateThinking                      // up to </think>
	stateThought                       // behind </think>: drop newlines
	stateTurn                          // the turn's first character
	stateOpening                       // in a line that may open a call, or end its code block
	stateNamed                         // behind a tool's name, on a later line
	stateObject                        // in a possible call's JSON object
	stateTail                          // behind it, on the same line
	statePlain                         // in a line of text
)

func newParser(style replyStyle, tools []Tool, forceTool string) *Parser {
	p := &Parser{style: style}
	for _, t := range tools {
		if t.Name != "" {
			p.names = append(p.names, t.Name)
			p.width = max(p.width, len(t.Name)+blanksAround)
		}
	}
	slices.Sort(p.names)
	switch {
	case forceTool != "":
		p.calls.name, p.calls.forced, p.state = forceTool, true, stateNamed
	case style.think == thinkNever:
		p.state = stateTurn
	}
	return p
}

// Write takes the next piece of the reply and returns what has become certain.
func (p *Parser) Write(text string) []Delta {
	if p.ended {
		return nil
	}
	for i := 0; i < len(text); i++ {
		p.step(text[i])
	}
	return p.take()
}

// Boundary says that the model wrote the control token <|assistant|>: the turn is over and another begins. Several
// calls are joined so.
func (p *Parser) Boundary() []Delta {
	if p.ended {
		return nil
	}
	p.endTurn()
	p.state = stateTurn
	if p.style.think != thinkNever {
		p.style.think = thinkMaybe
		p.state = stateThinkStart
	}
	return p.take()
}

// Close says that the reply is over. Later calls return nothing.
func (p *Parser) Close() []Delta {
	if p.ended {
		return nil
	}
	p.endTurn()
	p.ended = true
	return p.take()
}

// ParseReply reads a whole reply. Turns that were joined by <|assistant|> come through Parser.Boundary instead.
func ParseReply(f Format, reply string, tools []Tool) Message {
	p := f.NewParser(tools, "")
	m := Message{Role: Assistant}
	for _, d := range append(p.Write(reply), p.Close()...) {
		m.Add(d)
	}
	return m
}

// Add appends a piece of a reply to the message.
func (m *Message) Add(d Delta) {
	m.Content += d.Text
	m.Reasoning += d.Reasoning
	if d.Call != nil {
		m.ToolCalls = append(m.ToolCalls, *d.Call)
	}
}

func (p *Parser) take() []Delta {
	p.flush()
	out := p.out
	p.out = nil
	return out
}

// flush makes a delta of the text or reasoning that has piled up.
func (p *Parser) flush() {
	switch {
	case len(p.pending) == 0:
	case p.pendingReasoning:
		p.out = append(p.out, Delta{Reasoning: string(p.pending)})
	default:
		p.out = append(p.out, Delta{Text: string(p.pending)})
	}
	p.pending = p.pending[:0]
}

func (p *Parser) emitText(s []byte) {
	if len(s) > 0 {
		p.written = true
		p.codeBlock.read(s)
		p.emit(s, false)
	}
}

func (p *Parser) emitReasoning(s []byte) { p.emit(s, true) }

func (p *Parser) emit(s []byte, reasoning bool) {
	if p.pendingReasoning != reasoning {
		p.flush()
		p.pendingReasoning = reasoning
	}
	p.pending = append(p.pending, s...)
}

func (p *Parser) step(c byte) {
	switch p.state {
	case stateThinkStart:
		p.thinkStart(c)
	case stateThinkLine:
		p.state = stateThinking
		if c != '\n' {
			p.step(c)
		}
	case stateThinking:
		p.thinking(c)
	case stateThought:
		if c != '\n' {
			p.state = stateTurn
			p.step(c)
		}
	case stateTurn:
		p.turn(c)
	case stateOpening:
		p.opening(c)
	case stateNamed:
		p.named(c)
	case stateObject:
		p.object(c)
	case stateTail:
		p.tail(c)
	case statePlain:
		if c == '\n' && len(p.names) > 0 {
			p.startLine("\n", false)
			return
		}
		p.emitText([]byte{c})
	}
}

const (
	thinkOpenTag  = "<think>"
	thinkCloseTag = "</think>"
)

// ReasoningEnd is what a reasoning model writes between its reasoning and its answer.
const ReasoningEnd = "\n" + thinkCloseTag + "\n\n"

// Reasoning tells whether what the model writes next is reasoning, or its end.
func (p *Parser) Reasoning() bool {
	switch p.state {
	case stateThinkStart:
		return p.style.think == thinkOpen
	case stateThinkLine, stateThinking:
		return true
	}
	return false
}

func (p *Parser) thinkStart(c byte) {
	p.held = append(p.held, c)
	tag := bytes.TrimPrefix(p.held, []byte("\n"))
	switch {
	case string(tag) == thinkOpenTag:
		p.held = nil
		p.state = stateThinkLine
	case !strings.HasPrefix(thinkOpenTag, string(tag)):
		p.openWithoutTag()
	}
}

// openWithoutTag reads again what was held in the hope of a literal <think>.
func (p *Parser) openWithoutTag() {
	held := p.held
	p.held = nil
	p.state = stateTurn
	if p.style.think == thinkOpen {
		held = bytes.TrimPrefix(held, []byte("\n"))
		p.state = stateThinking
	}
	for _, c := range held {
		p.step(c)
	}
}

func (p *Parser) thinking(c byte) {
	p.held = append(p.held, c)
	for len(p.held) > 0 {
		tag := bytes.TrimPrefix(p.held, []byte("\n"))
		if string(tag) == thinkCloseTag {
			p.held = nil
			p.state = stateThought
			return
		}
		if strings.HasPrefix(thinkCloseTag, string(tag)) {
			return
		}
		p.emitReasoning(p.held[:1])
		p.held = p.held[1:]
	}
}

func (p *Parser) turn(c byte) {
	switch {
	case p.written: // a second turn of text: keep the two apart
		p.startLine("\n", true)
	default:
		p.startLine("", true)
	}
	if c != '\n' || !p.style.newline && !p.written {
		p.step(c)
	}
}

func (p *Parser) endTurn() {
	switch p.state {
	case stateThinkStart:
		p.openWithoutTag()
		if p.state != stateThinking {
			p.endTurn()
			return
		}
		p.emitReasoning(p.held)
	case stateThinking:
		p.emitReasoning(p.held)
	case stateOpening, stateTail:
		if !p.mayEnd() {
			p.release(len(p.held))
			break
		}
		p.flush()
		for _, c := range p.calls.done {
			p.out = append(p.out, Delta{Call: &c})
		}
	case stateNamed, stateObject:
		p.release(len(p.held))
	}
	p.held = nil
	p.calls = callReader{}
	p.codeBlock = codeBlock{}
}
