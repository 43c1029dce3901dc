package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// filtered sends text through a filter in two reads, cut at the given place.
func filtered(text string, cut int) string {
	f := pasteFilter{fold: func(text string) string { return "{" + text + "}" }}
	first := string(f.filter([]byte(text[:cut])))
	return first + string(f.filter([]byte(text[cut:])))
}

func TestPasteCutInTwo(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"abc\r", "abc\r"},
		{"a" + pasteStart + "b\r\x03c" + pasteEnd + "d", "a{b\r\x03c}d"},
		{pasteStart + pasteEnd + pasteStart + "x" + pasteEnd, "{}{x}"},
		{pasteStart + "a\x1b[20" + pasteEnd, "{a\x1b[20}"},
		{"\x1b[2" + pasteStart + "x" + pasteEnd + "\x1b", "\x1b[2{x}\x1b"},
		{"\x1b\x1b[A\x1b[201~\x1b[3~", "\x1b\x1b[A\x1b[201~\x1b[3~"},
	} {
		require.Equal(t, test.want, filtered(test.in, 0))
		for cut := range test.in {
			// Where the cut goes through the sequence, the reader gets all of it.
			require.Equal(t, test.want, strings.ReplaceAll(filtered(test.in, cut), pasteStart, ""), "%q cut at %d", test.in, cut)
		}
	}
}

func TestKeyIsHeldBack(t *testing.T) {
	f := pasteFilter{fold: func(string) string { return "" }}
	for _, key := range []string{"\x1b", "[", "2", "x", "\x1b[", "A"} {
		require.Equal(t, key, string(f.filter([]byte(key))))
	}
}

func TestFoldedPastesUnfold(t *testing.T) {
	var p pastes
	long := strings.Repeat("多行\n\ttext␤ ", 100) + "end"
	symbols := "a␤b␉c"
	line := "1 " + p.fold("x\r\n\ty\n") + " 2 " + p.fold(long) + " 3 " +
		p.fold(symbols) + p.fold("\x1b[31mred\x03\x04\r\r")
	require.NotContains(t, line, "\n")
	require.NotContains(t, line, "\t")
	require.Less(t, len(line), 200)
	require.Equal(t, "1 x\n\ty 2 "+long+" 3 "+symbols+"[31mred", p.unfold(line))
	require.True(t, p.in(line))
	require.False(t, p.in("1 x␤␉y"))
}

func FuzzPasteFilter(f *testing.F) {
	f.Add("a"+pasteStart+"b\r\x03c"+pasteEnd+"d", 3)
	f.Add("\x1b[2\x1b[200~\x1b[201\x1b[201~", 5)
	f.Fuzz(func(t *testing.T, text string, cut int) {
		if cut < 0 || cut > len(text) {
			return
		}
		whole, parts := filtered(text, 0), filtered(text, cut)
		if cleaned := strings.ReplaceAll(parts, pasteStart, ""); cleaned != strings.ReplaceAll(whole, pasteStart, "") {
			t.Fatalf("%q cut at %d: %q, whole: %q", text, cut, parts, whole)
		}
	})
}
