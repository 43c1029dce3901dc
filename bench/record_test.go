package bench

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRecordingLosesRows(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "rows.csv")
	rows := exampleRows()
	require.NoError(t, Record(file, rows[:1]))
	require.NoError(t, Record(file, nil))
	require.NoError(t, Record(file, rows[1:]))
	rows[0].SamplesNS, rows[0].SamplesTS = nil, nil
	got, err := ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, rows, got)
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, written(t, "csv", rows), string(data))

	require.NoError(t, os.Chmod(file, 0o640))
	require.NoError(t, os.Symlink("rows.csv", filepath.Join(dir, "link")))
	require.NoError(t, Record(filepath.Join(dir, "link"), rows))
	require.NoError(t, os.Symlink("made.csv", filepath.Join(dir, "to come")))
	require.NoError(t, Record(filepath.Join(dir, "to come"), rows))
	got, err = ReadFile(file)
	require.NoError(t, err)
	require.Len(t, got, 4)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o640), info.Mode())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 4, "links, files and nothing else")
}

func TestRecordingAtOnceLosesRows(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rows.csv")
	var wg sync.WaitGroup
	for n := range 8 { // each opens and locks for itself, as a process would
		wg.Go(func() {
			row := exampleRows()[0]
			row.Prompt = n + 1
			for range 5 {
				assert.NoError(t, Record(file, []Row{row}))
			}
		})
	}
	wg.Wait()
	rows, err := ReadFile(file)
	require.NoError(t, err)
	count := map[int]int{}
	for _, row := range rows {
		count[row.Prompt]++
	}
	require.Equal(t, map[int]int{1: 5, 2: 5, 3: 5, 4: 5, 5: 5, 6: 5, 7: 5, 8: 5}, count)
}

// A file of an older version has fewer columns, one that a spreadsheet saved another order.
func TestColumnsAreMixedUp(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rows.csv")
	text := "avg_ts,n_prompt,n_gen,model_type,engine\n12.5,0,128,glm4,mlx-lm\n"
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	rows := exampleRows()[1:]
	require.NoError(t, Record(file, rows))
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	old := Row{Engine: "mlx-lm", ModelType: "glm4", Test: Test{Generate: 128}, AvgTS: 12.5}
	require.Equal(t, written(t, "csv", append([]Row{old}, rows...)), string(data))
}

func TestRecordingSpoilsAFile(t *testing.T) {
	dir := t.TempDir()
	llama, err := os.ReadFile("testdata/llama-bench.csv")
	require.NoError(t, err)
	for text, want := range map[string]string{
		"# notes\n":                             "line 1: no column n_prompt",
		"engine,n_prompt,n_gen,avg_ts,colour\n": `line 1: column "colour" is unknown and would be lost; name another file`,
		string(llama):                           `line 1: column "build_number" is unknown`,
		"engine,n_prompt,n_gen,avg_ts\nx":       "line 2: 1 values for 4 columns",
		"[]":                                    "JSON; rows are added to CSV files only",
		" ":                                     "empty",
	} {
		file := filepath.Join(dir, "rows.csv")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		require.ErrorContains(t, Record(file, exampleRows()), file+": "+want)
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, text, string(data))
	}
	file := filepath.Join(dir, "touched")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, Record(file, exampleRows()))

	require.ErrorContains(t, Record(dir, exampleRows()), "a folder; a file is needed")
	require.ErrorContains(t, Record(dir+"/no/rows.csv", exampleRows()), "no folder "+dir+"/no; make it first (mkdir -p)")
	rows := exampleRows()
	rows[1].AvgTS = -1
	file = filepath.Join(dir, "new")
	require.ErrorContains(t, Record(file, rows), "row 2 (tg128 @ d4096): avg_ts is -1")
	require.NoFileExists(t, file)
}

func TestMachinesShareAFile(t *testing.T) {
	for want, m := range map[string]Machine{
		"apple-m3-max-40.csv":                   {CPUInfo: "Apple M3 Max", GPUInfo: "Apple M3 Max, 40 cores", Cores: 16},
		"apple-m3-max-30.csv":                   {CPUInfo: "Apple M3 Max", GPUInfo: "Apple M3 Max (30-core GPU)", Cores: 14},
		"apple-m1-8-cores.csv":                  {CPUInfo: "Apple M1", GPUInfo: "Apple M1", Cores: 8},
		"amd-epyc-9004-2-cores.csv":             {CPUInfo: "AMD EPYC 9004", Cores: 2},
		"amd-epyc-9654-192-cores.csv":           {CPUInfo: "AMD EPYC 9654 96-Core Processor", Cores: 192},
		"intel-xeon-platinum-8481c-4-cores.csv": {CPUInfo: "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz", Cores: 4},
		"etc-passwd.csv":                        {CPUInfo: "../../etc/passwd\x00"},
		"linux-6-18-0-amd64.csv":                {System: "Linux 6.18.0 amd64"},
		"unknown-1-cores.csv":                   {CPUInfo: "龙芯", Cores: 1},
		"unknown.csv":                           {},
		strings.Repeat("x", 60) + ".csv":        {CPUInfo: strings.Repeat("X", 300)},
	} {
		assert.Equal(t, want, ResultsName(m))
	}
}
