package rewrite

import (
	"slices"
	"strconv"
	"strings"
)

// A template parameter list.
type templateHead struct {
	parameters string
	names      []string
	variadic   bool
}

// scope reads the declarations of a namespace or, when inType, of a class.
func (p *parser) scope(i, end int, namespace []string, inType bool) {
	for i < end {
		switch t := &p.tokens[i]; {
		case t.text == ";" || t.text == "}":
			i++
		case inType && (t.text == "public" || t.text == "private" || t.text == "protected") && p.is(i+1, ":"):
			i += 2
		case t.text == "inline" && p.is(i+1, "namespace"):
			i++
		case t.text == "namespace":
			open := p.find(i, end, "{", ";", "=")
			if open < 0 || !p.is(open, "{") || p.match[open] < 0 {
				i = p.statementEnd(i, end)
				continue
			}
			inner := slices.Clone(namespace)
			for k := i + 1; k < open; k++ {
				if p.tokens[k].kind == word {
					inner = append(inner, p.tokens[k].text)
				}
			}
			p.scope(open+1, p.match[open], inner, false)
			i = p.match[open] + 1
		case t.text == "using" || t.text == "typedef" || t.text == "static_assert" || t.text == "friend":
			i = p.statementEnd(i, end)
		case t.text == "extern" && i+1 < end && p.tokens[i+1].kind == text:
			i += 2
			if p.is(i, "{") && p.match[i] > 0 {
				p.scope(i+1, p.match[i], namespace, inType)
				i = p.match[i] + 1
			}
		case t.text == "template" && !p.is(i+1, "<"):
			i = p.instantiation(i, end, namespace)
		default:
			i = p.declaration(i, end, namespace, inType)
		}
	}
}

// declaration reads a function, variable or type from i on, and gives the index after it.
func (p *parser) declaration(start, end int, namespace []string, inType bool) int {
	i := start
	var head *templateHead
	for p.is(i, "template") && p.is(i+1, "<") {
		close := p.angle(i+1, end)
		if close < 0 {
			return p.statementEnd(start, end)
		}
		head = p.templateHead(i+2, close)
		i = close + 1
	}
	if p.is(i, "using") || p.is(i, "friend") || p.is(i, "typedef") {
		return p.statementEnd(i, end)
	}
	if p.is(i, "struct") || p.is(i, "class") || p.is(i, "union") || p.is(i, "enum") {
		j := p.find(i, end, "{", ";", "(", "=", ":")
		if j >= 0 && p.is(j, ":") { // bases
			j = p.find(j, end, "{", ";")
		}
		if j >= 0 && p.is(j, "{") && p.match[j] > 0 {
			return p.typeDefinition(start, i, j, end, namespace)
		} else if j >= 0 && p.is(j, ";") && j-i <= 3 {
			return j + 1
		}
	}
	// Attributes and keywords before the declarator.
	var attributes []attribute
	j := i
	for j < end {
		switch t := &p.tokens[j]; {
		case t.text == "[" && p.is(j+1, "[") && p.match[j] > 0:
			attributes = append(attributes, p.attributes(j)...)
			j = p.match[j] + 1
			continue
		case (t.text == "alignas" || t.text == "decltype" || t.text == "__attribute__") && p.is(j+1, "("):
			j = p.skip(j + 1)
			continue
		case t.text == "<" && j > i && p.tokens[j-1].kind == word:
			if p.is(j-1, "operator") {
				j++
				continue
			}
			if close := p.angle(j, end); close > 0 {
				j = close + 1
				continue
			}
		case t.text == "operator":
			// operator(), operator[], operator T: up to the parameter list.
			j++
			if p.is(j, "(") && p.is(j+1, ")") {
				j += 2
			} else {
				for j < end && !p.is(j, "(") && !p.is(j, ";") {
					j++
				}
			}
			if p.is(j, "(") {
				return p.function(start, i, j, end, head, attributes, namespace, inType)
			}
			continue
		case t.text == "(":
			return p.function(start, i, j, end, head, attributes, namespace, inType)
		case t.text == "=" || t.text == ";" || t.text == "[" || t.text == "{" || t.text == ":":
			return p.variable(start, i, j, end, attributes, inType)
		}
		j++
	}
	return end
}

func (p *parser) templateHead(i, end int) *templateHead {
	h := &templateHead{parameters: p.join(i, end)}
	for n := 0; i < end; n++ {
		comma := i
		for comma < end && !p.is(comma, ",") {
			if p.is(comma, "<") {
				if close := p.angle(comma, end); close > 0 {
					comma = close
				}
			}
			comma = p.skip(comma)
		}
		stop := i
		pack := false
		for stop < comma && !p.is(stop, "=") {
			if p.is(stop, "<") {
				if close := p.angle(stop, comma); close > 0 {
					stop = close
				}
			}
			if p.is(stop, ".") {
				pack = true
			}
			stop++
		}
		name := ""
		if stop-1 > i && p.tokens[stop-1].kind == word {
			name = p.tokens[stop-1].text
		}
		for k := i; k+3 < comma; k++ { // void (*f)(float)
			if p.is(k, "(") && p.is(k+1, "*") && p.tokens[k+2].kind == word && p.is(k+3, ")") {
				name = p.tokens[k+2].text
				break
			}
		}
		if pack {
			name += "..."
			h.variadic = true
		}
		h.names = append(h.names, name)
		i = comma + 1
	}
	return h
}

// typeDefinition reads `struct X { ... }`. Specialisations that differ in address spaces only are one in Exec.
func (p *parser) typeDefinition(start, i, open, end int, namespace []string) int {
	close := p.match[open]
	after := p.statementEnd(close+1, end)
	if !p.is(i, "enum") {
		if angle := p.find(i, open, "<"); angle >= 0 && p.duplicate("type "+strings.Join(namespace, "::"), start, open,
			false) {
			p.eraseExec(start, after)
			return after
		}
		inner := namespace
		if i+1 < open {
			inner = append(slices.Clone(namespace), p.tokens[i+1].text, strconv.Itoa(i))
		}
		p.scope(open+1, close, inner, true)
	}
	return after
}

// duplicate reports whether a declaration with the tokens [i, j) came before, address spaces left out.
// spaces tells that there are some among what was erased.
func (p *parser) duplicate(what string, i, j int, spaces bool) bool {
	key := what
	for k := i; k < j; k++ {
		switch s := p.tokens[k].exec; s {
		case "":
		case "device", "thread", "threadgroup":
			spaces = true
		case "constant", "const":
			spaces = spaces || s == "constant"
			// const device T and device const T are the same.
			key += " const"
		default:
			key += " " + s
		}
	}
	if p.seen[key] && (spaces || p.seen[key+" spaces"]) {
		return true
	}
	p.seen[key] = true
	if spaces {
		p.seen[key+" spaces"] = true
	}
	return false
}

func (p *parser) eraseExec(i, j int) {
	for ; i < j; i++ {
		p.tokens[i].exec = ""
	}
}
