package chatformat

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/tokens"
)

// checker knows the canonical source of what it checks.
type checker struct{ src string }

// checkBody refuses what evaluates differently in jinja2, or what nobody has compared.
func (k checker) checkBody(body []nodes.Node, inLoop bool) error {
	for _, n := range body {
		if err := k.checkNode(n, inLoop); err != nil {
			return err
		}
	}
	return nil
}

func (k checker) checkNode(n nodes.Node, inLoop bool) error {
	switch n := n.(type) {
	case *nodes.Output:
		return k.checkChoice(choice{n.Expression, n.Condition, n.Alternative})
	case *nodes.ControlStructureBlock:
		switch s := n.ControlStructure.(type) {
		case *ifStatement:
			for _, c := range s.conditions {
				if err := k.checkExpression(c); err != nil {
					return err
				}
			}
			for _, b := range s.bodies {
				if err := k.checkBody(b, inLoop); err != nil {
					return err
				}
			}
			return nil
		case *forStatement:
			for _, target := range s.targets {
				if err := checkTarget(target); err != nil {
					return err
				}
			}
			if err := k.checkExpression(s.items); err != nil {
				return err
			}
			if s.condition != nil {
				if err := k.checkExpression(s.condition); err != nil {
					return err
				}
			}
			if err := k.checkBody(s.body, true); err != nil {
				return err
			}
			return k.checkBody(s.otherwise, inLoop)
		case *setStatement:
			if err := checkTarget(s.target); err != nil {
				return err
			}
			return k.checkChoice(s.value)
		case *loopControl:
			if s.isBreak = n.Name == "break"; !inLoop {
				return fmt.Errorf("%q outside a loop", n.Name)
			}
			return nil
		}
	}
	return fmt.Errorf("unsupported part %T", n)
}

func checkTarget(name string) error {
	if slices.Contains(reservedNames, name) {
		return fmt.Errorf("assignment to the name %q is not supported", name)
	}
	return nil
}

// reservedNames mean something else in jinja2 or here than a variable.
var reservedNames = append([]string{"loop", "self", "super", "varargs", "kwargs", "caller", "nil", "none", "None", "true", "True", "false", "False"}, globalNames...)

func (k checker) checkChoice(c choice) error {
	for _, e := range []nodes.Expression{c.value, c.condition, c.alternative} {
		if e != nil {
			if err := k.checkExpression(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (k checker) checkAll(list []nodes.Expression) error {
	for _, e := range list {
		if err := k.checkExpression(e); err != nil {
			return err
		}
	}
	return nil
}

func (k checker) checkKeywords(args map[string]nodes.Expression) error {
	for name, e := range args {
		if !identifier.MatchString(name) {
			return fmt.Errorf("bad argument name %q", name)
		}
		if err := k.checkExpression(e); err != nil {
			return err
		}
	}
	return nil
}

var (
	isIn       = regexp.MustCompile(`\bis +(not +)?in\b`)
	identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	decimal    = regexp.MustCompile(`^(0|[1-9][0-9]{0,17})$`)
	fraction   = regexp.MustCompile(`^[0-9]{1,15}\.[0-9]{1,15}$`)
)

func (k checker) checkExpression(n nodes.Node) error {
	switch n := n.(type) {
	case nil:
		return errors.New("an expression is missing")
	case *nodes.String, *nodes.Bool, *nodes.None:
		if n.Position().Val == "nil" {
			return errors.New(`the name "nil" is not supported`)
		}
		return nil
	case *nodes.Integer:
		if !decimal.MatchString(n.Location.Val) {
			return fmt.Errorf("number %q is not supported", n.Location.Val)
		}
		return nil
	case *nodes.Float:
		if !fraction.MatchString(n.Location.Val) {
			return fmt.Errorf("number %q is not supported", n.Location.Val)
		}
		return nil
	case *nodes.Name:
		if slices.Contains(globalNames, n.Name.Val) || slices.Contains(unsupportedNames, n.Name.Val) {
			return fmt.Errorf("the name %q is not supported here", n.Name.Val)
		}
		return nil
	case *nodes.List:
		return k.checkAll(n.Val)
	case *nodes.Tuple:
		return k.checkAll(n.Val)
	case *nodes.Dict:
		for _, pair := range n.Pairs {
			if err := k.checkAll([]nodes.Expression{pair.Key, pair.Value}); err != nil {
				return err
			}
		}
		return nil
	case *nodes.GetItem:
		return k.checkAll([]nodes.Expression{n.Node, n.Arg})
	case *nodes.GetSlice:
		for _, e := range []nodes.Expression{n.Start, n.End, n.Step} {
			if e != nil {
				if err := k.checkExpression(e); err != nil {
					return err
				}
			}
		}
		return k.checkExpression(n.Node)
	case *nodes.GetAttribute:
		if n.Attribute == "" || strings.HasPrefix(n.Attribute, "_") {
			return fmt.Errorf("the attribute %q is not supported", n.Attribute)
		}
		return k.checkExpression(n.Node)
	case *nodes.Negation:
		return k.checkExpression(n.Term)
	case *nodes.UnaryExpression:
		return k.checkExpression(n.Term)
	case *nodes.BinaryExpression:
		op := n.Operator.Token.Type
		if !slices.Contains(binaryOperators, op) {
			return fmt.Errorf("the operator %q is not supported", n.Operator.Token.Val)
		}
		// On the right, gonja takes a comparison only in parentheses.
		if isComparison(n) && isComparison(n.Left) && !k.inParentheses(n.Left, n.Operator.Token.Pos) {
			return errors.New("chained comparisons are not supported")
		}
		return k.checkAll([]nodes.Expression{n.Left, n.Right})
	case *nodes.FilteredExpression:
		// gonja filters the outcome of "a in b|f" where jinja2 filters b.
		if endsInTest(n.Expression) {
			return errors.New("a filter behind a test or \"in\" is not supported")
		}
		for _, f := range n.Filters {
			if _, found := filters[f.Name]; !found {
				return fmt.Errorf("the filter %q is not supported", f.Name)
			}
			if err := k.checkAll(f.Args); err != nil {
				return err
			}
			if err := k.checkKeywords(f.Kwargs); err != nil {
				return err
			}
		}
		return k.checkExpression(n.Expression)
	case *nodes.TestExpression:
		return k.checkTest(n)
	case *nodes.Call:
		if err := k.checkAll(n.Args); err != nil {
			return err
		}
		if err := k.checkKeywords(n.Kwargs); err != nil {
			return err
		}
		switch fn := n.Func.(type) {
		case *nodes.Name:
			if slices.Contains(globalNames, fn.Name.Val) {
				return nil
			}
			return fmt.Errorf("the function %q is not supported", fn.Name.Val)
		case *nodes.GetAttribute:
			if !slices.Contains(methodNames, fn.Attribute) {
				return fmt.Errorf("the method %q is not supported", fn.Attribute)
			}
			return k.checkExpression(fn.Node)
		}
		return errors.New("this call is not supported")
	}
	return fmt.Errorf("unsupported expression %T", n)
}

// checkTest allows only tests on which gonja and jinja2 agree: "is" binds tighter than any operator in jinja2, looser than arithmetic in gonja.
func (k checker) checkTest(n *nodes.TestExpression) error {
	in := n.Test.Token.Type == tokens.In
	if !in && n.Test.Token.Type != tokens.Name {
		return fmt.Errorf("the test %q is not supported", n.Test.Name)
	}
	switch n.Expression.(type) {
	case *nodes.BinaryExpression, *nodes.UnaryExpression, *nodes.Negation:
		if !in || isComparison(n.Expression) {
			return errors.New("a test on a compound expression is not supported")
		}
	case *nodes.TestExpression:
		return errors.New("chained tests are not supported")
	}
	want, found := 1, in
	if !in {
		_, found = tests[n.Test.Name]
		want = 0
		if slices.Contains(binaryTests, n.Test.Name) {
			want = 1
		}
	}
	if !found || len(n.Test.Kwargs) > 0 || len(n.Test.Args) != want {
		return fmt.Errorf("the test %q with %d arguments is not supported", n.Test.Name, len(n.Test.Args))
	}
	if err := k.checkAll(n.Test.Args); err != nil {
		return err
	}
	if name, ok := n.Expression.(*nodes.Name); ok && strings.HasSuffix(n.Test.Name, "defined") && slices.Contains(globalNames, name.Name.Val) {
		return nil
	}
	return k.checkExpression(n.Expression)
}

// inParentheses says whether a comparison stands in parentheses that close right before the operator at pos, which gonja's tree does not tell.
// In canonical source, strings hold no brackets.
func (k checker) inParentheses(comparison nodes.Node, pos int) bool {
	if pos > len(k.src) {
		return false
	}
	inner := 0
	switch n := comparison.(type) {
	case *nodes.BinaryExpression:
		inner = n.Operator.Token.Pos
	case *nodes.TestExpression:
		inner = n.Test.Token.Pos
	}
	before := strings.TrimRight(k.src[:pos], " ")
	if !strings.HasSuffix(before, ")") {
		return false
	}
	depth := 0
	for i := len(before) - 1; i >= inner; i-- {
		switch before[i] {
		case ')':
			depth++
		case '(':
			depth--
		}
		if depth == 0 {
			return false
		}
	}
	return true
}

func isComparison(n nodes.Node) bool {
	switch n := n.(type) {
	case *nodes.BinaryExpression:
		switch n.Operator.Token.Type {
		case tokens.Equals, tokens.Ne, tokens.LowerThan, tokens.LowerThanOrEqual, tokens.GreaterThan, tokens.GreaterThanOrEqual:
			return true
		}
	case *nodes.TestExpression:
		return n.Test.Token.Type == tokens.In
	}
	return false
}

func endsInTest(n nodes.Node) bool {
	switch n := n.(type) {
	case *nodes.TestExpression:
		return true
	case *nodes.Negation:
		return endsInTest(n.Term)
	case *nodes.BinaryExpression:
		return endsInTest(n.Right)
	}
	return false
}

var binaryOperators = []tokens.Type{
	tokens.And, tokens.Or, tokens.Addition, tokens.Subtraction, tokens.Multiply, tokens.FloorDivision, tokens.Modulo, tokens.Tilde,
	tokens.Equals, tokens.Ne, tokens.LowerThan, tokens.LowerThanOrEqual, tokens.GreaterThan, tokens.GreaterThanOrEqual,
}
