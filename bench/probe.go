package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/device"
)

// Probe measures a device's limits, beside the models that run there. It is for one goroutine at a time, while no model
// computes.
type Probe struct {
	device backend.Device
	probe  backend.Probe
}

// What a probe reads, by the backend: more than the caches of any chip hold.
var probeBytes = map[string]int64{"cpu": 256 << 20, "metal": 512 << 20}

// Bursts of a measurement that count. One before them brings clocks up to speed.
const bursts = 5

// OpenProbe opens the device that a backend stands for ("auto", "metal" or "cpu", as in model.Backend) and takes memory
// to measure with. The caller closes it.
func OpenProbe(ctx context.Context, backend string) (*Probe, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d, _, err := device.Open(backend)
	if err != nil {
		return nil, err
	}
	return newProbe(d)
}

func newProbe(d backend.Device) (*Probe, error) {
	p, err := d.NewProbe(probeBytes[d.Info().Backend])
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return &Probe{d, p}, nil
}

// Measure measures once, in about a quarter of a second, the first time longer. bits is the width of the weights whose
// products are meant: 4, 8, 16 or 32. It looks at ctx every ten milliseconds or so.
func (p *Probe) Measure(ctx context.Context, bits int) (Limits, error) {
	formats := map[int]backend.Format{4: backend.Q4, 8: backend.Q8, 16: backend.BF16, 32: backend.F32}
	format, ok := formats[bits]
	if !ok {
		return Limits{}, fmt.Errorf("products with weights of %d bits; the widths are 4, 8, 16 and 32", bits)
	}
	l := Limits{SplitKeys: splitKeys(p.Backend())}
	var launch float64
	for _, m := range []struct {
		to      *float64
		measure func() (float64, error)
	}{
		{&l.Bandwidth, p.probe.Bandwidth},
		{&l.Products, func() (float64, error) { return p.probe.Products(format) }},
		{&l.Attention, p.probe.Attention},
		{&launch, p.probe.Launch},
	} {
		if _, err := repeat(ctx, 1, m.measure); err != nil {
			return Limits{}, err
		}
		sorted, err := repeat(ctx, bursts, m.measure)
		if err != nil {
			return Limits{}, err
		}
		*m.to = sorted[len(sorted)/2]
	}
	l.Launch = time.Duration(launch * 1e9)
	return l, nil
}

// MedianLimits are the medians of some measurements of a device, of which there is at least one.
func MedianLimits(all []Limits) Limits {
	middle := func(figure func(Limits) float64) float64 {
		var values []float64
		for _, l := range all {
			values = append(values, figure(l))
		}
		return median(values)
	}
	l := all[0] // with what is not measured
	l.Bandwidth = middle(func(l Limits) float64 { return l.Bandwidth })
	l.Products = middle(func(l Limits) float64 { return l.Products })
	l.Attention = middle(func(l Limits) float64 { return l.Attention })
	l.Launch = time.Duration(middle(func(l Limits) float64 { return float64(l.Launch) }))
	return l
}

// DescribeLimits says in a line what a device gives, by the bits of weights, of which there is at least one.
func DescribeLimits(byBits map[int]Limits) string {
	var l Limits
	var products []string
	for _, bits := range slices.Sorted(maps.Keys(byBits)) {
		l = byBits[bits]
		products = append(products, fmt.Sprintf("%.0f (%d bit)", l.Products/1e9, bits))
	}
	return fmt.Sprintf("memory reads %.1f GB/s; products %s and attention %.0f Gop/s; an op starts in %.1f µs",
		l.Bandwidth/1e9, strings.Join(products, ", "), l.Attention/1e9, float64(l.Launch.Nanoseconds())/1e3)
}

// Bandwidth reads the memory once, in about ten milliseconds, and gives the bytes a second.
func (p *Probe) Bandwidth() (float64, error) { return p.probe.Bandwidth() }

// repeat measures n times and sorts the results.
func repeat(ctx context.Context, n int, measure func() (float64, error)) ([]float64, error) {
	var all []float64
	for range n {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		v, err := measure()
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	slices.Sort(all)
	return all, nil
}

// Backend and Device name what is measured, as model.Info does.
func (p *Probe) Backend() string { return p.device.Info().Backend }

// Device is what the system calls it.
func (p *Probe) Device() string { return p.device.Info().Device }

// Memory is how many bytes a model may take there, 0 when unknown.
func (p *Probe) Memory() int64 { return p.device.Info().Memory }

// Close frees the memory and the device.
func (p *Probe) Close() error { return errors.Join(p.probe.Close(), p.device.Close()) }
