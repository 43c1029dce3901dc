// Ours measures this module's CPU backend and prints the figures as one line of JSON, as the other engines' scripts of
// the folder above do.
//
//	go run ./scripts/peers/ours --model DIR --prompt 512 --generate 64
//
// The prompt, random ids, is computed from an empty cache up to the choice of the first token; tokens are then
// generated greedily from an empty cache, or with --behind from the prompt's, the first one not counted. Between tokens, off
// the clock, memory is read, since its bandwidth changes from second to second where a machine has other guests.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/glm4-metal/glm4-metal/bench"
	"github.com/glm4-metal/glm4-metal/model"
)

// figures are what compare.py reads.
type figures struct {
	Version         string  `json:"version"`
	Details         string  `json:"details"`
	LoadSeconds     float64 `json:"load_seconds"`
	PromptSeconds   float64 `json:"prompt_seconds"`
	GenerateSeconds float64 `json:"generate_seconds"`
	Bandwidth       float64 `json:"bandwidth"`       // bytes per second that reading reached, median
	Deliverable     float64 `json:"bytes_per_token"` // that memory could have delivered in a token's time, median
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
	memory, err := bench.NewMemory(256 << 20)
	if err != nil {
		return nil, err
	}
	defer memory.Close()
	var rates, bytes []float64
	read := func() float64 { return memory.Read(runtime.GOMAXPROCS(0)) }
	s := m.NewSession()
	defer s.Close()
	rate, start := 0.0, time.Now()
	for _, err := range s.GenerateTokens(ctx, ids, model.Options{MaxTokens: generate + 1, IgnoreEOS: true}) {
		if err != nil {
			return nil, err
		}
		seconds, next := time.Since(start).Seconds(), read()
		if rate > 0 { // not the first
			f.GenerateSeconds += seconds
			rates = append(rates, next)
			bytes = append(bytes, seconds*(rate+next)/2)
		}
		rate, start = next, time.Now()
	}
	if behind {
		f.PromptSeconds = s.Result().TTFT.Seconds()
	}
	slices.Sort(rates)
	slices.Sort(bytes)
	f.Bandwidth, f.Deliverable = rates[len(rates)/2], bytes[len(bytes)/2]
	return f, nil
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
