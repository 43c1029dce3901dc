package rewrite

// mayRecurse reports whether a function might call itself, going by names alone: overloads, templates with other
// arguments and functions of the same name elsewhere count too. Only the compiled calls can tell.
func (p *parser) mayRecurse() bool {
	calls := map[string]map[string]bool{}
	for _, f := range p.order {
		if calls[f.name] == nil {
			calls[f.name] = map[string]bool{}
		}
	}
	for _, f := range p.order {
		for i := f.body[0]; i < f.body[1]; i++ {
			if p.tokens[i].kind == word && calls[p.tokens[i].text] != nil && (p.is(i+1, "(") || p.is(i+1, "<")) {
				calls[f.name][p.tokens[i].text] = true
			}
		}
	}
	const open, done = 1, 2
	state := map[string]int{}
	var visit func(name string) bool
	visit = func(name string) bool {
		state[name] = open
		for to := range calls[name] {
			if state[to] == open || state[to] == 0 && visit(to) {
				return true
			}
		}
		state[name] = done
		return false
	}
	for name := range calls {
		if state[name] == 0 && visit(name) {
			return true
		}
	}
	return false
}
