package bench

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestComparesWhatIsNotTheSame(t *testing.T) {
	base := exampleRows()[0]
	with := func(change func(*Row)) Row {
		row := base
		change(&row)
		return row
	}
	faster := with(func(r *Row) { r.MedianTS *= 2 })
	for name, other := range map[string]Row{
		"backend": with(func(r *Row) { r.Backends = "CPU" }),
		"model":   with(func(r *Row) { r.ModelType = "glm4 9B 8bit" }),
		"threads": with(func(r *Row) { r.NThreads = 1 }),
		"n_batch": with(func(r *Row) { r.NBatch = 2048 }),
		"prompt":  with(func(r *Row) { r.Prompt = 513 }),
		"depth":   with(func(r *Row) { r.Depth = 1 }),
		"speed":   with(func(r *Row) { r.AvgTS, r.MedianTS = 0, 0 }),
	} {
		require.Empty(t, Compare([]Row{base}, []Row{other}, 0), name)
		got := Compare([]Row{base}, []Row{faster, other}, 0)
		require.Len(t, got, 1, name)
		require.Equal(t, Comparison{base, faster, 0.5, true}, got[0], name)
	}
	unknown := with(func(r *Row) { r.NBatch, r.ModelFilename, r.BuildCommit, r.Device = 0, "", "", "" })
	require.Len(t, Compare([]Row{base}, []Row{unknown}, 0), 1)
	require.Len(t, Compare([]Row{unknown}, []Row{base}, 0), 1)
}

func TestComparesWithTheWrongRow(t *testing.T) {
	row := exampleRows()[0]
	row.MedianTS, row.AvgTS = 100, 90
	first, last, mean, llama := row, row, row, row
	first.MedianTS, last.MedianTS = 10, 80
	mean.MedianTS, mean.AvgTS = 0, 180
	llama.Engine, llama.MedianTS = "llama.cpp", 50
	for _, c := range []struct {
		old   []Row
		ratio float64
	}{
		{[]Row{first, last}, 1.25},
		{[]Row{last, llama}, 1.25},
		{[]Row{llama}, 2},
		{[]Row{last, mean}, 0.5},
	} {
		got := Compare([]Row{row}, c.old, 0.05)
		require.Len(t, got, 1)
		require.Equal(t, c.ratio, got[0].Ratio)
	}
	other := first
	other.Prompt++ // the old rows have the engine, but not in this test
	require.Empty(t, Compare([]Row{row}, []Row{other, llama}, 0.05))
}

func TestSmallLossIsSlower(t *testing.T) {
	old := exampleRows()[0]
	old.MedianTS = 100
	for speed, slower := range map[float64]bool{94.9: true, 95.1: false, 100: false, 200: false} {
		row := old
		row.MedianTS = speed
		got := Compare([]Row{row}, []Row{old}, 0.05)
		require.Equal(t, slower, got[0].Slower, speed)
		require.Equal(t, slower, AnySlower(got))
	}
	require.False(t, AnySlower(nil))
}

func TestComparisonDoesNotTellWhatIsSlower(t *testing.T) {
	rows, old := exampleRows(), exampleRows()
	old[0].BuildCommit, old[1].BuildCommit = "0f0f0f0", "0f0f0f0"
	old[0].MedianTS, old[1].MedianTS = 645, 128
	var out bytes.Buffer
	require.NoError(t, WriteComparison(&out, Compare(rows, old, 0.05)))
	require.Equal(t, `- old: glm4-metal 0f0f0f0 (go1.26.8); 2025-04-14 09:05 to 2025-04-14 09:06 UTC
- new: glm4-metal 1a2b3c4+ (go1.26.8); 2025-04-14 09:05 to 2025-04-14 09:06 UTC

| model        | backend | threads |          test | old t/s | new t/s | ratio | verdict |
| ------------ | ------- | ------: | ------------: | ------: | ------: | ----: | ------- |
| glm4 9B 4bit | Metal   |      16 |         pp512 |  645.00 |  641.50 | 0.995 | ok      |
| glm4 9B 4bit | Metal   |      16 | tg128 @ d4096 |  128.00 |   64.00 | 0.500 | slower  |
`, out.String())
}
