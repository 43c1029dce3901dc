package bench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/decoder"
)

// small is a shape whose times can be added up in the head, where a device does one of everything a second.
var (
	small = Shape{LayerBytes: 1000, HeadBytes: 100, RowBytes: 1, LayerParams: 500, HeadParams: 50, KVBytes: 10, Layers: 2,
		Heads: 3, HeadDim: 4}
	never = 1e30 // too fast to count
)

func TestLimitForgetsAPart(t *testing.T) {
	const attention = 4 * 3 * 4 * 2 // operations of a token with a key
	for name, test := range map[string]struct {
		limits Limits
		test   Test
		chunk  int
		want   int // seconds
		by     string
	}{
		"weights, a row and keys of two tokens": {Limits{1, never, never, 0, 0}, Test{Generate: 2}, 512,
			2*1101 + 10*(1+2), "memory"},
		"behind others": {Limits{1, never, never, 0, 0}, Test{Generate: 2, Depth: 7}, 512, 2*1101 + 10*(8+9), "memory"},
		"behind a prompt": {Limits{1, never, never, 0, 0}, Test{Prompt: 3, Generate: 1}, 512, 1103 + 30 + 1101 + 40,
			"memory"},
		"a prompt in steps": {Limits{1, never, never, 0, 0}, Test{Prompt: 5}, 2, 3*1000 + 5 + 100 + 10*(2+4+5), "memory"},
		"a prompt in one":   {Limits{1, never, never, 0, 0}, Test{Prompt: 5}, 0, 1105 + 10*5, "memory"},
		"products":          {Limits{never, 1, never, 0, 0}, Test{Prompt: 5}, 2, 2 * (5*500 + 50), "compute"},
		"products of tokens": {Limits{never, 1, never, 0, 0}, Test{Generate: 3}, 2, 3 * 2 * 550,
			"compute"},
		"attention": {Limits{never, never, 1, 0, 0}, Test{Prompt: 5, Depth: 10}, 2, attention * (11 + 12 + 13 + 14 + 15),
			"compute"},
		"attention of tokens": {Limits{never, never, 1, 0, 0}, Test{Generate: 2, Depth: 10}, 2, attention * (11 + 12),
			"compute"},
		"launches of a prompt": {Limits{never, never, never, time.Second, 0}, Test{Prompt: 5}, 2, 3*15 + 2, "launch"},
		"launches of tokens":   {Limits{never, never, never, time.Second, 0}, Test{Generate: 3}, 2, 3 * 17, "launch"},
		"more beyond some keys": {Limits{never, never, never, time.Second, 11}, Test{Generate: 3, Depth: 10}, 2,
			17 + 2*(17+2), "launch"},
		"a prompt has no more": {Limits{never, never, never, time.Second, 11}, Test{Prompt: 4, Depth: 10}, 2, 2*15 + 2,
			"launch"},
		"the slower of memory and products": {Limits{1, 1, never, 0, 0}, Test{Prompt: 5}, 0, 2*(5*500+50) + 10*5, "compute"},
		"the slower of memory and attention": {Limits{1, never, 1, 0, 0}, Test{Generate: 1}, 0, 1101 + attention,
			"memory"},
		"all":     {Limits{1, 1, 1, 100 * time.Second, 0}, Test{Generate: 1}, 0, 1101 + attention + 1700, "launch"},
		"nothing": {Limits{1, 1, 1, time.Second, 0}, Test{}, 512, 0, "memory"},
		"what is unknown does not limit": {Limits{0, 1, 0, 0, 0}, Test{Prompt: 5}, 0, 2 * (5*500 + 50),
			"compute"},
	} {
		least, by := test.limits.Limit(small, test.test, test.chunk)
		require.InDelta(t, test.want, least.Seconds(), 1e-6, name)
		require.Equal(t, test.by, by, name)
	}
}

// The figures are those of bench/peers.md: 4.94 GB in 141 ms at 35 GB/s; 5.4 Gop of attention behind 8,192 tokens, 22.8
// ms at the cores' peak; a prompt's 16.3 Gop a token at 400 Gop/s.
func TestLimitOfGLM4Differs(t *testing.T) {
	s := known(t, "glm4:9b-4bit")
	cpu := Limits{Bandwidth: 35e9, Products: 400e9, Attention: 236e9}
	least, by := cpu.Limit(s, Test{Generate: 1}, 512)
	require.InDelta(t, 0.1411, least.Seconds(), 0.0002)
	require.Equal(t, "memory", by)
	deep, _ := cpu.Limit(s, Test{Generate: 1, Depth: 8192}, 512)
	require.InDelta(t, 0.0228, (deep - least).Seconds(), 0.0002)
	prompt, by := cpu.Limit(s, Test{Prompt: 512}, 512)
	require.InDelta(t, 512*16.316/400, prompt.Seconds(), 0.4)
	require.Equal(t, "compute", by)
}

// launchCounter is a stream that counts the ops it takes.
type launchCounter struct {
	backend.Stream
	ops int
}

func (c *launchCounter) Embed(_, _ backend.Buffer, _ backend.Tokens, _ int, _ backend.Matrix, _ backend.Norm) {
	c.ops++
}
func (c *launchCounter) QKV(_ backend.Buffer, _ backend.Cache, _ int, _ backend.Buffer, _ *backend.QKV, _ backend.Span) {
	c.ops++
}
func (c *launchCounter) Attend(_, _ backend.Buffer, _ backend.Cache, _ int, _ backend.Span) { c.ops++ }
func (c *launchCounter) Out(_, _ backend.Buffer, _ backend.Matrix, _ int)                   { c.ops++ }
func (c *launchCounter) AddNorm(_, _, _ backend.Buffer, _ *backend.Norm, _ backend.Norm, _ int) {
	c.ops++
}
func (c *launchCounter) GateUp(_, _ backend.Buffer, _ backend.Matrix, _ int)  { c.ops++ }
func (c *launchCounter) Down(_, _ backend.Buffer, _ backend.Matrix, _ int)    { c.ops++ }
func (c *launchCounter) Head(_, _ backend.Buffer, _ backend.Matrix, _, _ int) { c.ops++ }
func (c *launchCounter) Sample(_ backend.Tokens, _ int, _ backend.Buffer, _ backend.Sampling) {
	c.ops++
}

func TestStepsHaveOtherOps(t *testing.T) {
	launches := Limits{Launch: time.Second}
	for layers := range 4 {
		w, shape := decoder.Weights{Layers: make([]decoder.Layer, layers+1)}, Shape{Layers: layers + 1}
		step := &launchCounter{}
		w.Forward(step, &decoder.Scratch{}, nil, nil, backend.Span{N: 1}, nil, 1)
		step.Sample(nil, 0, nil, backend.Sampling{})
		least, by := launches.Limit(shape, Test{Generate: 1}, 512)
		require.Equal(t, time.Duration(step.ops)*time.Second, least)
		require.Equal(t, "launch", by)

		w.Forward(step, &decoder.Scratch{}, nil, nil, backend.Span{N: 1}, nil, 0) // the first of two steps of a prompt
		least, _ = launches.Limit(shape, Test{Prompt: 2}, 1)
		require.Equal(t, time.Duration(step.ops)*time.Second, least)
	}
}
