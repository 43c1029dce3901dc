package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/glm4-metal/glm4-metal/loader"
	"github.com/glm4-metal/glm4-metal/model"
)

// Options say what to measure. The zero value measures what [DefaultTests] has, five times.
type Options struct {
	Tests       []Test
	Repetitions int           // 0: 5
	NoWarmup    bool          // measure the first run of each kind, too
	Delay       time.Duration // of rest before each repetition
	Seed        uint64        // of the random prompts
	Backend     string        // as in model.Backend
	// Load are further options of model.Load. The model's context is what the tests need, whatever they say of it.
	Load []model.LoadOption
	// OnProgress is told of the warm-up, of each filling and of each repetition, before and after it, in Run's goroutine.
	OnProgress func(Progress)
}

// Progress tells how far a run is.
type Progress struct {
	Step, Steps int     // repetitions and fillings of caches, done and altogether
	Doing       string  // "warm-up", "fill 4096", or the test
	Repetition  int     // from 1; 0 for what is no repetition
	TS          float64 // tokens a second of the test so far, median; 0 before the first
}

// DefaultTests are pp512 and tg128.
func DefaultTests() []Test { return Tests([]int{512}, []int{128}, nil, nil) }

// Tests combines lists as llama-bench does: for each depth, each prompt, then each generation, then each pair of both.
// No depth means 0. A length of 0 leaves its kind out; where all are, the list is empty but not nil.
func Tests(prompt, generate, depth []int, both [][2]int) []Test {
	if len(depth) == 0 {
		depth = []int{0}
	}
	tests := []Test{}
	for _, d := range depth {
		for _, n := range prompt {
			tests = append(tests, Test{Prompt: n, Depth: d})
		}
		for _, n := range generate {
			tests = append(tests, Test{Generate: n, Depth: d})
		}
		for _, n := range both {
			tests = append(tests, Test{Prompt: n[0], Generate: n[1], Depth: d})
		}
	}
	return slices.DeleteFunc(tests, func(t Test) bool { return t.Prompt == 0 && t.Generate == 0 })
}

// Run loads a model, "" for the demo, and measures it. After a warm-up it fills a cache for each depth, which the tests
// at that depth share, and then runs each test once a repetition, so that a machine whose speed drifts treats them
// alike. Prompts are random tokens, others in each repetition, and no token ends a generation. Between the repetitions
// it measures what the device gives. Nothing else of the program should compute meanwhile.
//
// The choice of the first token belongs to the prompt. A generation of n tokens is n steps on a single token each,
// behind the prompt, or, where there is none, behind the cache.
//
// Where ctx ends or a step fails, the rows that have repetitions come with the error. Impossible sizes are refused
// before the model is loaded, with a [*model.OptionError] where no model could take them. Other errors are those of
// [model.Load], [model.Session.GenerateTokens] and [OpenProbe].
func Run(ctx context.Context, name string, o Options) ([]Row, error) {
	return standard.run(ctx, name, o)
}

// check gives the options with their defaults, or refuses what no model could do.
func (o Options) check() (Options, error) {
	if o.Tests == nil {
		o.Tests = DefaultTests()
	}
	if len(o.Tests) == 0 {
		return o, errors.New("there is no test to run; give one a prompt or a generation of 1 token or more")
	}
	for i, t := range o.Tests {
		for _, length := range []struct {
			of string
			n  int
		}{{"prompt", t.Prompt}, {"generation", t.Generate}, {"depth", t.Depth}} {
			if length.n < 0 {
				return o, &model.OptionError{Option: length.of, Value: length.n, Want: "0 or more"}
			}
		}
		if t.Prompt == 0 && t.Generate == 0 {
			return o, fmt.Errorf("test %d of %d has neither a prompt nor a generation; give it one of 1 token or more", i+1,
				len(o.Tests))
		}
	}
	switch {
	case o.Repetitions < 0:
		return o, &model.OptionError{Option: "repetitions", Value: o.Repetitions, Want: "0 (the default) or more"}
	case o.Delay < 0:
		return o, &model.OptionError{Option: "delay", Value: o.Delay, Want: "0 or more"}
	}
	o.Repetitions = cmp.Or(o.Repetitions, 5)
	return o, nil
}

// minContext is the smallest context that a model is loaded for, so that it does not limit the tokens of a step.
const minContext = 4096

// context is how many tokens a session must hold, at most the checkpoint's own limit, beyond which tests are refused.
// One of them is the token that is chosen last.
func (o Options) context(c *loader.Checkpoint) (int, error) {
	limit, need := c.Config.MaxPositions, minContext
	for _, t := range o.Tests {
		room := limit - 1
		for _, n := range []int{t.Depth, t.Prompt, t.Generate} { // the sum may be too large for an int
			if n > room {
				return 0, fmt.Errorf("%s and the token behind it do not fit into the %d tokens that %s was made for; take fewer",
					t, limit, c.Dir)
			}
			room -= n
		}
		need = max(need, limit-room)
	}
	return min(need, limit), nil
}
