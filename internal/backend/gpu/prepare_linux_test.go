package gpu

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// building puts a function in front of every compilation of a pipeline.
func building(d *Device, before func(v variant) error) {
	build := d.kernels.build
	d.kernels.build = func(v variant) (metal.ComputePipeline, int, error) {
		if err := before(v); err != nil {
			return metal.ComputePipeline{}, 0, err
		}
		return build(v)
	}
}

// in waits for what must come soon.
func in[T any](t testing.TB, c <-chan T, what string) {
	select {
	case <-c:
	case <-time.After(time.Minute):
		t.Error(what)
	}
}

func TestPreparedStepMakesPipelines(t *testing.T) {
	p := newPair(t, false)
	m := newSmall(p)
	d := p.gpu.d
	var built atomic.Int32
	building(d, func(variant) error { built.Add(1); return nil })
	spans := []backend.Span{{Pos: 3, N: 1}, {Pos: 700, N: 1}, {Pos: 0, N: 5}, {Pos: 0, N: 150}}
	d.Prepare(t.Context(), func(s backend.Stream) {
		for _, at := range spans {
			m.Forward(s, m.scratch, m.cache, m.scratch.Tokens, at, m.logits, 1)
			s.Sample(m.scratch.Tokens, 0, m.logits, backend.Sampling{Valid: 90, Temperature: 1, Seed: 1})
		}
	})()
	prepared := built.Load()
	require.Greater(t, prepared, int32(15))
	for _, at := range spans {
		m.record(at, longest)
		require.NoError(t, m.run())
	}
	require.Equal(t, prepared, built.Load())
}

func TestPipelinesAreMadeOneAfterTheOther(t *testing.T) {
	before := runtime.GOMAXPROCS(2)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	p := newPair(t, false)
	m := newSmall(p) // whose cache has pipelines of its own
	both := make(chan struct{})
	var begun atomic.Int32
	building(p.gpu.d, func(variant) error {
		if begun.Add(1) == 2 {
			close(both)
		}
		in(t, both, "the second waits for the first")
		return nil
	})
	p.gpu.d.Prepare(t.Context(), func(s backend.Stream) {
		m.Forward(s, m.scratch, m.cache, m.scratch.Tokens, backend.Span{N: 1}, m.logits, 1)
	})()
	require.Greater(t, begun.Load(), int32(5))
}

// Many ask for one pipeline while it is made, and one for another.
func TestPipelineIsMadeTwice(t *testing.T) {
	p := newPair(t, false)
	k := p.gpu.d.kernels
	var built atomic.Int32
	begun, finish := make(chan struct{}), make(chan struct{})
	building(p.gpu.d, func(v variant) error {
		if v.kernel == shaders.AddNorm {
			if built.Add(1) == 1 {
				close(begun)
			}
			<-finish
		}
		return nil
	})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { k.get(variant{kernel: shaders.AddNorm}) })
	}
	in(t, begun, "nobody makes it")
	_, err := k.get(variant{kernel: shaders.SamplePick})
	require.NoError(t, err)
	close(finish)
	all.Wait()
	require.EqualValues(t, 1, built.Load())
}

// An error of the preparation is that of the step which needs what could not be made, and of no other.
func TestErrorOfAPipelineIsLost(t *testing.T) {
	p := newPair(t, false)
	m := newSmall(p)
	broken := errors.New("the compiler is broken")
	building(p.gpu.d, func(v variant) error {
		if v.kernel == shaders.AddNorm {
			return broken
		}
		return nil
	})
	p.gpu.d.Prepare(t.Context(), func(s backend.Stream) {
		m.Forward(s, m.scratch, m.cache, m.scratch.Tokens, backend.Span{N: 1}, m.logits, 1)
	})()
	m.record(backend.Span{N: 1}, longest)
	require.ErrorIs(t, m.run(), broken)
	require.ErrorIs(t, m.stream.Wait(0), broken)
	require.NoError(t, m.stream.Wait(0), "told once")
	broken = nil
	m.record(backend.Span{N: 1}, longest)
	require.NoError(t, m.run(), "the next step tries again")
}

// The preparation ends early with its context, and the device waits for what is being made then.
func TestPreparationOutlivesItsDevice(t *testing.T) {
	d, err := Open(openMetal(t, false))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var built atomic.Int32
	begun, finish := make(chan struct{}), make(chan struct{})
	building(d, func(variant) error {
		if built.Add(1) == 1 {
			close(begun)
		}
		<-finish
		return nil
	})
	wait := d.Prepare(ctx, func(s backend.Stream) {
		o := s.(*stream)
		for _, k := range []*shaders.Kernel{shaders.AddNorm, shaders.SamplePick, shaders.SampleScan, shaders.AttendCombine} {
			add(o, variant{kernel: k}, 0, [3]int{1, 1, 1}, 0)
		}
	})
	in(t, begun, "nothing is made")
	cancel()
	closed := make(chan error, 1)
	go func() { closed <- d.Close() }()
	close(finish)
	wait()
	require.NoError(t, <-closed) // and no pipeline is left: openMetal looks
	require.LessOrEqual(t, int(built.Load()), runtime.GOMAXPROCS(0))
}
