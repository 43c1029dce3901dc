package rewrite

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sort"
	"strconv"
	"strings"
)

//go:embed *.go
var sources embed.FS

// Fingerprint changes with this package, so that nothing compiled from its older output is used.
func Fingerprint() string {
	hash := sha256.New()
	files, _ := fs.Glob(sources, "*.go")
	for _, name := range files {
		data, _ := sources.ReadFile(name)
		hash.Write(data)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// A Result holds both texts, line for line those of the source.
type Result struct {
	Exec, Strict string
	Registration string   // C++ that defines sim_module, to follow Exec
	Kernels      []string // host names
	MayRecurse   bool     // some function may call itself: whether one does, the compiled code tells

	execMap, strictMap columns
}

// ExecPosition and StrictPosition give the column in the preprocessed text of a column in Exec or Strict.
func (r *Result) ExecPosition(line, column int) int   { return r.execMap.find(line, column) }
func (r *Result) StrictPosition(line, column int) int { return r.strictMap.find(line, column) }

// A columns maps output columns to input columns, by line; each line's entries ascend.
type columns map[int][][2]int

func (c columns) find(line, column int) int {
	best := column
	for _, e := range c[line] {
		if e[0] > column {
			break
		}
		best = e[1] + column - e[0]
	}
	return best
}

// Rewrite takes the output of clang -E. All errors that it finds are joined, in the order of their lines, each an Error.
func Rewrite(preprocessed string) (*Result, error) {
	tokens, err := lex(preprocessed)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens, functions: map[string][]*function{}, constants: map[string]bool{}, seen: map[string]bool{}}
	p.matchBrackets()
	p.forbidden()
	for i := range p.tokens {
		if p.tokens[i].kind == number {
			rewriteNumber(&p.tokens[i])
		}
	}
	p.scope(0, len(p.tokens), nil, false)
	p.repeatedAttributes()
	p.vectorForms()
	registration := p.register()
	if !p.balanced {
		// Clang says where, and what follows from it need not be said.
		registration, p.errors = "", nil
	}
	if len(p.errors) > 0 {
		sort.SliceStable(p.errors, func(i, j int) bool { return p.errors[i].Line < p.errors[j].Line })
		all := make([]error, len(p.errors))
		for i, e := range p.errors {
			all[i] = e
		}
		return nil, errors.Join(all...)
	}
	r := &Result{Registration: registration, MayRecurse: p.mayRecurse()}
	for _, e := range p.entries {
		r.Kernels = append(r.Kernels, e.host)
	}
	r.Exec, r.execMap = write(p.tokens, func(t *token) string { return t.exec })
	r.Strict, r.strictMap = write(p.tokens, func(t *token) string { return t.strict })
	return r, nil
}

// write puts each token on its line and, where room allows, in its column.
func write(tokens []token, pick func(*token) string) (string, columns) {
	var b strings.Builder
	positions := columns{}
	line, column := 1, 1
	glued := true
	for i := range tokens {
		t := &tokens[i]
		for line < t.line {
			b.WriteByte('\n')
			line, column = line+1, 1
			glued = true
		}
		s := pick(t)
		if s == "" {
			glued = false
			continue
		}
		adjacent := glued && i > 0 && tokens[i-1].line == t.line && tokens[i-1].column+len(tokens[i-1].text) == t.column
		if !adjacent {
			pad := max(t.column-column, 0)
			if pad == 0 && column > 1 {
				pad = 1
			}
			b.WriteString(strings.Repeat(" ", pad))
			column += pad
		}
		positions[line] = append(positions[line], [2]int{column, t.column})
		b.WriteString(s)
		column += len(s)
		glued = true
	}
	b.WriteByte('\n')
	return b.String(), positions
}

type parser struct {
	tokens    []token
	match     []int // index of the matching bracket, or -1
	balanced  bool  // every bracket has its match
	errors    []Error
	functions map[string][]*function // at namespace scope, by unqualified name
	order     []*function            // all that have a body
	constants map[string]bool        // function constants and what is computed from them
	fixed     []functionConstant
	late      []string // functions that compute constants once the function constants are set
	seen      map[string]bool
	entries   []entry
	kernels   []*function
	instances []instance
}

type functionConstant struct {
	name, index, typ string
	line             int
}

// A function with a body.
type function struct {
	name       string // unqualified
	qualified  string
	template   []string // arguments that name this instantiation inside of it, empty for a plain function
	parameters string   // the template's parameters as written
	variadic   bool
	kernel     bool
	host       string // [[host_name]]
	maxThreads string
	line       int
	args       []parameter
	arity      int
	body       [2]int // tokens of the body with its braces
	id         int
}

// An explicit instantiation with a host name.
type instance struct {
	host, qualified, name, arguments, maxThreads string
	line, column                                 int
	namespace                                    []string
}

type entry struct {
	host, function, maxThreads string
	line                       int
	of                         *function
}

func (p *parser) fail(t *token, format string, args ...any) {
	p.errors = append(p.errors, Error{t.line, t.column, fmt.Sprintf(format, args...)})
}

func (p *parser) is(i int, s string) bool {
	return i >= 0 && i < len(p.tokens) && p.tokens[i].text == s && p.tokens[i].kind != text
}

func (p *parser) matchBrackets() {
	p.match = make([]int, len(p.tokens))
	p.balanced = true
	var open []int
	closes := map[string]string{")": "(", "]": "[", "}": "{"}
	for i := range p.tokens {
		p.match[i] = -1
		if p.tokens[i].kind != punctuation {
			continue
		}
		switch s := p.tokens[i].text; s {
		case "(", "[", "{":
			open = append(open, i)
		case ")", "]", "}":
			// An unclosed bracket is clang's to report; the ones around it still match.
			for len(open) > 0 && p.tokens[open[len(open)-1]].text != closes[s] {
				open = open[:len(open)-1]
				p.balanced = false
			}
			if len(open) == 0 {
				p.balanced = false
			} else {
				o := open[len(open)-1]
				open = open[:len(open)-1]
				p.match[o], p.match[i] = i, o
			}
		}
	}
	p.balanced = p.balanced && len(open) == 0
}

// skip gives the index after the bracket group that starts at i, or after the token.
func (p *parser) skip(i int) int {
	if p.match[i] > i {
		return p.match[i] + 1
	}
	return i + 1
}

// angle gives the index of the > that closes the < at i, or -1 when i opens no template argument list.
func (p *parser) angle(i, end int) int {
	depth := 0
	for j := i; j < end; {
		switch p.tokens[j].text {
		case "<":
			depth++
		case ">":
			depth--
			if depth == 0 {
				return j
			}
		case ";", "{", "}":
			return -1
		case "(", "[":
			j = p.skip(j)
			continue
		}
		j++
	}
	return -1
}

// angleBack gives the index of the < that the > at i closes.
func (p *parser) angleBack(i, start int) int {
	depth := 0
	for j := i; j >= start; j-- {
		switch p.tokens[j].text {
		case ">":
			depth++
		case "<":
			depth--
			if depth == 0 {
				return j
			}
		case ")", "]":
			if p.match[j] >= 0 {
				j = p.match[j]
			}
		}
	}
	return -1
}

// text joins the tokens [i, j) with the spaces that keep them apart.
func (p *parser) join(i, j int) string {
	var b strings.Builder
	for k := i; k < j; k++ {
		s := p.tokens[k].exec
		if s == "" {
			continue
		}
		if b.Len() > 0 && !(p.tokens[k-1].kind == punctuation && strings.Contains("::<(", p.tokens[k-1].text)) && !strings.Contains("::<>(),", p.tokens[k].text) {
			b.WriteByte(' ')
		}
		b.WriteString(s)
	}
	return b.String()
}

var refused = map[string]string{
	"double":       "'double' is not supported in Metal",
	"new":          "'new' is not supported in Metal",
	"delete":       "'delete' is not supported in Metal",
	"virtual":      "virtual functions are not supported in Metal",
	"try":          "exceptions are not supported in Metal",
	"catch":        "exceptions are not supported in Metal",
	"throw":        "exceptions are not supported in Metal",
	"dynamic_cast": "'dynamic_cast' is not supported in Metal",
	"typeid":       "'typeid' is not supported in Metal",
	"goto":         "'goto' is not supported in Metal",
	"asm":          "'asm' is not supported in Metal",
	"thread_local": "'thread_local' is not supported in Metal",
	"std":          "use of undeclared identifier 'std'",
	"vertex":       "vertex functions are outside what this stand-in runs: kernels",
	"fragment":     "fragment functions are outside what this stand-in runs: kernels",
}

// forbidden refuses words that MSL does not have, and lambdas.
func (p *parser) forbidden() {
	for i := range p.tokens {
		t := &p.tokens[i]
		if t.kind == word {
			message, bad := refused[t.text]
			if !bad || t.text == "delete" && p.is(i-1, "=") || p.is(i-1, ".") || p.is(i-1, "->") || p.is(i-1, "::") {
				continue
			}
			if (t.text == "vertex" || t.text == "fragment") && !p.declarationStart(i) || t.text == "std" && !p.is(i+1, "::") {
				continue
			}
			p.fail(t, "%s", message)
		}
		if t.text == "[" && t.kind == punctuation && !p.is(i+1, "[") && !p.is(i-1, "[") && p.match[i] > 0 && i > 0 {
			before := &p.tokens[i-1]
			expression := before.kind == punctuation && before.text != ")" && before.text != "]" && before.text != ">" || before.text == "return"
			after := p.match[i] + 1
			if expression && (p.is(after, "(") || p.is(after, "{")) {
				p.fail(t, "lambda expressions are not supported in Metal")
			}
		}
	}
}

func (p *parser) declarationStart(i int) bool {
	return i == 0 || p.is(i-1, ";") || p.is(i-1, "}") || p.is(i-1, "]") || p.is(i-1, ">")
}

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

// find gives the first of the texts from i on, outside of brackets.
func (p *parser) find(i, end int, texts ...string) int {
	for i < end {
		if p.tokens[i].kind != text && slices.Contains(texts, p.tokens[i].text) {
			return i
		}
		i = p.skip(i)
	}
	return -1
}

// statementEnd gives the index after the ; that ends what starts at i.
func (p *parser) statementEnd(i, end int) int {
	if j := p.find(i, end, ";"); j >= 0 {
		return j + 1
	}
	return end
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
		if angle := p.find(i, open, "<"); angle >= 0 && p.duplicate("type "+strings.Join(namespace, "::"), start, open, false) {
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

// function reads a function whose parameter list opens at open.
func (p *parser) function(start, i, open, end int, head *templateHead, attributes []attribute, namespace []string, inType bool) int {
	close := p.match[open]
	if close < 0 {
		return p.statementEnd(i, end)
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
			last.exec += fmt.Sprintf(" template <%s> constexpr unsigned _sim_max_threads_%s = (%s);", f.parameters, f.name, f.maxThreads)
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

func (p *parser) arity(open, close int) int {
	if close == open+1 || close == open+2 && p.is(open+1, "void") {
		return 0
	}
	return len(p.split(open+1, close))
}

// split cuts [i, end) at its commas, outside of brackets and template arguments.
func (p *parser) split(i, end int) [][2]int {
	var parts [][2]int
	start := i
	for i < end {
		if p.is(i, "<") && i > 0 && p.tokens[i-1].kind == word {
			if close := p.angle(i, end); close > 0 {
				i = close + 1
				continue
			}
		}
		if p.is(i, ",") {
			parts = append(parts, [2]int{start, i})
			start = i + 1
		}
		i = p.skip(i)
	}
	return append(parts, [2]int{start, end})
}
