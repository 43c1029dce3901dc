package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Its CSV quotes every value, and its JSON has samples; times differ, as each format is a run of its own.
func TestLlamaBenchsFilesAreMisread(t *testing.T) {
	for _, format := range []string{"csv", "json", "jsonl"} {
		rows, err := ReadFile("testdata/llama-bench." + format)
		require.NoError(t, err)
		require.Len(t, rows, 3)
		for i, row := range rows {
			assert.Positive(t, row.AvgNS)
			assert.Positive(t, row.StddevNS)
			assert.Positive(t, row.StddevTS)
			assert.Equal(t, 2026, row.TestTime.Year())
			assert.InEpsilon(t, float64(row.Prompt+row.Generate)/(float64(row.AvgNS)/1e9), row.AvgTS, 0.2)
			if format != "csv" {
				require.Len(t, row.SamplesNS, 2)
				require.Len(t, row.SamplesTS, 2)
				assert.InEpsilon(t, (row.SamplesTS[0]+row.SamplesTS[1])/2, row.AvgTS, 1e-4)
				assert.InDelta(t, (row.SamplesNS[0]+row.SamplesNS[1])/2, row.AvgNS, 1)
			} else if i == 0 {
				assert.Equal(t, time.Date(2026, 11, 29, 11, 49, 32, 0, time.UTC), row.TestTime)
				assert.Equal(t, []any{int64(125582), int64(15713), 64206.002366, 8033.714255},
					[]any{row.AvgNS, row.StddevNS, row.AvgTS, row.StddevTS})
			}
			row.TestTime, row.AvgNS, row.StddevNS, row.AvgTS, row.StddevTS = time.Time{}, 0, 0, 0, 0
			row.SamplesNS, row.SamplesTS = nil, nil
			assert.Equal(t, Row{
				Engine: "llama.cpp", BuildCommit: "unknown", Machine: Machine{CPUInfo: "Some CPU"}, Backends: "CPU",
				ModelFilename: `tiny "random".gguf`, ModelType: "glm4 ?B Q4_0", ModelSize: 56320, ModelNParams: 95040,
				NBatch: 2048, NThreads: 1, TypeK: "f16", TypeV: "f16",
				Test: []Test{{8, 0, 16}, {0, 4, 16}, {8, 4, 16}}[i],
			}, row, format)
		}
	}
}

func TestRowsChangeOnTheWay(t *testing.T) {
	for _, format := range []string{"csv", "json", "jsonl"} {
		want := exampleRows()
		if format == "csv" {
			want[0].SamplesNS, want[0].SamplesTS = nil, nil
		}
		got, err := Read(strings.NewReader(written(t, format, want)), "F")
		require.NoError(t, err)
		require.Equal(t, want, got, format)
	}
	rows := exampleRows()
	rows[0].ModelFilename = "a\xff\r\nb\x00"
	for _, format := range []string{"csv", "json", "jsonl"} {
		got, err := Read(strings.NewReader(written(t, format, rows)), "F")
		require.NoError(t, err)
		require.Equal(t, "a\ufffd \nb ", got[0].ModelFilename, format)
	}
}

// Spreadsheets write a byte order mark, CRLF and other orders.
func TestOtherProgramsCSVIsRefused(t *testing.T) {
	text := "\ufeffavg_ts,n_gen,n_prompt,test_time,notes\r\n\r\n12.5,128,,2025-04-14T11:05:07+02:00,\r\n"
	rows, err := Read(strings.NewReader(text), "F")
	require.NoError(t, err)
	require.Equal(t, []Row{{Engine: "llama.cpp", Test: Test{Generate: 128}, AvgTS: 12.5,
		TestTime: time.Date(2025, 4, 14, 9, 5, 7, 0, time.UTC)}}, rows)
}

func TestBrokenResultsAreRead(t *testing.T) {
	head := "engine,n_prompt,n_gen,avg_ts,test_time\n"
	for text, want := range map[string]string{
		"":      "F: empty; results as csv",
		" \n\n": "F: empty; results as csv",
		"version https://git-lfs.github.com/spec/v1\n": "F: a Git LFS pointer",
		"\x89PNG\r\n\x1a\n":                            "F: byte 0x89 at offset 0 is not UTF-8",
		"# Results\n":                                  "F: line 1: no column n_prompt; results as csv",
		"\n| model | t/s |\n":                          "F: line 2: no column n_prompt",
		"CREATE TABLE glm4_bench (\n":                  "F: line 1: no column n_prompt",
		"n_prompt,n_gen\n1,2\n":                        "F: line 1: no column avg_ts",
		"n_prompt,n_gen,avg_ts,n_gen\n":                `F: line 1: two columns n_gen; take one out`,
		head + "x,1,2,3\n":                             "F: line 2: 4 values for 5 columns; the line is cut",
		head + "x,1,2,3,,\n":                           "F: line 2: 6 values for 5 columns",
		head + "x,1,2,3,\n\"x,1,2,3,\n":                "F: line 3: a quoted value does not end",
		head + "x,1,2,3,\nx\"y,1,2,3,\n":               "F: line 3: a quote inside a value without quotes",
		head + "\"x\ny\",1,2,3,\nx,one,2,3,\n":         `F: line 4: n_prompt is "one"; a whole number is needed`,
		head + "x,1.5,2,3,\n":                          `F: line 2: n_prompt is "1.5"; a whole number is needed`,
		head + "x,99999999999999999999,2,3,\n":         "F: line 2: n_prompt is \"99999999999999999999\"; a whole number",
		head + "x,-1,2,3,\n":                           "F: line 2: n_prompt is -1; a number of 0 or more is needed",
		head + "x,1,2,fast,\n":                         `F: line 2: avg_ts is "fast"; a number is needed`,
		head + "x,1,2,NaN,\n":                          "F: line 2: avg_ts is NaN; a number of 0 or more is needed",
		head + "x,1,2,inf,\n":                          "F: line 2: avg_ts is +Inf; a number of 0 or more is needed",
		head + "x,1,2,-3,\n":                           "F: line 2: avg_ts is -3; a number of 0 or more is needed",
		head + "x,1,2,,\n":                             "F: line 2: avg_ts is missing or 0; a result has a speed",
		head + "x,0,,3,\n":                             "F: line 2: n_prompt and n_gen are missing or 0",
		head + "x,1,2,3,yesterday\n":                   `F: line 2: test_time is "yesterday"; a time such as`,
		head + "x,1,2,3,9999-12-31T23:00:00-02:00":     "F: line 2: test_time is in the year 10000",
		head + "x,1,2," + strings.Repeat("9x", 99):     `F: line 2: 4 values for 5 columns`,

		"{}": "F: line 1: n_prompt and n_gen are missing or 0",
		`{"model_type": "glm4", "hidden_size": 4096}`:         "F: line 1: n_prompt and n_gen are missing or 0",
		"{\"n_gen\": 1, \"avg_ts\": 2}\n{\"n_gen\": 1}":       "F: line 2: avg_ts is missing or 0",
		"{\"n_gen\": 1, \"avg_ts\": 2}\n{\"n_ge":              "F: line 2: broken JSON: the text ends within it",
		"[\n{\"n_gen\": 1, \"avg_ts\": 2},\n":                 "F: line 2: broken JSON: the text ends within it",
		"[\n{\"n_gen\": 1, \"avg_ts\": 2}":                    "F: line 2: broken JSON: the text ends within it",
		"[\n{\"n_gen\": 1,\n\"avg_ts\": inf}]":                "F: line 3: broken JSON: invalid character 'i'",
		"[\n{\"n_gen\": 1, \"avg_ts\":\n\"2\"}]":              "F: line 3: avg_ts is a JSON string; a value of type float64",
		"{\"n_gen\": 1, \"avg_ts\": 1e999}":                   "F: line 1: avg_ts is a JSON number 1e999",
		"{\"n_gen\": 1, \"avg_ts\": 2, \"cores\": \"2\"}":     "F: line 1: cores is a JSON string; a value of type int",
		"{\"n_gen\": 1, \"avg_ts\": 2, \"samples_ns\": [-1]}": "F: line 1: samples_ns has -1",
		"{\"n_gen\": 1, \"avg_ts\": 2, \"samples_ts\": [-1]}": "F: line 1: samples_ts has -1",
		"[\n\n1]":                        "F: line 3: a JSON number in the place of a row",
		"[null]":                         "F: line 1: n_prompt and n_gen are missing or 0",
		"[]\n[]":                         "F: line 2: text behind the rows",
		"{\"n_gen\": 1, \"avg_ts\": 2}]": "F: line 1: text behind the rows",
		"{\"n_gen\": 1, \"avg_ts\": 2, \"test_time\": \"now\"}": "F: line 1: test_time: parsing time",
	} {
		_, err := Read(strings.NewReader(text), "F")
		assert.ErrorContains(t, err, want, "%q", text)
		if err != nil {
			assert.NotContains(t, err.Error(), "\n")
			assert.Less(t, len(err.Error()), 250, "%q", text)
		}
	}
	_, err := ReadFile(t.TempDir())
	assert.ErrorContains(t, err, "a folder; a file is needed")
	_, err = ReadFile(filepath.Join(t.TempDir(), "none"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// What is read can be written and read again unchanged.
func FuzzRead(f *testing.F) {
	for _, format := range []string{"csv", "json", "jsonl", "md", "sql"} {
		for _, name := range []string{"rows.", "llama-bench."} {
			data, err := os.ReadFile("testdata/" + name + format)
			require.NoError(f, err)
			f.Add(data)
		}
	}
	f.Add([]byte("n_prompt,n_gen,avg_ts,model_type,test_time\n1,,1e-300,\"a\r\r\n'b\"\"\",0001-01-01T00:00:00.5+01:00\n"))
	f.Add([]byte(`{"n_gen":1,"avg_ts":-0,"stddev_ts":-0.0,"model_type":"\r\n\u0000\ud800","engine":null}`))
	f.Add([]byte(`{"n_gen":1,"AVG_TS":5e-324,"samples_ns":[],"samples_ts":null,"engine":"","n_gen":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := Read(bytes.NewReader(data), "F")
		if err != nil || len(rows) == 0 {
			return
		}
		for _, format := range Formats {
			text := written(t, format, rows)
			if format == "md" || format == "sql" {
				continue
			}
			want := slices.Clone(rows)
			if format == "csv" {
				for i := range want {
					want[i].SamplesNS, want[i].SamplesTS = nil, nil
				}
			}
			again, err := Read(strings.NewReader(text), "F")
			require.NoError(t, err, text)
			require.Equal(t, want, again, text)
		}
	})
}
