package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/bench"
)

// compare prints how rows stand to the old ones, where the rows themselves are read by people or beside them, and gives
// an error where one is slower than is allowed.
func (m *measurement) compare(rows []bench.Row) error {
	found := bench.Compare(rows, m.old, m.within)
	if len(found) == 0 {
		return fmt.Errorf("%s has nothing to compare with: it has %s; measured was %s", m.against, summary(m.old),
			summary(rows))
	}
	table := [][]string{{"model", "test", "before, t/s", "now, t/s", "ratio"}}
	var slower []bench.Comparison
	for _, c := range found {
		ratio := fmt.Sprintf("%.3f", c.Ratio)
		if c.Slower {
			slower = append(slower, c)
			ratio = "slower " + ratio
		}
		table = append(table, []string{c.Row.ModelType, c.Row.Test.String(), speed(c.Old.MedianTS), speed(c.Row.MedianTS),
			ratio})
	}
	text := fmt.Sprintf("\nAgainst %s:\n\n%s", visibleLine(m.against), visible(markdown(table, 2)))
	if missing := len(rows) - len(found); missing > 0 {
		text += fmt.Sprintf("\nNot in it: %d of %d rows.\n", missing, len(rows))
	}
	out := os.Stderr
	if m.format == "md" {
		out = os.Stdout
	}
	if _, err := io.WriteString(out, text); err != nil || len(slower) == 0 {
		return err
	}
	worst := slices.MinFunc(slower, func(a, b bench.Comparison) int { return cmp.Compare(a.Ratio, b.Ratio) })
	others := ""
	if n := len(slower) - 1; n > 0 {
		others = fmt.Sprintf("; %d more too slow", n)
	}
	return fmt.Errorf("%s of %s is %.1f%% slower than in %s, %s t/s where it was %s, and %g%% are allowed%s",
		worst.Row.Test, worst.Row.ModelType, 100*(1-worst.Ratio), m.against, speed(worst.Row.MedianTS),
		speed(worst.Old.MedianTS), 100*m.within, others)
}

// summary says what rows are of, each thing once.
func summary(rows []bench.Row) string {
	const most = 4
	var things []string
	for _, r := range rows {
		thing := fmt.Sprintf("%s of %s (%s, %s, -t %d)", r.Test, r.ModelType, r.Engine, r.Backends, r.NThreads)
		if !slices.Contains(things, thing) {
			things = append(things, thing)
		}
	}
	switch n := len(things); {
	case n == 0:
		return "no rows"
	case n > most:
		things = append(things[:most], fmt.Sprintf("%d more", n-most))
	}
	return strings.Join(things, ", ")
}
