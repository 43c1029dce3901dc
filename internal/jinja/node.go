package jinja

// The expressions.
type (
	expression interface{}

	constant     struct{ value Value }
	variable     struct{ name string }
	listDisplay  struct{ items []expression }
	tupleDisplay struct{ items []expression }
	dictDisplay  struct{ keys, values []expression }
	getAttribute struct {
		of   expression
		name string
	}
	getItem struct{ of, key expression }
	// getSlice's bounds are nil where they are left out.
	getSlice struct{ of, start, stop, step expression }
	negation struct{ of expression }
	sign     struct {
		op string
		of expression
	}
	arithmetic struct {
		op          string
		left, right expression
	}
	concatenation struct{ parts []expression }
	// logic is "and" or "or".
	logic struct {
		or          bool
		left, right expression
	}
	// comparison is a chain: first, then each operator with what stands on its right.
	comparison struct {
		first expression
		ops   []string
		rest  []expression
	}
	// choice's otherwise is nil where it is left out.
	choice    struct{ value, condition, otherwise expression }
	filterUse struct {
		of   expression
		name string
		args callArguments
	}
	testUse struct {
		of   expression
		name string
		args callArguments
	}
	call struct {
		function expression // variable or getAttribute
		args     callArguments
	}
)

type callArguments struct {
	positional []expression
	names      []string
	named      []expression
}

// The statements.
type (
	statement interface{}

	textOutput struct{ text Text }
	output     struct{ value expression }
	// ifStatement has one more body than conditions if there is an else.
	ifStatement struct {
		conditions []expression
		bodies     [][]statement
	}
	forStatement struct {
		targets         []string
		items           expression
		condition       expression // nil if there is none
		body, otherwise []statement
		bodyHidden      []string
		otherwiseHidden []string
	}
	setStatement struct {
		targets   []string
		attribute string // of the namespace that the one target is; may be ""
		value     expression
	}
	setBlock struct {
		target string
		frame
	}
	macroStatement struct {
		name     string
		params   []string
		defaults []expression // of the last params
		frame
	}
	generation struct{ frame }
	// loopControl is break or continue.
	loopControl struct{ isBreak bool }
)

// frame is a body with variables of its own.
type frame struct {
	body []statement
	// hidden are the variables of outer frames that the body does not see, because it sets them itself later (frames.go).
	hidden []string
}
