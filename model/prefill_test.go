package model

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu"
)

// answer is a generation to its end, with the bits of the logits that it was chosen from.
func answer(t testing.TB, s *Session, ids []int32, n int) (tokens []int32, logits []uint32) {
	t.Helper()
	look := func(_ []int32, l []float32) {
		for _, v := range l {
			logits = append(logits, math.Float32bits(v))
		}
	}
	for tok, err := range s.GenerateTokens(context.Background(), ids,
		Options{MaxTokens: n, IgnoreEOS: true, Processors: []LogitsProcessor{look}}) {
		require.NoError(t, err)
		tokens = append(tokens, tok.Token.ID)
	}
	return tokens, logits
}

// stops is a device that says when one of its streams is told to stop.
type stops struct {
	backend.Device
	told chan struct{}
}

func (d stops) NewStream() (backend.Stream, error) {
	s, err := d.Device.NewStream()
	return stopsStream{s, d.told}, err
}

type stopsStream struct {
	backend.Stream
	told chan struct{}
}

func (s stopsStream) Stop() {
	s.Stream.Stop()
	s.told <- struct{}{}
}

// stopping gives options for a device that says on told when a step is to stop.
func (o loadOptions) stopping(told chan struct{}) loadOptions {
	open := o.open
	if open == nil {
		open = func() (backend.Device, error) { return cpu.Open(), nil }
	}
	o.open = func() (backend.Device, error) {
		d, err := open()
		return stops{d, told}, err
	}
	return o
}

func TestStepThatWasStoppedLeavesItsMark(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		told := make(chan struct{})
		m := tiny(t, on.with(func(o *loadOptions) { o.chunk = 100 }).stopping(told))
		prompt := randomIDs(300)
		fresh := m.NewSession()
		defer fresh.Close()
		wantTokens, wantLogits := answer(t, fresh, prompt, 3)
		for _, at := range []int{0, 1, 30, 99, 100, 101, 170, 250, 299, 300} {
			s := m.NewSession()
			first := slices.Concat(prompt[:50], prompt[200:240])
			answer(t, s, first, 2) // the rest of it is in the cache where the prompt will be
			ctx, cancel := context.WithCancel(context.Background())
			o := Options{MaxTokens: 50, IgnoreEOS: true, OnPrefill: func(done, _ int) {
				if done >= at && ctx.Err() == nil {
					cancel()
					<-told
				}
			}}
			var last error
			for _, last = range s.GenerateTokens(ctx, prompt, o) {
			}
			require.Equal(t, context.Canceled, last)
			require.Equal(t, FinishCancelled, s.Result().FinishReason)
			require.Equal(t, prompt[:s.Len()], s.Tokens())
			if at < len(prompt) {
				require.Contains(t, []int{50, 150, 250, 300}, s.Len(), "whole steps only")
			}
			tokens, logits := answer(t, s, prompt, 3)
			require.Equal(t, wantTokens, tokens, "stopped at %d", at)
			if s.m.device.Info().Backend == "cpu" { // on the GPU a sum depends on how many tokens share it
				require.Equal(t, wantLogits, logits, "stopped at %d", at)
			}
			require.NoError(t, s.Close())
		}
	})
}

// A session that waits for the turn of another one, which computes as long as the test wants.
func TestWaitingSessionIsNotStopped(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		m := tiny(t, on)
		waits := m.NewSession()
		defer waits.Close()
		o := Options{MaxTokens: 3, IgnoreEOS: true}
		want := collect(t, waits, randomIDs(30), o)
		waits.Truncate(10)
		for tok, err := range waits.GenerateTokens(context.Background(), randomIDs(30), o) { // with a step ahead, on the GPU
			require.NoError(t, err)
			require.Equal(t, want[0], tok.Token.ID)
			require.NoError(t, m.take(context.Background()))
			break
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		for range 2 {
			for _, err := range waits.GenerateTokens(ctx, randomIDs(30), o) {
				require.Equal(t, context.DeadlineExceeded, err)
			}
			require.Equal(t, FinishCancelled, waits.Result().FinishReason)
		}
		m.leave()
		require.Equal(t, want, collect(t, waits, randomIDs(30), o))
	})
}

func TestLogitsAreNotStopped(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		m := tiny(t, on)
		s := m.NewSession()
		defer s.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := s.Logits(ctx, randomIDs(5), 1)
		require.Equal(t, context.Canceled, err)
		require.Zero(t, s.Len())
		_, err = s.Logits(context.Background(), randomIDs(5), 1)
		require.NoError(t, err)
	})
}

func TestPromptIsReportedWrong(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		m := tiny(t, on.with(func(o *loadOptions) { o.chunk = 100 }))
		s := m.NewSession()
		defer s.Close()
		var seen []int
		ended := false
		o := Options{MaxTokens: 3, IgnoreEOS: true, OnPrefill: func(done, total int) {
			require.False(t, ended, "behind the end of the prompt")
			require.Equal(t, 250, total)
			seen = append(seen, done)
		}}
		prompt := randomIDs(250)
		generate := func() {
			seen, ended = nil, false
			for _, err := range s.GenerateTokens(context.Background(), prompt, o) {
				require.NoError(t, err)
				ended = true
			}
			require.True(t, slices.IsSorted(seen))
			require.Equal(t, 250, seen[len(seen)-1])
			require.Len(t, slices.Compact(slices.Clone(seen)), len(seen), "nothing twice")
		}
		generate()
		require.Equal(t, 0, seen[0])
		require.Subset(t, seen, []int{100, 200})
		if m.device.Info().Backend == "cpu" {
			require.GreaterOrEqual(t, len(seen), 1+3*2*4, "each product of each layer of each step")
		}
		s.Truncate(130)
		generate()
		require.Equal(t, 130, seen[0], "what is in the cache is done")
		require.Contains(t, seen, 230)
		generate()
		require.Equal(t, []int{249, 250}, seen)
	})
}

func TestLoadIsReportedWrong(t *testing.T) {
	var seen []int64
	m := demoModel(t, OnLoad(func(done, total int64) {
		require.LessOrEqual(t, done, total)
		seen = append(seen, done)
	}))
	require.Zero(t, seen[0])
	require.True(t, slices.IsSorted(seen))
	require.Equal(t, m.memory.Weights, seen[len(seen)-1])
	require.Greater(t, len(seen), m.config.Layers)

	ctx, cancel := context.WithCancel(context.Background())
	calls := 0
	_, err := Load(ctx, "", OnLoad(func(int64, int64) {
		if calls++; calls == 3 {
			cancel()
		}
	}))
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 3, calls)
}

func TestRefusedGenerationHasTheLastResult(t *testing.T) {
	m := tiny(t, loadOptions{maxContext: 100})
	s := m.NewSession()
	refusedWith := func(ids []int32, o Options) {
		t.Helper()
		var last error
		for _, last = range s.GenerateTokens(context.Background(), ids, o) {
		}
		require.Error(t, last)
		require.Equal(t, Result{FinishReason: FinishError}, s.Result())
	}
	good := func() {
		require.Len(t, collect(t, s, randomIDs(5), Options{MaxTokens: 2, IgnoreEOS: true}), 2)
		require.Equal(t, 2, s.Result().CompletionTokens)
	}
	require.Zero(t, s.Result())
	for _, refuse := range []func(){
		func() { refusedWith(nil, Options{}) },
		func() { refusedWith(randomIDs(3), Options{TopP: 2}) },
		func() { refusedWith([]int32{-1}, Options{}) },
		func() { refusedWith(randomIDs(100), Options{}) },
		func() {
			for range s.Generate(context.Background(), "no tokenizer", Options{}) {
			}
			require.Equal(t, Result{FinishReason: FinishError}, s.Result())
		},
	} {
		good()
		refuse()
	}
	// One that is refused because another one runs changes nothing.
	good()
	for range s.GenerateTokens(context.Background(), randomIDs(5), Options{MaxTokens: 2, IgnoreEOS: true}) {
		before := s.Result()
		for _, err := range s.GenerateTokens(context.Background(), randomIDs(5), Options{}) {
			require.Equal(t, ErrBusy, err)
		}
		require.Equal(t, before, s.Result())
	}
	require.Equal(t, 2, s.Result().CompletionTokens)
	require.Equal(t, FinishLength, s.Result().FinishReason)
	require.NoError(t, s.Close())
	refusedWith(randomIDs(5), Options{})
}

func TestExtremeTemperaturesPickPaddingOrNothing(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		m := tiny(t, on)
		m.vocab = 150
		s := m.NewSession()
		defer s.Close()
		o := Options{MaxTokens: 12, IgnoreEOS: true, Seed: 3}
		greedy := collect(t, s, randomIDs(9), o)
		for _, temperature := range []float64{5e-324, 1e-320, 1e-46, 1e-45, 1e-40, 1.2e-38, 1e-38, 1e-37, 1e-30, 1e-21, 1e-20,
			1e-9, 1e30, math.MaxFloat32, math.MaxFloat64} {
			for _, o := range []Options{o, {MaxTokens: 12, IgnoreEOS: true, Seed: 3, TopK: 150},
				{MaxTokens: 12, IgnoreEOS: true, Seed: 3, TopP: 0.999999, Logprobs: true}} {
				o.Temperature = temperature
				got := collect(t, s, randomIDs(9), o)
				require.Len(t, got, 12)
				for _, id := range got {
					require.Less(t, id, int32(150), "%v", temperature)
				}
				if temperature < 1e-8 {
					require.Equal(t, greedy, got, "%v", temperature)
				} else {
					require.NotEqual(t, greedy, got, "%v", temperature)
				}
			}
		}
	})
}

func TestHeadOfZerosAnswers(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(filepath.Join("testdata/glm4-a", name))
		require.NoError(t, err)
		if name == "model.safetensors" {
			var header map[string]struct {
				Offsets [2]int `json:"data_offsets"`
			}
			start := 8 + int(binary.LittleEndian.Uint64(data))
			require.NoError(t, json.Unmarshal(data[8:start], &header))
			head := header["lm_head.weight"].Offsets
			clear(data[start+head[0] : start+head[1]])
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	onDevices(t, func(t *testing.T, on loadOptions) {
		m := openTestdata(t, dir, on)
		s := m.NewSession()
		defer s.Close()
		for _, o := range []Options{{}, {Temperature: 1}, {Temperature: 1, TopK: 5}, {Logprobs: true}} {
			n := 0
			for _, err := range s.GenerateTokens(context.Background(), randomIDs(5), o) {
				require.ErrorIs(t, err, backend.ErrEqualLogits)
				n++
			}
			require.Equal(t, 1, n)
			require.Equal(t, FinishError, s.Result().FinishReason)
		}
	})
}
