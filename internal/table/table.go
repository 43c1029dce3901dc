// Package table writes tables for people, as Markdown that also stands in columns in a terminal.
package table

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/mattn/go-runewidth"
)

// Column is a column of a table about things of a type: [Left] and [Right] make it.
type Column[T any] struct {
	name  string
	right bool
	cell  func(T) string
}

// Left is a column that begins on its left, as text does.
func Left[T any](name string, cell func(T) string) Column[T] { return Column[T]{name, false, cell} }

// Right is a column that ends on its right, as numbers do.
func Right[T any](name string, cell func(T) string) Column[T] { return Column[T]{name, true, cell} }

// narrow counts characters of ambiguous width, such as ±, as one column, whatever the locale: a table may be read
// elsewhere.
var narrow = &runewidth.Condition{EastAsianWidth: false}

// longestCell is how many columns of a terminal a cell may take.
const longestCell = 40

// Write writes a line for each thing. A column without text below its name is left out.
func Write[T any](out *bytes.Buffer, things []T, columns []Column[T]) {
	lines := make([]strings.Builder, 2+len(things))
	for _, c := range columns {
		cells := make([]string, len(things))
		width := max(narrow.StringWidth(c.name), 2)
		for i, thing := range things {
			cells[i] = narrow.Truncate(strings.ReplaceAll(Visible(c.cell(thing)), "|", `\|`), longestCell, "…")
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

// Visible spells out what is no printable character, as Go does: a terminal must not obey a model's name, which also
// has to stay on its line.
func Visible(text string) string {
	quoted := strconv.Quote(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
