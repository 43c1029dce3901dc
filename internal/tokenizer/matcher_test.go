package tokenizer

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// cut is what matcher.split does, as its definition says.
func cut(patterns []pattern, text string) (ids []int32, parts []string) {
	start := 0
	plain := func(end int) {
		if start < end {
			ids, parts = append(ids, -1), append(parts, text[start:end])
		}
	}
	for i := 0; i < len(text); {
		var longest pattern
		for _, p := range patterns {
			if len(p.text) > len(longest.text) && strings.HasPrefix(text[i:], p.text) {
				longest = p
			}
		}
		if longest.text == "" {
			i++
			continue
		}
		plain(i)
		ids, parts = append(ids, longest.id), append(parts, longest.text)
		i += len(longest.text)
		start = i
	}
	plain(len(text))
	return ids, parts
}

func TestAddedTokenIsMissed(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	random := func(n int) string {
		text := make([]byte, n)
		for i := range text {
			text[i] = "ab<"[r.IntN(3)]
		}
		return string(text)
	}
	for round := range 300 {
		var patterns []pattern
		for i := range r.IntN(12) {
			patterns = append(patterns, pattern{random(1 + r.IntN(9)), int32(i)})
		}
		m := newMatcher(patterns)
		text := random(r.IntN(100))
		if round%50 == 0 {
			text = random(2*searchedAtOnce + 3)
		}
		wantIDs, wantParts := cut(patterns, text)
		var ids []int32
		var parts []string
		require.NoError(t, m.split(t.Context(), text, func(part string, id int32) error {
			ids, parts = append(ids, id), append(parts, part)
			return nil
		}))
		require.Equal(t, wantIDs, ids, "%v in %.200q", patterns, text)
		require.Equal(t, wantParts, parts, "%v in %.200q", patterns, text)
	}
}
