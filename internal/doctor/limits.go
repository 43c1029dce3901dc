package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/glm4-metal/glm4-metal/bench"
	"github.com/glm4-metal/glm4-metal/internal/hub"
)

// Projection is what a checkpoint is to do, as [bench.Project] derives it.
type Projection struct {
	Model   string  `json:"model"`
	Test    string  `json:"test"`
	Low     float64 `json:"low_ts"` // tokens a second
	Likely  float64 `json:"likely_ts"`
	High    float64 `json:"high_ts"`
	LimitTS float64 `json:"limit_ts"` // what the device allows
	Limit   string  `json:"limit"`    // "memory", "compute" or "launch"
	Runs    int     `json:"runs"`     // recorded ones that the bounds are of; 0: they are assumed
	Fits    bool    `json:"fits"`     // into the device's memory, as far as that is known
}

// prober is a bench.Probe.
type prober interface {
	Measure(ctx context.Context, bits int) (bench.Limits, error)
	Backend() string
	Memory() int64
	Close() error
}

// What is projected: each kind of weights once.
var (
	projectedModels = []string{"glm4:9b-4bit", "glm4:9b-8bit", "glm4:9b"}
	projectedTests  = []bench.Test{{Generate: 128}, {Prompt: 512}}
)

// kvBits is the width of keys and values that most checkpoints are run with.
const kvBits = 16

// measure measures the limits of what a backend stands for, and projects from them.
func (x *examination) measure(ctx context.Context, asked string) {
	x.say("what the device gives")
	p, err := x.openProbe(ctx, asked)
	if err != nil {
		x.add(Failed, x.Backend+" limits", "cannot be measured: %v", err)
		return
	}
	defer p.Close()
	for _, bits := range []int{4, 8, 16} {
		if x.Limits[bits], err = p.Measure(ctx, bits); err != nil {
			delete(x.Limits, bits)
			if ctx.Err() == nil {
				x.add(Failed, p.Backend()+" limits", "cannot be measured with weights of %d bits: %v", bits, err)
			}
			return
		}
	}
	x.add(OK, p.Backend()+" limits", "%s", bench.DescribeLimits(x.Limits))
	for _, name := range projectedModels {
		if err := x.project(p, name); err != nil {
			x.add(Failed, name, "cannot be projected: %v", err)
		}
	}
}

// project tells what a checkpoint of the catalog will do.
func (x *examination) project(p prober, name string) error {
	k, ok := hub.Find(name)
	if !ok {
		return fmt.Errorf("%s is not in the catalog", name)
	}
	shape, err := bench.ShapeOfConfig(k.Config, kvBits)
	if err != nil {
		return err
	}
	state, notes, tests := OK, "", []string{}
	for _, t := range projectedTests {
		r := bench.Project(x.Limits[shape.Bits], p.Backend(), shape, t)
		one := Projection{name, t.String(), r.TS.Low, r.TS.Likely, r.TS.High, r.LimitTS, r.Limit, r.Runs, true}
		if memory := p.Memory(); memory > 0 && bench.MemoryFor(k.Config, kvBits, t).Total() > memory {
			one.Fits, state, notes = false, Note, "; does not fit into "+gigabytes(memory)
		}
		x.Projections = append(x.Projections, one)
		tests = append(tests, fmt.Sprintf("%s %.3g to %.3g t/s (%s)", t, one.Low, one.High, source(r)))
	}
	x.add(state, name, "%s: %s%s", gigabytes(shape.Bytes), strings.Join(tests, ", "), notes)
	return nil
}

// source is what limits, and where the bounds do not come from recorded runs that.
func source(p bench.Projection) string {
	if p.Runs == 0 {
		return p.Limit + ", assumed"
	}
	return p.Limit
}
