package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/glm4-metal/glm4-metal/model"
)

// randomIDs gives prompts. It is for one goroutine at a time.
type randomIDs struct {
	from []int32
	rng  *rand.Rand
}

// newRandomIDs draws from all tokens of a model but control tokens and those that end an answer.
func newRandomIDs(m *model.Model, seed uint64) (*randomIDs, error) {
	r := &randomIDs{rng: rand.New(rand.NewPCG(seed, 0))}
	text, info := m.Text(), m.Info()
	for id := range int32(text.VocabSize()) {
		if _, ok := text.Token(id); ok && !text.IsSpecial(id) && !slices.Contains(info.Config.EOS, id) {
			r.from = append(r.from, id)
		}
	}
	if len(r.from) == 0 {
		return nil, fmt.Errorf("%s has no tokens but control tokens; no prompt can be made of them", info.Name)
	}
	return r, nil
}

// next gives n ids.
func (r *randomIDs) next(n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = r.from[r.rng.IntN(len(r.from))]
	}
	return ids
}
