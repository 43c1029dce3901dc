package main

import (
	"encoding/xml"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/bench"
)

// row is one of ours; tests change what they are about.
func row(t bench.Test, ts float64) bench.Row {
	return bench.Row{Engine: "glm4-metal", Backends: "CPU", ModelType: "glm4 9B 4bit", NThreads: 2, Test: t, MedianTS: ts,
		AvgTS: ts + 100, Machine: bench.Machine{CPUInfo: "AMD EPYC", Cores: 2}}
}

func pp(depth int) bench.Test { return bench.Test{Prompt: 512, Depth: depth} }
func tg(depth int) bench.Test { return bench.Test{Generate: 128, Depth: depth} }

// drawing is what a picture has, as a browser reads it.
type drawing struct {
	Texts []text  `xml:"text"`
	Paths []path  `xml:"path"`
	Rows  []group `xml:"g"`
}

type text struct {
	X    float64 `xml:"x,attr"`
	Y    float64 `xml:"y,attr"`
	Text string  `xml:",chardata"`
}

type path struct {
	D         string `xml:"d,attr"`
	Fill      string `xml:"fill,attr"`
	Dashes    string `xml:"stroke-dasharray,attr"`
	Transform string `xml:"transform,attr"`
}

type group struct {
	Title string `xml:"title"`
	Paths []path `xml:"path"`
	Texts []text `xml:"text"`
	Bar   *struct {
		X      float64 `xml:"x,attr"`
		Y      float64 `xml:"y,attr"`
		Height float64 `xml:"height,attr"`
		Fill   string  `xml:"fill,attr"`
	} `xml:"rect"`
}

func drawn(t *testing.T, rows ...bench.Row) drawing {
	var d drawing
	data := draw(rows)
	require.NoError(t, xml.Unmarshal(data, &d), "%s", data)
	require.NotContains(t, string(data), "NaN")
	require.NotContains(t, string(data), "Inf")
	return d
}

// marker gives the place of a point, and whether it is open.
func (g group) marker(t *testing.T) (x, y float64, open bool) {
	for _, p := range g.Paths {
		if p.Transform != "" {
			_, err := fmt.Sscanf(p.Transform, "translate(%f,%f)", &x, &y)
			require.NoError(t, err)
			return x, y, p.Fill == "#fff"
		}
	}
	require.Fail(t, "no marker", g.Title)
	return 0, 0, false
}

// written gives the place of the n-th text of these words.
func (d drawing) written(t *testing.T, words string, n int) text {
	for _, one := range d.Texts {
		if one.Text == words {
			if n == 0 {
				return one
			}
			n--
		}
	}
	require.Fail(t, "not written", words)
	return text{}
}

// baseline is how far below the middle of its letters a text on an axis stands.
const baseline = 4.5

func TestPointIsNotAtItsPlace(t *testing.T) {
	values := map[int]float64{4096: 40, 0: 60, 1024: 55, 8192: 0}
	var rows []bench.Row
	for _, depth := range []int{4096, 0, 8192, 1024} {
		rows = append(rows, row(tg(depth), values[depth]))
		rows[len(rows)-1].AvgTS = values[depth]
	}
	d := drawn(t, rows...)
	origin, end := d.written(t, "0", 1), d.written(t, "8k", 0) // the first 0 is that of the other axis
	zero, fifty := d.written(t, "0", 0).Y-baseline, d.written(t, "50", 0).Y-baseline
	require.Len(t, d.Rows, 4)
	for i, depth := range []int{0, 1024, 4096, 8192} {
		x, y, open := d.Rows[i].marker(t)
		assert.InDelta(t, origin.X+float64(depth)/8192*(end.X-origin.X), x, 0.11, "depth %d", depth)
		assert.InDelta(t, zero-values[depth]/50*(zero-fifty), y, 0.11, "depth %d", depth)
		assert.False(t, open)
		assert.Contains(t, d.Rows[i].Title, tg(depth).String())
	}
}

func TestLineGoesBackIfDepthsAreUnsorted(t *testing.T) {
	d := drawn(t, row(tg(4096), 4), row(tg(0), 6), row(tg(1024), 5))
	var places []string
	for _, r := range d.Rows {
		x, y, _ := r.marker(t)
		places = append(places, fmt.Sprintf("%.1f,%.1f", x, y))
	}
	var lines []string
	for _, p := range d.Paths {
		lines = append(lines, p.D)
	}
	require.Contains(t, lines, "M"+strings.Join(places, "L"))
}

func TestBarHasAnotherHeight(t *testing.T) {
	other := row(pp(0), 10)
	other.Engine = "llama.cpp"
	d := drawn(t, row(pp(0), 25), other)
	zero, ten := d.written(t, "0", 0).Y-baseline, d.written(t, "10", 0).Y-baseline
	require.Len(t, d.Rows, 2)
	for i, value := range []float64{25, 10} {
		bar := d.Rows[i].Bar
		require.NotNil(t, bar)
		assert.InDelta(t, value/10*(zero-ten), bar.Height, 0.11)
		assert.InDelta(t, zero, bar.Y+bar.Height, 0.11)
		assert.Equal(t, short(value), d.Rows[i].Texts[0].Text)
	}
	require.Less(t, d.Rows[0].Bar.X, d.Rows[1].Bar.X)
}

func TestWhiskerIsNotTheStandardDeviation(t *testing.T) {
	r := row(pp(0), 20)
	r.StddevTS = 5
	d := drawn(t, r)
	var x, from, to float64
	_, err := fmt.Sscanf(d.Rows[0].Paths[0].D, "M%f,%fh8m-4,0V%fm-4,0h8", &x, &from, &to)
	require.NoError(t, err)
	require.InDelta(t, d.written(t, "15", 0).Y-baseline, from, 0.11)
	require.InDelta(t, d.written(t, "25", 0).Y-baseline, to, 0.11)
}

func TestLimitIsMissing(t *testing.T) {
	dashed := func(paths []path) (lines []string) {
		for _, p := range paths {
			if p.Dashes != "" {
				lines = append(lines, p.D)
			}
		}
		return lines
	}
	ours, llama := row(tg(0), 7), row(tg(0), 6)
	ours.LimitTS, llama.LimitTS = 20, 20
	llama.Engine = "llama.cpp"
	bars := drawn(t, ours, llama)
	var x, y, length float64
	require.Len(t, dashed(bars.Rows[0].Paths), 1)
	_, err := fmt.Sscanf(dashed(bars.Rows[0].Paths)[0], "M%f,%fh%f", &x, &y, &length)
	require.NoError(t, err)
	require.InDelta(t, bars.written(t, "20", 0).Y-baseline, y, 0.11)
	require.Empty(t, dashed(bars.Rows[1].Paths), "of another engine")

	once := dashed(drawn(t, ours, row(tg(1), 7)).Paths)
	require.Len(t, once, 1)
	require.Regexp(t, "h24$", once[0], "a point is no line")
	require.Empty(t, dashed(drawn(t, llama, row(tg(1), 7)).Paths), "not known")
}

func TestWarningIsHidden(t *testing.T) {
	busy := row(tg(0), 7)
	busy.Warning = "busy"
	for _, rows := range [][]bench.Row{{busy}, {busy, row(tg(4096), 6)}} {
		d := drawn(t, rows...)
		_, _, open := d.Rows[0].marker(t)
		require.True(t, open)
		if bar := d.Rows[0].Bar; bar != nil {
			require.Equal(t, "#fff", bar.Fill)
		}
		require.Contains(t, d.Texts[len(d.Texts)-1].Text, "open: measured with a warning")
	}
}

func TestMeanPassesForAMedian(t *testing.T) {
	r := row(tg(0), 0)
	r.AvgTS = 5
	d := drawn(t, r)
	require.Equal(t, "5.00", d.Rows[0].Texts[0].Text)
	require.Contains(t, d.Texts[len(d.Texts)-1].Text, "Median or mean")
}

func TestNothingHasNoScale(t *testing.T) {
	r := row(tg(0), 0)
	r.AvgTS = 0
	d := drawn(t, r)
	require.Zero(t, d.Rows[0].Bar.Height)
	deeper := r
	deeper.Depth = 1
	d = drawn(t, r, deeper)
	require.Len(t, d.Rows, 2)
}

func TestTextOfAFileBreaksThePicture(t *testing.T) {
	a, b := row(tg(0), 7), row(tg(0), 6)
	a.ModelType, b.ModelType = `</svg><script>&"'`, "two\nlines and \x1b a control character"
	d := drawn(t, a, b)
	d.written(t, `glm4-metal · </svg><script>&"'`, 0)
	d.written(t, "glm4-metal · two\nlines and \ufffd a control character", 0)
	require.NotContains(t, string(draw([]bench.Row{a, b})), "<script")
}

func TestTextLeavesThePicture(t *testing.T) {
	var rows []bench.Row
	for i := range 3 {
		r := row(tg(i*1024), 1e11)
		r.Engine = fmt.Sprint(i, strings.Repeat(" 智谱清言 GLM", 20))
		r.CPUInfo = strings.Repeat("Intel(R) Xeon(R) ", 10)
		rows = append(rows, r)
	}
	for _, one := range drawn(t, rows...).Texts {
		assert.Positive(t, one.X)
		assert.Less(t, one.X+float64(cells.StringWidth(one.Text))*7, pictureWidth, one.Text)
	}
}

func TestPictureOfManyMachinesIsLarge(t *testing.T) {
	var rows []bench.Row
	for machine := range 8 {
		for depth := range 6 {
			for _, test := range []bench.Test{pp(depth * 4096), tg(depth * 4096)} {
				r := row(test, float64(10+machine))
				r.CPUInfo = fmt.Sprint("Apple M", machine)
				r.StddevTS, r.LimitTS = 1, 20
				rows = append(rows, r)
			}
		}
	}
	data := draw(rows)
	require.Less(t, len(data), 60_000)
	for range 20 {
		require.Equal(t, data, draw(rows), "the same rows")
	}
}

func TestStepsAreOdd(t *testing.T) {
	for top, step := range map[float64]float64{0: 1, 1: 0.2, 6: 1, 6.1: 2, 12: 2, 20.6: 5, 30: 5, 60.1: 20, 1080: 200,
		0.0003: 0.00005, 1e12: 2e11} {
		assert.InEpsilon(t, step, decimalStep(top), 1e-9, "%g", top)
	}
	for deepest, step := range map[float64]float64{1: 1, 3: 1, 512: 100, 1024: 1024, 4096: 1024, 8192: 2048, 32768: 8192,
		131072: 32768} {
		assert.Equal(t, step, depthStep(deepest), "%g", deepest)
	}
	assert.Equal(t, "4k", depthName(4096, 8192))
	assert.Equal(t, "500", depthName(500, 800))
}
