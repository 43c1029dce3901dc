package model

import "github.com/glm4-metal/glm4-metal/internal/chatformat"

// reasoning counts the tokens of an answer's reasoning.
type reasoning struct {
	parser *chatformat.Parser
	limit  int // as Options.MaxReasoning
	tokens int
	open   bool // the last token left it open
}

func newReasoning(p *chatformat.Parser, limit int) *reasoning {
	return &reasoning{parser: p, limit: limit, open: p.Reasoning()}
}

// count takes note of an event that the parser has read.
func (r *reasoning) count(e Event) {
	before := r.open
	if r.open = r.parser.Reasoning(); r.open && before && e.Token != nil {
		r.tokens++
	}
}

// over tells whether the reasoning has to be closed.
func (r *reasoning) over() bool { return r.limit != 0 && r.parser.Reasoning() && r.tokens >= r.limit }
