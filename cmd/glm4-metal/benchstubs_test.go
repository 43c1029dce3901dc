package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/glm4-metal/glm4-metal/bench"
	"github.com/glm4-metal/glm4-metal/internal/hub"
	"github.com/glm4-metal/glm4-metal/loader"
)

// Stand-ins for what package bench and internal/hub do not have yet. Without this file the tests run on the real ones.
func init() {
	benchTests = func(prompt, generate, depth []int, both [][2]int) (tests []bench.Test) {
		if len(depth) == 0 {
			depth = []int{0}
		}
		for _, d := range depth {
			for _, n := range prompt {
				tests = append(tests, bench.Test{Prompt: n, Depth: d})
			}
			for _, n := range generate {
				tests = append(tests, bench.Test{Generate: n, Depth: d})
			}
			for _, n := range both {
				tests = append(tests, bench.Test{Prompt: n[0], Generate: n[1], Depth: d})
			}
		}
		kept := tests[:0]
		for _, t := range tests {
			if t.Prompt+t.Generate > 0 {
				kept = append(kept, t)
			}
		}
		return kept
	}
	benchWrite = func(w io.Writer, format string, rows []bench.Row) error {
		head, foot := map[string]string{"md": "| model | test |\n", "csv": "n_prompt,avg_ts\n", "json": "["}[format],
			map[string]string{"json": "]\n"}[format]
		io.WriteString(w, head)
		for i, r := range rows {
			line, err := json.Marshal(r)
			if err != nil {
				return err
			}
			switch format {
			case "md":
				fmt.Fprintf(w, "| %s | %s |\n", r.ModelType, r.Test)
			case "csv":
				fmt.Fprintf(w, "%d,%g\n", r.Prompt, r.AvgTS)
			case "sql":
				fmt.Fprintf(w, "INSERT INTO test VALUES ('%s');\n", r.Test)
			case "json":
				fmt.Fprintf(w, "%s%s", map[bool]string{true: ",\n"}[i > 0], line)
			default:
				fmt.Fprintf(w, "%s\n", line)
			}
		}
		io.WriteString(w, foot)
		return nil
	}
	benchRead = func(name string) (rows []bench.Row, err error) {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(data, &rows); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return rows, nil
	}
	benchRecord = func(name string, rows []bench.Row) error {
		old, _ := benchRead(name)
		data, err := json.Marshal(append(old, rows...))
		if err != nil {
			return err
		}
		return os.WriteFile(name, data, 0o644)
	}
	benchResults = func(context.Context) string { return "this-machine.csv" }
	benchCompare = func(rows, old []bench.Row, within float64) (found []bench.Comparison) {
		for _, r := range rows {
			for _, o := range old {
				if o.Test == r.Test && o.ModelType == r.ModelType && o.NThreads == r.NThreads {
					ratio := r.MedianTS / o.MedianTS
					found = append(found, bench.Comparison{Row: r, Old: o, Ratio: ratio, Slower: ratio < 1-within})
				}
			}
		}
		return found
	}
	catalog = func() []hub.Known {
		return []hub.Known{
			{Name: "glm4:9b", Repository: "zai-org/GLM-4-9B-0414"},
			{Name: "glm4:9b-4bit", Repository: "mlx-community/GLM-4-9B-0414-4bit",
				Config: loader.Config{Quantization: loader.Quantization{Bits: 4}}},
		}
	}
	findKnown = func(name string) (hub.Known, bool) {
		for _, k := range catalog() {
			if k.Name == name {
				return k, true
			}
		}
		return hub.Known{}, false
	}
	shapeOfConfig = func(c loader.Config, kvBits int) (bench.Shape, error) {
		s := bench.Shape{Name: "glm4 9B", Bytes: 18e9, KVBytes: 40 << 10, Bits: 16}
		if c.Quantization.Bits > 0 {
			s.Bytes, s.Bits = 5e9, c.Quantization.Bits
		}
		return s, nil
	}
	shapeOf = func(c *loader.Checkpoint, kvBits int) (bench.Shape, error) { return shapeOfConfig(c.Config, kvBits) }
	project = func(l bench.Limits, backend string, s bench.Shape, t bench.Test) bench.Projection {
		ts := l.Bandwidth / float64(s.Bytes)
		return bench.Projection{TS: bench.Range{Low: ts / 2, Likely: ts * 0.8, High: ts}, Limit: "memory"}
	}
}
