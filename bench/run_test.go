package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/machine"
	"github.com/glm4-metal/glm4-metal/loader"
	"github.com/glm4-metal/glm4-metal/model"
)

// fakes are instruments that note what they are used for, and whose times and limits are given.
type fakes struct {
	log     []string
	prompts [][]int32
	clock   time.Time
	results func(i int, r *model.Result) // changes what the generation number i gave
	limits  []Limits                     // of each measurement, the last one again and again
	seen    []machine.Activity           // of each generation, likewise
	memory  int64
	fail    map[string]error // what fails, by its line in the log
}

func (f *fakes) note(format string, args ...any) error {
	line := fmt.Sprintf(format, args...)
	f.log = append(f.log, line)
	return f.fail[line]
}

func (f *fakes) Measure(_ context.Context, bits int) (Limits, error) {
	err := f.note("measure %d bits", bits)
	return turn(&f.limits), err
}

func (f *fakes) Memory() int64 { return f.memory }
func (f *fakes) Close() error  { return f.note("close") }

// turn takes the first of a list, unless it is the last one.
func turn[T any](list *[]T) (first T) {
	if len(*list) > 0 {
		first = (*list)[0]
	}
	if len(*list) > 1 {
		*list = (*list)[1:]
	}
	return first
}

func (f *fakes) instruments() instruments {
	return instruments{
		now: func() time.Time {
			f.clock = f.clock.Add(time.Minute)
			return f.clock
		},
		rest: func(ctx context.Context, d time.Duration) error {
			if d > 0 {
				return f.note("rest %v", d)
			}
			return nil
		},
		readMachine: func(context.Context) Machine { return Machine{System: "Plan 9"} },
		startWatch: func() func() machine.Activity {
			return func() machine.Activity { return turn(&f.seen) }
		},
		openProbe: func(_ context.Context, backend string) (prober, error) { return f, f.note("probe %s", backend) },
		shapeOf: func(c *loader.Checkpoint, kvBits int) (Shape, error) {
			return Shape{Name: "tiny", Params: 7, Bytes: c.Bytes(), Bits: 4}, f.note("shape f%d", kvBits)
		},
		limit: func(l Limits, s Shape, t Test, chunk int) (time.Duration, string) {
			return time.Duration(t.Prompt+t.Generate) * time.Second / 16,
				fmt.Sprintf("%v %s %s %d", l.Bandwidth, s.Name, t, chunk)
		},
		generate: func(ctx context.Context, s *model.Session, ids []int32, n int) (model.Result, error) {
			i := len(f.prompts)
			f.prompts = append(f.prompts, ids)
			if err := f.note("generate %d behind %d of %d", n, s.Len(), len(ids)); err != nil {
				return model.Result{}, err
			}
			r, err := generate(ctx, s, ids, n)
			if f.results != nil {
				f.results(i, &r)
			}
			return r, err
		},
	}
}

func (f *fakes) run(t *testing.T, o Options) []Row {
	t.Helper()
	rows, err := f.instruments().run(t.Context(), "", o)
	require.NoError(t, err)
	return rows
}

func TestOrderUnlikeLlamaBench(t *testing.T) {
	var names []string
	for _, test := range Tests([]int{512, 0, 64}, []int{128}, []int{0, 4096}, [][2]int{{16, 8}, {0, 0}, {0, 4}}) {
		names = append(names, test.String())
	}
	require.Equal(t, []string{
		"pp512", "pp64", "tg128", "pp16+tg8", "tg4",
		"pp512 @ d4096", "pp64 @ d4096", "tg128 @ d4096", "pp16+tg8 @ d4096", "tg4 @ d4096",
	}, names)
	require.Equal(t, []Test{{Prompt: 512}, {Generate: 128}}, DefaultTests())
	require.NotNil(t, Tests([]int{0}, nil, nil, nil), "Run would take the default tests")
}

// All tests of a repetition come before the next repetition, and each depth is filled once.
func TestRepetitionsNotByTurns(t *testing.T) {
	f := &fakes{}
	rows := f.run(t, Options{Repetitions: 2, Delay: time.Second,
		Tests: Tests([]int{40}, []int{3}, []int{0, 24}, [][2]int{{2, 5}})})
	turn := []string{}
	for _, depth := range []int{0, 24} {
		for _, line := range []string{
			fmt.Sprintf("generate 1 behind %d of %d", depth, depth+40),
			fmt.Sprintf("generate 3 behind %d of %d", depth, depth+1),
			fmt.Sprintf("generate 6 behind %d of %d", depth, depth+2),
		} {
			turn = append(turn, "rest 1s", line, "measure 4 bits")
		}
	}
	require.Equal(t, slices.Concat([]string{"shape f16", "probe cpu", "generate 5 behind 0 of 32", "measure 4 bits"},
		turn, turn, []string{"close"}), f.log)
	require.Len(t, rows, 6)
	for i, name := range []string{"pp40", "tg3", "pp2+tg5", "pp40 @ d24", "tg3 @ d24", "pp2+tg5 @ d24"} {
		require.Equal(t, name, rows[i].Test.String())
		require.Equal(t, 2, rows[i].Repetitions)
	}
}

func TestRestIsNotTheDelay(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, rest(ctx, time.Hour), context.Canceled)
	require.NoError(t, rest(t.Context(), time.Microsecond))
}

func TestWarmupNotLeftOut(t *testing.T) {
	f := &fakes{}
	f.run(t, Options{Repetitions: 1, NoWarmup: true, Tests: Tests(nil, []int{2}, nil, nil)})
	require.Equal(t, []string{"shape f16", "probe cpu", "measure 4 bits", "generate 2 behind 0 of 1", "measure 4 bits",
		"close"}, f.log)
}

func TestProgressSaysLessThanHappens(t *testing.T) {
	f := &fakes{results: func(i int, r *model.Result) { r.TTFT = time.Duration(max(1, i)) * time.Second }}
	var told []Progress
	f.run(t, Options{Repetitions: 3, Tests: Tests([]int{12}, nil, []int{0, 5}, nil)[1:],
		OnProgress: func(p Progress) { told = append(told, p) }})
	require.Equal(t, []Progress{
		{0, 4, "warm-up", 0, 0}, {0, 4, "warm-up", 0, 0},
		{0, 4, "fill 5", 0, 0}, {1, 4, "fill 5", 0, 0},
		{1, 4, "pp12 @ d5", 1, 0}, {2, 4, "pp12 @ d5", 1, 12},
		{2, 4, "pp12 @ d5", 2, 12}, {3, 4, "pp12 @ d5", 2, 9},
		{3, 4, "pp12 @ d5", 3, 9}, {4, 4, "pp12 @ d5", 3, 6},
	}, told)
}

// A repetition must not find its own tokens in the cache, nor the same ones each time.
func TestPromptsAreTheSame(t *testing.T) {
	f := &fakes{}
	f.run(t, Options{Repetitions: 2, NoWarmup: true, Tests: Tests([]int{30}, []int{2}, []int{50}, nil)})
	require.Len(t, f.prompts, 4)
	for i, ids := range f.prompts {
		require.Equal(t, f.prompts[0][:50], ids[:50])
		require.NotContains(t, f.prompts[:i], ids)
	}
	again, other := &fakes{}, &fakes{}
	again.run(t, Options{Repetitions: 2, NoWarmup: true, Tests: Tests([]int{30}, []int{2}, []int{50}, nil)})
	require.Equal(t, f.prompts, again.prompts)
	other.run(t, Options{Repetitions: 1, NoWarmup: true, Seed: 1, Tests: Tests([]int{30}, nil, []int{50}, nil)})
	require.NotEqual(t, f.prompts[0], other.prompts[0])
}

func TestAnotherAmountIsMeasured(t *testing.T) {
	for want, change := range map[string]func(i int, r *model.Result){
		"pp4 @ d9, repetition 2: 8 tokens were in the cache, not 9": func(i int, r *model.Result) { r.CachedTokens -= i },
		"pp4 @ d9, repetition 2: 0 tokens were generated, not 1":    func(i int, r *model.Result) { r.CompletionTokens -= i },
		"pp4 @ d9, repetition 1: it took no time":                   func(_ int, r *model.Result) { r.TTFT = 0 },
	} {
		f := &fakes{results: change}
		_, err := f.instruments().run(t.Context(), "", Options{NoWarmup: true, Tests: []Test{{Prompt: 4, Depth: 9}}})
		require.EqualError(t, err, want)
		require.Contains(t, f.log, "close")
	}
}

func TestInterruptionLosesWhatWasMeasured(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := &fakes{results: func(i int, r *model.Result) { r.TTFT = time.Second }}
	rows, err := f.instruments().run(ctx, "", Options{Tests: Tests([]int{8, 4}, []int{3}, []int{6}, nil),
		OnProgress: func(p Progress) {
			if p.Repetition == 2 && p.Doing == "pp4 @ d6" {
				cancel()
			}
		}})
	require.ErrorIs(t, err, context.Canceled)
	require.EqualError(t, err, "pp4 @ d6, repetition 2: context canceled")
	require.Len(t, rows, 3)
	for i, n := range []int{2, 1, 1} {
		require.Equal(t, n, rows[i].Repetitions)
		require.Len(t, rows[i].SamplesTS, n)
	}
	require.Equal(t, 8.0, rows[0].MedianTS)

	rows, err = f.instruments().run(ctx, "", Options{})
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, rows)
}

func TestFailureLosesWhatWasMeasured(t *testing.T) {
	broken := errors.New("broken")
	for line, want := range map[string]struct {
		text string
		rows int
	}{
		"shape f16":                 {"broken", 0},
		"probe cpu":                 {"broken", 0},
		"generate 3 behind 0 of 8":  {"warm-up: broken", 0},
		"measure 4 bits":            {"broken", 0},
		"generate 1 behind 5 of 13": {"pp8 @ d5, repetition 1: broken", 0},
		"generate 2 behind 5 of 6":  {"tg2 @ d5, repetition 1: broken", 1},
	} {
		f := &fakes{fail: map[string]error{line: broken}}
		rows, err := f.instruments().run(t.Context(), "", Options{Tests: Tests([]int{8}, []int{2}, []int{5}, nil)})
		require.ErrorIs(t, err, broken, line)
		require.EqualError(t, err, want.text)
		require.Len(t, rows, want.rows, line)
	}
}

// What was measured before the device failed counts, with the limits of before.
func TestFailedProbeLosesTheRepetition(t *testing.T) {
	f := &fakes{limits: []Limits{{Bandwidth: 100}}}
	in := f.instruments()
	in.openProbe = func(context.Context, string) (prober, error) { return &failing{fakes: f}, nil }
	rows, err := in.run(t.Context(), "", Options{Tests: []Test{{Prompt: 8}}})
	require.EqualError(t, err, "the device is gone")
	require.Len(t, rows, 1)
	require.Equal(t, 100.0, rows[0].Bandwidth)
}

// failing measures once.
type failing struct {
	*fakes
	measured bool
}

func (f *failing) Measure(ctx context.Context, bits int) (Limits, error) {
	if f.measured {
		return Limits{}, errors.New("the device is gone")
	}
	f.measured = true
	return f.fakes.Measure(ctx, bits)
}

func TestImpossibleSizesAreTried(t *testing.T) {
	const tooLong = " and the token behind it do not fit into the 2048 tokens that glm4-metal-demo was made for; " +
		"take fewer"
	for want, o := range map[string]Options{
		"prompt is -1; it must be 0 or more": {
			Tests: []Test{{Prompt: -1, Generate: 4}}},
		"generation is -2; it must be 0 or more": {
			Tests: []Test{{Generate: -2}}},
		"depth is -3; it must be 0 or more": {
			Tests: []Test{{Prompt: 1, Depth: -3}}},
		"repetitions is -1; it must be 0 (the default) or more": {Repetitions: -1},
		"delay is -1s; it must be 0 or more":                    {Delay: -time.Second},
		"there is no test to run; give one a prompt or a generation of 1 token or more": {
			Tests: []Test{}},
		"test 2 of 2 has neither a prompt nor a generation; give it one of 1 token or more": {
			Tests: []Test{{Prompt: 1}, {Depth: 7}}},
		"pp2048" + tooLong: {
			Tests: []Test{{Prompt: 2047}, {Prompt: 2048}}},
		"tg24 @ d2024" + tooLong: {
			Tests: []Test{{Generate: 24, Depth: 2024}}},
		fmt.Sprintf("pp%d+tg%[1]d @ d%[1]d", math.MaxInt) + tooLong: {Tests: []Test{{math.MaxInt, math.MaxInt, math.MaxInt}}},
	} {
		f := &fakes{}
		rows, err := f.instruments().run(t.Context(), "", o)
		require.EqualError(t, err, want)
		require.Empty(t, rows)
		require.Empty(t, f.log, "loaded before it was refused")
	}
}

func TestContextIsNotUsedToItsEnd(t *testing.T) {
	f := &fakes{}
	rows := f.run(t, Options{Repetitions: 1, NoWarmup: true, Load: []model.LoadOption{model.MaxContext(16)},
		Tests: []Test{{Prompt: 1, Generate: 2, Depth: 2044}, {Generate: 3, Depth: 2044}, {Prompt: 3, Depth: 2044}}})
	require.Len(t, rows, 3)
}

func TestCachesDoNotFit(t *testing.T) {
	f := &fakes{memory: 1 << 20}
	_, err := f.instruments().run(t.Context(), "", Options{Tests: Tests([]int{8}, nil, []int{0, 1000}, nil)})
	require.ErrorContains(t, err, "the caches of 2 depths take 0.00 GB at once, with the model 0.0")
	require.ErrorContains(t, err, "allows 0.00 GB; measure fewer depths at a time")
	require.Equal(t, []string{"shape f16", "probe cpu", "close"}, f.log)
}

func TestModelIsNotLoadedAsAsked(t *testing.T) {
	for want, o := range map[string]Options{
		`backend is "abacus"; it must be auto, metal or cpu`:                  {Backend: "abacus"},
		"KV bits is 3; it must be 16 or 32, or 0 to choose by the checkpoint": {Load: []model.LoadOption{model.KVBits(3)}},
	} {
		rows, err := (&fakes{}).instruments().run(t.Context(), "", o)
		require.EqualError(t, err, want)
		require.Empty(t, rows)
	}
	_, err := (&fakes{}).instruments().run(t.Context(), t.TempDir(), Options{})
	require.ErrorContains(t, err, "config.json")

	rows := (&fakes{}).run(t, Options{Repetitions: 1, Backend: "cpu", Tests: []Test{{Prompt: 40}},
		Load: []model.LoadOption{model.Backend("metal"), model.KVBits(32), model.PrefillChunk(16)}})
	require.Equal(t, "f32", rows[0].TypeK)
	require.Equal(t, 16, rows[0].NBatch)
}
