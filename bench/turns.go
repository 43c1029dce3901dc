package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/glm4-metal/glm4-metal/model"
)

// run is a Run under way.
type run struct {
	instruments
	options Options
	model   *model.Model
	shape   Shape
	probe   prober
	ids     *randomIDs
	depths  []*depth
	series  []*series
	done    int // repetitions and fillings
	steps   int
}

// depth is a session whose cache begins with some tokens, for the tests behind them.
type depth struct {
	session *model.Session
	ids     []int32
	behind  int // most tokens of a test there
}

// series is a test and what was measured of it.
type series struct {
	test    Test
	depth   *depth
	began   time.Time
	samples []sample
}

func (in instruments) run(ctx context.Context, name string, o Options) ([]Row, error) {
	o, err := o.check()
	if err != nil {
		return nil, err
	}
	c, err := model.OpenCheckpoint(ctx, name)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	context, err := o.context(c)
	if err != nil {
		return nil, err
	}
	load := append(slices.Clip(o.Load), model.MaxContext(context))
	if o.Backend != "" {
		load = append(load, model.Backend(o.Backend))
	}
	m, err := model.Load(ctx, name, load...)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	r := &run{instruments: in, options: o, model: m}
	if r.shape, err = in.shapeOf(c, m.Info().KVBits); err != nil {
		return nil, err
	}
	if r.ids, err = newRandomIDs(m, o.Seed); err != nil {
		return nil, err
	}
	if r.probe, err = in.openProbe(ctx, m.Info().Backend); err != nil {
		return nil, err
	}
	defer r.probe.Close()
	r.plan()
	defer r.close()
	if err := r.checkMemory(); err != nil {
		return nil, err
	}
	machine := in.readMachine(ctx)
	err = r.measure(ctx)
	return r.rows(machine), err
}

// plan gives each test its depth.
func (r *run) plan() {
	r.steps = len(r.options.Tests) * r.options.Repetitions
	at := map[int]*depth{}
	for _, t := range r.options.Tests {
		d := at[t.Depth]
		if d == nil {
			d = &depth{session: r.model.NewSession(), ids: r.ids.next(t.Depth)}
			at[t.Depth] = d
			r.depths = append(r.depths, d)
			r.steps += min(t.Depth, 1)
		}
		d.behind = max(d.behind, t.Prompt+t.Generate)
		r.series = append(r.series, &series{test: t, depth: d})
	}
}

func (r *run) close() {
	for _, d := range r.depths {
		d.session.Close()
	}
}

// checkMemory refuses caches that do not fit beside each other. That one of them does, model.Load has seen.
func (r *run) checkMemory() error {
	info, memory := r.model.Info(), r.probe.Memory()
	var kv int64
	for _, d := range r.depths {
		kv += int64(info.KVBytes) * int64(len(d.ids)+d.behind+1)
	}
	need := kv + info.Memory.Scratch
	if info.Backend != "cpu" { // there the system can page the weights
		need += info.Memory.Weights
	}
	if memory == 0 || len(r.depths) == 1 || need <= memory {
		return nil
	}
	return fmt.Errorf("the caches of %d depths take %.2f GB at once, with the model %.2f GB, and %s allows %.2f GB; "+
		"measure fewer depths at a time", len(r.depths), float64(kv)/1e9, float64(need)/1e9, info.Device, float64(memory)/1e9)
}

// measure takes the samples of all series.
func (r *run) measure(ctx context.Context) error {
	if !r.options.NoWarmup {
		if err := r.warmUp(ctx); err != nil {
			return fmt.Errorf("warm-up: %w", err)
		}
	}
	for _, d := range r.depths {
		if err := r.fill(ctx, d); err != nil {
			return fmt.Errorf("filling the cache with %d tokens: %w", len(d.ids), err)
		}
	}
	before, err := r.probe.Measure(ctx, r.shape.Bits)
	if err != nil {
		return err
	}
	for i := range r.options.Repetitions {
		for _, s := range r.series {
			if err := r.rest(ctx, r.options.Delay); err != nil {
				return err
			}
			if i == 0 {
				s.began = r.now()
			}
			r.tell(s.test.String(), i+1, s.soFar())
			sample, err := r.repeat(ctx, s.test, s.depth)
			if err != nil {
				return fmt.Errorf("%s, repetition %d: %w", s.test, i+1, err)
			}
			after, failed := r.probe.Measure(ctx, r.shape.Bits)
			if sample.limits = before; failed == nil {
				sample.limits = before.mean(after)
			}
			s.samples = append(s.samples, sample)
			r.done++
			r.tell(s.test.String(), i+1, s.soFar())
			if failed != nil {
				return failed
			}
			before = after
		}
	}
	return nil
}

// Tokens of a warm-up, at most.
const (
	warmupPrompt   = 32
	warmupGenerate = 4
)

// warmUp runs a little of each kind: pages are touched, and memory is taken.
func (r *run) warmUp(ctx context.Context) error {
	var t Test
	for _, s := range r.series {
		t.Prompt = max(t.Prompt, min(s.test.Prompt, warmupPrompt))
		t.Generate = max(t.Generate, min(s.test.Generate, warmupGenerate))
	}
	r.tell("warm-up", 0, 0)
	session := r.model.NewSession()
	defer session.Close()
	_, err := r.repeat(ctx, t, &depth{session: session})
	if err == nil {
		r.tell("warm-up", 0, 0)
	}
	return err
}

// fill makes a session's cache hold the tokens of its depth.
func (r *run) fill(ctx context.Context, d *depth) error {
	if len(d.ids) == 0 {
		return nil
	}
	doing := fmt.Sprintf("fill %d", len(d.ids))
	r.tell(doing, 0, 0)
	if _, err := d.session.Logits(ctx, d.ids, 0); err != nil {
		return err
	}
	r.done++
	r.tell(doing, 0, 0)
	return nil
}

// repeat runs a test once, behind what the cache of its depth was filled with.
func (r *run) repeat(ctx context.Context, t Test, d *depth) (sample, error) {
	fresh, n := t.Prompt, t.Generate+1 // the prompt's step chooses the first token
	if t.Prompt == 0 {
		fresh, n = 1, t.Generate
	}
	ids := slices.Concat(d.ids, r.ids.next(fresh))
	if err := d.session.Truncate(len(d.ids)); err != nil {
		return sample{}, err
	}
	end := r.startWatch()
	result, err := r.generate(ctx, d.session, ids, n)
	s := sample{ttft: result.TTFT, seen: end()}
	switch {
	case err != nil:
		return s, err
	case result.CachedTokens != len(d.ids):
		return s, fmt.Errorf("%d tokens were in the cache, not %d", result.CachedTokens, len(d.ids))
	case result.CompletionTokens != n:
		return s, fmt.Errorf("%d tokens were generated, not %d", result.CompletionTokens, n)
	case t.Prompt == 0:
		s.generate = result.TTFT + result.GenerationTime
	case t.Generate == 0:
		s.prompt = result.TTFT
	default:
		s.prompt, s.generate = result.TTFT, result.GenerationTime
	}
	if s.time() <= 0 {
		return s, errors.New("it took no time")
	}
	return s, nil
}

func (r *run) tell(doing string, repetition int, ts float64) {
	if r.options.OnProgress != nil {
		r.options.OnProgress(Progress{Step: r.done, Steps: r.steps, Doing: doing, Repetition: repetition, TS: ts})
	}
}
