package chatformat

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/parser"
	"github.com/nikolalohinski/gonja/v2/tokens"
)

// The statements that are supported. gonja parses the rest of the language.
type (
	ifStatement struct {
		position
		conditions []nodes.Expression
		bodies     [][]nodes.Node // one more than conditions if there is an else
	}
	forStatement struct {
		position
		targets   []string
		items     nodes.Expression
		condition nodes.Expression // may be nil
		body      []nodes.Node
		otherwise []nodes.Node
	}
	setStatement struct {
		position
		target    string
		attribute string // of the namespace target; may be ""
		value     choice
	}
	loopControl struct {
		position
		isBreak bool
	}
)

// choice is "value if condition else alternative"; without a condition it is value.
type choice struct{ value, condition, alternative nodes.Expression }

// position makes a gonja node of a statement.
type position struct{ token *tokens.Token }

func (p position) Position() *tokens.Token { return p.token }
func (p position) String() string          { return "statement" }

// parseTemplate parses a template and refuses whatever might come out otherwise than in jinja2.
func parseTemplate(template string) (body []nodes.Node, err error) {
	src, err := canonicalSource(template)
	if err != nil {
		return nil, err
	}
	// gonja's tree does not tell "is in" from "in", and they bind differently. Strings hold no blanks here.
	if isIn.MatchString(src) {
		return nil, errors.New(`the test "is in" is not supported`)
	}
	defer func() {
		if r := recover(); r != nil {
			body, err = nil, fmt.Errorf("gonja's parser failed: %v", r)
		}
	}()
	cfg := config.New()
	cfg.KeepTrailingNewline = true
	statements := exec.NewControlStructureSet(map[string]parser.ControlStructureParser{
		"if": parseIf, "for": parseFor, "set": parseSet, "break": parseLoopControl, "continue": parseLoopControl,
	})
	p := parser.NewParser("", tokens.LexAll(src, cfg), cfg, nil, statements)
	root, err := p.Parse()
	if err != nil {
		return nil, fmt.Errorf("%s", strings.TrimSpace(strings.ReplaceAll(err.Error(), "\n", " ")))
	}
	if p.Stream().IsError() {
		return nil, fmt.Errorf("near %.40q", p.Current().Val)
	}
	if err := (checker{src}).checkBody(root.Nodes, false); err != nil {
		return nil, err
	}
	return root.Nodes, nil
}

func expression(args *parser.Parser) (nodes.Expression, error) {
	e, err := args.ParseExpression()
	if err == nil && e == nil {
		err = args.Error("expected an expression", args.Current())
	}
	return e, err
}

func ended(args *parser.Parser) error {
	if args.Current(tokens.EOF) == nil {
		return args.Error("unexpected text in a tag", args.Current())
	}
	return nil
}

func parseIf(p, args *parser.Parser) (nodes.ControlStructure, error) {
	s := &ifStatement{position: position{p.Current()}}
	for {
		if args != nil {
			condition, err := expression(args)
			if err != nil {
				return nil, err
			}
			if err := ended(args); err != nil {
				return nil, err
			}
			s.conditions = append(s.conditions, condition)
		}
		ends := []string{"elif", "else", "endif"}
		if args == nil {
			ends = ends[2:]
		}
		body, next, err := p.WrapUntil(ends...)
		if err != nil {
			return nil, err
		}
		s.bodies = append(s.bodies, body.Nodes)
		if args = next; body.EndTag == "elif" {
			continue
		}
		if err := ended(next); err != nil {
			return nil, err
		}
		if body.EndTag == "endif" {
			return s, nil
		}
		args = nil
	}
}

func parseFor(p, args *parser.Parser) (nodes.ControlStructure, error) {
	s := &forStatement{position: position{p.Current()}}
	for {
		name := args.Match(tokens.Name)
		if name == nil {
			return nil, args.Error("expected a loop variable", args.Current())
		}
		s.targets = append(s.targets, name.Val)
		if args.Match(tokens.Comma) == nil {
			break
		}
	}
	if args.Match(tokens.In) == nil {
		return nil, args.Error(`expected "in"`, args.Current())
	}
	var err error
	if s.items, err = expression(args); err != nil {
		return nil, err
	}
	if args.MatchName("if") != nil {
		if s.condition, err = expression(args); err != nil {
			return nil, err
		}
	}
	if err := ended(args); err != nil {
		return nil, err
	}
	body, next, err := p.WrapUntil("else", "endfor")
	if err != nil {
		return nil, err
	}
	s.body = body.Nodes
	if err := ended(next); err != nil {
		return nil, err
	}
	if body.EndTag == "else" {
		otherwise, next, err := p.WrapUntil("endfor")
		if err != nil {
			return nil, err
		}
		s.otherwise = otherwise.Nodes
		return s, ended(next)
	}
	return s, nil
}

func parseSet(p, args *parser.Parser) (nodes.ControlStructure, error) {
	s := &setStatement{position: position{p.Current()}}
	name := args.Match(tokens.Name)
	if name == nil {
		return nil, args.Error("expected a name to set", args.Current())
	}
	s.target = name.Val
	if args.Match(tokens.Dot) != nil {
		attribute := args.Match(tokens.Name)
		if attribute == nil {
			return nil, args.Error("expected an attribute to set", args.Current())
		}
		s.attribute = attribute.Val
	}
	if args.Match(tokens.Assign) == nil {
		return nil, args.Error(`expected "=": other forms of set are not supported`, args.Current())
	}
	var err error
	if s.value.value, err = expression(args); err != nil {
		return nil, err
	}
	if s.value.condition, s.value.alternative, err = args.ParseCondition(); err != nil {
		return nil, err
	}
	return s, ended(args)
}

func parseLoopControl(p, args *parser.Parser) (nodes.ControlStructure, error) {
	return &loopControl{position{p.Current()}, false}, ended(args)
}
