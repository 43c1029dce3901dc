package jinja

// jinja2 decides before it runs a template which variables belong to a frame: the template itself, the body of a loop,
// of a macro or of a set block. One that a frame sets, and that it has not read before in the order of the text, nor
// set in a branch of an if, nor any outer frame knows, is undefined in the frame until it is set there, even if a
// variable of that name was given to the template. Only frames within the frame can come across it.

// use is how a frame uses a name for the first time.
type use int

const (
	isRead use = iota + 1
	isSet
	isParameter
)

// names are the uses of one frame.
type names struct {
	outer  *names
	uses   map[string]use
	inner  map[string]bool // names that it sets and that occur in frames within
	frames []func()        // look at the frames within
	depth  int             // in branches of an if
}

// hideNames sets frame.hidden throughout a template and returns that of the template itself.
func hideNames(body []statement) []string {
	return newNames(nil).frame(body)
}

func newNames(outer *names) *names {
	return &names{outer: outer, uses: map[string]use{}, inner: map[string]bool{}}
}

func (n *names) frame(body []statement) []string {
	n.statements(body)
	for name := range n.uses {
		for outer := n.outer; outer != nil; outer = outer.outer {
			if outer.uses[name] == isSet {
				outer.inner[name] = true
			}
		}
	}
	for _, look := range n.frames {
		look()
	}
	var hidden []string
	for name := range n.inner {
		if !n.outer.knows(name) {
			hidden = append(hidden, name)
		}
	}
	return hidden
}

func (n *names) knows(name string) bool {
	return n != nil && (n.uses[name] != 0 || n.outer.knows(name))
}

func (n *names) use(name string, u use) {
	if u == isSet && n.depth > 0 {
		u = isRead // where the branch is not taken, the name is looked up
	}
	if n.uses[name] == 0 {
		n.uses[name] = u
	}
}

// addFrame queues a frame inside of n, which is looked at when all of n is known.
func (n *names) addFrame(hidden *[]string, params []string, first []expression, body []statement) {
	n.frames = append(n.frames, func() {
		inner := newNames(n)
		for _, p := range params {
			inner.use(p, isParameter)
		}
		inner.expressions(first)
		*hidden = inner.frame(body)
	})
}

func (n *names) statements(body []statement) {
	for _, s := range body {
		switch s := s.(type) {
		case output:
			n.expression(s.value)
		case *ifStatement:
			n.expression(s.conditions[0])
			n.depth++
			n.expressions(s.conditions[1:])
			for _, b := range s.bodies {
				n.statements(b)
			}
			n.depth--
		case *forStatement:
			n.expression(s.items)
			var ignored []string
			n.addFrame(&ignored, s.targets, []expression{s.condition}, nil)
			n.addFrame(&s.bodyHidden, append([]string{"loop"}, s.targets...), nil, s.body)
			n.addFrame(&s.otherwiseHidden, nil, nil, s.otherwise)
		case *setStatement:
			n.expression(s.value)
			for _, target := range s.targets {
				if s.attribute != "" {
					n.use(target, isRead)
				} else {
					n.use(target, isSet)
				}
			}
		case *setBlock:
			n.use(s.target, isSet)
			n.addFrame(&s.hidden, nil, nil, s.body)
		case *macroStatement:
			n.use(s.name, isSet)
			n.addFrame(&s.hidden, s.params, s.defaults, s.body)
		case *generation:
			n.addFrame(&s.hidden, nil, nil, s.body)
		}
	}
}

func (n *names) expressions(list []expression) {
	for _, e := range list {
		n.expression(e)
	}
}

func (n *names) expression(e expression) {
	switch e := e.(type) {
	case variable:
		n.use(e.name, isRead)
	case listDisplay:
		n.expressions(e.items)
	case tupleDisplay:
		n.expressions(e.items)
	case dictDisplay:
		n.expressions(e.keys)
		n.expressions(e.values)
	case getAttribute:
		n.expression(e.of)
	case getItem:
		n.expressions([]expression{e.of, e.key})
	case getSlice:
		n.expressions([]expression{e.of, e.start, e.stop, e.step})
	case negation:
		n.expression(e.of)
	case sign:
		n.expression(e.of)
	case arithmetic:
		n.expressions([]expression{e.left, e.right})
	case concatenation:
		n.expressions(e.parts)
	case logic:
		n.expressions([]expression{e.left, e.right})
	case comparison:
		n.expression(e.first)
		n.expressions(e.rest)
	case choice:
		n.expressions([]expression{e.value, e.condition, e.otherwise})
	case filterUse:
		n.expression(e.of)
		n.arguments(e.args)
	case testUse:
		n.expression(e.of)
		n.arguments(e.args)
	case call:
		n.expression(e.function)
		n.arguments(e.args)
	}
}

func (n *names) arguments(a callArguments) {
	n.expressions(a.positional)
	n.expressions(a.named)
}
