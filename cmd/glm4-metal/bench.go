package main

import (
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/bench"
)

// maxCached is the longest context of GLM-4, but for the token that is decoded.
const maxCached = 131071

func benchCommand() *cli.Command {
	return &cli.Command{
		Name:      "bench",
		Usage:     "measure memory, and count what a step costs on a GPU",
		UsageText: program + " bench --bandwidth | --counters [--json]",
		Description: `--bandwidth reads a gigabyte with all cores, nine times. Decoding reads every weight once a token,
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
  glm4-metal bench --bandwidth
  go run -tags metalsim ./cmd/glm4-metal bench --counters
  go run -tags metalsim ./cmd/glm4-metal bench --counters --context 4096 --json | jq .weight_bytes`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "bandwidth", Usage: "measure how fast all cores read memory"},
			&cli.BoolFlag{Name: "counters", Usage: "count dispatches, bytes and operations"},
			&cli.IntFlag{Name: "context", Value: 128, Usage: "decode behind `N` cached tokens"},
			jsonFlag(),
		},
		Action: runBench,
	}
}

func runBench(c *cli.Context) error {
	if err := noArgument(c); err != nil {
		return err
	}
	switch {
	case c.Bool("bandwidth") == c.Bool("counters"):
		return usagef("bench wants one of --bandwidth and --counters")
	case c.Bool("bandwidth"):
		return benchBandwidth(c)
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
