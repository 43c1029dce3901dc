package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/glm4-metal/glm4-metal/bench"
)

// panel is the part of a picture that shows one kind.
type panel struct {
	kind   kind
	title  string
	all    []*series
	depths []int   // ascending
	top    float64 // the highest value
}

func newPanel(k kind, all []*series) *panel {
	p := &panel{kind: k, all: all}
	var lengths []string
	for _, one := range all {
		for _, r := range one.rows[k] {
			p.depths = append(p.depths, r.Depth)
			p.top = max(p.top, speed(r)+r.StddevTS, limit(r))
			lengths = add(lengths, length(r))
		}
	}
	slices.Sort(p.depths)
	p.depths = slices.Compact(p.depths)
	p.title = strings.ToUpper(string(k[:1])) + string(k[1:])
	if len(lengths) == 1 {
		p.title += " " + lengths[0]
	}
	if len(p.depths) == 1 && p.depths[0] > 0 {
		p.title += fmt.Sprintf(" @ d%d", p.depths[0])
	}
	return p
}

// scale gives the place of a value between 0 and top.
type scale struct{ top, from, to float64 }

func (s scale) at(v float64) float64 { return s.from + v/s.top*(s.to-s.from) }

// panel draws one with its title's line at y.
func (s *svg) panel(p *panel, x, y, width float64) {
	step := decimalStep(p.top)
	count := max(1, int(math.Ceil(p.top/step-1e-9)))
	name := func(tick int) string { // in 32 bits, where three times 0.1 is 0.3
		return strconv.FormatFloat(float64(tick)*step, 'f', -1, 32)
	}
	widest := 0.0
	for tick := range count + 1 {
		widest = max(widest, textWidth(name(tick)))
	}
	left, right := x+widest+8, x+width
	vertical := scale{float64(count) * step, y + plotHeight, y + 20}
	s.text(x, y, "", p.title+", t/s")
	for tick := range count + 1 {
		at, grid := vertical.at(float64(tick)*step), "#ddd"
		if tick == 0 {
			grid = "#555"
		}
		s.printf(`<path d="M%.1f,%.1fH%.1f" stroke="%s"/>`, left, at, right, grid)
		s.text(left-6, at+4.5, `text-anchor="end"`, name(tick))
	}
	if len(p.depths) == 1 {
		s.bars(p, left, right, vertical)
	} else {
		s.lines(p, left+16, right-20, vertical)
	}
}

// lines draws the speeds over the depth.
func (s *svg) lines(p *panel, left, right float64, vertical scale) {
	deepest := float64(p.depths[len(p.depths)-1])
	horizontal := scale{deepest, left, right}
	for depth := 0.0; depth <= deepest; depth += depthStep(deepest) {
		at := horizontal.at(depth)
		s.printf(`<path d="M%.1f,%.1fv5" stroke="#555"/>`, at, vertical.from)
		s.text(at, vertical.from+19, `text-anchor="middle"`, depthName(depth, deepest))
	}
	s.text((left+right)/2, vertical.from+axisHeight-6, `text-anchor="middle"`, "depth, tokens")
	for i, one := range p.all {
		var measured, limits []string
		for _, r := range one.rows[p.kind] {
			at := horizontal.at(float64(r.Depth))
			measured = append(measured, fmt.Sprintf("%.1f,%.1f", at, vertical.at(speed(r))))
			if v := limit(r); v > 0 {
				limits = append(limits, fmt.Sprintf("%.1f,%.1f", at, vertical.at(v)))
			}
		}
		if len(limits) == 1 {
			limits[0] += "m-12,0h24"
		}
		s.path(strings.Join(measured, "L"), colour(i), `stroke-width="2"`)
		s.path(strings.Join(limits, "L"), colour(i), dashes)
	}
	for i, one := range p.all { // above all lines
		for _, r := range one.rows[p.kind] {
			at := horizontal.at(float64(r.Depth))
			s.open(one, r)
			s.whisker(r, at, vertical)
			s.marker(i, at, vertical.at(speed(r)), r.Warning != "")
			s.close()
		}
	}
}

// bars draws the speeds of one depth, each with its marker and value below the axis.
func (s *svg) bars(p *panel, left, right float64, vertical scale) {
	n := 0
	for _, one := range p.all {
		n += len(one.rows[p.kind])
	}
	slot := (right - left) / float64(n)
	width := min(0.6*slot, 60)
	at := left + slot/2
	for i, one := range p.all {
		for _, r := range one.rows[p.kind] {
			s.open(one, r)
			top := vertical.at(speed(r))
			fill := colour(i)
			if r.Warning != "" {
				fill = "#fff"
			}
			s.printf(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" stroke="%s"/>`,
				at-width/2, top, width, vertical.from-top, fill, colour(i))
			s.whisker(r, at, vertical)
			if v := limit(r); v > 0 {
				s.path(fmt.Sprintf("%.1f,%.1fh%.1f", at-0.7*width, vertical.at(v), 1.4*width), colour(i), dashes)
			}
			s.marker(i, at, vertical.from+14, r.Warning != "")
			if value := short(speed(r)); textWidth(value) < slot {
				s.text(at, vertical.from+axisHeight-8, `text-anchor="middle"`, value)
			}
			s.close()
			at += slot
		}
	}
}

const dashes = `stroke-width="1.5" stroke-dasharray="5 3"`

// whisker shows the standard deviation.
func (s *svg) whisker(r bench.Row, at float64, vertical scale) {
	if r.StddevTS > 0 {
		low, high := vertical.at(max(0, speed(r)-r.StddevTS)), vertical.at(speed(r)+r.StddevTS)
		s.path(fmt.Sprintf("%.1f,%.1fh8m-4,0V%.1fm-4,0h8", at-4, low, high), "#222", "")
	}
}

// open begins what stands for a row, with the text that browsers show where a pointer rests.
func (s *svg) open(one *series, r bench.Row) {
	s.printf("<g><title>%s</title>", escape(join(", ", one.label, r.Test.String(), short(speed(r))+" t/s", r.Warning)))
}

func (s *svg) close() { s.printf("</g>\n") }

// short writes a speed in three digits.
func short(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.2g", v)
}

// decimalStep is 1, 2 or 5 times a power of ten, at most six of which reach top.
func decimalStep(top float64) float64 {
	if top < 1e-9 {
		return 1
	}
	step := math.Pow(10, math.Floor(math.Log10(top/6)))
	for _, times := range []float64{1, 2, 5} {
		if top <= 6*times*step {
			return times * step
		}
	}
	return 10 * step
}

// depthStep is a multiple of 1024 where depths are that large.
func depthStep(deepest float64) float64 {
	if deepest < 1024 {
		return max(1, decimalStep(deepest))
	}
	step := 1024.0
	for deepest > 6*step {
		step *= 2
	}
	return step
}

func depthName(depth, deepest float64) string {
	if deepest < 1024 || depth == 0 {
		return fmt.Sprintf("%g", depth)
	}
	return fmt.Sprintf("%gk", depth/1024)
}
