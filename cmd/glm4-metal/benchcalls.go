package main

import (
	"context"

	"github.com/glm4-metal/glm4-metal/bench"
)

// What measures; tests have fakes of it.
var (
	benchRun  = bench.Run
	openProbe = func(ctx context.Context, backend string) (prober, error) { return bench.OpenProbe(ctx, backend) }
)

// prober is a bench.Probe.
type prober interface {
	Measure(ctx context.Context, bits int) (bench.Limits, error)
	Backend() string
	Device() string
	Memory() int64
	Close() error
}
