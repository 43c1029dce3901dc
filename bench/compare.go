package bench

import (
	"bytes"
	"fmt"
	"io"
	"slices"
)

// Comparison is a row held against an earlier one.
type Comparison struct {
	Row, Old Row
	Ratio    float64 // of the medians, above 1 where Row is faster; of the means where one has no median
	Slower   bool    // by more than was allowed
}

// Compare holds each row against the last of the old ones that measured the same: engine, backend, model type, threads
// and test, and n_batch where both have it. Where no old row is of the engine, those of others count. within is the
// loss that is allowed, such as 0.05. Rows without an old one are left out.
func Compare(rows, old []Row, within float64) []Comparison {
	var all []Comparison
	for _, row := range rows {
		anyEngine := !slices.ContainsFunc(old, func(o Row) bool { return o.Engine == row.Engine })
		for _, o := range slices.Backward(old) {
			if (anyEngine || o.Engine == row.Engine) && sameMeasured(row, o) && o.AvgTS > 0 {
				c := Comparison{Row: row, Old: o}
				before, now := c.speeds()
				c.Ratio = now / before
				c.Slower = c.Ratio < 1-within
				all = append(all, c)
				break
			}
		}
	}
	return all
}

// speeds are the old one and the new one: medians where both rows have them, otherwise means.
func (c Comparison) speeds() (before, now float64) {
	if c.Row.MedianTS > 0 && c.Old.MedianTS > 0 {
		return c.Old.MedianTS, c.Row.MedianTS
	}
	return c.Old.AvgTS, c.Row.AvgTS
}

func sameMeasured(a, b Row) bool {
	return a.Backends == b.Backends && a.ModelType == b.ModelType && a.NThreads == b.NThreads && a.Test == b.Test &&
		(a.NBatch == b.NBatch || a.NBatch == 0 || b.NBatch == 0)
}

// AnySlower tells whether one of them is slower by more than was allowed.
func AnySlower(all []Comparison) bool {
	return slices.ContainsFunc(all, func(c Comparison) bool { return c.Slower })
}

// WriteComparison writes a table for people: which builds are compared, the speeds, their ratio, and "slower" where it
// is below what was allowed.
func WriteComparison(w io.Writer, all []Comparison) error {
	var out bytes.Buffer
	var rows, old []Row
	for _, c := range all {
		rows, old = append(rows, c.Row), append(old, c.Old)
	}
	for _, g := range groups(old, Row.build) {
		fmt.Fprintf(&out, "- old: %s\n", visible(join("; ", g[0].build(), times(g))))
	}
	for _, g := range groups(rows, Row.build) {
		fmt.Fprintf(&out, "- new: %s\n", visible(join("; ", g[0].build(), times(g))))
	}
	out.WriteByte('\n')
	const left, right = false, true
	writeTable(&out, all, []tableColumn[Comparison]{
		{"model", left, func(c Comparison) string { return c.Row.ModelType }},
		{"backend", left, func(c Comparison) string { return c.Row.Backends }},
		{"threads", right, func(c Comparison) string { return unlessZero("%d", c.Row.NThreads) }},
		{"test", right, func(c Comparison) string { return c.Row.Test.String() }},
		{"old t/s", right, func(c Comparison) string { before, _ := c.speeds(); return unlessZero("%.2f", before) }},
		{"new t/s", right, func(c Comparison) string { _, now := c.speeds(); return unlessZero("%.2f", now) }},
		{"ratio", right, func(c Comparison) string { return fmt.Sprintf("%.3f", c.Ratio) }},
		{"verdict", left, func(c Comparison) string {
			if c.Slower {
				return "slower"
			}
			return "ok"
		}},
	})
	_, err := w.Write(out.Bytes())
	return err
}
