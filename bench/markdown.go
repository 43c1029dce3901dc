package bench

import (
	"bytes"
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// markdown writes rows for people: on what they were measured, the table, warnings.
func markdown(out *bytes.Buffer, rows []Row) {
	header(out, rows)
	engines, builds := groups(rows, func(r Row) string { return r.Engine }), groups(rows, Row.build)
	types, files := groups(rows, func(r Row) string { return r.ModelType }), groups(rows, Row.model)
	chips := groups(rows, func(r Row) string { return r.CPUInfo })
	where := func(wanted bool, cell func(Row) string) func(Row) string {
		return func(r Row) string {
			if wanted {
				return cell(r)
			}
			return ""
		}
	}
	repeated := func(speed func(Row) float64) func(Row) string {
		return func(r Row) string {
			if r.Repetitions > 1 {
				return unlessZero("%.2f", speed(r))
			}
			return ""
		}
	}
	const left, right = false, true
	writeTable(out, rows, []tableColumn[Row]{
		// What tells rows apart.
		{"engine", left, where(len(engines) > 1, func(r Row) string { return r.Engine })},
		{"build", left, where(len(builds) > len(engines), func(r Row) string { return r.BuildCommit })},
		{"chip", left, where(len(chips) > 1, func(r Row) string { return r.CPUInfo })},
		{"file", left, where(len(files) > len(types), func(r Row) string { return filepath.Base(r.ModelFilename) })},
		// As llama-bench has them.
		{"model", left, func(r Row) string { return r.ModelType }},
		{"size", right, func(r Row) string { return size(r.ModelSize) }},
		{"params", right, func(r Row) string { return parameters(r.ModelNParams) }},
		{"backend", left, func(r Row) string { return r.Backends }},
		{"threads", right, func(r Row) string { return unlessZero("%d", r.NThreads) }},
		{"test", right, func(r Row) string { return r.Test.String() }},
		{"t/s", right, func(r Row) string { return fmt.Sprintf("%.2f ± %.2f", r.AvgTS, r.StddevTS) }},
		// Ours.
		{"median", right, repeated(func(r Row) float64 { return r.MedianTS })},
		{"first", right, repeated(func(r Row) float64 { return r.FirstTS })},
		{"last", right, repeated(func(r Row) float64 { return r.LastTS })},
		{"ttft", right, func(r Row) string { return duration(float64(r.TTFTNS)) }},
		{"J/token", right, func(r Row) string { return digits(r.JoulesToken) }},
		{"of limit", right, func(r Row) string { return unlessZero("%.0f %%", 100*r.OfLimit) }},
		{"limit", left, func(r Row) string { return r.Limit }},
	})
	warnings(out, rows)
}

// header tells what the rows were measured on: a line for each build, machine, device and model.
func header(out *bytes.Buffer, rows []Row) {
	line := func(name string, parts ...string) {
		if text := join("; ", parts...); text != "" {
			fmt.Fprintf(out, "- %s: %s\n", name, visible(text))
		}
	}
	for _, g := range groups(rows, Row.build) {
		line("engine", g[0].build(), times(g))
	}
	for _, g := range groups(rows, Row.machine) {
		line("machine", g[0].machine())
		line("power", each(g, func(r Row) string { return r.Power }))
		line("thermal", each(g, func(r Row) string { return r.Thermal }))
		line("other processes", span("", g, func(r Row) float64 { return r.Others },
			func(v float64) string { return fmt.Sprintf("%.0f %% of the machine", 100*v) }))
	}
	for _, g := range groups(rows, func(r Row) string { return r.machine() + "\n" + r.device() }) {
		giga := func(unit string) func(float64) string {
			return func(v float64) string { return digits(v/1e9) + " " + unit }
		}
		line("device", g[0].device(),
			span("memory reads ", g, func(r Row) float64 { return r.Bandwidth }, giga("GB/s")),
			span("products ", g, func(r Row) float64 { return r.Products }, giga("Gop/s")),
			span("attention ", g, func(r Row) float64 { return r.Attention }, giga("Gop/s")),
			span("launch ", g, func(r Row) float64 { return r.LaunchNS }, duration))
	}
	for _, g := range groups(rows, Row.model) {
		line("model", g[0].model(), span("loaded in ", g, func(r Row) float64 { return float64(r.LoadNS) }, duration),
			span("peak memory ", g, func(r Row) float64 { return r.PeakMemory },
				func(v float64) string { return digits(v) + " GB" }))
	}
	if out.Len() > 0 {
		out.WriteByte('\n')
	}
}

func (row Row) build() string {
	return join(" ", row.Engine, row.BuildCommit, bracket(row.Version))
}

func (row Row) machine() string {
	cores := unlessZero("%d cores", row.Cores)
	if row.Cores == 1 {
		cores = "1 core"
	}
	chip := join(" with ", row.CPUInfo, cores)
	gpu := ""
	if row.GPUInfo != "" {
		gpu = "GPU " + row.GPUInfo
	}
	return join(", ", chip, gpu, unlessZero("%.1f GiB", float64(row.Memory)/(1<<30)), row.System)
}

func (row Row) device() string { return join(", ", row.Backends, row.Device) }

func (row Row) model() string {
	return join(" ", row.ModelType, bracket(row.ModelFilename))
}

// warnings names the tests that each is about.
func warnings(out *bytes.Buffer, rows []Row) {
	rows = slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return r.Warning == "" })
	for i, g := range groups(rows, func(r Row) string { return r.Warning }) {
		if i == 0 {
			out.WriteByte('\n')
		}
		fmt.Fprintf(out, "! %s: %s\n", each(g, func(r Row) string { return r.Test.String() }), visible(g[0].Warning))
	}
}

// groups puts rows of the same key together, in the order in which the keys come.
func groups(rows []Row, key func(Row) string) (all [][]Row) {
	place := map[string]int{}
	for _, r := range rows {
		at, known := place[key(r)]
		if !known {
			at = len(all)
			place[key(r)] = at
			all = append(all, nil)
		}
		all[at] = append(all[at], r)
	}
	return all
}

// each lists what rows have, each once.
func each(rows []Row, text func(Row) string) string {
	var all []string
	for _, g := range groups(rows, text) {
		all = append(all, text(g[0]))
	}
	return join(", ", all...)
}

// span is the lowest to the highest of the values that are known.
func span(name string, rows []Row, value func(Row) float64, text func(float64) string) string {
	var known []float64
	for _, r := range rows {
		if v := value(r); v != 0 {
			known = append(known, v)
		}
	}
	if len(known) == 0 {
		return ""
	}
	low, high := text(slices.Min(known)), text(slices.Max(known))
	if low == high {
		return name + low
	}
	if number, unit, _ := strings.Cut(low, " "); strings.HasSuffix(high, " "+unit) {
		low = number
	}
	return name + low + " to " + high
}

// times is when the first of the rows was measured, and the last.
func times(rows []Row) string {
	var known []string
	for _, r := range rows {
		if !r.TestTime.IsZero() {
			known = append(known, r.TestTime.UTC().Format("2006-01-02 15:04"))
		}
	}
	if len(known) == 0 {
		return ""
	}
	first, last := slices.Min(known), slices.Max(known)
	if first == last {
		return first + " UTC"
	}
	return first + " to " + last + " UTC"
}

// join joins what is not empty.
func join(between string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), between)
}

func bracket(text string) string {
	if text == "" {
		return ""
	}
	return "(" + text + ")"
}

func unlessZero[T cmp.Ordered](format string, v T) string {
	if v == *new(T) {
		return ""
	}
	return fmt.Sprintf(format, v)
}

// size and parameters are spelled as llama-bench does.
func size(bytes int64) string {
	if bytes < 1<<30 {
		return unlessZero("%.2f MiB", float64(bytes)/(1<<20))
	}
	return fmt.Sprintf("%.2f GiB", float64(bytes)/(1<<30))
}

func parameters(n int64) string {
	if n < 1e9 {
		return unlessZero("%.2f M", float64(n)/1e6)
	}
	return fmt.Sprintf("%.2f B", float64(n)/1e9)
}

// digits shows three digits or more.
func digits(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return unlessZero("%.2f", v)
}

func duration(ns float64) string {
	switch {
	case ns == 0:
		return ""
	case ns < 1e6:
		return digits(ns/1e3) + " µs"
	case ns < 1e9:
		return digits(ns/1e6) + " ms"
	}
	return digits(ns/1e9) + " s"
}
