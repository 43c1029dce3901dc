package bench

import (
	"context"
	"time"

	"github.com/glm4-metal/glm4-metal/internal/machine"
	"github.com/glm4-metal/glm4-metal/loader"
	"github.com/glm4-metal/glm4-metal/model"
)

// instruments are what a run measures with.
type instruments struct {
	now         func() time.Time
	rest        func(ctx context.Context, d time.Duration) error
	readMachine func(ctx context.Context) Machine
	startWatch  func() (end func() machine.Activity)
	openProbe   func(ctx context.Context, backend string) (prober, error)
	shapeOf     func(c *loader.Checkpoint, kvBits int) (Shape, error)
	limit       func(l Limits, s Shape, t Test, chunk int) (least time.Duration, by string)
	generate    func(ctx context.Context, s *model.Session, ids []int32, n int) (model.Result, error)
}

// prober is a Probe.
type prober interface {
	Measure(ctx context.Context, bits int) (Limits, error)
	Memory() int64
	Close() error
}

var standard = instruments{
	now:         time.Now,
	rest:        rest,
	readMachine: ReadMachine,
	startWatch:  func() func() machine.Activity { return machine.StartWatch().End },
	openProbe:   func(ctx context.Context, backend string) (prober, error) { return OpenProbe(ctx, backend) },
	shapeOf:     ShapeOf,
	limit:       Limits.Limit,
	generate:    generate,
}

// rest waits, but not beyond the end of ctx.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// generate has a session generate n tokens behind ids, the likeliest ones, whatever they are.
func generate(ctx context.Context, s *model.Session, ids []int32, n int) (model.Result, error) {
	for _, err := range s.GenerateTokens(ctx, ids, model.Options{MaxTokens: n, IgnoreEOS: true}) {
		if err != nil {
			return model.Result{}, err
		}
	}
	return s.Result(), nil
}
