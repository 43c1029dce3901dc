package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/mattn/go-runewidth"
)

const (
	fontSize  = 13.0
	cellWidth = 0.6 * fontSize // of a letter in a wide font, on the average
	fonts     = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
)

// svg is the inside of a picture.
type svg struct{ bytes.Buffer }

func (s *svg) printf(format string, args ...any) { fmt.Fprintf(s, format, args...) }

func (s *svg) text(x, y float64, attributes, text string) {
	s.printf("<text x=\"%.1f\" y=\"%.1f\" %s>%s</text>\n", x, y, attributes, escape(text))
}

// path draws along points; none draw nothing.
func (s *svg) path(points, colour, attributes string) {
	if points != "" {
		s.printf("<path d=\"M%s\" fill=\"none\" stroke=\"%s\" %s/>\n", points, colour, attributes)
	}
}

// marker draws that of a series, or its outline.
func (s *svg) marker(series int, x, y float64, open bool) {
	fill, stroke := colour(series), "#fff"
	if open {
		fill, stroke = stroke, fill
	}
	s.printf(`<path d="%s" transform="translate(%.1f,%.1f)" fill="%s" stroke="%s"/>`, marker(series), x, y, fill, stroke)
}

// document is the picture, on white so that it can be read on pages of any colour.
func (s *svg) document(width, height float64) []byte {
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" width="%g" height="%g" viewBox="0 0 %[1]g %[2]g"
 font-family="%[3]s" font-size="%[4]g" fill="#222">
<rect width="100%%" height="100%%" rx="6" fill="#fff"/>
%[5]s</svg>
`, width, height, fonts, fontSize, s.Bytes())
}

// escape makes text of strangers harmless, also where XML has no way to write it.
func escape(text string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}

// cells counts as a terminal does, but in the same way whatever the language of the system.
var cells = &runewidth.Condition{}

func textWidth(text string) float64 { return float64(cells.StringWidth(text)) * cellWidth }

// cut shortens text that is wider than there is space for.
func cut(text string, width float64) string { return cells.Truncate(text, int(width/cellWidth), "…") }
