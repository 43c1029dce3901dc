package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/bench"
)

// maxCached is the longest context of GLM-4, but for the token that is decoded.
const maxCached = 131071

func benchCommand() *cli.Command {
	return &cli.Command{
		Name:      "bench",
		Usage:     "measure or project tokens a second",
		UsageText: program + " bench [options] [MODEL]...",
		Description: `Measures each model, one after another: pp512 is a prompt of 512 tokens, tg128 the generation of
128, "@ d4096" either behind 4096 tokens. Prompts are random, end tokens do not end, repetitions go by turns over the
tests. Columns and fields are called as llama-bench calls them; "limit" is what the device allows, as measured between
the repetitions, and what sets it: memory, compute or launch.

A LIST is 512, or 128,512, or a range such as 128-512+128 or 128-1024*2; 0 leaves its kind out. Ctrl-C ends a run,
prints what was measured and records nothing.

--project measures the device alone and tells what checkpoints will do here: folders, names such as glm4:9b-4bit, or
all whose names are known. Tokens a second are given as low – likely – high.

--bandwidth reads a gigabyte with all cores, nine times. Decoding reads every weight once a token,
so the bandwidth divided by the size of the weights is the most tokens a second that the machine can decode.

--counters needs no Mac and no model: it runs the GPU's kernels for the shape of GLM-4-9B with 4-bit weights on the
Metal stand-in, on Linux, and takes about a minute. Its figures are for one decoded token and, under "prefill", for a
prompt of 512 tokens; bytes are of device memory:
  dispatches, command_buffers
              of the step; dispatches_per_layer run one after the other
  weight_bytes
              weights touched, each byte once a dispatch: what memory must
              deliver; the minimum is what the checkpoint stores of them,
              loaded what the kernels ask of the caches, too
  code_bytes  of these the 4-bit codes, without scales, biases and norms
  kv_bytes    keys and values touched, each byte once a dispatch; moved is the
              sum of loads and stores
  kernels     for each kernel and op, all layers together: bytes_read and
              bytes_written as it loads and stores them, distinct_bytes each
              once a dispatch, lines of 128 bytes a simdgroup's load touches,
              float_ops and how many of them a multiply-add takes,
              threadgroup_bytes of memory

Examples:
  glm4-metal bench
  glm4-metal bench ./GLM-4-9B-0414-4bit ./GLM-4-9B-0414-8bit -d 0,4096
  glm4-metal bench ./GLM-4-9B-0414-4bit -p 128-1024*2 -n 0 --pg 512,128 -o csv
  glm4-metal bench ./GLM-4-9B-0414-4bit --record bench/results
  glm4-metal bench ./GLM-4-9B-0414-4bit --against before.csv --within 3%
  glm4-metal bench --json | jq '.[].avg_ts'
  glm4-metal bench --project glm4:9b-4bit
  glm4-metal bench --bandwidth
  go run -tags metalsim ./cmd/glm4-metal bench --counters
  go run -tags metalsim ./cmd/glm4-metal bench --counters --context 4096 --json | jq .weight_bytes`,
		Flags: slices.Concat([]cli.Flag{modelFlag()}, testFlags(), measuringFlags(), benchBackendFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "project", Usage: "tell what checkpoints will do here, without running them"},
			&cli.BoolFlag{Name: "bandwidth", Usage: "measure how fast all cores read memory"},
			&cli.BoolFlag{Name: "counters", Usage: "count dispatches, bytes and operations"},
			&cli.IntFlag{Name: "context", Value: 128, Usage: "with --counters: decode behind `N` cached tokens"},
		}),
		Action: runBench,
	}
}

// benchBackendFlags are backendFlags without those that a test's own size, or its row, makes needless.
func benchBackendFlags() []cli.Flag {
	return slices.DeleteFunc(backendFlags(), func(f cli.Flag) bool {
		return slices.Contains([]string{"max-kv-size", "verbose"}, f.Names()[0])
	})
}

// benchMode is a switch for something else than the measurement of models.
type benchMode struct {
	name  string
	flags []string // that it takes
}

var benchModes = []benchMode{
	{"project", []string{"model", "n-prompt", "n-gen", "n-depth", "pg", "threads", "backend", "kv-bits", "json"}},
	{"bandwidth", []string{"threads", "json"}},
	{"counters", []string{"context", "json"}},
}

// readMode gives the switch that is on, or the zero value for the measurement of models. What means nothing with it is
// a mistake.
func readMode(c *cli.Context) (mode benchMode, err error) {
	for _, m := range benchModes {
		switch {
		case c.Bool(m.name) && mode.name != "":
			return mode, usagef("%s and %s are measurements of their own; leave one out", asTyped(c, mode.name),
				asTyped(c, m.name))
		case c.Bool(m.name):
			mode = m
		}
	}
	for _, f := range c.Command.Flags {
		name := f.Names()[0]
		isMode := slices.ContainsFunc(benchModes, func(m benchMode) bool { return m.name == name })
		switch {
		case !c.IsSet(name) || isMode:
		case mode.name == "" && name == "context":
			return mode, usagef("%s is for --counters; the depth of a test is -d", asTyped(c, name))
		case mode.name != "" && !slices.Contains(mode.flags, name):
			return mode, usagef("%s means nothing with %s; leave one out", asTyped(c, name), asTyped(c, mode.name))
		}
	}
	if mode.name != "" && mode.name != "project" && c.NArg() > 0 {
		return mode, usagef("unexpected argument %q: %s measures no model; see %s --help", c.Args().First(),
			asTyped(c, mode.name), c.Command.HelpName)
	}
	return mode, nil
}

func runBench(c *cli.Context) error {
	mode, err := readMode(c)
	if err != nil {
		return err
	}
	if err := setThreads(c); err != nil {
		return err
	}
	switch mode.name {
	case "project":
		return benchProject(c)
	case "bandwidth":
		return benchBandwidth(c)
	case "counters":
		return benchCounters(c)
	}
	return benchModels(c)
}

// setThreads does what --threads says.
func setThreads(c *cli.Context) error {
	n, cores := c.Int("threads"), runtime.NumCPU()
	if n < 0 || n > cores {
		return usagef("%s is %d; it must lie between 0 (all) and %d, the cores that there are", asTyped(c, "threads"), n,
			cores)
	}
	if n > 0 {
		runtime.GOMAXPROCS(n)
	}
	return nil
}

func benchCounters(c *cli.Context) error {
	if n := c.Int("context"); n < 0 || n > maxCached {
		return usagef("--context is %d; it must lie between 0 and %d", n, maxCached)
	}
	report, err := countSteps(c.Context, c.Int("context"))
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(report)
	}
	return report.Print(os.Stdout)
}

func benchBandwidth(c *cli.Context) error {
	b, err := bench.MeasureBandwidth(c.Context)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(b)
	}
	_, err = fmt.Printf("%d cores read %.1f GB/s (median %.1f)\n", b.Cores, b.Best/1e9, b.Median/1e9)
	return err
}

// stepReport is the counters.Report of a build that has the stand-in.
type stepReport interface{ Print(io.Writer) error }
