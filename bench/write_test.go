package bench

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// exampleRows are a prompt and a generation as Run would give them, with what formats must quote.
func exampleRows() []Row {
	pp := Row{
		Engine: "glm4-metal", BuildCommit: "1a2b3c4+", Version: "go1.26.8",
		Machine: Machine{
			System: "macOS 26.1 arm64", CPUInfo: "Apple M3 Max", GPUInfo: "Apple M3 Max, 40 cores", Cores: 16,
			Memory: 64 << 30, Power: "performance, mains", Thermal: "nominal",
		},
		Backends: "Metal", Device: "Apple M3 Max", ModelFilename: `/models/it's "GLM-4", 9B`, ModelType: "glm4 9B 4bit",
		ModelSize: 5_291_000_000, ModelNParams: 9_400_279_040, NBatch: 512, NThreads: 16, TypeK: "f16", TypeV: "f16",
		Test: Test{Prompt: 512}, TestTime: time.Date(2025, 4, 14, 9, 5, 7, 0, time.UTC), Repetitions: 3,
		AvgNS: 800_000_000, StddevNS: 10_000_000, AvgTS: 640, StddevTS: 8, MedianTS: 641.5, FirstTS: 648.25, LastTS: 632,
		PromptTPS: 640, TTFTNS: 812_000_000, LoadNS: 1_250_000_000, PeakMemory: 5.75,
		Bandwidth: 372e9, Products: 13.1e12, Attention: 12.5e12, LaunchNS: 1800,
		LimitTS: 700, OfLimit: 0.9164285714285715, Limit: "compute", Others: 0.02,
		SamplesNS: []int64{790_000_000, 798_000_000, 810_000_000}, SamplesTS: []float64{648.25, 641.5, 632},
	}
	tg := pp
	tg.Test, tg.TestTime = Test{Generate: 128, Depth: 4096}, pp.TestTime.Add(time.Minute)
	tg.AvgNS, tg.StddevNS, tg.AvgTS, tg.StddevTS = 2_000_000_000, 50_000_000, 64, 1.5
	tg.MedianTS, tg.FirstTS, tg.LastTS, tg.PromptTPS, tg.GenerationTPS = 64, 65.5, 62.5, 0, 64
	tg.TTFTNS, tg.JoulesToken = 15_600_000, 0.52
	tg.Bandwidth, tg.LimitTS, tg.OfLimit, tg.Limit = 365e9, 70, 0.914, "memory"
	tg.Others, tg.Warning = 0.31, "other processes took 31 % of the machine"
	tg.SamplesNS, tg.SamplesTS = nil, nil
	return []Row{pp, tg}
}

func written(t *testing.T, format string, rows []Row) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, Write(&out, format, rows))
	return out.String()
}

var update = flag.Bool("update", false, "write rows.*; check them by eye")

// testdata/rows.* were checked by hand; for names and their order, llama-bench's own files are the oracle below.
func TestLayoutChanges(t *testing.T) {
	for _, format := range Formats {
		file := filepath.Join("testdata", "rows."+format)
		got := written(t, format, exampleRows())
		if *update {
			require.NoError(t, os.WriteFile(file, []byte(got), 0o666))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(want), got, format)
	}
}

// What reads llama-bench's output finds its columns in ours.
func TestColumnsAreNotLlamaBenchs(t *testing.T) {
	shared := func(theirs string, ours []string, sep string) (common []string) {
		for name := range strings.SplitSeq(theirs, sep) {
			if name = strings.TrimSpace(name); slices.Contains(ours, name) {
				common = append(common, name)
			}
		}
		return common
	}
	firstLine := func(format string) string {
		data, err := os.ReadFile("testdata/llama-bench." + format)
		require.NoError(t, err)
		line, _, _ := strings.Cut(string(data), "\n")
		return line
	}
	var ours []string
	for _, c := range columns {
		ours = append(ours, c.name)
	}
	theirs := firstLine("csv")
	common := shared(theirs, ours, ",")
	require.Equal(t, []string{
		"build_commit", "cpu_info", "gpu_info", "backends", "model_filename", "model_type", "model_size", "model_n_params",
		"n_batch", "n_threads", "type_k", "type_v", "n_prompt", "n_gen", "n_depth", "test_time", "avg_ns", "stddev_ns",
		"avg_ts", "stddev_ts",
	}, common)
	inOurOrder := slices.DeleteFunc(slices.Clone(ours), func(n string) bool { return !slices.Contains(common, n) })
	require.Equal(t, common, inOurOrder)

	_, table, _ := strings.Cut(written(t, "md", exampleRows()), "\n\n")
	head, _, _ := strings.Cut(table, "\n")
	spaces := func(line string) string { return strings.Join(strings.Fields(line), " ") }
	require.True(t, strings.HasPrefix(spaces(head), spaces(firstLine("md"))), head)
}

// The same rows give the same cells as in llama-bench's table, but for the speeds, which are of another run.
func TestCellsAreNotLlamaBenchs(t *testing.T) {
	rows, err := ReadFile("testdata/llama-bench.json")
	require.NoError(t, err)
	data, err := os.ReadFile("testdata/llama-bench.md")
	require.NoError(t, err)
	cells := func(table string) (all [][]string) {
		for line := range strings.Lines(table) {
			if strings.HasPrefix(line, "| glm4") {
				parts := strings.Split(line, "|")
				for i := range parts {
					parts[i] = strings.TrimSpace(parts[i])
				}
				all = append(all, parts[1:7])
			}
		}
		return all
	}
	require.Len(t, cells(string(data)), len(rows))
	require.Equal(t, cells(string(data)), cells(written(t, "md", rows)))
}

func TestNamesBreakTheTable(t *testing.T) {
	rows := exampleRows()
	rows[0].ModelType = "a|b\n\x1b[2J\u202e 模型九十亿 e\u0301 " + strings.Repeat("long ", 20)
	rows[1].ModelType = "模型"
	rows[1].Warning = "a\nb\x1b]0;title\a"
	rows[0].ModelFilename = "x\r\n- machine: faked"
	text := written(t, "md", rows)
	assert.NotContains(t, text, "\x1b")
	assert.NotContains(t, text, "\u202e")
	assert.NotContains(t, text, "\r")
	assert.NotContains(t, text, "\n- machine: faked")
	assert.Contains(t, text, `a\|b\n\x1b[2J\u202e 模型九十亿 `)
	assert.Contains(t, text, `! tg128 @ d4096: a\nb\x1b]0;title\a`)
	width, lines := 0, 0
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		w := (&runewidth.Condition{}).StringWidth(strings.TrimSuffix(line, "\n"))
		if lines++; lines > 1 {
			assert.Equal(t, width, w, line)
		}
		width = w
		assert.Less(t, strings.Count(line, "long"), 10, "the column is cut")
		assert.Equal(t, 15, strings.Count(strings.ReplaceAll(line, `\|`, ""), "|"), line)
	}
	assert.Equal(t, 4, lines)
}

// The table shows what tells rows apart, and no column that all rows lack.
func TestRowsLookAlike(t *testing.T) {
	rows := exampleRows()[:1]
	one := written(t, "md", rows)
	assert.NotContains(t, one, "J/token")
	assert.NotContains(t, one, "| engine")
	rows[0].Repetitions = 1
	assert.NotContains(t, written(t, "md", rows), "median")

	other := exampleRows()[0]
	other.BuildCommit = "5d6e7f8"
	assert.Contains(t, written(t, "md", []Row{other, rows[0]}), "| build ")
	other = exampleRows()[0]
	other.Engine, other.CPUInfo, other.ModelFilename = "mlx-lm", "Apple M4", "/models/other"
	both := written(t, "md", []Row{rows[0], other})
	assert.Contains(t, both, "| engine     | chip         | file             | model ")
	assert.Contains(t, both, "- engine: mlx-lm 1a2b3c4+ (go1.26.8)")
	assert.Contains(t, both, "- machine: Apple M4 with 16 cores")

	assert.NotPanics(t, func() { written(t, "md", nil) })
}

func TestWritesWhatCannotBeRead(t *testing.T) {
	for _, format := range Formats[1:] {
		rows := exampleRows()
		rows[1].AvgTS = 0
		err := Write(&bytes.Buffer{}, format, rows)
		require.EqualError(t, err, "row 2 (tg128 @ d4096): avg_ts is missing or 0; a result has a speed")
	}
	require.EqualError(t, Write(&bytes.Buffer{}, "xml", nil), `format "xml"; it must be one of md, csv, json, jsonl, sql`)
}
