package jinja

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// Whatever is parsed and rendered ends, with valid text or an error.
func FuzzTemplate(f *testing.F) {
	for _, name := range []string{"further", "programs"} {
		for i, c := range readGolden(f, name) {
			if i%7 == 0 {
				f.Add(c.Template)
			}
		}
	}
	f.Fuzz(func(t *testing.T, source string) {
		template, err := Parse(source)
		if err != nil {
			return
		}
		text, err := template.Probe(t.Context(), goldenVariables(t), fixedClock)
		if err != nil {
			return
		}
		require.True(t, utf8.ValidString(text.String()))
		whole := ""
		for run := range text.Runs() {
			whole += run
		}
		require.Equal(t, text.String(), whole)
	})
}
