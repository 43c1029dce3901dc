package bench

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/mattn/go-runewidth"
)

// tableColumn is a column of a table for people about things of a type.
type tableColumn[T any] struct {
	name  string
	right bool // where numbers are
	cell  func(T) string
}

// narrow counts characters of ambiguous width, such as ±, as one column, whatever the locale: a table may be read
// elsewhere.
var narrow = &runewidth.Condition{EastAsianWidth: false}

// longestCell is how many columns of a terminal a cell may take.
const longestCell = 40

// writeTable writes a Markdown table whose columns stand below each other in a terminal, too. A column without text
// below its name is left out.
func writeTable[T any](out *bytes.Buffer, things []T, table []tableColumn[T]) {
	lines := make([]strings.Builder, 2+len(things))
	for _, c := range table {
		cells := make([]string, len(things))
		width := max(narrow.StringWidth(c.name), 2)
		for i, thing := range things {
			cells[i] = narrow.Truncate(strings.ReplaceAll(visible(c.cell(thing)), "|", `\|`), longestCell, "…")
			width = max(width, narrow.StringWidth(cells[i]))
		}
		if strings.Join(cells, "") == "" {
			continue
		}
		fill, rule := narrow.FillRight, strings.Repeat("-", width)
		if c.right {
			fill, rule = narrow.FillLeft, rule[1:]+":"
		}
		for i, text := range append([]string{c.name, rule}, cells...) {
			lines[i].WriteString("| " + fill(text, width) + " ")
		}
	}
	for i := range lines {
		out.WriteString(lines[i].String() + "|\n")
	}
}

// visible spells out what is no printable character, as Go does: a terminal must not obey a model's name, which also
// has to stay on its line.
func visible(text string) string {
	quoted := strconv.Quote(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
