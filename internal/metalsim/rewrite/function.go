package rewrite

import (
	"fmt"
	"slices"
	"strings"
)

// function reads a function whose parameter list opens at open.
func (p *parser) function(start, i, open, end int, head *templateHead, attributes []attribute, namespace []string,
	inType bool) int {
	close := p.match[open]
	if close < 0 || open == i {
		return max(p.statementEnd(i, end), open+1)
	}
	f := &function{line: p.tokens[i].line, arity: p.arity(open, close), id: len(p.order)}
	for k := i; k < open; k++ {
		if p.is(k, "kernel") {
			f.kernel = true
		}
	}
	name := open - 1
	if p.is(name, ">") {
		if less := p.angleBack(name, i); less > i {
			name = less - 1
		}
	}
	f.name = p.tokens[name].text
	f.line = p.tokens[name].line
	f.qualified = strings.Join(append(slices.Clone(namespace), f.name), "::")
	for _, a := range attributes {
		switch a.name {
		case "kernel":
			f.kernel = true
			a.erase(p)
		case "host_name":
			f.host = a.text()
			a.erase(p)
		case "max_total_threads_per_threadgroup":
			f.maxThreads = a.arguments
			a.erase(p)
		}
	}
	if head != nil {
		f.template, f.parameters, f.variadic = head.names, head.parameters, head.variadic
		if len(f.template) == 0 {
			f.template = []string{""}
		}
	}
	// What follows the parameters: qualifiers, initialisers of members, and a body or a semicolon.
	j := close + 1
	declarator := j // its end
	methodSpace := false
	for j < end && !p.is(j, "{") && !p.is(j, ";") {
		if inType && slices.Contains([]string{"device", "constant", "thread", "threadgroup"}, p.tokens[j].text) {
			p.tokens[j].exec = ""
			if p.is(j, "thread") && slices.Contains(namespace, f.name) {
				p.tokens[j].strict = "" // clang does not find a constructor that says so for a temporary
			}
			methodSpace = true
		}
		if p.is(j, "[") && p.is(j+1, "[") && p.match[j] > 0 {
			for _, a := range p.attributes(j) {
				switch a.name {
				case "max_total_threads_per_threadgroup":
					f.maxThreads = a.arguments
					a.erase(p)
				case "host_name":
					f.host = a.text()
					a.erase(p)
				}
			}
		}
		if p.is(j, ":") {
			declarator = j
			j = p.memberInitialisers(j+1, end)
			break
		}
		j = p.skip(j)
		declarator = j
	}
	if f.kernel {
		p.kernelParameters(f, open, close)
	}
	if j >= end || p.is(j, ";") || p.match[j] < 0 {
		return min(j+1, end)
	}
	f.body = [2]int{j, p.match[j] + 1}
	if !f.kernel && p.duplicate("function "+strings.Join(namespace, "::"), start, declarator, methodSpace) {
		p.eraseExec(start, f.body[1])
		return f.body[1]
	}
	p.order = append(p.order, f)
	if !inType {
		p.functions[f.name] = append(p.functions[f.name], f)
	}
	p.threadgroupVariables(f)
	if f.kernel {
		p.kernels = append(p.kernels, f)
		if len(f.template) > 0 && f.maxThreads != "" {
			last := &p.tokens[f.body[1]-1]
			last.exec += fmt.Sprintf(" template <%s> constexpr unsigned _sim_max_threads_%s = (%s);", f.parameters, f.name,
				f.maxThreads)
		}
	}
	return f.body[1]
}

// memberInitialisers skips `a(1), b{2}` to the body's brace.
func (p *parser) memberInitialisers(j, end int) int {
	for j < end {
		for j < end && !p.is(j, "(") && !p.is(j, "{") {
			if p.is(j, ";") {
				return j
			}
			j++
		}
		if j >= end {
			return end
		}
		j = p.skip(j)
		for p.is(j, ".") {
			j++
		}
		if !p.is(j, ",") {
			return j
		}
		j++
	}
	return end
}
