package metalsim

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/metalsim/rewrite"
)

// A diagnostic is an error of clang at a place of the MSL source.
type diagnostic struct {
	line, column int
	text         string
	notes        []diagnostic
}

var (
	messageLine = regexp.MustCompile(`^(.*?):(\d+):(\d+): (fatal error|error|note): (.*)$`)
	akaClause   = regexp.MustCompile(` \(aka '[^']*'\)`)
	vecType     = regexp.MustCompile(`metal_sim::(packed_)?vec<(?:unsigned )?(\w+), (\d)>`)
)

// parseDiagnostics reads clang's messages. locate turns the positions of the compiled text into those of the source.
// An error in one of our headers is at the place that led there.
func parseDiagnostics(messages string, locate func(line, column int) (int, int)) []diagnostic {
	var found []diagnostic
	for _, row := range strings.Split(messages, "\n") {
		m := messageLine.FindStringSubmatch(row)
		if m == nil {
			continue
		}
		d := diagnostic{text: metalTerms(m[5])}
		if m[1] == "program_source" {
			line, _ := strconv.Atoi(m[2])
			column, _ := strconv.Atoi(m[3])
			d.line, d.column = locate(line, column)
		}
		if m[4] != "note" {
			found = append(found, d)
			continue
		}
		if len(found) == 0 {
			continue
		}
		last := &found[len(found)-1]
		if last.line == 0 {
			last.line, last.column = d.line, d.column
		}
		last.notes = append(last.notes, d)
	}
	return found
}

// metalTerms puts clang's words for types and address spaces into Metal's. That a variable lies in thread memory goes
// without saying.
func metalTerms(s string) string {
	s = akaClause.ReplaceAllString(s, "")
	s = vecType.ReplaceAllString(s, "$1$2$3")
	s = pointerInThread.ReplaceAllString(s, "$1")
	s = valueInThread.ReplaceAllString(s, "'$1$2'")
	return strings.NewReplacer("__global", "device", "__local", "threadgroup", "__constant", "constant", "__private",
		"thread", "__generic", "thread",
		"_Float16", "half", "__bf16", "bfloat", "metal_sim::", "").Replace(s)
}

var (
	pointerInThread = regexp.MustCompile(`([*&])__(?:private|generic)\b`)
	valueInThread   = regexp.MustCompile(`'(const )?__(?:private|generic) ([^'*&]*)'`)
	quoted          = regexp.MustCompile(`'([^']*)'`)
	spaceWord       = regexp.MustCompile(`\b(device|constant|threadgroup|thread)\b`)
)

// aboutAddressSpaces tells the errors that only the strict pass can find from those that come of OpenCL's not being
// MSL.
func (d *diagnostic) aboutAddressSpaces() bool {
	if d.line == 0 {
		return false
	}
	if strings.Contains(d.text, "read-only variable") {
		return true
	}
	if strings.HasPrefix(d.text, "cannot initialize object parameter") {
		return spaceWord.MatchString(d.text)
	}
	if !strings.HasPrefix(d.text, "no matching") && !strings.HasPrefix(d.text, "no viable") {
		return mixesSpaces(d.text)
	}
	// A call without a candidate: when address spaces rule out every one that takes so many arguments. Structs may be
	// copied from one address space to another.
	ruledOut := false
	for _, n := range d.notes {
		switch {
		case !strings.HasPrefix(n.text, "candidate"):
		case strings.Contains(n.text, "implicit copy") || strings.Contains(n.text, "implicit move") ||
			strings.Contains(n.text, "to construct an object") || strings.Contains(n.text, "default address space") ||
			n.line == 0:
			return false
		case mixesSpaces(n.text):
			ruledOut = true
		case strings.Contains(n.text, "argument") && strings.Contains(n.text, "provided"):
		default:
			return false
		}
	}
	return ruledOut
}

// mixesSpaces reports whether a message names address spaces that do not fit each other.
func mixesSpaces(s string) bool {
	if strings.Contains(s, "address space") {
		return true
	}
	var first []string
	for i, m := range quoted.FindAllStringSubmatch(s, -1) {
		spaces := spaceWord.FindAllString(m[1], -1)
		if !strings.ContainsAny(m[1], "*&") || len(spaces) == 0 {
			continue
		}
		if i > 0 && first != nil && !slices.Equal(first, spaces) {
			return true
		}
		first = spaces
	}
	return false
}

// merge joins the errors of both passes; for a place that the strict pass speaks of, its words are the better ones.
func merge(strict, exec []diagnostic) []diagnostic {
	said := map[[2]int]bool{}
	for _, d := range strict {
		said[[2]int{d.line, d.column}] = true
	}
	all := slices.Clone(strict)
	for _, d := range exec {
		if !said[[2]int{d.line, d.column}] {
			all = append(all, d)
		}
	}
	slices.SortStableFunc(all, func(a, b diagnostic) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	// Once for each instantiation of a template is too often.
	return slices.CompactFunc(all, func(a, b diagnostic) bool {
		return a.line == b.line && a.column == b.column && a.text == b.text
	})
}

// places finds the column in the source of a token of the preprocessed text: on the same line, after as many tokens of
// the same text. Lines are the same in both.
type places struct {
	source       string
	preprocessed map[int]string
}

func (p places) identity(line, column int) (int, int) { return line, column }

func (p places) original(line, column int) (int, int) {
	now := p.preprocessed[line]
	source := sourceLine(p.source, line)
	if column < 1 || column > len(now) {
		return line, min(max(column, 1), len(source)+1)
	}
	token := firstToken.FindString(now[column-1:])
	if token == "" {
		return line, min(column, len(source)+1)
	}
	nth := len(occurrences(now[:column-1], token))
	if at := occurrences(source, token); len(at) > 0 {
		return line, at[min(nth, len(at)-1)] + 1
	}
	return line, min(column, len(source)+1)
}

var firstToken = regexp.MustCompile(`^(\w+|\W)`)

// occurrences gives the offsets of a token in a line.
func occurrences(line, token string) []int {
	var at []int
	whole := func(c byte) bool {
		return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	}
	isWord := whole(token[0])
	for i := 0; i+len(token) <= len(line); i++ {
		if line[i:i+len(token)] != token {
			continue
		}
		if isWord && (i > 0 && whole(line[i-1]) || i+len(token) < len(line) && whole(line[i+len(token)])) {
			continue
		}
		at = append(at, i)
	}
	return at
}

func sourceLine(source string, line int) string {
	for ; line > 1; line-- {
		_, rest, ok := strings.Cut(source, "\n")
		if !ok {
			return ""
		}
		source = rest
	}
	row, _, _ := strings.Cut(source, "\n")
	return strings.TrimSuffix(row, "\r")
}

// rows gives the lines of the output of clang -E by their numbers in the source.
func rows(preprocessed string) map[int]string {
	r := map[int]string{}
	line := 1
	for _, row := range strings.Split(preprocessed, "\n") {
		if n, ok := rewrite.Marker(row); ok {
			line = n
			continue
		}
		if r[line] == "" {
			r[line] = row
		}
		line++
	}
	return r
}

// rewriteErrors gives the errors of the rewriter Metal's form.
func (p places) rewriteErrors(err error) error {
	var found []diagnostic
	var add func(error)
	add = func(err error) {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range joined.Unwrap() {
				add(e)
			}
			return
		}
		var e rewrite.Error
		if errors.As(err, &e) {
			line, column := p.original(e.Line, e.Column)
			found = append(found, diagnostic{line: line, column: column, text: e.Text})
		}
	}
	add(err)
	if len(found) == 0 {
		return err
	}
	return p.report(found)
}

// report writes the errors as Metal's compiler does, each with its line of the source.
func (p places) report(found []diagnostic) error {
	var b strings.Builder
	b.WriteString("program_source:")
	write := func(kind string, d diagnostic) {
		fmt.Fprintf(&b, "%d:%d: %s: %s\n", d.line, d.column, kind, d.text)
		if row := sourceLine(p.source, d.line); strings.TrimSpace(row) != "" {
			pad := strings.Map(func(r rune) rune {
				if r == '\t' {
					return r
				}
				return ' '
			}, row[:min(max(d.column-1, 0), len(row))])
			fmt.Fprintf(&b, "%s\n%s^\n", row, pad)
		}
	}
	for i, d := range found {
		if i > 0 {
			b.WriteString("program_source:")
		}
		write("error", d)
		for _, n := range d.notes {
			if n.line > 0 {
				b.WriteString("program_source:")
				write("note", n)
			}
		}
	}
	return errors.New(strings.TrimSuffix(b.String(), "\n"))
}
