package tokenizer

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// randomMerges is a tokenizer whose merges are of random tokens of a and b and in a random order, so that a token's
// parts may come after it.
func randomMerges(t testing.TB, r *rand.Rand) (*Tokenizer, []byte) {
	tokens := []string{"a", "b"}
	seen := map[string]bool{"a": true, "b": true}
	var merges [][2]string
	for range 2 + r.IntN(40) {
		left, right := tokens[r.IntN(len(tokens))], tokens[r.IntN(len(tokens))]
		merges = append(merges, [2]string{left, right})
		if token := left + right; !seen[token] {
			seen[token] = true
			tokens = append(tokens, token)
		}
	}
	if r.IntN(3) > 0 {
		r.Shuffle(len(merges), func(i, j int) { merges[i], merges[j] = merges[j], merges[i] })
	}
	listed, err := json.Marshal(merges)
	require.NoError(t, err)
	vocab := map[string]int{}
	for b := range 256 {
		vocab[string(byteToRune[b])] = b
	}
	for i, token := range tokens[2:] {
		vocab[token] = 256 + i
	}
	tokenIDs, err := json.Marshal(vocab)
	require.NoError(t, err)
	data := smallJSON("model.merges", string(listed), "model.vocab", string(tokenIDs), "added_tokens", "[]",
		"post_processor", "null",
		"decoder", `{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true}`)
	tok, err := load("tokenizer.json", data)
	require.NoError(t, err)
	return tok, data
}

func TestWindowsChangeTokens(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		tok, _ := randomMerges(t, r)
		for range 20 {
			var piece strings.Builder
			for n := 2 + r.IntN(300); n > 0; n-- {
				piece.WriteByte("ab"[r.IntN(2)])
			}
			s := piece.String()
			want := naive(tok.merges, s)
			for _, window := range []int{2, 8, 64} {
				got, err := tok.appendWindows(t.Context(), []int32{7}, s, window, 1)
				require.NoError(t, err)
				require.Equal(t, want, got[1:], "%q", s)
			}
		}
	}
}
