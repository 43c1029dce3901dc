package gpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
)

const (
	chainOps    = 8
	chainTokens = 100
)

// chain records products with a mark behind each, and gives where they write.
func (p *pair) chain(reached func(op int)) (outputs [chainOps]backend.Buffer) {
	w, x := p.matrix(64, 64, backendtest.Plain(backend.F32)), p.buffer(p.floats(chainTokens*64, 1))
	for op := range outputs {
		outputs[op] = p.empty(chainTokens * 64)[1]
		p.streams[1].Out(outputs[op], x[1], w[1], chainTokens)
		p.streams[1].Mark(func() { reached(op) })
	}
	return outputs
}

// computed counts the outputs that were written to.
func computed(outputs [chainOps]backend.Buffer) (n int) {
	for _, y := range outputs {
		if y.Floats()[0] != -12345.678 {
			n++
		}
	}
	return n
}

func TestStoppedStepRunsOn(t *testing.T) {
	p := newPair(t, false)
	s := p.streams[1]
	p.gpu.longest = 1e-9 // a command buffer for each op, or two where it is cut
	// From another goroutine, while the third product is the last that is known to have run.
	reached := 0
	outputs := p.chain(func(op int) {
		require.Equal(t, reached, op)
		if reached++; op == 2 {
			done := make(chan struct{})
			go func() { s.Stop(); close(done) }()
			<-done
		}
	})
	require.ErrorIs(t, s.Submit(), backend.ErrStopped)
	require.ErrorIs(t, s.Wait(0), backend.ErrStopped)
	require.Equal(t, 3, reached, "no mark comes after a stop")
	require.LessOrEqual(t, computed(outputs), 3+inFlight, "nothing more is started")

	// The next step is a step as any other.
	reached = 0
	outputs = p.chain(func(int) { reached++ })
	require.NoError(t, s.Submit())
	require.NoError(t, s.Wait(0))
	require.Equal(t, chainOps, reached)
	require.Equal(t, chainOps, computed(outputs))
}
