package bench

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/machine"
	"github.com/glm4-metal/glm4-metal/model"
)

// Times and figures that llama-bench printed, tools/llama-bench/README.md in llama.cpp.
func TestFiguresUnlikeLlamaBench(t *testing.T) {
	for _, c := range []struct {
		test                             Test
		times                            []int64
		avgNS, stddevNS                  int64
		avg, stddev, first, last, median float64
	}{
		{Test{Prompt: 512}, []int64{74601900, 71632900, 71745200, 71952700, 70745500},
			72135640, 1453752, 7100.002165, 140.341520, 6863.1, 7237.21, 7136.37},
		{Test{Generate: 128}, []int64{1075361300, 1065089400, 1071761200, 1081934900, 1089692600},
			1076767880, 9449585, 118.881588, 1.041811, 119.03, 117.464, 119.03},
	} {
		s := &series{test: c.test}
		for _, ns := range c.times {
			x := sample{prompt: time.Duration(ns)}
			if c.test.Generate > 0 {
				x.prompt, x.generate = 0, x.prompt
			}
			s.samples = append(s.samples, x)
		}
		var row Row
		s.summarise(&row)
		require.Equal(t, c.avgNS, row.AvgNS)
		require.InDelta(t, c.stddevNS, row.StddevNS, 1)
		require.InDelta(t, c.avg, row.AvgTS, 1e-6)
		require.InDelta(t, c.stddev, row.StddevTS, 1e-6)
		require.InDelta(t, c.first, row.FirstTS, 0.005)
		require.InDelta(t, c.last, row.LastTS, 0.005)
		require.InDelta(t, c.median, row.MedianTS, 0.005)
		require.Equal(t, c.times, row.SamplesNS)
		if c.test.Prompt > 0 {
			require.Equal(t, []float64{row.AvgTS, 0}, []float64{row.PromptTPS, row.GenerationTPS})
		} else {
			require.Equal(t, []float64{0, row.AvgTS}, []float64{row.PromptTPS, row.GenerationTPS})
		}
	}
}

func TestMedianIsAnotherValue(t *testing.T) {
	x := []float64{5, 1, 4, 3}
	require.Equal(t, 3.5, median(x))
	require.Equal(t, []float64{5, 1, 4, 3}, x)
	require.Equal(t, 4.0, median([]float64{5, 1, 4}))
	require.Equal(t, 2.0, median([]float64{2}))
	require.Zero(t, stddev([]float64{2}))
}

// Prompt and generation take 1 s and 2 s, then 2 s and 4 s, the first step of a generation 0.5 s.
func TestRowIsNotWhatWasMeasured(t *testing.T) {
	f := &fakes{
		clock: time.Date(2026, 5, 4, 3, 2, 1, 5, time.FixedZone("", 3600)),
		results: func(i int, r *model.Result) {
			k := time.Duration(1 + i/3)
			r.TTFT, r.GenerationTime = k*time.Second, k*2*time.Second
			if r.PromptTokens == 7 { // of tg
				r.TTFT, r.GenerationTime = k*500*time.Millisecond, k*1500*time.Millisecond
			}
		},
		limits: []Limits{
			{Bandwidth: 10, Products: 100, Attention: 1000, Launch: 10},
			{Bandwidth: 30, Products: 500, Attention: 1000, Launch: 30},
			{Bandwidth: 10, Products: 100, Attention: 1000, Launch: 20},
			{Bandwidth: 10, Products: 100, Attention: 5000, Launch: 20},
			{Bandwidth: 50, Products: 300, Attention: 1000, Launch: 40},
		},
		seen: []machine.Activity{{Joules: 16}, {Joules: 8, Others: 0.04}, {Joules: 24}, {Joules: 32}, {}, {Joules: 24}},
	}
	rows := f.run(t, Options{Repetitions: 2, NoWarmup: true, Tests: Tests([]int{8}, []int{4}, []int{6}, [][2]int{{8, 4}})})
	require.Len(t, rows, 3)
	for _, row := range rows {
		require.Positive(t, row.PeakMemory)
		require.Less(t, row.PeakMemory, 10.0)
		require.Positive(t, row.LoadNS)
		require.Equal(t, time.UTC, row.TestTime.Location())
	}
	info := infoOfDemo(t)
	common := Row{
		Engine: "glm4-metal", Version: runtime.Version(), Machine: Machine{System: "Plan 9"}, Backends: "CPU",
		Device: info.Device, ModelFilename: "glm4-metal-demo", ModelType: "tiny", ModelSize: info.Memory.Weights,
		ModelNParams: 7, NBatch: 512, NThreads: runtime.GOMAXPROCS(0), TypeK: "f16", TypeV: "f16", Repetitions: 2,
	}
	check := func(i int, want Row) {
		t.Helper()
		got := rows[i]
		want.LoadNS, want.PeakMemory, want.BuildCommit = got.LoadNS, got.PeakMemory, got.BuildCommit
		require.InDelta(t, want.StddevTS, got.StddevTS, 1e-12)
		want.StddevTS = got.StddevTS
		require.Equal(t, want, got)
	}
	const root2 = 1.4142135623730951

	pp := common
	pp.Test, pp.TestTime = Test{Prompt: 8, Depth: 6}, time.Date(2026, 5, 4, 2, 3, 1, 0, time.UTC)
	pp.SamplesNS, pp.SamplesTS = []int64{1e9, 2e9}, []float64{8, 4}
	pp.AvgNS, pp.StddevNS, pp.AvgTS, pp.StddevTS, pp.MedianTS = 1.5e9, 707106781, 6, 2*root2, 6
	pp.FirstTS, pp.LastTS, pp.PromptTPS, pp.TTFTNS = 8, 4, 6, 1.5e9
	pp.JoulesToken = 3 // medians of 16 and 32 J
	// (10+30)/2 and (10+50)/2, and the others likewise
	pp.Bandwidth, pp.Products, pp.Attention, pp.LaunchNS = 25, 250, 2000, 25
	pp.LimitTS, pp.OfLimit, pp.Limit = 16, 6.0/16, "25 tiny pp8 @ d6 512"
	pp.Warning = "slowing down: the last repetition reached 0.50 of the first"
	check(0, pp)

	tg := common
	tg.Test, tg.TestTime = Test{Generate: 4, Depth: 6}, time.Date(2026, 5, 4, 2, 4, 1, 0, time.UTC)
	tg.SamplesNS, tg.SamplesTS = []int64{2e9, 4e9}, []float64{2, 1}
	tg.AvgNS, tg.StddevNS, tg.AvgTS, tg.StddevTS, tg.MedianTS = 3e9, 1414213562, 1.5, root2/2, 1.5
	tg.FirstTS, tg.LastTS, tg.GenerationTPS, tg.TTFTNS = 2, 1, 1.5, 0.75e9
	tg.JoulesToken, tg.Others = 1, 0.02
	tg.Bandwidth, tg.Products, tg.Attention, tg.LaunchNS = 35, 300, 1000, 32 // (20+50)/2
	tg.LimitTS, tg.OfLimit, tg.Limit = 16, 1.5/16, "35 tiny tg4 @ d6 512"
	tg.Warning = pp.Warning
	check(1, tg)

	both := common
	both.Test, both.TestTime = Test{Prompt: 8, Generate: 4, Depth: 6}, time.Date(2026, 5, 4, 2, 5, 1, 0, time.UTC)
	both.SamplesNS, both.SamplesTS = []int64{3e9, 6e9}, []float64{4, 2}
	both.AvgNS, both.StddevNS, both.AvgTS, both.StddevTS, both.MedianTS = 4.5e9, 2121320343, 3, root2, 3
	both.FirstTS, both.LastTS, both.PromptTPS, both.GenerationTPS, both.TTFTNS = 4, 2, 6, 1.5, 1.5e9
	both.JoulesToken = 2
	both.Bandwidth, both.Products, both.Attention, both.LaunchNS = 30, 200, 2000, 30
	both.LimitTS, both.OfLimit, both.Limit = 16, 3.0/16, "30 tiny pp8+tg4 @ d6 512"
	both.Warning = pp.Warning
	check(2, both)
}

func infoOfDemo(t *testing.T) model.Info {
	m, err := model.Load(t.Context(), "")
	require.NoError(t, err)
	defer m.Close()
	return m.Info()
}

// A limit that is not known must not become a share of it.
func TestNoLimitIsDividedBy(t *testing.T) {
	f := &fakes{}
	in := f.instruments()
	in.limit = func(Limits, Shape, Test, int) (time.Duration, string) { return 0, "" }
	rows, err := in.run(t.Context(), "", Options{Repetitions: 1, Tests: []Test{{Prompt: 8}}})
	require.NoError(t, err)
	require.Equal(t, []float64{0, 0}, []float64{rows[0].LimitTS, rows[0].OfLimit})
}

// The real clock: times of the demo, on the real CPU, which are those that a generation's result tells.
func TestTimesAreNotTheModels(t *testing.T) {
	var results []model.Result
	f := &fakes{results: func(_ int, r *model.Result) { results = append(results, *r) }}
	in := f.instruments()
	in.now, in.rest = time.Now, rest
	begin := time.Now()
	rows, err := in.run(t.Context(), "", Options{Repetitions: 1, NoWarmup: true, Backend: "cpu", Delay: time.Millisecond,
		Tests: Tests([]int{64}, []int{8}, []int{0, 100}, [][2]int{{16, 4}})})
	took := time.Since(begin)
	require.NoError(t, err)
	require.Len(t, rows, 6)
	var sum int64
	for i, row := range rows {
		r := results[i]
		require.Equal(t, int64(r.TTFT), row.TTFTNS)
		switch {
		case row.Generate == 0:
			require.Equal(t, []float64{r.PromptTPS(), 0}, []float64{row.PromptTPS, row.GenerationTPS})
		case row.Prompt == 0:
			require.Equal(t, []float64{0, 8 / (r.TTFT + r.GenerationTime).Seconds()},
				[]float64{row.PromptTPS, row.GenerationTPS})
		default:
			require.Equal(t, []float64{r.PromptTPS(), r.GenerationTPS()}, []float64{row.PromptTPS, row.GenerationTPS})
			require.Equal(t, 20/(r.TTFT+r.GenerationTime).Seconds(), row.MedianTS)
		}
		sum += row.AvgNS
		require.WithinRange(t, row.TestTime, begin.Add(-time.Second), begin.Add(took))
	}
	require.Less(t, sum, int64(took))
}

func TestDoubtIsNotTold(t *testing.T) {
	for _, c := range []struct {
		seconds []float64
		seen    []machine.Activity
		want    string
	}{
		{[]float64{1}, []machine.Activity{{}}, ""},
		{[]float64{1, 1.1}, []machine.Activity{{Others: 0.1}, {}}, ""},
		{[]float64{1, 1.12}, []machine.Activity{{Others: 0.1}, {Others: 0.12}},
			"busy: other processes took 11 % of the machine; slowing down: the last repetition reached 0.89 of the first"},
		{[]float64{1, 3, 2, 5, 1.25}, []machine.Activity{{}, {Throttled: "hot"}, {Throttled: "hotter"}, {Throttled: "hot"}, {}},
			"hot; hotter; slowing down: the last repetition reached 0.80 of the first"},
		{[]float64{1, 1, 9, 9, 1, 4}, []machine.Activity{{}, {}, {}, {}, {}, {}},
			"slowing down: the last 2 repetitions reached 0.62 of the first 2"},
		{[]float64{2, 1, 1}, []machine.Activity{{Others: 1}, {}, {}}, ""},
	} {
		s := &series{test: Test{Prompt: 8}}
		for i, x := range c.seconds {
			s.samples = append(s.samples, sample{prompt: time.Duration(x * 1e9), seen: c.seen[i]})
		}
		var row Row
		s.summarise(&row)
		require.Equal(t, c.want, row.Warning)
	}
}

func TestCommitIsAnothers(t *testing.T) {
	const revision = "0123456789abcdef0123456789abcdef01234567"
	own := debug.Module{Path: module, Version: "v1.2.3"}
	for _, c := range []struct {
		want string
		info debug.BuildInfo
	}{
		{"", debug.BuildInfo{Main: own}},
		{"0123456789ab", debug.BuildInfo{Main: own, Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: revision}, {Key: "vcs.modified", Value: "false"}}}},
		{"0123456789ab+", debug.BuildInfo{Main: own, Settings: []debug.BuildSetting{
			{Key: "vcs.modified", Value: "true"}, {Key: "vcs.revision", Value: revision}}}},
		{"v1.2.3", debug.BuildInfo{Main: debug.Module{Path: "example.com/app"}, Deps: []*debug.Module{&own},
			Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: revision}}}},
		{"", debug.BuildInfo{Main: debug.Module{Path: "example.com/app"}}},
	} {
		require.Equal(t, c.want, commit(&c.info))
	}
}
