package model

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// timed measures how long two things take that are done in turns.
func timed(b *testing.B, first, second func()) (one, two time.Duration) {
	first()
	second()
	for b.Loop() {
		start := time.Now()
		first()
		between := time.Now()
		second()
		one, two = one+between.Sub(start), two+time.Since(between)
	}
	return one, two
}

// BenchmarkPool gives the rate of eight requests side by side relative to that of eight sessions: 1 is as fast.
func BenchmarkPool(b *testing.B) {
	m, err := Load(b.Context(), "", Backend("cpu"))
	require.NoError(b, err)
	defer m.Close()
	p := m.NewPool(PoolOptions{Parallel: 8, CacheBytes: -1})
	defer p.Close()
	const tokens = 100
	run := func(generate func(prompt []int32)) func() {
		return func() {
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() { generate([]int32{5, 6, int32(i)}) })
			}
			all.Wait()
		}
	}
	o := Options{MaxTokens: tokens, IgnoreEOS: true}
	sessions, pool := timed(b, run(func(prompt []int32) {
		s := m.NewSession()
		defer s.Close()
		for range s.GenerateTokens(b.Context(), prompt, o) {
		}
	}), run(func(prompt []int32) {
		a, err := p.Submit(b.Context(), Request{Prompt: prompt, Options: o})
		if err != nil {
			b.Error(err)
			return
		}
		defer a.Close()
		for range a.Events() {
		}
	}))
	b.ReportMetric(sessions.Seconds()/pool.Seconds(), "ratio")
	b.ReportMetric(8*tokens*float64(b.N)/pool.Seconds(), "tokens/s")
}

// BenchmarkAnswer gives what a token costs more in Answer.Events than in Session.GenerateTokens.
func BenchmarkAnswer(b *testing.B) {
	m, err := Load(b.Context(), "", Backend("cpu"))
	require.NoError(b, err)
	defer m.Close()
	p := m.NewPool(PoolOptions{})
	defer p.Close()
	s := m.NewSession()
	defer s.Close()
	const tokens = 100
	r := Request{Prompt: []int32{5, 6, 7}, Options: Options{MaxTokens: tokens, IgnoreEOS: true}}
	session, answer := timed(b, func() {
		for range s.GenerateTokens(b.Context(), r.Prompt, r.Options) {
		}
	}, func() {
		a, err := p.Submit(b.Context(), r)
		require.NoError(b, err)
		defer a.Close()
		for range a.Events() {
		}
	})
	b.ReportMetric(float64((answer-session).Nanoseconds())/float64(tokens*b.N), "ns/token-more")
	b.ReportMetric(float64(session.Nanoseconds())/float64(tokens*b.N), "ns/token-session")
}
