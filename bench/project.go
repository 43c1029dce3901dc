package bench

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/glm4-metal/glm4-metal/loader"
	"github.com/glm4-metal/glm4-metal/model"
)

// Range is a value with its error bounds.
type Range struct {
	Low, Likely, High float64
}

// Projection is what a checkpoint is to do on a device, tokens a second.
type Projection struct {
	Shape   Shape
	Test    Test
	TS      Range
	LimitTS float64 // what the device allows
	Limit   string  // "memory", "compute" or "launch", as [Limits.Limit] tells
	Runs    int     // recorded runs that the bounds are of; 0: there are none, and the bounds are assumed
}

// Project derives it from what the device gives: [Limits.Limit], with prompts in steps of [model.DefaultPrefillChunk],
// times the share of the limit that runs of the backend ("metal" or "cpu") reached, prompts and generations apart. TS
// goes from the lowest share to the highest, of first and last repetitions, too, and has the medians' median in
// between.
//
// The runs are those of glm4-metal in bench/results, of models of a billion parameters or more and without a warning.
// Where there are none, shares are assumed that other engines reach on Macs.
func Project(l Limits, backend string, s Shape, t Test) Projection {
	return project(l, backend, s, t, recorded())
}

// MemoryFor is what a checkpoint of a config takes for a test: its weights, activations, and a KV cache for the tokens
// of the test, but for 4096 at least, in numbers of kvBits, 16 or 32. Where its total exceeds what the device has for
// models, the checkpoint does not fit.
func MemoryFor(c loader.Config, kvBits int, t Test) model.Memory {
	return model.EstimateMemory(c, c.Sizes().Total().Bytes, max(4096, t.Depth+t.Prompt+t.Generate),
		model.DefaultPrefillChunk, kvBits)
}

// The shares of the limit that are assumed where no run is recorded: what others reach on Macs.
var (
	// Of the 400 GB/s of an M3 Max, llama.cpp gets 0.60 with a 7B in Q4_0 (63 tok/s of 3.8 GB) and MLX 0.91 with a 70B in
	// 4 bit (9.35 tok/s of 39.1 GB, ml-explore/mlx-examples#1029). On small M chips MLX gets 0.82 to 0.86.
	assumedGeneration = share{Range{0.60, 0.85, 0.91}, 0}
	// Of its 14.3 Tflop/s, llama.cpp gets 0.69 with a 7B (741 to 761 tok/s, XiongjieDai/GPU-Benchmarks-on-LLM-Inference).
	// The bounds are wide, as our kernels have not been timed.
	assumedPrompt = share{Range{0.35, 0.60, 0.80}, 0}
)

// metalSplit is Limits.SplitKeys of Metal, as shaders.Split has it.
const metalSplit = 256

// splitKeys is Limits.SplitKeys of a backend.
func splitKeys(backend string) int {
	if strings.EqualFold(backend, "metal") {
		return metalSplit
	}
	return 0
}

// share is a share of the limit.
type share struct {
	Range
	runs int // that it is of, 0 when it is assumed
}

// project is Project with the bounds of some rows.
func project(l Limits, backend string, s Shape, t Test, rows []Row) Projection {
	l.SplitKeys = splitKeys(backend)
	p := Projection{Shape: s, Test: t}
	least, by := l.Limit(s, t, model.DefaultPrefillChunk)
	if least <= 0 {
		return p
	}
	tokens := float64(t.Prompt + t.Generate)
	p.LimitTS, p.Limit = tokens/least.Seconds(), by
	var took Range // seconds; Low is at the low speed
	for _, part := range []struct {
		Test
		assumed share
	}{
		{Test{Prompt: t.Prompt, Depth: t.Depth}, assumedPrompt},
		{Test{Generate: t.Generate, Depth: t.Depth + t.Prompt}, assumedGeneration},
	} {
		least, _ := l.Limit(s, part.Test, model.DefaultPrefillChunk)
		if least <= 0 {
			continue
		}
		reached := cmp.Or(reachedBy(rows, backend, part.Test), part.assumed)
		if took == (Range{}) || reached.runs < p.Runs {
			p.Runs = reached.runs
		}
		took.Low += least.Seconds() / reached.Low
		took.Likely += least.Seconds() / reached.Likely
		took.High += least.Seconds() / reached.High
	}
	p.TS = Range{tokens / took.Low, tokens / took.Likely, tokens / took.High}
	return p
}

// reachedBy is the share of the limit that the runs of a backend reached in tests of a test's kind, zero where there is
// none.
func reachedBy(rows []Row, backend string, t Test) share {
	var shares, medians []float64
	for _, r := range rows {
		if counts(r) && strings.EqualFold(r.Backends, backend) && r.Test.kind() == t.kind() {
			medians = append(medians, r.OfLimit)
			for _, ts := range []float64{r.MedianTS, r.FirstTS, r.LastTS} {
				if ts > 0 && r.MedianTS > 0 {
					shares = append(shares, r.OfLimit*ts/r.MedianTS)
				}
			}
		}
	}
	if len(medians) == 0 {
		return share{}
	}
	// A repetition is held against the row's limit, which is a median: where memory became faster it may exceed that.
	high := max(slices.Max(medians), min(1, slices.Max(append(shares, 0))))
	return share{Range{slices.Min(append(shares, medians...)), median(medians), high}, len(medians)}
}

// kind tells tests apart that reach different shares of the limit: a prompt of few tokens is no large product.
func (t Test) kind() string {
	const few = 128
	kind := ""
	switch {
	case t.Prompt >= few:
		kind = "prompt "
	case t.Prompt > 0:
		kind = "few "
	}
	if t.Generate > 0 {
		kind += "generation"
	}
	return kind
}

// counts tells whether a row says how well this module does. Small models, such as the demo, stay in caches.
func counts(r Row) bool {
	return r.Engine == "glm4-metal" && r.Warning == "" && r.ModelNParams >= 1e9 && r.OfLimit > 0
}

//go:embed results/*.csv
var results embed.FS

// recorded gives the rows in bench/results.
var recorded = sync.OnceValue(func() (rows []Row) {
	names, err := fs.Glob(results, "results/*.csv")
	for _, name := range names {
		var text []byte
		if text, err = results.ReadFile(name); err != nil {
			break
		}
		if len(text) == 0 { // a file that waits for its first rows
			continue
		}
		var more []Row
		if more, err = Read(bytes.NewReader(text), name); err != nil {
			break
		}
		rows = append(rows, more...)
	}
	if err != nil {
		panic(fmt.Sprintf("bench: what the package embeds cannot be read: %v", err))
	}
	return rows
})
