package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/bench"
	"github.com/glm4-metal/glm4-metal/internal/demo"
	"github.com/glm4-metal/glm4-metal/internal/hub"
	"github.com/glm4-metal/glm4-metal/internal/table"
	"github.com/glm4-metal/glm4-metal/loader"
	"github.com/glm4-metal/glm4-metal/model"
)

// limitRounds is how often a device's limits are measured; medians count.
const limitRounds = 3

// projection is what --project prints.
type projection struct {
	Backend     string               `json:"backend"`
	Device      string               `json:"device"`
	Memory      int64                `json:"memory"` // bytes that a model may take, 0 when unknown
	Limits      map[int]bench.Limits `json:"limits"` // by the bits of weights
	Checkpoints []projected          `json:"checkpoints"`
}

// projected is what a checkpoint will do.
type projected struct {
	Name  string          `json:"name"`
	Type  string          `json:"model_type"`
	Size  int64           `json:"model_size"` // bytes of the weights
	Fits  *bool           `json:"fits"`       // into Memory with each test's KV cache; null when unknown
	Tests []projectedTest `json:"tests"`
}

type projectedTest struct {
	Test   string  `json:"test"`
	Low    float64 `json:"low_ts"`
	Likely float64 `json:"likely_ts"`
	High   float64 `json:"high_ts"`
	Limit  string  `json:"limit"`
	Runs   int     `json:"runs"` // recorded ones that the bounds are of; 0: they are assumed
}

// candidate is a checkpoint to project.
type candidate struct {
	name   string
	config loader.Config
	shape  bench.Shape
}

func benchProject(c *cli.Context) error {
	tests := []bench.Test{{Prompt: 512}, {Generate: 128}, {Generate: 128, Depth: 4096}}
	if slices.ContainsFunc(testFlags(), func(f cli.Flag) bool { return c.IsSet(f.Names()[0]) }) {
		var err error
		if tests, err = readTests(c); err != nil {
			return err
		}
	}
	if _, err := loading(c); err != nil {
		return err
	}
	kvBits := cmp.Or(c.Int("kv-bits"), 16)
	candidates, err := readCandidates(c, kvBits)
	if err != nil {
		return err
	}
	p, err := measureLimits(c.Context, c.String("backend"), candidates)
	if err != nil {
		return err
	}
	for _, one := range candidates {
		p.add(one, kvBits, tests)
	}
	if c.Bool("json") {
		return printJSON(p)
	}
	return printText(p.text())
}

// readCandidates gives the checkpoints that are named, or all that are known.
func readCandidates(c *cli.Context, kvBits int) (candidates []candidate, err error) {
	var names []string
	if c.NArg() > 0 || c.IsSet("model") {
		names, err = benchNames(c)
	} else {
		names = hub.Names()
	}
	for _, name := range names {
		var one candidate
		if one, err = readCandidate(c.Context, name, kvBits); err != nil {
			break
		}
		candidates = append(candidates, one)
	}
	return candidates, err
}

func readCandidate(ctx context.Context, name string, kvBits int) (one candidate, err error) {
	if k, ok := hub.Find(name); ok {
		one.name, one.config = name, k.Config
		one.shape, err = bench.ShapeOfConfig(k.Config, kvBits)
		return one, err
	}
	checkpoint, err := model.OpenCheckpoint(ctx, name)
	if err != nil {
		return one, err
	}
	defer checkpoint.Close()
	one.name, one.config = filepath.Base(cmp.Or(name, demo.Name)), checkpoint.Config
	one.shape, err = bench.ShapeOf(checkpoint, kvBits)
	return one, err
}

// measureLimits measures the limits of a device for the weights of these checkpoints.
func measureLimits(ctx context.Context, backend string, candidates []candidate) (p *projection, err error) {
	bits := map[int]bool{}
	for _, one := range candidates {
		bits[one.shape.Bits] = true
	}
	bar := startProgress("measuring the device", func(int64, int64, time.Duration) string { return "" })
	defer bar.stop()
	probe, err := openProbe(ctx, backend)
	if err != nil {
		return nil, err
	}
	defer probe.Close()
	p = &projection{Backend: probe.Backend(), Device: probe.Device(), Memory: probe.Memory(),
		Limits: map[int]bench.Limits{}}
	for _, n := range slices.Sorted(maps.Keys(bits)) {
		var rounds []bench.Limits
		for range limitRounds {
			bar.set(int64(len(p.Limits)*limitRounds+len(rounds)), int64(len(bits)*limitRounds))
			l, err := probe.Measure(ctx, n)
			if err != nil {
				return nil, err
			}
			rounds = append(rounds, l)
		}
		p.Limits[n] = bench.MedianLimits(rounds)
	}
	return p, nil
}

func (p *projection) add(one candidate, kvBits int, tests []bench.Test) {
	out := projected{Name: one.name, Type: one.shape.Name, Size: one.shape.Bytes}
	fits := true
	for _, t := range tests {
		r := bench.Project(p.Limits[one.shape.Bits], p.Backend, one.shape, t)
		out.Tests = append(out.Tests, projectedTest{t.String(), round(r.TS.Low), round(r.TS.Likely), round(r.TS.High),
			r.Limit, r.Runs})
		fits = fits && bench.MemoryFor(one.config, kvBits, t).Total() <= p.Memory
	}
	if p.Memory > 0 {
		out.Fits = &fits
	}
	p.Checkpoints = append(p.Checkpoints, out)
}

// text is the table, below what it follows from.
func (p *projection) text() string {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s, %s: %s\n", p.Backend, p.Device, bench.DescribeLimits(p.Limits))
	fmt.Fprintf(&out, "Bounds: %s.\n\n", p.bounds())
	columns := []table.Column[projected]{
		table.Left("model", func(p projected) string { return p.Name }),
		table.Right("size", func(p projected) string { return gigabytes(p.Size) }),
		table.Left("fits", projected.fits),
	}
	for i, t := range p.Checkpoints[0].Tests {
		columns = append(columns, table.Right(t.Test+", t/s", func(p projected) string {
			t := p.Tests[i]
			return speed(t.Low) + " – " + speed(t.Likely) + " – " + speed(t.High)
		}))
	}
	table.Write(&out, p.Checkpoints, append(columns, table.Left("limit", projected.limits)))
	return out.String()
}

// fits tells whether it fits into the device's memory.
func (p projected) fits() string {
	if p.Fits == nil {
		return "?"
	}
	return map[bool]string{true: "yes", false: "no"}[*p.Fits]
}

// limits are those of the tests, in their order, or the one of all.
func (p projected) limits() string {
	var all []string
	for _, t := range p.Tests {
		all = append(all, t.Limit)
	}
	if len(slices.Compact(slices.Clone(all))) == 1 {
		all = all[:1]
	}
	return strings.Join(all, ", ")
}

// bounds says where the bounds come from, which is the same for all checkpoints.
func (p *projection) bounds() string {
	var of []string // by the tests
	for _, t := range p.Checkpoints[0].Tests {
		source := "assumed, as no run is recorded"
		if t.Runs > 0 {
			source = fmt.Sprintf("of %d recorded runs", t.Runs)
		}
		of = append(of, source)
	}
	if len(slices.Compact(slices.Clone(of))) == 1 {
		return of[0]
	}
	for i, t := range p.Checkpoints[0].Tests {
		of[i] = t.Test + " " + of[i]
	}
	return strings.Join(of, "; ")
}
