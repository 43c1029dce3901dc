package bench

import (
	"context"
	"time"

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
	Load        []model.LoadOption
	OnProgress  func(Progress)
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
// No depth means 0. A length of 0 leaves its kind out.
func Tests(prompt, generate, depth []int, both [][2]int) []Test { panic("not written") }

// Run loads a model, "" for the demo, and measures it. Where ctx ends or a step fails, the rows that have repetitions
// come with the error.
func Run(ctx context.Context, name string, o Options) ([]Row, error) { panic("not written") }
