package tokenizer

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"
	"github.com/stretchr/testify/require"
)

func TestPieces(t *testing.T) {
	for _, test := range []struct{ text, pieces string }{
		{"Hello, world!", "Hello|,| world|!"},
		{"I'll don'T 'RE x'veY 'lx 'ſo 'r", "I|'ll| don|'T| '|RE| x|'ve|Y| '|lx| '|ſo| '|r"},
		{"a'ſb a'ſ", "a|'ſ|b| a|'ſ"},
		{"1234567 ٣٤٥٦", "123|456|7| |٣٤٥|٦"},
		{"a  b", "a| | b"},
		{"a   ", "a|   "},
		{"a \n \n  b", "a| \n \n| | b"},
		{"\u3000你好。\u3000!", "\u3000你好|。|\u3000|!"},
		{"x==\r\n\n y", "x|==\r\n\n| y"},
		{"e\u0301a", "e|\u0301a"},
		{"\u00a0\u00a0a", "\u00a0|\u00a0a"},
		{"a\x80\xffb", "a|\x80\xff|b"},
		{"\xe4\xbd你", "\xe4\xbd|你"},
	} {
		require.Equal(t, test.pieces, strings.Join(splitAll(newSplitter(3), test.text), "|"), "%q", test.text)
	}
}

func FuzzSplit(f *testing.F) {
	for _, line := range readGoldens(f, "testdata/qwen3.jsonl.gz")[:300] {
		f.Add(line.Text)
	}
	f.Add("'S'T'RE'VE'M'LL'D's't're've'm'll'd'lL'x")
	f.Add(" \t\r\n\v\f\u0085\u00a0\u1680\u2028\u3000 .")
	oracles := map[int]*regexp2.Regexp{1: regexp2.MustCompile(qwenPattern, regexp2.None),
		3: regexp2.MustCompile(glmPattern, regexp2.None)}
	f.Fuzz(func(t *testing.T, text string) {
		// regexp2 has the character classes of Go's package unicode and does not fold the long s.
		if !utf8.ValidString(text) || strings.Contains(text, "ſ") || strings.ContainsFunc(text, isUnicode16) {
			return
		}
		for digits, oracle := range oracles {
			var want []string
			match, err := oracle.FindStringMatch(text)
			for match != nil && err == nil {
				want = append(want, match.String())
				match, err = oracle.FindNextMatch(match)
			}
			require.NoError(t, err)
			require.Equal(t, want, splitAll(newSplitter(digits), text), "%q", text)
		}
	})
}
