package rewrite

import "strings"

// An attribute is one of the list between [[ and ]].
type attribute struct {
	name      string
	arguments string
	at        int    // token of its name
	group     [2]int // tokens of the whole [[...]]
	alone     bool
	own       [2]int // its tokens, with a comma after it
}

// text is the string literal that is the attribute's argument, or several, which are one.
func (a *attribute) text() string {
	var b strings.Builder
	for i, part := range strings.Split(a.arguments, `"`) {
		if i%2 == 1 {
			b.WriteString(part)
		}
	}
	return b.String()
}

// erase takes the attribute out of both texts, with its brackets when it is alone.
func (a *attribute) erase(p *parser) {
	r := a.own
	if a.alone {
		r = a.group
	}
	for i := r[0]; i < r[1]; i++ {
		p.tokens[i].erase()
	}
}

// attributes reads the list that opens at i.
func (p *parser) attributes(i int) []attribute {
	group := [2]int{i, p.match[i] + 1}
	inner := [2]int{i + 2, p.match[i] - 1}
	var list []attribute
	for j := inner[0]; j < inner[1]; {
		a := attribute{at: j, group: group}
		a.name = p.tokens[j].text
		j++
		for p.is(j, "::") && j+1 < inner[1] {
			a.name += "::" + p.tokens[j+1].text
			j += 2
		}
		if p.is(j, "(") && p.match[j] > 0 {
			a.arguments = p.join(j+1, p.match[j])
			j = p.match[j] + 1
		}
		for j < inner[1] && !p.is(j, ",") {
			j++
		}
		if j < inner[1] {
			j++
		}
		a.own = [2]int{a.at, j}
		list = append(list, a)
	}
	erasable := 0
	for _, a := range list {
		if !strings.Contains(a.name, "::") {
			erasable++
		}
	}
	for k := range list {
		list[k].alone = erasable == len(list)
	}
	return list
}

// repeatedAttributes erases those of kernel parameters where they mean nothing: in the types of functions, and in
// functions that kernels pass their parameters on to.
func (p *parser) repeatedAttributes() {
	for i := range p.tokens {
		if !p.is(i, "[") || !p.is(i+1, "[") || p.match[i] < 0 {
			continue
		}
		for _, a := range p.attributes(i) {
			if _, known := builtins[a.name]; known || a.name == "buffer" || a.name == "threadgroup" ||
				a.name == "function_constant" {
				a.erase(p)
			}
		}
	}
}
