// Ours measures this module's CPU backend and prints the figures as one line of JSON, as the other engines' scripts of
// the folder above do.
//
//	go run ./scripts/peers/ours --model DIR --prompt 512 --generate 64
//
// The prompt, random ids, is computed from an empty cache up to the choice of the first token; tokens are then
// generated greedily from an empty cache, the first one not counted. With --behind they are generated behind the
// prompt, by turns with others from an empty cache. Between tokens, off the clock, memory is read, since its bandwidth
// changes from second to second where a machine has other guests.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/glm4-metal/glm4-metal/internal/backend/cpu"
	"github.com/glm4-metal/glm4-metal/model"
)

// figures are what compare.py reads.
type figures struct {
	Version         string  `json:"version"`
	Details         string  `json:"details"`
	LoadSeconds     float64 `json:"load_seconds"`
	PromptSeconds   float64 `json:"prompt_seconds"`
	GenerateSeconds float64 `json:"generate_seconds"`
	// behind the prompt, that at an empty cache being 1, median of turns
	BehindSpeed float64 `json:"behind_speed,omitempty"`
	Bandwidth   float64 `json:"bandwidth"`       // bytes per second that reading reached, median
	Deliverable float64 `json:"bytes_per_token"` // that memory could have delivered in a token's time, median
}

func main() {
	name := flag.String("model", "", "folder of the checkpoint; none measures the demo")
	version := flag.String("version", "", "what to call this version")
	prompt := flag.Int("prompt", 512, "tokens of the prompt")
	generate := flag.Int("generate", 64, "tokens to generate")
	behind := flag.Bool("behind", false, "generate behind the prompt")
	flag.Parse()
	f, err := measure(context.Background(), *name, *prompt, *generate, *behind)
	if err == nil {
		f.Version = strings.TrimSpace(*version + " " + runtime.Version())
		err = json.NewEncoder(os.Stdout).Encode(f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ours:", err)
		os.Exit(1)
	}
}

// measure loads the checkpoint, warms it up and times both phases.
func measure(ctx context.Context, name string, prompt, generate int, behind bool) (*figures, error) {
	if prompt < 1 || generate < 1 {
		return nil, fmt.Errorf("--prompt is %d and --generate is %d; both must be 1 or more", prompt, generate)
	}
	m, err := model.Load(ctx, name, model.Backend("cpu"))
	if err != nil {
		return nil, err
	}
	defer m.Close()
	info := m.Info()
	rng := rand.New(rand.NewPCG(1, 1))
	ids := make([]int32, prompt)
	for i := range ids {
		ids[i] = rng.Int32N(int32(info.Config.Vocab))
	}
	if _, err := run(ctx, m, ids[:min(8, prompt)], 2); err != nil {
		return nil, err
	}
	f := &figures{Details: info.Device, LoadSeconds: info.LoadTime.Seconds()}
	if !behind {
		first, err := run(ctx, m, ids, 1)
		if err != nil {
			return nil, err
		}
		f.PromptSeconds = first.TTFT.Seconds()
		ids = ids[:1]
	}
	cores := cpu.Open()
	defer cores.Close()
	memory, err := cores.NewProbe(256 << 20)
	if err != nil {
		return nil, err
	}
	defer memory.Close()
	var rates, bytes, speeds []float64
	s, empty := m.NewSession(), m.NewSession()
	defer s.Close()
	defer empty.Close()
	options := model.Options{MaxTokens: generate + 1, IgnoreEOS: true}
	next, stop := iter.Pull2(s.GenerateTokens(ctx, ids, options))
	defer stop()
	nextEmpty, stopEmpty := iter.Pull2(empty.GenerateTokens(ctx, ids[:1], options))
	defer stopEmpty()
	before := 0.0
	for i := range generate + 1 {
		seconds, err := timed(next)
		if err != nil {
			return nil, err
		}
		if behind && i == 0 {
			f.PromptSeconds = seconds
		}
		after, err := memory.Bandwidth()
		if err != nil {
			return nil, err
		}
		if i > 0 {
			f.GenerateSeconds += seconds
			rates = append(rates, after)
			bytes = append(bytes, seconds*(before+after)/2)
		}
		before = after
		if behind {
			emptySeconds, err := timed(nextEmpty)
			if err != nil {
				return nil, err
			}
			if i > 0 {
				speeds = append(speeds, emptySeconds/seconds)
			}
			if before, err = memory.Bandwidth(); err != nil {
				return nil, err
			}
		}
	}
	f.Bandwidth, f.Deliverable = median(rates), median(bytes)
	if behind {
		f.BehindSpeed = median(speeds)
	}
	return f, nil
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}

// timed takes the next token of a sequence and gives the seconds that it took.
func timed(next func() (model.Event, error, bool)) (float64, error) {
	start := time.Now()
	_, err, _ := next()
	return time.Since(start).Seconds(), err
}

// run generates n tokens in a session of its own.
func run(ctx context.Context, m *model.Model, ids []int32, n int) (model.Result, error) {
	s := m.NewSession()
	defer s.Close()
	for _, err := range s.GenerateTokens(ctx, ids, model.Options{MaxTokens: n, IgnoreEOS: true}) {
		if err != nil {
			return model.Result{}, err
		}
	}
	return s.Result(), nil
}
