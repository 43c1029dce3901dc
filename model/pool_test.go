package model

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

func submit(t *testing.T, p *Pool, r Request) *Answer {
	t.Helper()
	a, err := p.Submit(t.Context(), r)
	require.NoError(t, err)
	return a
}

// drain runs an answer to its end, or, if after is positive, until that many tokens have come.
func drain(a *Answer, after int) (ids []int32, events []Event, err error) {
	ids = []int32{}
	for e, err := range a.Events() {
		if err != nil {
			return ids, events, err
		}
		events = append(events, e)
		if e.Token != nil {
			if ids = append(ids, e.Token.ID); len(ids) == after {
				break
			}
		}
	}
	return ids, events, nil
}

func answered(t *testing.T, p *Pool, r Request) ([]int32, Result) {
	t.Helper()
	a := submit(t, p, r)
	defer a.Close()
	ids, _, err := drain(a, 0)
	require.NoError(t, err)
	return ids, a.Result()
}

func continuation(ids []int32, n int) Request {
	return Request{Prompt: ids, Options: Options{MaxTokens: n, IgnoreEOS: true}}
}

func newPool(t *testing.T, m *Model, o PoolOptions) *Pool {
	p := m.NewPool(o)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

func TestSessionsOfAPoolDisturbEachOther(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		m := tiny(t, on.with(func(o *loadOptions) { o.chunk = 16 }))
		const requests = 16
		shared := randomIDs(40)
		var prompts, want [][]int32
		for i := range requests {
			prompt := append(slices.Clone(shared[:10+i*2]), int32(i), int32(i+1))
			s := m.NewSession()
			prompts, want = append(prompts, prompt), append(want, collect(t, s, prompt, Options{MaxTokens: 12, IgnoreEOS: true}))
			require.NoError(t, s.Close())
		}
		p := m.NewPool(PoolOptions{Parallel: 4})
		var wg sync.WaitGroup
		for i := range requests {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 1))
				for range 2 {
					which, after := r.IntN(requests), r.IntN(20)
					ctx, cancel := context.WithCancel(context.Background())
					a, err := p.Submit(ctx, continuation(prompts[which], 12))
					if !assert.NoError(t, err) {
						cancel()
						return
					}
					if r.IntN(4) == 0 {
						cancel() // while it waits, or in its first steps
					}
					ids, _, err := drain(a, after)
					if ctx.Err() != nil {
						assert.ErrorIs(t, err, context.Canceled)
						assert.Equal(t, FinishCancelled, a.Result().FinishReason)
					} else {
						assert.NoError(t, err)
						assert.Equal(t, len(prompts[which]), a.Result().PromptTokens)
						assert.NotEmpty(t, ids)
					}
					assert.Equal(t, want[which][:len(ids)], ids)
					assert.NoError(t, a.Close())
					cancel()
				}
			})
		}
		wg.Wait()
		stats := p.Stats()
		require.Zero(t, stats.Running+stats.Waiting)
		require.EqualValues(t, 2*requests, stats.Requests)
		require.Positive(t, stats.CachedTokens)
		require.Positive(t, stats.Sessions)
		require.LessOrEqual(t, stats.CacheBytes, p.o.CacheBytes)
		require.NoError(t, p.Close())
		require.NoError(t, p.Close())
		require.Zero(t, p.Stats().Sessions)
		require.Zero(t, p.Stats().CacheBytes)
	})
}

// Requests through a pool are answered as Chat.Reply answers.
func TestChatDiffersThroughAPool(t *testing.T) {
	weather, err := NewTool("get_weather", "The weather", nil)
	require.NoError(t, err)
	talk := []Message{SystemMessage("Answer briefly."), UserMessage("Hello"), AssistantMessage("Hi."), UserMessage("Why?")}
	m, z1 := demoModel(t), demoModel(t, ChatTemplate("glm-z1-0414"))
	call := func() []LogitsProcessor {
		return []LogitsProcessor{say(written(t, m, "\nLet me see.\nget_weather\n{}", "<|user|>"))}
	}
	think := func() []LogitsProcessor {
		return []LogitsProcessor{say(written(t, z1, "\nIt is easy.\n</think>\n\nFour.", "<|user|>"))}
	}
	for name, c := range map[string]struct {
		m          *Model
		tools      []Tool
		o          Options
		processors func() []LogitsProcessor
	}{
		"plain":        {m: m, o: Options{MaxTokens: 30}},
		"drawn":        {m: m, o: Options{MaxTokens: 20, Temperature: 0.9, Seed: 7, Logprobs: true, TopLogprobs: 2}},
		"stop":         {m: m, o: Options{MaxTokens: 30, Stop: []string{"e"}}},
		"tools":        {m: m, tools: []Tool{weather}, processors: call},
		"reasoning":    {m: z1, o: Options{MaxTokens: 30}, processors: think},
		"no reasoning": {m: z1, o: Options{MaxTokens: 10, MaxReasoning: -1, IgnoreEOS: true}},
		"limit":        {m: z1, o: Options{MaxTokens: 10, MaxReasoning: 3, IgnoreEOS: true}},
	} {
		if c.processors == nil {
			c.processors = func() []LogitsProcessor { return nil }
		}
		c.o.Processors = c.processors()
		chat := c.m.NewChat(Tools(c.tools...), Generation(c.o))
		require.NoError(t, chat.SetMessages(talk))
		var want []Event
		for e, err := range chat.Reply(t.Context()) {
			require.NoError(t, err, name)
			want = append(want, e)
		}
		c.o.Processors = c.processors()
		p := newPool(t, c.m, PoolOptions{})
		a := submit(t, p, Request{Messages: talk, Tools: c.tools, Options: c.o})
		_, got, err := drain(a, 0)
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
		wantResult, result := chat.Result(), a.Result()
		for _, r := range []*Result{&wantResult, &result} {
			r.TTFT, r.GenerationTime, r.Seed = 0, 0, 0
		}
		require.Equal(t, wantResult, result, name)
		require.Equal(t, result.PromptTokens, a.PromptTokens(), name)
		require.NoError(t, a.Close())
		require.NoError(t, chat.Close())
	}

	p := newPool(t, m, PoolOptions{})
	hidden := submit(t, p, Request{Messages: talk, Tools: []Tool{weather}, Choice: ToolChoice{Mode: ToolNone}})
	plain := submit(t, p, Request{Messages: talk})
	require.Equal(t, plain.PromptTokens(), hidden.PromptTokens(), "the tools are declared")
	require.NoError(t, hidden.Close())
	require.NoError(t, plain.Close())
}

func TestChatMessagesOfTheCallerAreWrittenOver(t *testing.T) {
	p := newPool(t, demoModel(t), PoolOptions{})
	talk := make([]Message, 1, 2)
	talk[0] = UserMessage("Hello")
	answered(t, p, Request{Messages: talk, Options: Options{MaxTokens: 3}})
	require.Zero(t, talk[:2][1])
}

func TestCloseOfAPoolLeavesSomethingRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails where a goroutine is left
		m := tiny(t, loadOptions{})
		p := m.NewPool(PoolOptions{Parallel: 1})
		var running, waiting error
		var result Result
		var wg sync.WaitGroup
		a, b, c := submit(t, p, continuation(randomIDs(20), 0)), submit(t, p, continuation(randomIDs(9), 0)),
			submit(t, p, continuation(randomIDs(9), 0))
		goOn := make(chan struct{})
		wg.Go(func() {
			for _, err := range a.Events() {
				running = err
				<-goOn
			}
			result = a.Result()
		})
		synctest.Wait()
		wg.Go(func() { _, _, waiting = drain(b, 0) })
		synctest.Wait()
		require.Equal(t, ErrBusy, a.Close())
		stats := p.Stats()
		require.Equal(t, [3]int{1, 2, 1}, [3]int{stats.Running, stats.Waiting, stats.Sessions})
		require.Positive(t, stats.CacheBytes)
		closed := false
		wg.Go(func() {
			assert.NoError(t, p.Close())
			closed = true
		})
		synctest.Wait()
		require.False(t, closed, "it does not wait for the loop")
		_, err := p.Submit(t.Context(), continuation(randomIDs(3), 1))
		require.Equal(t, ErrClosed, err)
		close(goOn)
		wg.Wait()
		require.Equal(t, ErrClosed, running)
		require.Equal(t, ErrClosed, waiting)
		_, _, err = drain(c, 0)
		require.Equal(t, ErrClosed, err)
		require.Equal(t, FinishError, result.FinishReason)
		require.Equal(t, FinishError, c.Result().FinishReason)
		for _, a := range []*Answer{a, b, c} {
			require.NoError(t, a.Close())
			require.NoError(t, a.Close())
		}
		require.Zero(t, p.Stats().Sessions)
	})
}

func TestCancelledRequestKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tiny(t, loadOptions{})
		p := newPool(t, m, PoolOptions{Parallel: 1, Queue: 2})
		request := continuation(randomIDs(5), 2)
		first := submit(t, p, request)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		second, err := p.Submit(ctx, request)
		require.NoError(t, err)
		third := submit(t, p, request)
		_, err = p.Submit(t.Context(), request)
		require.Equal(t, ErrQueueFull, err)

		var order []string
		var cancelled error
		var wg sync.WaitGroup
		follow := func(name string, a *Answer) {
			wg.Go(func() {
				for _, err := range a.Events() {
					assert.NoError(t, err)
					if len(order) == 0 || order[len(order)-1] != name {
						order = append(order, name)
					}
				}
			})
			synctest.Wait()
		}
		for range first.Events() {
			wg.Go(func() { _, _, cancelled = drain(second, 0) })
			synctest.Wait()
			cancel()
			synctest.Wait()
			require.ErrorIs(t, cancelled, context.Canceled)
			require.Equal(t, FinishCancelled, second.Result().FinishReason)
			fourth := submit(t, p, request)
			_, err = p.Submit(t.Context(), request)
			require.Equal(t, ErrQueueFull, err)
			follow("fourth", fourth)
			follow("third", third)
			require.NoError(t, third.ctx.Err())
			break
		}
		wg.Wait()
		require.Equal(t, []string{"third", "fourth"}, order, "the order of the Submits")

		// Close alone frees a place, as does the end of the context before any loop.
		for range 10 {
			a := submit(t, p, request)
			require.NoError(t, a.Close())
			_, _, err = drain(a, 0)
			require.Equal(t, ErrClosed, err)
			ctx, cancel := context.WithCancel(t.Context())
			_, err = p.Submit(ctx, request)
			require.NoError(t, err)
			cancel()
			synctest.Wait()
		}
		_, err = p.Submit(ctx, request)
		require.Equal(t, context.Canceled, err)
		require.Zero(t, p.Stats().Waiting)

		a := submit(t, p, request)
		n := 0
		for _, err := range a.Events() {
			require.NoError(t, err)
			for _, err := range a.Events() {
				require.Equal(t, ErrBusy, err)
				n++
			}
		}
		require.Positive(t, n)
		_, _, err = drain(a, 0)
		require.Equal(t, ErrClosed, err, "an answer comes once")
	})
}

func TestCancelledSessionIsLost(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		p := newPool(t, tiny(t, on), PoolOptions{})
		prompt := randomIDs(40)
		want, _ := answered(t, p, continuation(prompt, 8))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		longer := slices.Concat(prompt, want, randomIDs(3))
		a, err := p.Submit(ctx, continuation(longer, 0))
		require.NoError(t, err)
		for _, err := range a.Events() {
			if err != nil {
				require.ErrorIs(t, err, context.Canceled)
			}
			cancel()
		}
		require.Equal(t, 47, a.Result().CachedTokens)
		require.NoError(t, a.Close())
		_, result := answered(t, p, continuation(longer, 2))
		require.Equal(t, len(longer)-1, result.CachedTokens)
		require.Equal(t, 1, p.Stats().Sessions)
	})
}

func TestRequestIsRefusedTooLate(t *testing.T) {
	m := demoModel(t, MaxContext(40))
	p := newPool(t, m, PoolOptions{Parallel: 1, Queue: -1})
	ids := slices.Repeat([]int32{5}, 40)
	for want, r := range map[string]Request{
		"the prompt has 40 tokens":       {Prompt: ids},
		"the prompt has":                 {Messages: []Message{UserMessage(fmt.Sprint(ids))}},
		"temperature is -1":              {Prompt: ids[:3], Options: Options{Temperature: -1}},
		"the prompt is empty":            {},
		"conversation is empty":          {Messages: []Message{}},
		"unknown role":                   {Messages: []Message{{Role: "narrator"}}},
		"token -1 at place 1 is outside": {Prompt: []int32{1, -1}},
		"it must be for an id below":     {Prompt: ids[:3], Options: Options{LogitBias: map[int32]float32{-1: 1}}},
	} {
		_, err := p.Submit(t.Context(), r)
		require.ErrorContains(t, err, want)
	}
	_, err := p.Submit(t.Context(), Request{Prompt: ids})
	var tooLong *ContextError
	require.ErrorAs(t, err, &tooLong)
	require.Equal(t, PoolStats{}, p.Stats(), "something has begun")
	_, result := answered(t, p, Request{Prompt: ids[:39], Options: Options{IgnoreEOS: true}})
	require.Equal(t, 1, result.CompletionTokens)
	require.Equal(t, PoolStats{Sessions: 1, CacheBytes: p.Stats().CacheBytes, Requests: 1, PromptTokens: 39,
		CompletionTokens: 1}, p.Stats())
}

func TestLateSystemMessageHasTheConversationComputedAgain(t *testing.T) {
	for format, inPlace := range map[string]bool{"glm-4-9b-chat": true, "glm-4-0414": false} {
		p := newPool(t, demoModel(t, ChatTemplate(format)), PoolOptions{})
		talk := []Message{SystemMessage("Answer briefly."), UserMessage("Hello"), AssistantMessage("Hi."),
			UserMessage("Why?")}
		_, first := answered(t, p, Request{Messages: talk, Options: Options{MaxTokens: 1}})
		late := append(talk, AssistantMessage("So."), SystemMessage("It is noon."), UserMessage("And?"))
		_, second := answered(t, p, Request{Messages: late, Options: Options{MaxTokens: 1}})
		if inPlace {
			require.GreaterOrEqual(t, second.CachedTokens, first.PromptTokens, format)
		} else { // the format has all system messages in front
			require.Less(t, second.CachedTokens, first.PromptTokens/2, format)
		}
	}
}

func TestSessionsOfAPoolPileUp(t *testing.T) {
	m := tiny(t, loadOptions{})
	one := attention(m.config).CacheBytes(m.config.Layers, 1, m.kvFormat)
	p := newPool(t, m, PoolOptions{CacheBytes: 3 * one})
	r := rand.New(rand.NewPCG(1, 2))
	heap := func() int64 {
		runtime.GC()
		runtime.GC() // also what pools of memory hold
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	var before int64
	goroutines := runtime.NumGoroutine()
	for i := range 200 {
		prompt := make([]int32, 1+r.IntN(200))
		for i := range prompt {
			prompt[i] = r.Int32N(160)
		}
		answered(t, p, continuation(prompt, 1))
		require.LessOrEqual(t, p.Stats().CacheBytes, 3*one)
		if i == 60 {
			before = heap()
		}
	}
	require.Less(t, heap()-before, one, "the heap grows")
	require.LessOrEqual(t, runtime.NumGoroutine(), goroutines)
	require.Len(t, p.idle.sessions, 3)
}

// small is a device that says it has little memory.
type small struct {
	backend.Device
	memory, room int64
}

func (d small) Info() backend.Info {
	i := d.Device.Info()
	i.Memory, i.Room, i.Paged = d.memory, d.room, true
	return i
}

func TestPoolKeepsMoreThanTheDeviceHolds(t *testing.T) {
	m := tiny(t, loadOptions{})
	kv, device := m.memory.KV, m.device
	defer func() { m.device = device }()
	for _, c := range []struct{ memory, room, want int64 }{
		{0, 0, 3 * kv},
		{m.memory.Total() + 2*kv, 0, 2 * kv},
		{m.memory.Total(), 0, kv},
		{0, m.memory.Scratch + 3*kv, 2 * kv},
		{m.memory.Total() + 20*kv, m.memory.Scratch + 30*kv, 3 * kv},
	} {
		m.device = small{device, c.memory, c.room}
		require.Equal(t, c.want, m.NewPool(PoolOptions{Parallel: 3}).o.CacheBytes)
		require.EqualValues(t, 7, m.NewPool(PoolOptions{CacheBytes: 7}).o.CacheBytes)
	}
}

// What a stream needs for a chunk of a prompt is much, and nothing bounds how many sessions CacheBytes has room for.
func TestKeptSessionHoldsMoreThanItsCache(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		p := newPool(t, tiny(t, on), PoolOptions{})
		ids, _ := answered(t, p, continuation([]int32{5, 6, 7}, 3))
		require.Len(t, p.idle.sessions, 1)
		kept := p.idle.sessions[0]
		require.Nil(t, kept.stream)
		require.Nil(t, kept.logits)
		require.Positive(t, kept.CacheBytes())
		again, r := answered(t, p, continuation([]int32{5, 6, 7}, 3))
		require.Equal(t, ids, again)
		require.Equal(t, 2, r.CachedTokens)
		require.Same(t, kept.Session, p.idle.sessions[0].Session)
	})
}
