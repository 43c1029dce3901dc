package main

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"github.com/glm4-metal/glm4-metal/bench"
	"github.com/glm4-metal/glm4-metal/internal/demo"
)

// benchProgress tells on standard error how far the measurement of a model is: on a terminal in a line that is written
// anew, elsewhere with a line for each test that is done.
type benchProgress struct {
	model       string
	repetitions int
	loading     *progress // until the first step
	steps       *progress // nil before it
	begun       bool
	step        int // that was told last
}

func newBenchProgress(models []string, index, repetitions int) *benchProgress {
	name := filepath.Base(cmp.Or(models[index], demo.Name))
	if len(models) > 1 {
		name = fmt.Sprintf("%s (%d of %d)", name, index+1, len(models))
	}
	return &benchProgress{model: visibleLine(name), repetitions: repetitions, loading: startLoading()}
}

// tell is for bench.Options.OnProgress.
func (p *benchProgress) tell(now bench.Progress) {
	if !p.begun {
		p.begun = true
		p.loading.stop()
		p.steps = startProgress("", p.amount())
	}
	if p.steps == nil && now.Repetition == p.repetitions && now.Step > p.step {
		say("%s: %s, %s t/s", p.model, now.Doing, speed(now.TS))
	}
	p.step = now.Step
	p.steps.describe(p.doing(now))
	p.steps.set(int64(now.Step), int64(now.Steps))
}

// doing says what is done, such as "pp512 @ d4096, repetition 2 of 5: 20.6 t/s;".
func (p *benchProgress) doing(now bench.Progress) string {
	text := now.Doing
	if now.Repetition > 0 {
		text += fmt.Sprintf(", repetition %d of %d", now.Repetition, p.repetitions)
	}
	if now.TS > 0 {
		text += ": " + speed(now.TS) + " t/s"
	}
	return text + ";"
}

// amount is for startProgress. Time left is the mean of the steps that are done for each that is not, less what the one
// that runs has taken.
func (p *benchProgress) amount() func(done, total int64, elapsed time.Duration) string {
	var steps int64
	var at time.Duration // when that many were done
	return func(done, total int64, elapsed time.Duration) string {
		if done != steps {
			steps, at = done, elapsed
		}
		text := fmt.Sprintf(" of %d steps", total)
		if done > 0 {
			left := at/time.Duration(done)*time.Duration(total-done) - (elapsed - at)
			text += ", " + roughly(max(0, left)) + " left"
		}
		return text + "; " + p.model
	}
}

func (p *benchProgress) stop() {
	p.loading.stop()
	p.steps.stop()
}

// roughly writes a time in its largest unit, and hours with minutes.
func roughly(d time.Duration) string {
	switch minutes := int(math.Ceil(d.Minutes())); {
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", math.Ceil(d.Seconds()))
	case minutes < 60:
		return fmt.Sprintf("%d min", minutes)
	default:
		return fmt.Sprintf("%d h %d min", minutes/60, minutes%60)
	}
}

// speed writes tokens a second in three digits or more.
func speed(ts float64) string {
	switch {
	case ts >= 100:
		return fmt.Sprintf("%.0f", ts)
	case ts >= 10:
		return fmt.Sprintf("%.1f", ts)
	}
	return fmt.Sprintf("%.2f", ts)
}
