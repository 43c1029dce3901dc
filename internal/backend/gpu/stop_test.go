package gpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

const (
	chainOps    = 8
	chainTokens = 100
)

// chain records products with a mark behind each, and gives where they write.
func (p *pair) chain(i int, reached func(op int)) (outputs [chainOps]backend.Buffer) {
	w, x := p.matrix(64, 64, backend.F32, 0, 0), p.buffer(p.floats(chainTokens*64, 1))
	for op := range outputs {
		outputs[op] = p.empty(chainTokens * 64)[i]
		p.streams[i].Out(outputs[op], x[i], w[i], chainTokens)
		p.streams[i].Mark(func() { reached(op) })
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
	for i, s := range p.streams {
		p.gpu.longest = 1e-9 // a command buffer for each op, or two where it is cut
		// From another goroutine, while the third product is the last that is known to have run.
		reached := 0
		outputs := p.chain(i, func(op int) {
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
		outputs = p.chain(i, func(int) { reached++ })
		require.NoError(t, s.Submit())
		require.NoError(t, s.Wait(0))
		require.Equal(t, chainOps, reached)
		require.Equal(t, chainOps, computed(outputs))

		// Between two steps.
		s.Stop()
		outputs = p.chain(i, func(int) { t.Error("a mark of a stopped step") })
		require.ErrorIs(t, s.Submit(), backend.ErrStopped)
		require.ErrorIs(t, s.Wait(0), backend.ErrStopped)
		require.Zero(t, computed(outputs))
		s.Stop()
		require.ErrorIs(t, s.Wait(0), backend.ErrStopped)
		require.NoError(t, s.Wait(0))
	}
}

// With marks in two steps of which the second is submitted before the first is waited for.
func TestMarkComesBeforeItsOps(t *testing.T) {
	s := newStep(t)
	for i, stream := range s.streams {
		picked := s.tokens([]int32{3})
		var order []int
		for n := range 4 {
			if n > 1 {
				require.NoError(t, stream.Wait(1))
			}
			s.record(i, picked[i], picked[i], n)
			stream.Mark(func() { order = append(order, n) })
			require.NoError(t, stream.Submit())
			require.LessOrEqual(t, len(order), n+1)
		}
		require.NoError(t, stream.Wait(0))
		require.Equal(t, []int{0, 1, 2, 3}, order)
	}
}

func TestPartsOfAProductGoBackwards(t *testing.T) {
	p := newPair(t, false)
	const rows, n = 2000, 8
	w, x := p.matrix(rows, 64, backend.F32, 0, 0), p.buffer(p.floats(n*64, 1))
	for i, s := range p.streams {
		var shares []float64
		s.OnPart(func(share float64) { shares = append(shares, share) })
		s.Out(p.empty(n * rows)[i], x[i], w[i], n)
		require.NoError(t, s.Submit())
		require.NoError(t, s.Wait(0))
		if i == 0 {
			require.NotEmpty(t, shares)
		}
		for j, share := range shares {
			require.True(t, share > 0 && share <= 1 && (j == 0 || share > shares[j-1]))
		}
		told := len(shares)
		s.OnPart(nil)
		s.Out(p.empty(n * rows)[i], x[i], w[i], n)
		require.NoError(t, s.Submit())
		require.NoError(t, s.Wait(0))
		require.Len(t, shares, told)
	}
}
