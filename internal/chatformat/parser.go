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
//   - A tool call is a line that is exactly a declared tool's name, then one JSON object. It opens a turn or a later
//     line of it, and only white space or further calls may follow it in that turn; otherwise all of it is text, whose
//     beginning is malformed. The newline before it is dropped.
//   - What may become a call is held back: a line while it is the beginning of a declared name, then its JSON; calls
//     come out at the turn's end.
//
// The zero Parser is not usable: see Format.NewParser. A Parser belongs to one goroutine.
type Parser struct {
	style replyStyle
	names []string // sorted
	width int      // beyond it a line is no name, whatever blanks it has
	state parserState
	ended bool

	held    []byte // read but undecided: the newline before a possible call, its name, its JSON
	line    []byte // in stateName, the current line
	first   bool   // in stateName, the line opens a turn
	name    string // the call whose JSON is being read
	json    objectScanner
	jsonAt  int // where it starts in held
	calls   []ToolCall
	written bool // some text has come out

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
	stateName                          // in a line that may be a tool's name
	stateJSON                          // in a possible call's JSON object
	stateTail                          // behind it, on the same line
	statePlain                         // in a line of text
)

// blanksAround is how many blanks a line may have around a tool's name.
const blanksAround = 64

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
		p.name, p.state = forceTool, stateJSON
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
	case stateName:
		p.nameLine(c)
	case stateJSON:
		p.callJSON(c)
	case stateTail:
		p.callTail(c)
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

// startLine begins a line that may be a tool's name.
func (p *Parser) startLine(before string, first bool) {
	p.held = append(p.held[:0], before...)
	p.line = p.line[:0]
	p.first = first
	p.state = stateName
}

func (p *Parser) nameLine(c byte) {
	p.held = append(p.held, c)
	if c != '\n' {
		p.line = append(p.line, c)
		if !p.mayBeName() {
			p.release(len(p.held) - len(p.line))
			p.emitText(p.line)
			p.state = statePlain
		}
		return
	}
	name := string(bytes.TrimSpace(p.line))
	switch {
	case p.declared(name):
		p.name = name
		p.json = objectScanner{}
		p.state = stateJSON
	case name == "" && len(p.calls) > 0:
		p.line = p.line[:0]
	default:
		p.release(len(p.held) - 1)
		if len(p.names) == 0 {
			p.emitText([]byte{c})
			p.state = statePlain
			return
		}
		p.startLine("\n", false)
	}
}

// mayBeName says whether the current line is still the beginning of a declared name, with blanks behind it at most, and
// before it if it opens a turn.
func (p *Parser) mayBeName() bool {
	if len(p.line) > p.width {
		return false
	}
	line := string(p.line)
	if p.first || len(p.calls) > 0 {
		line = strings.TrimLeft(line, " \t\r")
		if line == "" && len(p.names) > 0 {
			return true
		}
	}
	next, _ := slices.BinarySearch(p.names, line)
	return next < len(p.names) && strings.HasPrefix(p.names[next], line) || p.declared(strings.TrimRight(line, " \t\r"))
}

func (p *Parser) declared(name string) bool {
	_, found := slices.BinarySearch(p.names, name)
	return found
}

func (p *Parser) callJSON(c byte) {
	if p.json.untouched() {
		p.jsonAt = len(p.held)
	}
	p.held = append(p.held, c)
	switch p.json.step(c) {
	case scanDone:
		p.calls = append(p.calls, ToolCall{Name: p.name, Arguments: string(p.held[p.jsonAt:])})
		p.state = stateTail
	case scanError:
		p.noCall()
	}
}

func (p *Parser) callTail(c byte) {
	p.held = append(p.held, c)
	switch c {
	case '\n':
		p.line = p.line[:0]
		p.first = false
		p.state = stateName
	case ' ', '\t', '\r':
	default:
		p.noCall()
	}
}

// noCall gives up on a possible call: what was held is text, except that its last line is read again, as it may be a
// tool's name.
func (p *Parser) noCall() {
	again := p.held
	at := bytes.LastIndexByte(p.held[:len(p.held)-1], '\n')
	if at < 0 {
		p.held = nil
		p.startLine("", true)
	} else {
		again = bytes.Clone(p.held[at+1:])
		p.release(at)
		p.startLine("\n", false)
	}
	p.calls = nil
	for _, c := range again {
		p.step(c)
	}
}

// release lets n held bytes out as text and forgets the rest, and with them the calls that were read from them.
func (p *Parser) release(n int) {
	malformed := n > 0 && (len(p.calls) > 0 || p.state == stateJSON || p.state == stateTail)
	if malformed {
		p.flush()
	}
	p.emitText(p.held[:n])
	if malformed {
		p.flush()
		p.out[len(p.out)-1].Malformed = true
	}
	p.held = p.held[:0]
	p.calls = nil
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
	case stateName, stateTail:
		if len(p.calls) == 0 || p.state == stateName && len(bytes.TrimSpace(p.line)) > 0 {
			p.release(len(p.held))
			break
		}
		p.flush()
		for _, c := range p.calls {
			p.out = append(p.out, Delta{Call: &c})
		}
	case stateJSON:
		p.release(len(p.held))
	}
	p.held = nil
	p.calls = nil
}
