package bench

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/table"
)

// Comparison is a row held against an earlier one.
type Comparison struct {
	Row, Old Row
	Ratio    float64 // of the medians, above 1 where Row is faster; of the means where one has no median
	Slower   bool    // by more than was allowed
}

// Compare holds each row against the last of the old ones that measured the same: engine, backend, model type, threads
// and test, and n_batch where both have it. Where no old row is of the engine, those of others count, whose model has
// about as many parameters and bytes. within is the loss that is allowed, such as 0.05. Rows without an old one are
// left out.
func Compare(rows, old []Row, within float64) []Comparison {
	var all []Comparison
	for _, row := range rows {
		anyEngine := !slices.ContainsFunc(old, func(o Row) bool { return o.Engine == row.Engine })
		for _, o := range slices.Backward(old) {
			if (anyEngine || o.Engine == row.Engine) && sameMeasured(row, o) && o.AvgTS > 0 {
				c := Comparison{Row: row, Old: o}
				before, now := c.Speeds()
				c.Ratio = now / before
				c.Slower = c.Ratio < 1-within
				all = append(all, c)
				break
			}
		}
	}
	return all
}

// Speeds are the old one and the new one, tokens a second: medians where both rows have them, otherwise means.
func (c Comparison) Speeds() (before, now float64) {
	if c.Row.MedianTS > 0 && c.Old.MedianTS > 0 {
		return c.Old.MedianTS, c.Row.MedianTS
	}
	return c.Old.AvgTS, c.Row.AvgTS
}

func sameMeasured(a, b Row) bool {
	if a.Engine == b.Engine {
		return a.Test == b.Test && a.Backends == b.Backends && a.ModelType == b.ModelType && a.NThreads == b.NThreads &&
			(a.NBatch == b.NBatch || a.NBatch == 0 || b.NBatch == 0)
	}
	return a.Test == b.Test && a.onGPU() == b.onGPU() && (a.onGPU() || a.NThreads == b.NThreads) && sameModel(a, b)
}

// sameModel tells whether rows of two engines, which name models differently, are of one model at about one width.
func sameModel(a, b Row) bool {
	near := func(x, y int64) bool { return x > 0 && y > 0 && max(x, y)-min(x, y) <= max(x, y)/10 }
	return a.ModelType == b.ModelType || near(a.ModelNParams, b.ModelNParams) && near(a.ModelSize, b.ModelSize)
}

// onGPU tells where a row was measured. llama.cpp calls Metal so, or MTL.
func (row Row) onGPU() bool {
	return strings.Contains(row.Backends, "Metal") || strings.Contains(row.Backends, "MTL")
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
		fmt.Fprintf(&out, "- old: %s\n", table.Visible(join("; ", g[0].build(), times(g))))
	}
	for _, g := range groups(rows, Row.build) {
		fmt.Fprintf(&out, "- new: %s\n", table.Visible(join("; ", g[0].build(), times(g))))
	}
	out.WriteByte('\n')
	table.Write(&out, all, []table.Column[Comparison]{
		table.Left("model", func(c Comparison) string { return c.Row.ModelType }),
		table.Left("backend", func(c Comparison) string { return c.Row.Backends }),
		table.Right("threads", func(c Comparison) string { return unlessZero("%d", c.Row.NThreads) }),
		table.Right("test", func(c Comparison) string { return c.Row.Test.String() }),
		table.Right("old t/s", func(c Comparison) string { before, _ := c.Speeds(); return unlessZero("%.2f", before) }),
		table.Right("new t/s", func(c Comparison) string { _, now := c.Speeds(); return unlessZero("%.2f", now) }),
		table.Right("ratio", func(c Comparison) string { return fmt.Sprintf("%.3f", c.Ratio) }),
		table.Left("verdict", func(c Comparison) string {
			if c.Slower {
				return "slower"
			}
			return "ok"
		}),
	})
	_, err := w.Write(out.Bytes())
	return err
}
