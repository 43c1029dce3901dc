package jinja

import (
	"fmt"
	"slices"
	"strings"
)

// parser reads statements. Within a tag its tokens are tokens[at:].
type parser struct {
	scanner *scanner
	piece   piece // whose text has been read
	tokens  []token
	at      int
	depth   int // of expressions
	blocks  int // that are open
}

func newParser(source string) (*parser, error) {
	s, err := newScanner(source)
	if err != nil {
		return nil, err
	}
	return &parser{scanner: s}, nil
}

// place says what a statement stands in.
type place struct {
	inLoop  bool // break and continue are allowed
	inFrame bool // macros are not
}

func (p *parser) template() ([]statement, error) {
	body, end, err := p.body(place{})
	if err == nil && end != "" {
		err = fmt.Errorf("unexpected tag %.40q", end)
	}
	return body, err
}

// body reads statements up to one of the tags in ends, at whose second token the parser then stands, or to the
// template's end.
func (p *parser) body(in place, ends ...string) (body []statement, end string, err error) {
	if p.blocks++; p.blocks > maxNesting {
		return nil, "", fmt.Errorf("blocks nested deeper than %d", maxNesting)
	}
	defer func() { p.blocks-- }()
	for {
		if p.piece, err = p.scanner.next(); err != nil {
			return nil, "", err
		}
		if p.piece.text != "" {
			body = append(body, textOutput{Literal(p.piece.text)})
		}
		if p.piece.end {
			if len(ends) > 0 {
				return nil, "", fmt.Errorf("the template ends before %q", ends[len(ends)-1])
			}
			return body, "", nil
		}
		p.tokens, p.at = p.piece.tokens, 0
		var s statement
		switch p.piece.kind {
		case 0:
			continue
		case '{':
			var value expression
			if value, err = p.tuple(true); err == nil {
				err = p.ended()
			}
			s = output{value}
		default:
			t := p.take()
			if t.kind != nameToken {
				return nil, "", fmt.Errorf("expected a tag's name, found %s", t)
			}
			if slices.Contains(ends, t.text) {
				return body, t.text, nil
			}
			s, err = p.statement(t.text, in)
		}
		if err != nil {
			return nil, "", err
		}
		body = append(body, s)
	}
}

func (p *parser) statement(tag string, in place) (statement, error) {
	switch tag {
	case "if":
		return p.ifStatement(in)
	case "for":
		return p.forStatement(in)
	case "set":
		return p.setStatement()
	case "macro":
		if in.inFrame {
			return nil, fmt.Errorf("a macro inside a loop, a macro or a block is not supported")
		}
		return p.macro()
	case "generation":
		if err := p.ended(); err != nil {
			return nil, err
		}
		body, err := p.lastBody(place{inFrame: true}, "endgeneration")
		return &generation{frame{body: body}}, err
	case "break", "continue":
		if !in.inLoop {
			return nil, fmt.Errorf("%q outside a loop", tag)
		}
		return loopControl{tag == "break"}, p.ended()
	}
	return nil, fmt.Errorf("the tag %.40q is not supported", tag)
}

// lastBody reads a body with only one possible end.
func (p *parser) lastBody(in place, end string) ([]statement, error) {
	body, _, err := p.body(in, end)
	if err == nil {
		err = p.ended()
	}
	return body, err
}

func (p *parser) ifStatement(in place) (statement, error) {
	s := &ifStatement{}
	for {
		condition, err := p.tuple(false)
		if err != nil {
			return nil, err
		}
		if err := p.ended(); err != nil {
			return nil, err
		}
		body, end, err := p.body(in, "elif", "else", "endif")
		if err != nil {
			return nil, err
		}
		s.conditions, s.bodies = append(s.conditions, condition), append(s.bodies, body)
		switch end {
		case "elif":
			continue
		case "else":
			if err := p.ended(); err != nil {
				return nil, err
			}
			body, err := p.lastBody(in, "endif")
			s.bodies = append(s.bodies, body)
			return s, err
		}
		return s, p.ended()
	}
}

func (p *parser) forStatement(in place) (statement, error) {
	s := &forStatement{}
	var err error
	if s.targets, err = p.targets(); err != nil {
		return nil, err
	}
	if err := p.expect("in"); err != nil {
		return nil, err
	}
	if s.items, err = p.tuple(false); err != nil {
		return nil, err
	}
	if p.skip("if") {
		if s.condition, err = p.expression(); err != nil {
			return nil, err
		}
	}
	if err := p.ended(); err != nil {
		return nil, err
	}
	body, end, err := p.body(place{inLoop: true, inFrame: true}, "else", "endfor")
	if err != nil {
		return nil, err
	}
	s.body = body
	if err := p.ended(); err != nil || end == "endfor" {
		return s, err
	}
	s.otherwise, err = p.lastBody(place{inLoop: in.inLoop, inFrame: true}, "endfor")
	return s, err
}

// targets reads the names that a loop or an assignment fills.
func (p *parser) targets() ([]string, error) {
	var targets []string
	for {
		target, err := p.target()
		if err != nil {
			return nil, err
		}
		targets = append(targets, target)
		if !p.skip(",") {
			return targets, nil
		}
	}
}

func (p *parser) target() (string, error) {
	t := p.take()
	if t.kind != nameToken || keywords[t.text] {
		return "", fmt.Errorf("expected a variable's name, found %s", t)
	}
	if slices.Contains(reservedNames, t.text) {
		return "", fmt.Errorf("assignment to the name %q is not supported", t.text)
	}
	return t.text, nil
}

// reservedNames mean something else in jinja2 or here than a variable.
var reservedNames = append([]string{"loop", "none", "None", "true", "True", "false", "False"},
	append(globalNames, unsupportedNames...)...)

func (p *parser) setStatement() (statement, error) {
	s := &setStatement{}
	var err error
	if s.targets, err = p.targets(); err != nil {
		return nil, err
	}
	if len(s.targets) == 1 && p.skip(".") {
		t := p.take()
		if t.kind != nameToken || strings.HasPrefix(t.text, "_") {
			return nil, fmt.Errorf("setting the attribute %s is not supported", t)
		}
		s.attribute = t.text
	}
	if p.skip("=") {
		if s.value, err = p.tuple(true); err != nil {
			return nil, err
		}
		return s, p.ended()
	}
	if len(s.targets) > 1 || s.attribute != "" {
		return nil, fmt.Errorf("expected \"=\", found %s", p.peek(0))
	}
	if err := p.ended(); err != nil {
		return nil, err
	}
	body, err := p.lastBody(place{inFrame: true}, "endset")
	return &setBlock{s.targets[0], frame{body: body}}, err
}

func (p *parser) macro() (statement, error) {
	s := &macroStatement{}
	var err error
	if s.name, err = p.target(); err != nil {
		return nil, err
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	for !p.skip(")") {
		if len(s.params) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		param, err := p.target()
		if err != nil {
			return nil, err
		}
		if slices.Contains(s.params, param) {
			return nil, fmt.Errorf("the macro %q has two parameters %q", s.name, param)
		}
		s.params = append(s.params, param)
		if p.skip("=") {
			value, err := p.expression()
			if err != nil {
				return nil, err
			}
			s.defaults = append(s.defaults, value)
		} else if len(s.defaults) > 0 {
			return nil, fmt.Errorf("the macro %q has a parameter without default behind one with", s.name)
		}
	}
	if err := p.ended(); err != nil {
		return nil, err
	}
	s.body, err = p.lastBody(place{inFrame: true}, "endmacro")
	return s, err
}

// peek is the token n places on.
func (p *parser) peek(n int) token {
	if p.at+n >= len(p.tokens) {
		return token{}
	}
	return p.tokens[p.at+n]
}

func (p *parser) take() token {
	t := p.peek(0)
	p.at++
	return t
}

// skip takes the next token if it is this operator or word.
func (p *parser) skip(text string) bool {
	if !p.peek(0).is(text) {
		return false
	}
	p.at++
	return true
}

func (p *parser) expect(text string) error {
	if !p.skip(text) {
		return fmt.Errorf("expected %q, found %s", text, p.peek(0))
	}
	return nil
}

func (p *parser) ended() error {
	if t := p.peek(0); t.kind != endToken {
		return fmt.Errorf("expected the end of the tag, found %s", t)
	}
	return nil
}
