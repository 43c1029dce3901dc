package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/bench"
)

// labels are those of the series, in their order.
func labels(rows ...bench.Row) (labels []string, common string) {
	all, common := split(rows)
	for _, one := range all {
		labels = append(labels, one.label)
	}
	return labels, common
}

// with is one of our rows with a change.
func with(t bench.Test, change func(*bench.Row)) bench.Row {
	r := row(t, 7)
	change(&r)
	return r
}

func TestSeriesAreTakenForEachOther(t *testing.T) {
	llama := func(r *bench.Row) { r.Engine, r.ModelType = "llama.cpp", "glm4 9B Q4_0" }
	ours := row(tg(0), 7)
	for _, c := range []struct {
		about  string
		rows   []bench.Row
		labels []string
		common string
	}{
		{"one", []bench.Row{ours, row(tg(4096), 6), row(pp(0), 20)}, []string{"glm4-metal"},
			"CPU · glm4 9B 4bit · AMD EPYC, 2 cores"},
		{"engines", []bench.Row{ours, with(tg(0), llama)},
			[]string{"glm4-metal · glm4 9B 4bit", "llama.cpp · glm4 9B Q4_0"}, "CPU · AMD EPYC, 2 cores"},
		{"backends", []bench.Row{ours, with(tg(0), func(r *bench.Row) { r.Backends = "Metal" })},
			[]string{"glm4-metal · CPU", "glm4-metal · Metal"}, "glm4 9B 4bit · AMD EPYC, 2 cores"},
		{"machines", []bench.Row{ours, with(tg(0), func(r *bench.Row) { r.CPUInfo = "Apple M1" })},
			[]string{"glm4-metal · AMD EPYC, 2 cores", "glm4-metal · Apple M1, 2 cores"}, "CPU · glm4 9B 4bit"},
		{"GPUs", []bench.Row{with(tg(0), func(r *bench.Row) { r.GPUInfo = "24 cores" }),
			with(tg(0), func(r *bench.Row) { r.GPUInfo = "32 cores" })},
			[]string{"glm4-metal · 24 cores", "glm4-metal · 32 cores"}, "CPU · glm4 9B 4bit · AMD EPYC, 2 cores"},
		{"threads", []bench.Row{ours, with(tg(0), func(r *bench.Row) { r.NThreads = 1 })},
			[]string{"glm4-metal · threads 2", "glm4-metal · threads 1"}, "CPU · glm4 9B 4bit · AMD EPYC, 2 cores"},
		{"threads of another engine",
			[]bench.Row{ours, with(tg(0), func(r *bench.Row) { r.Engine, r.NThreads = "mlx-lm", 0 })},
			[]string{"glm4-metal", "mlx-lm"}, "CPU · glm4 9B 4bit · AMD EPYC, 2 cores"},
		{"caches", []bench.Row{with(tg(0), func(r *bench.Row) { r.TypeK, r.TypeV = "f16", "f16" }),
			with(tg(0), func(r *bench.Row) { r.TypeK, r.TypeV = "f32", "f32" })},
			[]string{"glm4-metal · f16/f16", "glm4-metal · f32/f32"}, "CPU · glm4 9B 4bit · AMD EPYC, 2 cores"},
		{"lengths", []bench.Row{row(pp(0), 20), row(bench.Test{Prompt: 1024}, 20), ours},
			[]string{"glm4-metal · pp512", "glm4-metal · pp1024", "glm4-metal"}, "CPU · glm4 9B 4bit · AMD EPYC, 2 cores"},
		{"lengths of another engine", []bench.Row{row(pp(0), 20), ours,
			with(bench.Test{Prompt: 8}, func(r *bench.Row) { r.Engine = "mlx-lm" })},
			[]string{"glm4-metal · pp512", "mlx-lm · pp8"}, "CPU · glm4 9B 4bit · AMD EPYC, 2 cores"},
	} {
		got, common := labels(c.rows...)
		require.Equal(t, c.labels, got, c.about)
		require.Equal(t, c.common, common, c.about)
	}
}

func TestOlderResultIsDrawn(t *testing.T) {
	all, _ := split([]bench.Row{row(tg(0), 5), row(tg(4096), 4), row(tg(0), 7)})
	require.Len(t, all, 1)
	require.Equal(t, []bench.Row{row(tg(0), 7), row(tg(4096), 4)}, all[0].rows[generation])
}
