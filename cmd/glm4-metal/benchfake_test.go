package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/bench"
)

// fakeBenchVariable makes the test binary the program, with fakes of what measures.
const fakeBenchVariable = "GLM4_METAL_FAKE_BENCH"

func fakeBench() {
	benchRun = fakeRun
	openProbe = func(_ context.Context, backend string) (prober, error) {
		if backend == "metal" {
			return nil, errors.New("there is no Metal here")
		}
		return &fakeProbe{}, nil
	}
}

// benchCommandLine is the program with fakes of what measures.
func benchCommandLine(t testing.TB, args ...string) *exec.Cmd {
	c := command(t, append([]string{"bench"}, args...)...)
	self, err := os.Executable()
	require.NoError(t, err)
	c.Path = self
	c.Env = append(c.Env, fakeBenchVariable+"=1")
	return c
}

func runFakeBench(t testing.TB, args ...string) (stdout, stderr string, status int) {
	return finish(t, benchCommandLine(t, args...))
}

// fakeRun measures 400 tokens a second of prompts and 20 of generations. Models of these names do what they say: one
// that fails at once, one that fails in its second repetition, one that waits there for ctx, with a file that says so,
// or whatever ctx does, one with a warning, and one that wants too much memory.
func fakeRun(ctx context.Context, name string, o bench.Options) ([]bench.Row, error) {
	name = filepath.Base(name)
	switch name {
	case "broken":
		return nil, errors.New("it is broken")
	case "large":
		return nil, errors.New("it takes too much: take a smaller context")
	}
	rows := make([]bench.Row, len(o.Tests))
	steps := len(o.Tests) * o.Repetitions
	for step := range steps {
		r, repetition := &rows[step%len(rows)], 1+step/len(rows)
		if repetition == 1 {
			*r = bench.Row{
				Engine: "glm4-metal", Backends: "CPU", ModelType: "glm4 9B 4bit", ModelFilename: name,
				Version:  fmt.Sprintf("%d %v %v %s", o.Seed, o.Delay, o.NoWarmup, o.Backend),
				TestTime: time.Unix(0, 0).UTC(), NThreads: runtime.GOMAXPROCS(0), Test: o.Tests[step%len(rows)],
			}
		}
		speed := map[bool]float64{true: 400, false: 20}[r.Prompt > 0]
		tell := func(done int) {
			o.OnProgress(bench.Progress{Step: done, Steps: steps, Doing: r.Test.String(), Repetition: repetition,
				TS: r.MedianTS})
		}
		tell(step)
		if repetition == 2 {
			switch name {
			case "fails":
				return rows[:min(step, len(rows))], errors.New("the disk is gone")
			case "waits":
				if err := os.WriteFile("waiting", nil, 0o600); err != nil {
					return nil, err
				}
				<-ctx.Done()
				return rows[:min(step, len(rows))], ctx.Err()
			case "deaf":
				if err := os.WriteFile("deaf", nil, 0o600); err != nil {
					return nil, err
				}
				select {}
			}
		}
		r.Repetitions, r.MedianTS, r.AvgTS = repetition, speed, speed
		r.SamplesTS = append(r.SamplesTS, speed)
		if name == "busy" {
			r.Warning = "others took half of the machine"
		}
		tell(step + 1)
	}
	return rows, nil
}

// fakeProbe gives other limits each time, whose medians are round.
type fakeProbe struct{ rounds int }

func (p *fakeProbe) Measure(_ context.Context, bits int) (bench.Limits, error) {
	p.rounds++
	off := float64(p.rounds%limitRounds) - 1
	if bits != 4 && bits != 8 && bits != 16 && bits != 32 {
		return bench.Limits{}, fmt.Errorf("weights of %d bits", bits)
	}
	return bench.Limits{Bandwidth: 100e9 + off*1e9, Products: 1e12 + off, Attention: 200e9 - off*1e9,
		Launch: 5 * time.Microsecond}, nil
}

func (*fakeProbe) Backend() string { return "cpu" }
func (*fakeProbe) Device() string  { return "a chip, avx512" }
func (*fakeProbe) Memory() int64   { return 16e9 }
func (*fakeProbe) Close() error    { return nil }
