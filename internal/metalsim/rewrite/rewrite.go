package rewrite

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"sort"
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

// Rewrite takes the output of clang -E. All errors that it finds are joined, in the order of their lines, each an
// Error.
func Rewrite(preprocessed string) (*Result, error) {
	tokens, err := lex(preprocessed)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens, functions: map[string][]*function{}, constants: map[string]bool{},
		seen: map[string]bool{}}
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
