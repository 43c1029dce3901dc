package main

import (
	"strings"

	"github.com/mattn/go-runewidth"
)

// markdown writes rows as a table, the first as its head, the columns from numbers on to the right.
func markdown(rows [][]string, numbers int) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			row[i] = strings.ReplaceAll(cell, "|", `\|`)
			widths[i] = max(widths[i], runewidth.StringWidth(row[i]))
		}
	}
	var out strings.Builder
	line := func(pad string, cell func(i int) string) {
		for i, width := range widths {
			text := cell(i)
			blank := strings.Repeat(pad, max(0, width-runewidth.StringWidth(text)))
			if i < numbers {
				text += blank
			} else {
				text = blank + text
			}
			out.WriteString("| " + text + " ")
		}
		out.WriteString("|\n")
	}
	for i, row := range rows {
		line(" ", func(i int) string { return row[i] })
		if i == 0 {
			line("-", func(i int) string { return map[bool]string{true: "-", false: ":"}[i < numbers] })
		}
	}
	return out.String()
}
