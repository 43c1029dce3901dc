package model

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every way to cut the text into pieces must give the same.
func TestStopTextIsMissedOrLeaks(t *testing.T) {
	for _, c := range []struct {
		text  string
		stops []string
		want  string
		found bool
	}{
		{"hello world", []string{"wor"}, "hello ", true},
		{"hello world", []string{"xyz"}, "hello world", false},
		{"aaab", []string{"aab"}, "a", true},
		{"abcabd", []string{"abd"}, "abc", true},
		{"one two", []string{"two", "one"}, "", true},
		{"ends with wo", []string{"world"}, "ends with wo", false},
		{"你好。再见", []string{"。"}, "你好", true},
		{"anything", nil, "anything", false},
		{"ababab!", []string{"abab!"}, "ab", true},
	} {
		for cuts := range 1 << (len(c.text) - 1) {
			if cuts >= 1<<12 {
				break
			}
			s := stopTexts{texts: c.stops}
			var out strings.Builder
			found := false
			for begin, end := 0, 1; end <= len(c.text) && !found; end++ {
				if end < len(c.text) && cuts>>(end-1)&1 == 0 {
					continue
				}
				var piece string
				piece, found = s.next(c.text[begin:end])
				out.WriteString(piece)
				begin = end
			}
			if !found {
				out.WriteString(s.held)
			}
			require.Equal(t, c.want, out.String(), "%q, stops %q, cuts %b", c.text, c.stops, cuts)
			require.Equal(t, c.found, found)
		}
	}
}
