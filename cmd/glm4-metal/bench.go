package main

import (
	"io"
	"os"

	"github.com/urfave/cli/v2"
)

// maxCached is the longest context of GLM-4, but for the token that is decoded.
const maxCached = 131071

func benchCommand() *cli.Command {
	return &cli.Command{
		Name:      "bench",
		Usage:     "count what a decoded token and a prompt cost on a GPU",
		UsageText: program + " bench --counters [--json]",
		Description: `--counters needs no Mac and no model: it runs the GPU's kernels for the shape of GLM-4-9B with 4-bit weights on the
Metal stand-in, on Linux, and takes about a minute. Its figures are for one decoded token and, under "prefill", for a
prompt of 512 tokens; bytes are of device memory:
  dispatches, command_buffers   of the step; dispatches_per_layer run one after the other
  weight_bytes                  weights touched, each byte once a dispatch: what memory must deliver; the minimum is what
                                the checkpoint stores of them, loaded what the kernels ask of the caches, too
  code_bytes                    of these the 4-bit codes, without scales, biases and norms
  kv_bytes                      keys and values touched, each byte once a dispatch; moved is the sum of loads and stores
  kernels                       for each kernel and op, all layers together: bytes_read and bytes_written as it loads and
                                stores them, distinct_bytes each once a dispatch, lines of 128 bytes a simdgroup's load
                                touches, float_ops and how many of them a multiply-add takes, threadgroup_bytes of memory

Examples:
  go run -tags metalsim ./cmd/glm4-metal bench --counters
  go run -tags metalsim ./cmd/glm4-metal bench --counters --context 4096 --json | jq .weight_bytes`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "counters", Usage: "count dispatches, bytes and operations"},
			&cli.IntFlag{Name: "context", Value: 128, Usage: "decode behind `N` cached tokens"},
			jsonFlag(),
		},
		Action: bench,
	}
}

func bench(c *cli.Context) error {
	if err := noArgument(c); err != nil {
		return err
	}
	if !c.Bool("counters") {
		return usagef("bench has only --counters so far; add it")
	}
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

// stepReport is the counters.Report of a build that has the stand-in.
type stepReport interface{ Print(io.Writer) error }
