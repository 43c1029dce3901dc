package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/bench"
)

// kind is what a test measures: a panel of the picture.
type kind string

const (
	prompt     kind = "prompt"
	generation kind = "generation"
)

// kindOf is "" for a test of both.
func kindOf(r bench.Row) kind {
	switch {
	case r.Prompt > 0 && r.Generate == 0:
		return prompt
	case r.Generate > 0 && r.Prompt == 0:
		return generation
	}
	return ""
}

// series is what a line goes through: what one engine reached with one model on one machine.
type series struct {
	label string
	rows  map[kind][]bench.Row // by ascending depth, one for each
}

// split sorts rows into series, in the order in which they first appear. common is what all of them share and their
// labels do not say.
func split(rows []bench.Row) (all []*series, common string) {
	labels, common := label(rows)
	for i, r := range rows {
		at := slices.IndexFunc(all, func(s *series) bool { return s.label == labels[i] })
		if at < 0 {
			at = len(all)
			all = append(all, &series{labels[i], map[kind][]bench.Row{}})
		}
		k, s := kindOf(r), all[at]
		place, again := slices.BinarySearchFunc(s.rows[k], r.Depth, func(r bench.Row, depth int) int {
			return cmp.Compare(r.Depth, depth)
		})
		if again {
			s.rows[k][place] = r
		} else {
			s.rows[k] = slices.Insert(s.rows[k], place, r)
		}
	}
	return all, common
}

// label names the series of each row by the engine and by what is not the same in all rows. What seldom matters is
// added only where rows would be taken for the same measurement without it.
func label(rows []bench.Row) (labels []string, common string) {
	for _, r := range rows {
		labels = append(labels, r.Engine)
	}
	var shared []string
	for _, part := range []func(bench.Row) string{
		func(r bench.Row) string { return r.Backends },
		func(r bench.Row) string { return r.ModelType },
		machine,
	} {
		if first := part(rows[0]); !slices.ContainsFunc(rows, func(r bench.Row) bool { return part(r) != first }) {
			shared = append(shared, first)
			continue
		}
		for i, r := range rows {
			labels[i] = join(" · ", labels[i], part(r))
		}
	}
	for _, part := range []func(bench.Row) string{
		func(r bench.Row) string { return r.GPUInfo },
		func(r bench.Row) string { return r.Device },
		func(r bench.Row) string { return fmt.Sprintf("threads %d", r.NThreads) },
		func(r bench.Row) string { return fmt.Sprintf("batch %d", r.NBatch) },
		func(r bench.Row) string { return join("/", r.TypeK, r.TypeV) },
	} {
		values := map[string][]string{} // of each series
		for i, r := range rows {
			values[labels[i]] = add(values[labels[i]], part(r))
		}
		for i, r := range rows {
			if len(values[labels[i]]) > 1 {
				labels[i] = join(" · ", labels[i], part(r))
			}
		}
	}
	labelLengths(rows, labels)
	return labels, join(" · ", shared...)
}

// labelLengths makes a series of each length that an engine was measured with, and names the lengths where engines were
// measured with unequal ones.
func labelLengths(rows []bench.Row, labels []string) {
	ofKind, ofSeries := map[kind][]string{}, map[string][]string{}
	key := func(i int) string { return string(kindOf(rows[i])) + labels[i] }
	for i, r := range rows {
		ofKind[kindOf(r)] = add(ofKind[kindOf(r)], length(r))
		ofSeries[key(i)] = add(ofSeries[key(i)], length(r))
	}
	own, unequal := make([]string, len(rows)), map[string][]string{}
	for i, r := range rows {
		if len(ofSeries[key(i)]) > 1 {
			own[i] = length(r)
		} else if len(ofKind[kindOf(r)]) > 1 {
			unequal[labels[i]] = add(unequal[labels[i]], length(r))
		}
	}
	for i := range rows {
		labels[i] = join(" · ", labels[i], cmp.Or(own[i], strings.Join(unequal[labels[i]], ", ")))
	}
}

// add adds to a set.
func add(set []string, one string) []string {
	if slices.Contains(set, one) {
		return set
	}
	return append(set, one)
}

// length is the test without its depth.
func length(r bench.Row) string { return bench.Test{Prompt: r.Prompt, Generate: r.Generate}.String() }

func machine(r bench.Row) string {
	if r.Cores == 0 {
		return r.CPUInfo
	}
	return join(", ", r.CPUInfo, fmt.Sprintf("%d cores", r.Cores))
}

// join leaves out what is empty.
func join(separator string, parts ...string) string {
	parts = slices.DeleteFunc(slices.Clone(parts), func(p string) bool { return p == "" })
	return strings.Join(parts, separator)
}

// speed is the median, or where a file has none, as llama-bench's tables, the mean.
func speed(r bench.Row) float64 { return cmp.Or(r.MedianTS, r.AvgTS) }

// limit is what the device allows, where our own engine has found it out.
func limit(r bench.Row) float64 {
	if r.Engine != "glm4-metal" {
		return 0
	}
	return r.LimitTS
}
