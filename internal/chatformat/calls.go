package chatformat

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/jsonmask"
)

// callReader is what a Parser knows of possible calls, whose text it holds.
type callReader struct {
	begun  int    // where their first line starts in the held text, behind the newline before it
	line   []byte // in stateOpening and stateNamed, the current line, without blanks that lead nowhere
	first  bool   // in stateOpening, the line opens a turn
	fenced bool   // in a code block of their own
	tagged bool   // behind <tool_call>
	forced bool   // the name is the prompt's

	name     string // of the call that is being read; "" in OpenAI's form
	object   jsonmask.State
	objectAt int    // where it starts in the held text
	stringAt int    // where the last string started
	key      string // in OpenAI's form, the object's last key, quotes and all
	known    bool   // in OpenAI's form, the name is a declared tool's

	done []ToolCall
}

// within tells whether the line before belongs to the calls.
func (r *callReader) within() bool { return r.fenced || r.tagged || len(r.done) > 0 }

const (
	// blanksAround is how many blanks a line may have around what opens a call.
	blanksAround = 64
	// maxInfo is the longest info string of a call's code block, but for a tool's name.
	maxInfo = 32
	// maxJSONDepth is about where Python's json gives up, as does package jinja.
	maxJSONDepth = 900

	fence        = "```"
	callOpenTag  = "<tool_call>"
	callCloseTag = "</tool_call>"
	blanks       = " \t\r"
)

// startLine begins a line that may open a call.
func (p *Parser) startLine(before string, first bool) {
	p.held = append(p.held[:0], before...)
	p.calls = callReader{begun: len(before), first: first}
	p.state = stateOpening
	if len(p.names) == 0 || p.codeBlock.inside() {
		p.release(len(p.held))
		p.state = statePlain
	}
}

func (p *Parser) opening(c byte) {
	r := &p.calls
	p.held = append(p.held, c)
	if c == '{' && p.openObject() {
		return
	}
	if c != '\n' {
		r.line = append(r.line, c)
		switch line := strings.TrimLeft(string(r.line), blanks); {
		case !p.mayOpen():
			p.noCall()
		case line == callOpenTag:
			r.tagged, r.line = true, nil
		case line == callCloseTag:
			r.tagged, r.line, p.state = false, nil, stateTail
		}
		return
	}
	line := string(bytes.TrimSpace(r.line))
	info, isFence := strings.CutPrefix(line, fence)
	switch {
	case p.declared(line):
		r.name, p.state = line, stateNamed
	case isFence:
		if r.fenced = !r.fenced; r.fenced && p.declared(info) {
			r.name, p.state = info, stateNamed
		}
	case line != "" || !r.within():
		p.release(len(p.held) - 1)
		p.startLine("\n", false)
		return
	}
	r.line = nil
}

// openObject begins a JSON object where the line is a declared name or nothing.
func (p *Parser) openObject() bool {
	r := &p.calls
	line := string(r.line)
	if p.begins(line + "{") {
		return false
	}
	if r.first || r.within() {
		line = strings.TrimLeft(line, blanks)
	}
	if line = strings.TrimRight(line, blanks); line != "" && !p.declared(line) {
		return false
	}
	r.name = line
	p.startObject()
	return true
}

func (p *Parser) startObject() {
	p.state = stateObject
	p.calls.line, p.calls.objectAt = nil, len(p.held)-1
	p.calls.object, _ = jsonmask.State{}.Step('{')
}

// mayOpen says whether the current line is still the beginning of what opens a call or ends its block, with blanks
// behind it at most, and before it if it opens a turn or is among calls.
func (p *Parser) mayOpen() bool {
	r := &p.calls
	if len(r.line) > p.width {
		return false
	}
	line := string(r.line)
	if r.first || r.within() {
		line = strings.TrimLeft(line, blanks)
		if line == "" {
			return true
		}
	}
	return p.begins(line) || p.declared(strings.TrimRight(line, blanks)) || p.mayBeFence(line) ||
		!r.tagged && strings.HasPrefix(callOpenTag, line) ||
		r.tagged && len(r.done) > 0 && strings.HasPrefix(callCloseTag, line)
}

// begins tells whether a declared name begins so.
func (p *Parser) begins(line string) bool {
	next, _ := slices.BinarySearch(p.names, line)
	return next < len(p.names) && strings.HasPrefix(p.names[next], line)
}

func (p *Parser) declared(name string) bool {
	_, found := slices.BinarySearch(p.names, name)
	return found
}

// mayBeFence tells whether a line is the beginning of one that opens or, in a code block, ends one.
func (p *Parser) mayBeFence(line string) bool {
	info, whole := strings.CutPrefix(line, fence)
	if !whole {
		return strings.HasPrefix(fence, line)
	}
	info = strings.TrimRight(info, blanks)
	if p.calls.fenced {
		return info == ""
	}
	return !strings.ContainsAny(info, "`{"+blanks) && len(info) <= max(maxInfo, p.width)
}

// named reads the lines between a tool's name and its JSON: white space, or the fence of a code block.
func (p *Parser) named(c byte) {
	r := &p.calls
	p.held = append(p.held, c)
	switch {
	case len(r.line) > 0 && c == '\n':
		if r.line = bytes.TrimRight(r.line, blanks); len(r.line) < len(fence) {
			p.noCall()
			return
		}
		r.fenced, r.line = true, nil
	case len(r.line) > 0 || c == '`' && !r.fenced:
		if r.line = append(r.line, c); len(r.line) > p.width || !p.mayBeFence(string(r.line)) {
			p.noCall()
		}
	case c == '{':
		p.startObject()
	case c != '\n' && strings.IndexByte(blanks, c) < 0:
		p.noCall()
	}
}

func (p *Parser) object(c byte) {
	r := &p.calls
	p.held = append(p.held, c)
	before := r.object
	var ok bool
	if r.object, ok = before.Step(c); !ok || r.object.Depth() > maxJSONDepth {
		p.noCall()
		return
	}
	switch {
	case r.object.Done():
		call := ToolCall{Name: r.name, Arguments: string(p.held[r.objectAt:])}
		if r.name == "" {
			if call, ok = openAICall(p.held[r.objectAt:]); !ok || !p.declared(call.Name) {
				p.noCall()
				return
			}
		}
		r.done = append(r.done, call)
		p.state = stateTail
	case r.name == "" && r.object.Depth() == 1 && before.InString() != r.object.InString():
		if !p.openAIString() {
			p.noCall()
		}
	}
}

// openAIString looks at the keys and at the name of an object that may be a call in OpenAI's form, so that the text of
// another is not held back longer than that.
func (p *Parser) openAIString() bool {
	r := &p.calls
	switch {
	case r.object.InString():
		r.stringAt = len(p.held) - 1
	case r.object.BehindKey():
		r.key = string(p.held[r.stringAt:])
		return slices.Contains(openAIKeys, r.key)
	case r.key == `"name"`:
		name := ""
		r.known = json.Unmarshal(p.held[r.stringAt:], &name) == nil && p.declared(name)
		return r.known
	}
	return true
}

var openAIKeys = []string{`"name"`, `"arguments"`, `"parameters"`, `"type"`, `"id"`, `"function"`}

// openAICall reads a call as OpenAI's API spells it, {"name": ..., "arguments": {...}}; Llama has "parameters" there.
// The arguments may be a string of JSON, and the whole may be the "function" of another object.
func openAICall(object []byte) (call ToolCall, ok bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(object, &fields) != nil {
		return call, false
	}
	if function, wrapped := fields["function"]; wrapped {
		fields = nil
		if json.Unmarshal(function, &fields) != nil {
			return call, false
		}
	}
	arguments := fields["arguments"]
	if arguments == nil {
		arguments = fields["parameters"]
	}
	if json.Unmarshal(fields["name"], &call.Name) != nil {
		return call, false
	}
	call.Arguments = string(arguments)
	if bytes.HasPrefix(arguments, []byte(`"`)) && json.Unmarshal(arguments, &call.Arguments) != nil {
		return call, false
	}
	call.Arguments = strings.TrimSpace(call.Arguments)
	return call, isObject(call.Arguments)
}

// isObject tells whether a text is one JSON object.
func isObject(text string) bool {
	var s jsonmask.State
	for i := range len(text) {
		var ok bool
		if s, ok = s.Step(text[i]); !ok || s.Depth() > maxJSONDepth {
			return false
		}
	}
	return s.Done()
}

func (p *Parser) tail(c byte) {
	r := &p.calls
	p.held = append(p.held, c)
	switch {
	case c == '\n':
		r.first, p.state = false, stateOpening
	case c == '`' && r.fenced, c == '<' && r.tagged:
		r.first, r.line, p.state = false, []byte{c}, stateOpening
	case strings.IndexByte(blanks, c) < 0:
		p.noCall()
	}
}

// mayEnd tells whether a turn may end here with calls.
func (p *Parser) mayEnd() bool {
	line := string(bytes.TrimSpace(p.calls.line))
	return len(p.calls.done) > 0 && (line == "" || line == fence && p.calls.fenced)
}

// noCall gives up on possible calls at the last held byte, which does not fit: what was held is text, except that a
// later line than the first is read again, as it may open a call of its own.
func (p *Parser) noCall() {
	last := len(p.held) - 1
	again := bytes.Clone(p.held[last:])
	switch at := bytes.LastIndexByte(p.held[p.calls.begun:last], '\n'); {
	case at >= 0:
		at += p.calls.begun
		again = bytes.Clone(p.held[at+1:])
		p.release(at)
		p.startLine("\n", false)
	case p.calls.forced:
		again = p.held
		p.held = nil
		p.startLine("", true)
	default:
		p.release(last)
		p.state = statePlain
	}
	for _, c := range again {
		p.step(c)
	}
}

// release lets n held bytes out as text and forgets the rest, and with them the calls that were read from them.
func (p *Parser) release(n int) {
	r := &p.calls
	malformed := n > 0 && (len(r.done) > 0 || p.state == stateNamed || p.state == stateTail ||
		p.state == stateObject && (r.name != "" || r.known))
	if malformed {
		p.flush()
	}
	p.emitText(p.held[:n])
	if malformed {
		p.flush()
		p.out[len(p.out)-1].Malformed = true
	}
	p.held = p.held[:0]
	p.calls = callReader{}
}

// codeBlock follows the fenced code blocks of a Markdown text.
type codeBlock struct {
	ticks int // of the fence that opened the block, 0 outside
	line  int // backticks that the current line opens with
	place fencePlace
}

type fencePlace uint8

const (
	beforeTicks fencePlace = iota
	inTicks
	behindTicks
	inInfo
	noFence
)

func (b *codeBlock) read(text []byte) {
	for _, c := range text {
		switch {
		case c == '\n':
			b.endLine()
		case b.place == noFence:
		case c == '`' && b.place <= inTicks:
			b.place = inTicks
			b.line++
		case c == '`':
			b.place = noFence
		case strings.IndexByte(blanks, c) >= 0:
			if b.place == inTicks {
				b.place = behindTicks
			}
		case b.line < len(fence):
			b.place = noFence
		default:
			b.place = inInfo
		}
	}
}

func (b *codeBlock) endLine() {
	if b.line >= len(fence) && b.place != noFence {
		switch {
		case b.ticks == 0:
			b.ticks = b.line
		case b.line >= b.ticks && b.place != inInfo:
			b.ticks = 0
		}
	}
	b.line, b.place = 0, beforeTicks
}

// inside tells whether the next line is in a code block.
func (b codeBlock) inside() bool {
	b.endLine()
	return b.ticks > 0
}
