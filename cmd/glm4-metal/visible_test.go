package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTextCommandsTheTerminal(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"title", "\x1b]0;x\x07", `\x1b]0;x\x07`},
		{"clipboard", "\x1b]52;c;aGk=\x1b\\", `\x1b]52;c;aGk=\x1b\`},
		{"return", "a\rb\bc\x00", `a\x0db\x08c\x00`},
		{"delete", "a\x7f", `a\x7f`},
		{"C1 as a character", "\u0080\u009b2J", `\u0080\u009b2J`},
		{"C1 as a byte", "\x9b2J\xff", `\x9b2J\xff`},
		{"override", "a\u202eb\u2066c\u2069d\u061c\u200e\u200f", `a\u202eb\u2066c\u2069d\u061c\u200e\u200f`},
		{"separators", "a\u2028b\u2029", `a\u2028b\u2029`},
		{"tags", "a\U000e0041", `a\U000e0041`},
		{"cut character", "a\xe4\xbd", `a\xe4\xbd`},
		{"surrogate", "\xed\xa0\x80", `\xed\xa0\x80`},
		{"lines", "a\n\tb", "a\n\tb"},
		{"languages", "你好 नमस्ते می\u200cخواهم e\u0301 👩\u200d🔬❤\ufe0f \ufffd \\x1b",
			"你好 नमस्ते می\u200cخواهم e\u0301 👩\u200d🔬❤\ufe0f \ufffd \\x1b"},
	} {
		require.Equal(t, test.want, visible(test.in), test.name)
		for cut := range len(test.in) + 1 {
			var out flushed
			w := visibleWriter{out: &out}
			w.WriteString(test.in[:cut])
			w.WriteString(test.in[cut:])
			require.NoError(t, w.Flush())
			require.Equal(t, test.want, out.String(), "%s cut at %d", test.name, cut)
		}
	}
	require.Equal(t, `a\n\tb\x1b`, visibleLine("a\n\tb\x1b"))
	require.Equal(t, `a; b\x1b`, oneLine(usagef("a\r\nb\x1b")))
}

func TestWholeCharactersAreHeldBack(t *testing.T) {
	var out flushed
	w := visibleWriter{out: &out}
	for _, piece := range []string{"a", "é", "你", "🔬", "\xff", "\x80"} {
		out.Reset()
		w.WriteString(piece)
		require.Equal(t, visible(piece), out.String())
	}
	require.Empty(t, w.rest)
	require.Less(t, testing.AllocsPerRun(10, func() { visible(strings.Repeat("plain ", 9)) }), 2.0)
}
