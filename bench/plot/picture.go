package main

import (
	"slices"

	"github.com/glm4-metal/glm4-metal/bench"
)

// Lengths are pixels, in which the picture is shown in a README.
const (
	pictureWidth = 800.0
	margin       = 16.0
	innerWidth   = pictureWidth - 2*margin
	plotHeight   = 250.0 // of a panel from its title to its axis
	axisHeight   = 44.0  // of what stands below the axis
	sampleWidth  = 34.0  // of a line in the legend, with the space behind it
)

// colours are those of Okabe and Ito, which the colour-blind tell apart, without the yellow: it is too pale for a line.
// https://jfly.uni-koeln.de/color/
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"}

// markers are drawn around 0, 0. There are five, so that a colour comes back with another one.
var markers = []string{
	"M-4.5,0a4.5,4.5 0 1 0 9,0a4.5,4.5 0 1 0 -9,0z", // a circle
	"M-4,-4h8v8h-8z",
	"M0,-5.5l5.5,5.5l-5.5,5.5l-5.5,-5.5z",
	"M0,-5l5,9h-10z",
	"M0,5l5,-9h-10z",
}

func colour(series int) string { return colours[series%len(colours)] }
func marker(series int) string { return markers[series%len(markers)] }

// draw draws a panel for each kind that has rows, under the legend of all of them. The rows are of one kind each.
func draw(rows []bench.Row) []byte {
	all, common := split(rows)
	var panels []*panel
	for _, k := range []kind{prompt, generation} {
		if p := newPanel(k, all); len(p.depths) > 0 {
			panels = append(panels, p)
		}
	}
	s := &svg{}
	y := margin + fontSize
	const wide = 1.25 // a large and bold letter beside others
	s.text(margin, y, `font-size="15" font-weight="600"`, cut(join(" · ", "Tokens a second", common), innerWidth/wide))
	y += 12
	y = s.legend(all, y) + 2*margin
	width := (innerWidth+margin)/float64(len(panels)) - margin
	for i, p := range panels {
		s.panel(p, margin+float64(i)*(width+margin), y, width)
	}
	y += plotHeight + axisHeight + 2*margin
	s.text(margin, y, `font-size="12" fill="#555"`, notes(rows))
	return s.document(pictureWidth, y+margin)
}

// legend is drawn from y on, in as many columns as there is space for, and gives the y where it ends.
func (s *svg) legend(all []*series, y float64) float64 {
	const lineHeight = 21
	width := 0.0
	for _, one := range all {
		width = max(width, sampleWidth+textWidth(cut(one.label, innerWidth-sampleWidth))+margin)
	}
	columns := max(1, int((innerWidth+margin)/width))
	for i, one := range all {
		x := margin + float64(i%columns)*width
		middle := y + lineHeight*(float64(i/columns)+0.5)
		s.printf(`<path d="M%.1f,%.1fh26" stroke="%s" stroke-width="2"/>`, x, middle, colour(i))
		s.marker(i, x+13, middle, false)
		s.text(x+sampleWidth, middle+5, "", cut(one.label, innerWidth-sampleWidth))
	}
	return y + lineHeight*float64((len(all)+columns-1)/columns)
}

// notes explains what the picture has, and nothing else.
func notes(rows []bench.Row) string {
	has := func(has func(bench.Row) bool) bool { return slices.ContainsFunc(rows, has) }
	text := "Median"
	if has(func(r bench.Row) bool { return r.MedianTS == 0 && r.AvgTS > 0 }) {
		text += " or mean"
	}
	if has(func(r bench.Row) bool { return r.StddevTS > 0 }) {
		text += " ± standard deviation"
	}
	if has(func(r bench.Row) bool { return limit(r) > 0 }) {
		text += "; dashed: what the device allows"
	}
	if has(func(r bench.Row) bool { return r.Warning != "" }) {
		text += "; open: measured with a warning"
	}
	return text
}
