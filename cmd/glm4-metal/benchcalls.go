package main

import (
	"context"

	"github.com/glm4-metal/glm4-metal/bench"
	"github.com/glm4-metal/glm4-metal/internal/hub"
	"github.com/glm4-metal/glm4-metal/loader"
)

// What bench calls of other packages, so that tests can put something else in its place.
var (
	benchTests   = bench.Tests
	benchRun     = bench.Run
	benchWrite   = bench.Write
	benchRead    = bench.ReadFile
	benchRecord  = bench.Record
	benchResults = func(ctx context.Context) string { return bench.ResultsName(bench.ReadMachine(ctx)) }
	benchCompare = bench.Compare

	catalog   = hub.Catalog
	findKnown = hub.Find
	shapeOf   = bench.ShapeOf
	openProbe = func(ctx context.Context, backend string) (prober, error) { return bench.OpenProbe(ctx, backend) }
	project   = bench.Project

	// shapeOfConfig is shapeOf of a checkpoint without files.
	shapeOfConfig = func(c loader.Config, kvBits int) (bench.Shape, error) {
		return bench.ShapeOf(&loader.Checkpoint{Config: c}, kvBits)
	}
	// memoryFor is how many bytes a test takes.
	memoryFor = func(one candidate, kvBits int, t bench.Test) int64 {
		return one.shape.Bytes + int64(t.Depth+t.Prompt+t.Generate)*one.shape.KVBytes
	}
	// recordedRuns is how many runs the bounds of a projection are of, 0 where they are assumed.
	recordedRuns = func(p bench.Projection) int { return 0 }
)

// prober is a bench.Probe.
type prober interface {
	Measure(ctx context.Context, bits int) (bench.Limits, error)
	Backend() string
	Device() string
	Memory() int64
	Close() error
}
