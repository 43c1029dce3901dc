package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/model"
)

type (
	delta = model.Event
	call  = model.ToolCall
)

// flushed is a buffer as a pipe is written.
type flushed struct{ bytes.Buffer }

func (*flushed) Flush() error { return nil }

// written gives what an answer writes to standard output and standard error, which are terminals of 80 columns or
// pipes.
func written(t testing.TB, tty, hidden bool, deltas []delta) (out, aside string) {
	var outs, asides flushed
	w := &answerWriter{out: &outs, aside: &asides, calls: &outs, hidden: hidden, atLineStart: true}
	if tty {
		w.out, w.aside, w.calls, w.dim = onScreen(&outs), onScreen(&asides), &visibleWriter{out: &outs}, &asides
	}
	for _, d := range deltas {
		require.True(t, w.write(d))
	}
	require.NoError(t, w.end())
	return outs.String(), asides.String()
}

func onScreen(out *flushed) textWriter {
	return &visibleWriter{out: &wordWrap{out: out, width: func() int { return 80 }}}
}

func TestReasoningAndCallsGoWhereTheyBelong(t *testing.T) {
	for _, test := range []struct {
		name        string
		tty, hidden bool
		deltas      []delta
		out, aside  string
	}{
		{"answer", false, false, []delta{{Text: "a"}, {Text: "b"}}, "ab\n", ""},
		{"line end", false, false, []delta{{Text: "a\n"}}, "a\n", ""},
		{"nothing", false, false, nil, "", ""},
		{"reasoning", false, false, []delta{{Reasoning: "x"}, {Reasoning: "y"}, {Text: "a"}}, "a\n",
			"<think>\nxy\n</think>\n"},
		{"hidden", false, true, []delta{{Reasoning: "x"}, {Reasoning: "y"}, {Text: "a"}}, "a\n", ""},
		{"hidden in a terminal", true, true, []delta{{Reasoning: "x"}, {Text: "a"}}, "a\n", ""},
		{"cut short", false, false, []delta{{Reasoning: "x"}}, "", "<think>\nx\n</think>\n"},
		{"reasoning in a terminal", true, false, []delta{{Reasoning: "x\x1b[0m"}, {Text: "a"}}, "a\n", dim +
			"<think>\nx\\x1b[0m\n</think>\n" + normal},
		{"call", false, false, []delta{{Text: "a"}, {Call: &call{Name: "f", Arguments: `{"x": 1}`}}}, "a\nf {\"x\": 1}\n",
			""},
		{"call in a terminal", true, false, []delta{{Text: "a"}, {Call: &call{Name: "f\x1bc", Arguments: "\u202e"}}},
			"a\nf\\x1bc \\u202e\n", ""},
		{"long call in a terminal", true, false, []delta{{Text: "a"}, {Call: &call{Name: "f",
			Arguments: strings.Repeat("a ", 90)}}, {Text: "b"}}, "a\nf " + strings.Repeat("a ", 90) + "\nb\n", ""},
		{"control characters", true, false, []delta{{Text: "a\x1b]0;t\x07\tb\r\n"}}, "a\\x1b]0;t\\x07\tb\\x0d\n", ""},
		{"control characters in a pipe", false, false, []delta{{Text: "a\x1b\x9b\u009b"}}, "a\x1b\x9b\u009b\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, aside := written(t, test.tty, test.hidden, test.deltas)
			require.Equal(t, test.out, out)
			require.Equal(t, test.aside, aside)
		})
	}
}

// FuzzModelDrivesTheTerminal cuts an answer anywhere: nothing but what the program itself writes may command a
// terminal.
func FuzzModelDrivesTheTerminal(f *testing.F) {
	f.Add("a\x1b]0;title\x07b", uint8(2), uint8(9))
	f.Add("\x1b]52;c;aGk=\x1b\\ \x9b2J \u009b2J", uint8(1), uint8(14))
	f.Add("你\u202e好\u2066x\u2069 \U000e0041", uint8(1), uint8(4))
	f.Add("```\n\x1b[2J\n```\n"+strings.Repeat("long ", 40), uint8(3), uint8(5))
	f.Fuzz(func(t *testing.T, text string, first, second uint8) {
		a := min(int(first), len(text))
		b := min(a+int(second), len(text))
		out, aside := written(t, true, false, []delta{
			{Text: text[:a]}, {Text: text[a:b]}, {Text: text[b:]}, {Reasoning: text[:a]}, {Reasoning: text[a:]},
			{Call: &call{Name: text, Arguments: text}},
		})
		aside = strings.TrimSuffix(strings.TrimPrefix(aside, dim), normal)
		for _, written := range []string{out, aside} {
			require.True(t, utf8.ValidString(written), "%q", written)
			for _, r := range written {
				require.False(t, r != '\n' && r != '\t' && commands(r, 0), "%q: %U", written, r)
			}
		}
	})
}

func TestJSONDrivesTheTerminal(t *testing.T) {
	text := "\x1b\x7f\u009b\u202e\u2028\U000e0041 <你好> 👩\u200d🔬\n"
	stdout := captured(t, &os.Stdout, func() { require.NoError(t, printJSON(text)) })
	require.Equal(t, `"\u001b\u007f\u009b\u202e\u2028\udb40\udc41 <你好> 👩`+"\u200d🔬"+`\n"`+"\n", stdout)
	var back string
	require.NoError(t, json.Unmarshal([]byte(stdout), &back))
	require.Equal(t, text, back)
}

// captured gives what a function writes to standard output or standard error.
func captured(t *testing.T, stream **os.File, f func()) string {
	file, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	before := *stream
	*stream = file
	defer func() { *stream = before }()
	f()
	data, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	return string(data)
}
