package doctor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu"
)

// Bounds of a difference, relative to the largest result: what float32 sums lose on both sides; what the CPU's kernels
// lose that round activations to 16 bit for quantised weights, behind a softmax too; and what keys and values in half
// precision lose.
const (
	exact   = 1e-5
	rounded = 2e-4
	halves  = 1e-3
)

// A trial runs some ops on a device. The data are the same in every run.
type trial struct {
	name  string
	run   func(r *run)
	bound func(backend string) float64
}

// check holds the results of a device against those of the CPU in plain Go.
func (t trial) check(d backend.Device, s sizes) Check {
	start := time.Now()
	i := d.Info()
	c := Check{State: OK, Name: i.Backend + " " + t.name, Bound: t.bound(i.Backend)}
	got, err := t.results(d, s)
	c.MS = milliseconds(time.Since(start))
	if err != nil {
		c.State, c.Text = Failed, err.Error()
		return c
	}
	reference := cpu.Reference()
	defer reference.Close()
	want, err := t.results(reference, s)
	if err != nil {
		c.State, c.Text = Failed, fmt.Sprintf("no reference to compare with: %v", err)
		return c
	}
	var worst string
	for i, w := range want {
		if off, at := difference(w.values, got[i].values); off >= c.Difference {
			c.Difference, worst = off, w.op
			if off > c.Bound && c.State == OK {
				c.State = Failed
			}
			if c.State == Failed {
				worst = fmt.Sprintf("%s, number %d is %v, expected %v", w.op, at, got[i].values[at], w.values[at])
			}
		}
	}
	if c.Difference == 0 {
		c.Text = "the same as in plain Go"
	} else {
		c.Text = fmt.Sprintf("off by %.1e of the largest, allowed %.0e (%s)", c.Difference, c.Bound, worst)
	}
	return c
}

// results runs the trial.
func (t trial) results(d backend.Device, size sizes) (results []result, err error) {
	s, err := d.NewStream()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	defer func() {
		if p := recover(); p != nil {
			failed, ok := p.(failure)
			if !ok {
				panic(p)
			}
			err = failed.error
		}
	}()
	r := &run{Rand: rand.New(rand.NewPCG(1, 2)), sizes: size, d: d, s: s}
	t.run(r)
	return r.results, nil
}

// difference is the largest between numbers and what they should be, relative to the largest of these, and where it is.
// What is no number differs by the largest of all.
func difference(want, got []float32) (off float64, at int) {
	var high float64
	for _, w := range want {
		high = max(high, math.Abs(float64(w)))
	}
	for i, w := range want {
		d := math.Abs(float64(got[i])-float64(w)) / max(high, math.SmallestNonzeroFloat32)
		if !(d <= math.MaxFloat32) {
			d = math.MaxFloat32
		}
		if d > off {
			off, at = d, i
		}
	}
	return off, at
}

// run is a trial that runs. Its methods end it with a failure.
type run struct {
	*rand.Rand
	sizes
	d       backend.Device
	s       backend.Stream
	results []result
}

type result struct {
	op     string // with its sizes
	values []float32
}

// failure is the panic that ends a run.
type failure struct{ error }

func must[T any](v T, err error) T {
	if err != nil {
		panic(failure{err})
	}
	return v
}

// floats gives n numbers of a normal distribution, times size.
func (r *run) floats(n int, size float32) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = size * float32(r.NormFloat64())
	}
	return v
}

func (r *run) buffer(v []float32) backend.Buffer {
	b := must(r.d.NewBuffer(len(v)))
	copy(b.Floats(), v)
	return b
}

// random is a buffer of random numbers.
func (r *run) random(n int) backend.Buffer { return r.buffer(r.floats(n, 1)) }

func (r *run) vector(n int) backend.Vector { return must(r.d.NewVector(r.floats(n, 1))) }

// output is a buffer for results that no result is like.
func (r *run) output(n int) backend.Buffer {
	v := make([]float32, n)
	for i := range v {
		v[i] = -12345.678
	}
	return r.buffer(v)
}

// step runs the ops that were taken.
func (r *run) step() {
	err := r.s.Submit()
	if waited := r.s.Wait(0); err == nil {
		err = waited
	}
	must(0, err)
}

// keep copies results.
func (r *run) keep(b backend.Buffer, op string, args ...any) {
	r.results = append(r.results, result{fmt.Sprintf(op, args...), append([]float32(nil), b.Floats()...)})
}

func (r *run) keepIDs(ids backend.Tokens, op string, args ...any) {
	kept := result{op: fmt.Sprintf(op, args...)}
	for _, id := range ids.IDs() {
		kept.values = append(kept.values, float32(id))
	}
	r.results = append(r.results, kept)
}
