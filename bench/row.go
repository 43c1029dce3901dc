package bench

import (
	"fmt"
	"strings"
	"time"
)

// Test is what one row measures: the tokens of a prompt, those to generate behind it, and how many the KV cache holds
// before either. Times are of the prompt and the generation, not of filling the cache.
type Test struct {
	Prompt   int `json:"n_prompt"`
	Generate int `json:"n_gen"`
	Depth    int `json:"n_depth"`
}

// String names a test as llama-bench does: pp512, tg128, pp512+tg128, tg128 @ d4096.
func (t Test) String() string {
	var parts []string
	if t.Prompt > 0 {
		parts = append(parts, fmt.Sprintf("pp%d", t.Prompt))
	}
	if t.Generate > 0 {
		parts = append(parts, fmt.Sprintf("tg%d", t.Generate))
	}
	name := strings.Join(parts, "+")
	if t.Depth > 0 {
		name += fmt.Sprintf(" @ d%d", t.Depth)
	}
	return name
}

// Row is what was measured of one test of one model: one line of a table or of a results file. The fields that
// llama-bench has are called as there, also those of mlx_lm.benchmark; speeds are tokens a second. What is not known is
// the zero value, and empty in a CSV file.
type Row struct {
	Engine      string `json:"engine"`       // "glm4-metal", "llama.cpp" or "mlx-lm"
	BuildCommit string `json:"build_commit"` // with "+" at the end where the sources differed from it
	Version     string `json:"version"`      // of the engine and of what compiled it

	Machine

	Backends      string `json:"backends"` // "CPU" or "Metal"
	Device        string `json:"device"`   // as the backend calls it, with the path taken, such as avx512
	ModelFilename string `json:"model_filename"`
	ModelType     string `json:"model_type"`     // family, size, quantisation: "glm4 9B 4bit"
	ModelSize     int64  `json:"model_size"`     // bytes of the weights
	ModelNParams  int64  `json:"model_n_params"` // parameters
	NBatch        int    `json:"n_batch"`        // most tokens of a prompt in one step
	NThreads      int    `json:"n_threads"`      // of the CPU
	TypeK         string `json:"type_k"`         // of the KV cache: "f16" or "f32"
	TypeV         string `json:"type_v"`

	Test
	TestTime time.Time `json:"test_time"` // in UTC, when the first repetition began

	Repetitions int     `json:"repetitions"`
	AvgNS       int64   `json:"avg_ns"` // of a repetition
	StddevNS    int64   `json:"stddev_ns"`
	AvgTS       float64 `json:"avg_ts"`
	StddevTS    float64 `json:"stddev_ts"`
	MedianTS    float64 `json:"median_ts"`
	FirstTS     float64 `json:"first_ts"` // of the first repetition; a last one that is slower shows throttling
	LastTS      float64 `json:"last_ts"`

	PromptTPS     float64 `json:"prompt_tps"`     // of the prompt alone, mean
	GenerationTPS float64 `json:"generation_tps"` // of the generation alone, mean
	TTFTNS        int64   `json:"ttft_ns"`        // from the prompt to the first token, median
	LoadNS        int64   `json:"load_ns"`        // that loading the model took
	PeakMemory    float64 `json:"peak_memory"`    // GB of 10^9 bytes, of the process so far, a Probe's with it
	JoulesToken   float64 `json:"joules_per_token"`

	// What the device gave at its best in the same run, median, and what that allows the test.
	Bandwidth float64 `json:"bandwidth"`     // bytes a second that reading memory reached
	Products  float64 `json:"product_ops"`   // operations a second, two for a multiply-add, of the products with weights
	Attention float64 `json:"attention_ops"` // the same of attention
	LaunchNS  float64 `json:"launch_ns"`     // of one op in a chain of them
	LimitTS   float64 `json:"limit_ts"`      // tokens a second at the limit
	OfLimit   float64 `json:"of_limit"`      // median_ts / limit_ts
	Limit     string  `json:"limit"`         // "memory", "compute" or "launch", whichever takes most of the time

	Others  float64 `json:"others"`  // share of the machine that other processes took meanwhile, 0 to 1
	Warning string  `json:"warning"` // why not to trust it: busy, throttled; "" when nothing is known against it

	SamplesNS []int64   `json:"samples_ns,omitempty"` // of each repetition, in order; not in CSV
	SamplesTS []float64 `json:"samples_ts,omitempty"`
}

// Machine is what a row was measured on.
type Machine struct {
	System  string `json:"system"`   // with its version and architecture: "Linux 6.18.0 amd64", "macOS 26.1 arm64"
	CPUInfo string `json:"cpu_info"` // the chip
	GPUInfo string `json:"gpu_info"` // the GPU that Metal offers, "" without one
	Cores   int    `json:"cores"`    // logical ones that the process may use
	Memory  int64  `json:"memory"`   // bytes that the machine has
	Power   string `json:"power"`    // mode and source where known: "performance, mains", "low power mode, battery"
	Thermal string `json:"thermal"`  // state where known: "nominal", "serious", "3 throttling events"
}
