package main

import (
	"bytes"
	"cmp"
	"fmt"
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
	var text bytes.Buffer
	fmt.Fprintf(&text, "\nAgainst %s:\n\n", visibleLine(m.against))
	if err := bench.WriteComparison(&text, found); err != nil {
		return err
	}
	if missing := len(rows) - len(found); missing > 0 {
		fmt.Fprintf(&text, "\nNot in it: %d of %d rows.\n", missing, len(rows))
	}
	out := os.Stderr
	if m.format == "md" {
		out = os.Stdout
	}
	if _, err := out.Write(text.Bytes()); err != nil || !bench.AnySlower(found) {
		return err
	}
	slower := slices.DeleteFunc(found, func(c bench.Comparison) bool { return !c.Slower })
	worst := slices.MinFunc(slower, func(a, b bench.Comparison) int { return cmp.Compare(a.Ratio, b.Ratio) })
	others := ""
	if n := len(slower) - 1; n > 0 {
		others = fmt.Sprintf("; %d more too slow", n)
	}
	before, now := worst.Speeds()
	return fmt.Errorf("%s of %s is %.1f%% slower than in %s, %s t/s where it was %s, and %g%% are allowed%s",
		worst.Row.Test, worst.Row.ModelType, 100*(1-worst.Ratio), m.against, speed(now), speed(before), 100*m.within, others)
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
