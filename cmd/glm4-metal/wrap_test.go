package main

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
	"github.com/stretchr/testify/require"
)

// wrapped gives a text as a terminal of this width gets it, in pieces of some characters.
func wrapped(text string, width, piece int) string {
	var out flushed
	w := wordWrap{out: &out, width: func() int { return width }}
	runes := []rune(text)
	for at := 0; at < len(runes); at += piece {
		w.WriteString(string(runes[at:min(at+piece, len(runes))]))
	}
	w.Flush()
	return out.String()
}

func TestLinesBreakInsideWords(t *testing.T) {
	url := "https://example.org/" + strings.Repeat("x", 30)
	for _, test := range []struct{ name, in, want string }{ // 20 columns
		{"short", "a b c", "a b c"},
		{"words", "the quick brown fox jumps over", "the quick brown fox \njumps over"},
		{"last column", "123456789 123456789x y", "123456789 \n123456789x y"},
		{"space in the last column", "123456789 123456789 y", "123456789 123456789 \ny"},
		{"spaces that do not fit", "123456789 12345678    y", "123456789 12345678  \n  y"},
		{"long word", "see " + url + " there", "see \n" + url + " there"},
		{"own lines", "a\n\n  b\nc ", "a\n\n  b\nc "},
		{"Chinese", "今天天气很好我们出去走走吧", "今天天气很好我们出\n去走走吧"},
		{"stop begins a line", "今天天气很好我们出。去走走", "今天天气很好我们\n出。去走走"},
		{"bracket ends a line", "今天天气很好我们（去走走）", "今天天气很好我们\n（去走走）"},
		{"mixed", "用Go写的模型运行程序在Mac上", "用Go写的模型运行程\n序在Mac上"},
		{"joined emoji", "aaaaaaaaaaaaaaa 👩\u200d🔬👍🏽", "aaaaaaaaaaaaaaa \n👩\u200d🔬👍🏽"},
		{"flag", "aaaaaaaaaaaaaaaaa🇩🇪", "aaaaaaaaaaaaaaaaa🇩🇪"},
		{"marks", "e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301 e\u0301e\u0301e\u0301e\u0301e\u0301 eeeee",
			"e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301 e\u0301e\u0301e\u0301e\u0301e\u0301 \neeeee"},
		{"tab", "12345678\tab\tcd", "12345678\tab\t\ncd"},
		{"code", "a a a a a a a a a a a\n```go\nfunc f() { return the, same, line }\n``` x\nb b b b b b b b b b b",
			"a a a a a a a a a a \na\n```go\nfunc f() { return the, same, line }\n``` x\nb b b b b b b b b b \nb"},
		{"tildes", "~~~\n``` the same line is here and not broken\n~~~\n",
			"~~~\n``` the same line is here and not broken\n~~~\n"},
		{"quoted code", "```x``` is not a block of code", "```x``` is not a \nblock of code"},
		{"quoted code of words", "```x y``` is not a block", "```x y``` is not a \nblock"},
	} {
		for _, piece := range []int{1, 2, 7, 1000} {
			require.Equal(t, test.want, wrapped(test.in, 20, piece), "%s in pieces of %d", test.name, piece)
		}
		require.Equal(t, test.in, wrapped(test.in, minColumns-1, 1), test.name)
		require.Equal(t, test.in, wrapped(test.in, 0, 1), test.name)
	}
}

func TestWrappedTextIsLate(t *testing.T) {
	var out flushed
	w := wordWrap{out: &out, width: func() int { return 40 }}
	for _, step := range []struct{ in, out string }{
		{"one", ""}, {" ", "one"}, {"two ", "one two"}, {"你", "one two"}, {"好", "one two 你"}, {"\n", "one two 你好\n"},
	} {
		w.WriteString(step.in)
		require.Equal(t, step.out, out.String(), step.in)
	}
}

func TestWidthOfYesterday(t *testing.T) {
	var out flushed
	width := 80
	w := wordWrap{out: &out, width: func() int { return width }}
	w.WriteString("the quick brown fox\n")
	width = 20
	w.WriteString("the quick brown fox jumps")
	w.Flush()
	require.Equal(t, "the quick brown fox\nthe quick brown fox \njumps", out.String())
}

// FuzzWordWrap: nothing is lost or added but line breaks, however the text is cut; no line that could be broken is
// longer than the screen.
func FuzzWordWrap(f *testing.F) {
	f.Add("the quick brown fox jumps over the lazy dog", uint8(20), uint8(3))
	f.Add("今天天气（很好），我们 go out\t👩\u200d🔬🇩🇪\n```\nx y\n```\n", uint8(25), uint8(1))
	f.Add("~~~ \n a  b   c    \n\n ``` `x", uint8(30), uint8(2))
	f.Fuzz(func(t *testing.T, text string, width, piece uint8) {
		if piece == 0 || !utf8.ValidString(text) {
			return
		}
		text = visible(text)
		out := wrapped(text, int(width), int(piece))
		require.Equal(t, wrapped(text, int(width), 1000), out, "pieces")
		rest := text
		for _, r := range out {
			if next, n := utf8.DecodeRuneInString(rest); n > 0 && next == r {
				rest = rest[n:]
			} else {
				require.Equal(t, '\n', r)
			}
		}
		require.Empty(t, rest)
		if strings.ContainsAny(text, "`~\t") || width < minColumns ||
			runewidth.StringWidth(text) != strings.Count(text, "")-1-strings.Count(text, "\n") {
			return
		}
		for line := range strings.SplitSeq(out, "\n") {
			words := strings.Fields(line)
			isLong := func(word string) bool { return len(word) >= int(width) } // the terminal breaks it
			if len(words) > 1 && !slices.ContainsFunc(words, isLong) {
				require.Less(t, utf8.RuneCountInString(strings.TrimRight(line, " ")), int(width), "%q", line)
			}
		}
	})
}
