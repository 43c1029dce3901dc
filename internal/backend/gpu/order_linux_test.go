package gpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
	"github.com/glm4-metal/glm4-metal/internal/decoder"
)

// small is a model of one layer on the GPU whose queries are stored otherwise than its keys and values.
type small struct {
	decoder.Weights
	scratch *decoder.Scratch
	cache   backend.Cache
	logits  backend.Buffer
	stream  *stream
}

func newSmall(p *pair) *small {
	const hidden, ffn, vocab, tokens = 64, 64, 96, 150
	a := backend.Attention{Heads: 4, KVHeads: 2, HeadDim: 16, RotaryDims: 8, RopeTheta: 1e4}
	q4, bf16 := backendtest.Quantised(backend.Q4, 32, backend.F16), backendtest.Plain(backend.BF16)
	matrix := func(rows, cols int, s backendtest.Storage) backend.Matrix { return p.matrix(rows, cols, s)[1] }
	norm := func() backend.Norm { return backend.Norm{Weight: p.vector(p.floats(hidden, 1))[1], Eps: 1e-5} }
	m := &small{stream: p.gpu, cache: p.cache(1, a, backend.F16, 4*backend.CacheStep)[1], logits: p.empty(vocab)[1]}
	m.Weights = decoder.Weights{Embed: matrix(vocab, hidden, q4), Norm: norm(), Head: matrix(vocab, hidden, q4),
		Layers: []decoder.Layer{{
			Input: norm(), MLP: norm(), QKV: backend.QKV{Q: matrix(64, hidden, q4), K: matrix(32, hidden, bf16),
				V: matrix(32, hidden, bf16)},
			Out: matrix(hidden, 64, q4), GateUp: matrix(2*ffn, hidden, q4), Down: matrix(hidden, ffn, q4),
		}}}
	var err error
	m.scratch, err = m.NewScratch(p.devices[1], tokens)
	require.NoError(p, err)
	return m
}

// record writes a step down that picks an id, its products cut to pieces that take so long.
func (m *small) record(at backend.Span, seconds float64) {
	whole := m.stream.longest
	m.stream.longest = seconds
	m.Forward(m.stream, m.scratch, m.cache, m.scratch.Tokens, at, m.logits, 1)
	m.stream.Sample(m.scratch.Tokens, 0, m.logits, backend.Sampling{Valid: 90, Temperature: 1, Seed: 1})
	m.stream.longest = whole // one command buffer
}

func (m *small) run() error {
	if err := m.stream.Submit(); err != nil {
		return err
	}
	return m.stream.Wait(0)
}

// Without any single barrier the stand-in, which sees what is really touched, objects: none is missing, and none is too
// many.
func TestBarrierIsMissingOrNeedless(t *testing.T) {
	p := newPair(t, true)
	m := newSmall(p)
	for _, c := range []struct {
		at              backend.Span
		barriers, apart int
	}{
		{backend.Span{Pos: 3, N: 1}, 9, 1},    // behind the embedding; keys and values run beside the queries
		{backend.Span{Pos: 700, N: 1}, 10, 1}, // the attention is split and combined
		{backend.Span{Pos: 0, N: 150}, 9, 13}, // each of six dispatches is cut in three
	} {
		m.record(c.at, 1e-9)
		var waits []int
		for i, d := range m.stream.list {
			if i > 0 && !d.beside {
				waits = append(waits, i)
			}
		}
		require.Len(t, waits, c.barriers, c.at)
		require.Equal(t, 1+c.barriers+c.apart, len(m.stream.list), c.at)
		require.NoError(t, m.run(), c.at)
		for _, i := range waits {
			m.record(c.at, 1e-9)
			m.stream.list[i].beside = true
			require.ErrorContains(t, m.run(), "no barrier between them", "%v: dispatch %d", c.at, i)
		}
	}
}

// A plain build judges, too, what one writes and another only reads: all of a decoded token.
func TestStandInOverlooksAMissingBarrier(t *testing.T) {
	p := newPair(t, false)
	m := newSmall(p)
	for i := 1; ; i++ {
		m.record(backend.Span{Pos: 700, N: 1}, longest)
		if i == len(m.stream.list) {
			break
		}
		if m.stream.list[i].beside {
			continue
		}
		m.stream.list[i].beside = true
		require.ErrorContains(t, m.run(), "no barrier between them", "dispatch %d", i)
	}
	require.NoError(t, m.run())
}
