package rewrite

import (
	"fmt"
	"slices"
	"strings"
)

// variable reads a variable of namespace or class scope. stop is the token that ends its declarator.
func (p *parser) variable(start, i, stop, end int, attributes []attribute, inType bool) int {
	after := p.statementEnd(i, end)
	if inType || stop <= i {
		return after
	}
	var index *attribute
	for k := range attributes {
		switch a := &attributes[k]; a.name {
		case "function_constant":
			index = a
		default:
			if !strings.Contains(a.name, "::") && a.name != "maybe_unused" {
				p.fail(&p.tokens[a.at], "unknown attribute '%s'", a.name)
			}
		}
	}
	name := stop - 1
	for name > i && (p.tokens[name].kind != word || inGroup(attributes, name)) {
		name--
	}
	if p.is(i, "extern") || name == i || p.tokens[name].kind != word {
		return after
	}
	constant, threadgroup := false, false
	for k := i; k < stop; k++ {
		constant = constant || p.is(k, "constant")
		threadgroup = threadgroup || p.is(k, "threadgroup")
	}
	if threadgroup {
		p.fail(&p.tokens[name], "variable '%s' in 'threadgroup' address space is outside of a kernel function",
			p.tokens[name].text)
		return after
	}
	if !constant {
		p.fail(&p.tokens[name], "program scope variable must reside in constant address space")
		return after
	}
	typ := p.typeOf(i, name, attributes)
	if index != nil {
		c := functionConstant{p.tokens[name].text, index.arguments, typ, p.tokens[name].line}
		p.fixed = append(p.fixed, c)
		p.constants[c.name] = true
		for k := i; k < after; k++ {
			p.tokens[k].exec = ""
		}
		p.tokens[i].exec = fmt.Sprintf("static %s _sim_value_%s; static bool _sim_defined_%s; static const %s &%s = "+
			"_sim_value_%s;", typ, c.name, c.name, typ, c.name, c.name)
		for k := index.group[0]; k < index.group[1]; k++ {
			p.tokens[k].strict = ""
		}
		if p.is(after-1, ";") {
			p.tokens[after-1].strict = "= {};"
		}
		return after
	}
	if p.is(stop, "=") || p.is(stop, "{") {
		p.derived(i, name, stop, after, typ)
	}
	return after
}

// derived turns a constant whose value depends on function constants into one that is computed after they are set.
func (p *parser) derived(i, name, stop, after int, typ string) {
	depends := false
	for k := stop; k < after; k++ {
		depends = depends || p.constants[p.tokens[k].text] || p.is(k, "is_function_constant_defined")
	}
	if !depends {
		return
	}
	n := p.tokens[name].text
	p.constants[n] = true
	p.late = append(p.late, "_sim_compute_"+n)
	for k := i; k <= name; k++ {
		p.tokens[k].exec = ""
	}
	p.tokens[i].exec = fmt.Sprintf("static %s _sim_value_%s; static const %s &%s = _sim_value_%s; static void "+
		"_sim_compute_%s() { _sim_value_%s", typ, n, typ, n, n, n, n)
	if p.is(stop, "{") {
		p.tokens[stop].exec = "= {"
	}
	p.tokens[after-1].exec = "; }"
}

func inGroup(attributes []attribute, i int) bool {
	return slices.ContainsFunc(attributes, func(a attribute) bool { return a.group[0] <= i && i < a.group[1] })
}

// typeOf joins the specifiers of a declaration without storage class, const and address space.
func (p *parser) typeOf(i, j int, attributes []attribute) string {
	var parts []string
	from := i
	for k := i; k <= j; k++ {
		cut := k == j || slices.Contains([]string{"static", "constexpr", "const", "constant", "inline", "threadgroup",
			"volatile"}, p.tokens[k].text) || inGroup(attributes, k)
		if cut {
			if k > from {
				parts = append(parts, p.join(from, k))
			}
			from = k + 1
		}
	}
	return strings.Join(parts, " ")
}

// threadgroupVariables replaces the declarations of threadgroup variables in a body by references to memory that the
// runtime hands out.
func (p *parser) threadgroupVariables(f *function) {
	n := 0
	for i := f.body[0] + 1; i < f.body[1]-1; i++ {
		if !p.is(i-1, "{") && !p.is(i-1, "}") && !p.is(i-1, ";") && !p.is(i-1, ")") && !p.is(i-1, ":") {
			continue
		}
		start := i
		for p.is(i, "const") || p.is(i, "static") || p.is(i, "alignas") {
			if p.is(i, "alignas") && p.is(i+1, "(") {
				i = p.skip(i+1) - 1
			}
			i++
		}
		at := i
		if !p.is(at, "threadgroup") {
			// float threadgroup x[4]
			if e := p.typeEnd(i, f.body[1]); e > i && p.is(e, "threadgroup") {
				at = e
			} else {
				i = start
				continue
			}
		}
		semicolon := p.find(start, f.body[1], ";")
		if semicolon < 0 {
			return
		}
		typeStart := i
		if at == i {
			typeStart = i + 1
		}
		typeStop := p.typeEnd(typeStart, semicolon)
		first := typeStop
		if at != i {
			first = at + 1
		}
		if first >= semicolon || p.tokens[first].kind != word || !(p.is(first+1, "[") || p.is(first+1, ";") || p.is(first+1,
			",") || p.is(first+1, "=") || p.is(first+1, "{")) {
			i = start
			continue // a pointer or a reference
		}
		name := &p.tokens[first]
		if !f.kernel {
			p.fail(name, "variable '%s' in 'threadgroup' address space can only be declared in a kernel function", name.text)
			i = semicolon
			continue
		}
		p.threadgroupVariable(f, start, [2]int{typeStart, typeStop}, first, semicolon, &n)
		i = semicolon
	}
}

// typeEnd gives the index after the type that starts at i.
func (p *parser) typeEnd(i, end int) int {
	builtin := func(s string) bool {
		return slices.Contains([]string{"unsigned", "signed", "int", "char", "short", "long", "float", "bool", "const",
			"volatile", "struct", "typename"}, s)
	}
	j := i
	for j < end && builtin(p.tokens[j].text) {
		j++
	}
	if j > i && !slices.Contains([]string{"const", "volatile", "struct", "typename"}, p.tokens[j-1].text) {
		for p.is(j, "const") || p.is(j, "volatile") {
			j++
		}
		return j
	}
	for j < end && (p.tokens[j].kind == word || p.is(j, "::")) {
		if p.is(j, "::") {
			j++
			continue
		}
		j++
		if p.is(j, "<") {
			close := p.angle(j, end)
			if close < 0 {
				return j
			}
			j = close + 1
		}
		if !p.is(j, "::") {
			break
		}
	}
	for p.is(j, "const") || p.is(j, "volatile") {
		j++
	}
	return j
}

// threadgroupVariable rewrites `threadgroup T a[N], b;`.
func (p *parser) threadgroupVariable(f *function, start int, typ [2]int, first, semicolon int, n *int) {
	t := p.join(typ[0], typ[1])
	self := "&" + f.name
	if len(f.template) > 0 {
		self += "<" + strings.Join(f.template, ", ") + ">"
	}
	if slices.Contains(f.template, "") {
		p.fail(&p.tokens[start], "the template parameters of kernel '%s' need names", f.name)
	}
	type declarator struct {
		at          int
		name, array string
	}
	var list []declarator
	for _, part := range p.split(first, semicolon) {
		d := declarator{at: part[0], name: p.tokens[part[0]].text}
		for k := part[0] + 1; k < part[1]; k = p.skip(k) {
			if p.is(k, "=") || p.is(k, "{") {
				break // Metal takes an initializer, and does nothing with it
			}
			if p.is(k, "[") && p.match[k] > 0 {
				d.array += "[" + p.join(k+1, p.match[k]) + "]"
			}
		}
		list = append(list, d)
	}
	for k := start; k <= semicolon; k++ {
		p.tokens[k].erase()
	}
	for _, d := range list {
		at := &p.tokens[d.at]
		declared, strictType := "&"+d.name, "__local "+t+" *"
		if d.array != "" {
			declared, strictType = "(&"+d.name+")"+d.array, "__local "+t+" (*)"+d.array
		}
		at.exec = fmt.Sprintf("%s %s = metal_sim::threadgroup_variable<%s, %d, %s%s>::get();", t, declared, self, *n, t,
			d.array)
		at.strict = fmt.Sprintf("__local %s %s = *(%s)0;", t, declared, strictType)
		*n++
	}
}
