package model

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu"
	"github.com/glm4-metal/glm4-metal/loader"
)

func tiny(t *testing.T, o loadOptions) *Model { return openTestdata(t, "testdata/glm4-a", o) }

func randomIDs(n int) []int32 {
	r := rand.New(rand.NewPCG(5, 6))
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = r.Int32N(160)
	}
	return ids
}

// collect runs a generation to its end.
func collect(t *testing.T, s *Session, ids []int32, o Options) []int32 {
	t.Helper()
	var got []int32
	for tok, err := range s.GenerateTokens(context.Background(), ids, o) {
		require.NoError(t, err)
		if tok.Token != nil {
			got = append(got, tok.Token.ID)
		}
	}
	return got
}

func TestSessionsComputeTheirPrefixAgain(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		m := tiny(t, on)
		o := Options{MaxTokens: 20, IgnoreEOS: true}
		prompt := randomIDs(300)
		s := m.NewSession()
		defer s.Close()
		answer := collect(t, s, prompt, o)
		require.Equal(t, 0, s.Result().CachedTokens)
		require.Equal(t, 319, s.Len(), "the last token has not been computed on")

		longer := slices.Concat(prompt, answer, randomIDs(7))
		second := collect(t, s, longer, o)
		require.Equal(t, 319, s.Result().CachedTokens)
		require.Equal(t, len(longer), s.Result().PromptTokens)
		fresh := m.NewSession()
		defer fresh.Close()
		require.Equal(t, collect(t, fresh, longer, o), second, "the reused prefix changes the answer")

		other := slices.Concat(prompt[:100], randomIDs(30))
		changed := collect(t, s, other, o)
		require.Equal(t, 100, s.Result().CachedTokens)
		another := m.NewSession()
		defer another.Close()
		require.Equal(t, collect(t, another, other, o), changed, "what was cut off still answers")

		collect(t, s, other, o)
		require.Equal(t, len(other)-1, s.Result().CachedTokens, "the same prompt again needs one token for its logits")

		s.Truncate(50)
		require.Equal(t, other[:50], s.Tokens())
		require.Equal(t, changed, collect(t, s, other, o), "after Truncate")
		require.Equal(t, 50, s.Result().CachedTokens)
	})
}

func TestSessionsDisturbEachOther(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		m := tiny(t, on)
		o := Options{MaxTokens: 30, IgnoreEOS: true}
		prompts := [][]int32{randomIDs(40), randomIDs(90)[50:], randomIDs(5)}
		var want [][]int32
		for _, p := range prompts {
			s := m.NewSession()
			want = append(want, collect(t, s, p, o))
			require.NoError(t, s.Close())
		}
		var wg sync.WaitGroup
		got := make([][]int32, len(prompts))
		for i, p := range prompts {
			wg.Add(1)
			go func() {
				defer wg.Done()
				s := m.NewSession()
				defer s.Close()
				for tok, err := range s.GenerateTokens(context.Background(), p, o) {
					if err != nil {
						t.Error(err)
						return
					}
					got[i] = append(got[i], tok.Token.ID)
				}
			}()
		}
		wg.Wait()
		require.Equal(t, want, got)
	})
}

func TestCancelIsNotNoticed(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		m := tiny(t, on.with(func(o *loadOptions) { o.chunk = 16 }))
		s := m.NewSession()
		defer s.Close()

		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		n := 0
		var last error
		for _, err := range s.GenerateTokens(ctx, randomIDs(20), Options{IgnoreEOS: true}) {
			last = err
			if n++; n == 3 {
				cancel()
			}
		}
		require.ErrorIs(t, last, context.Canceled)
		require.Equal(t, 4, n, "three tokens and the error")
		require.Equal(t, FinishCancelled, s.Result().FinishReason)

		// Between the chunks of a prompt: a context that ends after two looks.
		stops := &endsAfter{Context: context.Background(), looks: 2}
		last = nil
		s.Truncate(0)
		for _, err := range s.GenerateTokens(stops, randomIDs(300), Options{MaxTokens: 1}) {
			last = err
		}
		require.ErrorIs(t, last, context.DeadlineExceeded)
		require.Equal(t, 32, s.Len(), "two chunks of 16 were computed")

		// What was computed before the end is still right.
		fresh := m.NewSession()
		defer fresh.Close()
		o := Options{MaxTokens: 5, IgnoreEOS: true}
		require.Equal(t, collect(t, fresh, randomIDs(300), o), collect(t, s, randomIDs(300), o))
		require.Equal(t, 32, s.Result().CachedTokens)

		for range s.GenerateTokens(context.Background(), randomIDs(5), Options{IgnoreEOS: true}) {
			break
		}
		require.Equal(t, FinishCancelled, s.Result().FinishReason, "the loop was left")
		require.Equal(t, 1, s.Result().CompletionTokens)
	})
}

// endsAfter is a context that is over after some looks at it.
type endsAfter struct {
	context.Context
	looks int
}

func (c *endsAfter) Err() error {
	if c.looks--; c.looks < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

func TestCloseLeavesSomethingUsable(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		m := tiny(t, on)
		s := m.NewSession()
		collect(t, s, randomIDs(3), Options{MaxTokens: 1})
		require.NoError(t, s.Close())
		require.NoError(t, s.Close())
		require.Zero(t, s.CacheBytes())
		for _, err := range s.GenerateTokens(context.Background(), randomIDs(3), Options{}) {
			require.ErrorIs(t, err, ErrClosed)
		}
		open := m.NewSession()
		collect(t, open, randomIDs(3), Options{MaxTokens: 1})
		require.NoError(t, m.Close())
		require.NoError(t, m.Close())
		for _, err := range open.GenerateTokens(context.Background(), randomIDs(30), Options{}) {
			require.ErrorIs(t, err, ErrClosed)
		}
		require.NoError(t, open.Close())
	})
}

func TestSessionIsSharedByTwoGenerations(t *testing.T) {
	m := tiny(t, loadOptions{})
	s := m.NewSession()
	defer s.Close()
	for _, err := range s.GenerateTokens(context.Background(), randomIDs(3), Options{MaxTokens: 1}) {
		require.NoError(t, err)
		for _, err := range s.GenerateTokens(context.Background(), randomIDs(3), Options{MaxTokens: 1}) {
			require.Equal(t, ErrBusy, err)
		}
	}
}

func TestContextLimitIsOverrun(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		m := tiny(t, on.with(func(o *loadOptions) { o.maxContext = 50 }))
		s := m.NewSession()
		defer s.Close()
		for _, o := range []Options{{}, {Temperature: 1, Seed: 1}, {Temperature: 1, Seed: 1, TopK: 9}} {
			o.IgnoreEOS = true
			for _, n := range []int{50, 51} {
				for _, err := range s.GenerateTokens(context.Background(), randomIDs(n), o) {
					require.Equal(t, &ContextError{Tokens: n, Limit: 50, Max: 1024}, err)
				}
			}
			for _, n := range []int{45, 48, 49} {
				require.Len(t, collect(t, s, randomIDs(n), o), 50-n)
				require.Equal(t, FinishLength, s.Result().FinishReason)
				require.Equal(t, 49, s.Len(), "the last token is not computed on")
			}
		}
		_, err := s.Logits(context.Background(), randomIDs(1), 1)
		require.NoError(t, err, "an evaluation needs no room for an answer")
		_, err = s.Logits(context.Background(), randomIDs(1), 1)
		require.Error(t, err)
		require.Equal(t, 50, s.Len())
	})
}

// A head of its own is used whatever tie_word_embeddings says, and a warning tells.
func TestHeadOfItsOwnIsTied(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile("testdata/glm4-a/" + name)
		require.NoError(t, err)
		data = bytes.Replace(data, []byte(`"tie_word_embeddings": false`), []byte(`"tie_word_embeddings": true`), 1)
		require.NoError(t, os.WriteFile(dir+"/"+name, data, 0o600))
	}
	logits := func(m *Model) []float32 {
		s := m.NewSession()
		defer s.Close()
		got, err := s.Logits(t.Context(), randomIDs(5), 1)
		require.NoError(t, err)
		return got[0]
	}
	m, separate := openTestdata(t, dir, loadOptions{}), tiny(t, loadOptions{})
	require.Equal(t, dir+
		": tie_word_embeddings is true in config.json, but lm_head.weight differs from model.embed_tokens.weight; they are "+
		"not tied, as in transformers", m.Info().Warning)
	require.Empty(t, separate.Info().Warning)
	require.Equal(t, logits(separate), logits(m))
}

func TestContextErrorAdvisesWhatIsRefused(t *testing.T) {
	for want, e := range map[string]ContextError{
		"the prompt has 51 tokens, the context holds 50 with the answer; shorten it or raise the limit, up to the 1024 " +
			"that the checkpoint was made for": {51, 50, 1024},
		"the prompt has 2000 tokens, the context holds 50 with the answer; shorten it; the checkpoint was made for 1024":         {2000, 50, 1024},
		"the prompt has 2000 tokens, the context holds 1024 with the answer; shorten it, as the checkpoint was made for no more": {2000, 1024, 1024},
	} {
		require.EqualError(t, &e, want)
	}
}

func TestCheckpointsOwnLimitIsOverrun(t *testing.T) {
	m := tiny(t, loadOptions{})
	require.Equal(t, 1024, m.Info().Context)
	s := m.NewSession()
	defer s.Close()
	require.Len(t, collect(t, s, randomIDs(1022), Options{IgnoreEOS: true}), 2)
	for _, err := range s.GenerateTokens(context.Background(), randomIDs(1024), Options{}) {
		require.Equal(t, &ContextError{Tokens: 1024, Limit: 1024, Max: 1024}, err)
	}
}

func TestBadRequestIsNotRefused(t *testing.T) {
	m := tiny(t, loadOptions{})
	s := m.NewSession()
	defer s.Close()
	for want, c := range map[string]struct {
		ids []int32
		o   Options
	}{
		"the prompt is empty; give it some text":                {nil, Options{}},
		"token 160 at place 1 is outside the vocabulary of 160": {[]int32{0, 160}, Options{}},
		"token -1 at place 0 is outside the vocabulary of 160":  {[]int32{-1}, Options{}},
		"temperature is -1; it must be 0 (greedy) or more":      {[]int32{1}, Options{Temperature: -1}},
		"top-p is 1.5; it must be between 0 and 1":              {[]int32{1}, Options{TopP: 1.5}},
		"min-p is -0.1; it must be between 0 and 1":             {[]int32{1}, Options{MinP: -0.1}},
		"top-k is -1; it must be 0 (off) or more":               {[]int32{1}, Options{TopK: -1}},
		"max tokens is -1; it must be 0 (no limit) or more":     {[]int32{1}, Options{MaxTokens: -1}},
		"repetition penalty is -1; it must be 0 (off) or more":  {[]int32{1}, Options{RepetitionPenalty: -1}},
		"logit bias is 160=1; it must be for an id below 160":   {[]int32{1}, Options{LogitBias: map[int32]float32{160: 1}}},
		"top logprobs is 21; it must be between 0 and 20":       {[]int32{1}, Options{TopLogprobs: 21}},
		`stop text is ""; it must be of some length`:            {[]int32{1}, Options{Stop: []string{""}}},
	} {
		n := 0
		for _, err := range s.GenerateTokens(context.Background(), c.ids, c.o) {
			require.EqualError(t, err, want)
			n++
		}
		require.Equal(t, 1, n)
	}
	for _, err := range s.Generate(context.Background(), "x", Options{}) {
		require.EqualError(t, err, "the checkpoint has no tokenizer; it can only generate from ids")
	}
}

func TestKVCacheGrowsByAnotherSize(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		glm9b := loader.Config{Layers: 40, KVHeads: 2, HeadDim: 128}
		require.EqualValues(t, 40960, attention(glm9b).TokenBytes(40, backend.F16), "GLM-4-9B, bytes a token")

		m := tiny(t, on.with(func(o *loadOptions) { o.kvBits, o.maxContext = 16, 700 }))
		require.Equal(t, 2*2*2*16*2, m.Info().KVBytes)
		s := m.NewSession()
		defer s.Close()
		for _, n := range []int{1, 256, 257, 700} {
			_, err := s.Logits(context.Background(), randomIDs(700)[s.Len():n], 0)
			require.NoError(t, err)
			require.EqualValues(t, (n+255)/256*256*m.Info().KVBytes, s.CacheBytes(), "%d tokens", n)
		}
		require.Equal(t, s.CacheBytes(), m.Info().Memory.KV, "what a full context was said to take")
	})
}

func TestMemoryGrowsFromSessionToSession(t *testing.T) {
	m := tiny(t, loadOptions{})
	use := func() uint64 {
		for range 20 {
			s := m.NewSession()
			collect(t, s, randomIDs(600), Options{MaxTokens: 1, IgnoreEOS: true})
			require.NoError(t, s.Close())
		}
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	first := use()
	require.Less(t, float64(use()), float64(first)+200e3, "a session's cache is 196 kB")
}

func TestModelThatCannotFitIsLoaded(t *testing.T) {
	device := backend.Info{Device: "Apple M1, 16 cores", Memory: 16e9}
	m := Memory{Weights: 18.8e9, KV: 1.34e9, Scratch: 60e6}
	require.EqualError(t, m.check(device),
		"the model needs 20.20 GB (weights 18.80 GB, KV cache 1.34 GB, scratch 60.0 MB), Apple M1, 16 cores has 16.00 GB: "+
			"take a checkpoint with fewer bits or a machine with more memory")
	device.Paged = true
	require.NoError(t, m.check(device), "mapped weights are paged")
	require.Equal(t,
		"the model needs 20.20 GB, Apple M1, 16 cores has 16.00 GB: every token will wait for the disk; a checkpoint with "+
			"fewer bits would fit better", m.warning(device))
	require.Empty(t, m.warning(backend.Info{Memory: 64e9, Paged: true}))
	require.Empty(t, m.warning(backend.Info{Paged: true}), "unknown")
	m.Weights = 15e9
	require.Equal(t,
		"the model needs 16.40 GB, Apple M1, 16 cores has 16.00 GB: every token will wait for the disk; a checkpoint with "+
			"fewer bits or a smaller context would fit better", m.warning(device))
	m.KV = 17e9
	require.EqualError(t, m.check(device),
		"the model needs 32.06 GB (weights 15.00 GB, KV cache 17.00 GB, scratch 60.0 MB), Apple M1, 16 cores has 16.00 GB: "+
			"take a smaller context or a machine with more memory")
	device.MemoryLimit = "the cgroup /a (memory.max)"
	require.EqualError(t, m.check(device),
		"the model needs 32.06 GB (weights 15.00 GB, KV cache 17.00 GB, scratch 60.0 MB), the cgroup /a (memory.max) "+
			"allows 16.00 GB: take a smaller context or a higher limit")
	device.Memory, device.Room, device.RoomLimit = 64e9, 4e9, "the limit (ulimit -v)"
	require.EqualError(t, m.check(device),
		"the model needs 17.06 GB beside its weights (KV cache 17.00 GB, scratch 60.0 MB), the limit (ulimit -v) leaves "+
			"4.00 GB: take a smaller context or a higher limit")
	device.Room = 1
	require.ErrorContains(t, m.check(device), "leaves 0.0 MB: take a higher limit")
	device.Room, device.Paged = 0, false
	m.KV, m.Weights, device.Memory, device.MemoryLimit = 2e9, 15e9, 16e9, ""
	require.ErrorContains(t, m.check(device),
		"take a smaller context, a checkpoint with fewer bits, or a machine with more memory")
	device.Paged = true
	device.Memory = 0
	require.NoError(t, m.check(device), "unknown")
}

func TestBadLoadOptionIsTaken(t *testing.T) {
	for want, option := range map[string]LoadOption{
		"context is -1; it must be 0 (the checkpoint's limit) or more":                 MaxContext(-1),
		"context is 9999; it must be at most 1024, which testdata/glm4-a was made for": MaxContext(9999),
		"KV bits is 8; it must be 16 or 32, or 0 to choose by the checkpoint":          KVBits(8),
		"prefill chunk is -1; it must be 0 (the default) or more":                      PrefillChunk(-1),
		`backend is "cuda"; it must be auto, metal or cpu`:                             Backend("cuda"),
		"metal: no Metal here: Metal needs a Mac and this is " + runtime.GOOS + "/" + runtime.GOARCH +
			"; run on macOS 12 or later, or use the CPU": Backend("metal"),
	} {
		_, err := Load(context.Background(), "testdata/glm4-a", option)
		require.EqualError(t, err, want)
	}
	_, err := Load(context.Background(), "./testdata/nothing")
	require.EqualError(t, err,
		"./testdata/nothing: there is no such folder; give the path of a checkpoint (config.json, *.safetensors, "+
			"tokenizer.json)")
	_, err = Load(context.Background(), "testdata/glm4-a")
	require.ErrorContains(t, err, "testdata/glm4-a: ")
	require.ErrorContains(t, err, "tokenizer.json")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Load(ctx, "")
	require.True(t, errors.Is(err, context.Canceled))
}

func TestFittingContextDoesNotFit(t *testing.T) {
	const token, most = 40960, 32768 // of GLM-4-9B
	m := Memory{Weights: 5e9, Scratch: 100e6}
	gpu := backend.Info{Memory: 5_100_000_000 + 1000*token}
	machine := backend.Info{Memory: 7e9, Paged: true}
	for name, c := range map[string]struct {
		m    Memory
		d    backend.Info
		want int
	}{
		"whole steps":                 {m, gpu, 768},
		"nothing is left":             {m, backend.Info{Memory: 5e9}, 256},
		"all fits":                    {m, backend.Info{Memory: 64e9}, most},
		"unknown":                     {m, backend.Info{}, most},
		"an eighth is the machine's":  {m, machine, 97 * 256},
		"weights are paged":           {Memory{Weights: 19e9, Scratch: 100e6}, machine, 83 * 256},
		"the process has less":        {m, backend.Info{Memory: 64e9, Room: 200e6}, 9 * 256},
		"the process has next to nil": {m, backend.Info{Memory: 64e9, Room: 1}, 256},
	} {
		got := c.m.fitting(c.d, most, token)
		require.Equal(t, c.want, got, name)
		if c.d.Memory > 6e9 && c.d.Room != 1 || name == "whole steps" {
			c.m.KV = int64(got) * token
			require.NoError(t, c.m.check(c.d), name)
		}
	}
	require.Equal(t, 100, m.fitting(gpu, 100, token), "the checkpoint's own limit")

	tight := func() (backend.Device, error) { return smallDevice{cpu.Open(), 1_450_000}, nil }
	loaded := tiny(t, loadOptions{maxContext: FittingContext, open: tight})
	i := loaded.Info()
	require.Less(t, i.Context, i.Config.MaxPositions)
	require.LessOrEqual(t, i.Memory.Total(), int64(1_450_000))
	require.EqualValues(t, i.Context*i.KVBytes, i.Memory.KV)
	require.Equal(t, i.Config.MaxPositions, tiny(t, loadOptions{maxContext: FittingContext}).Info().Context)
}

// smallDevice has so much memory, for weights, too.
type smallDevice struct {
	backend.Device
	memory int64
}

func (d smallDevice) Info() backend.Info {
	i := d.Device.Info()
	i.Memory, i.Paged, i.Room = d.memory, false, 0
	return i
}
