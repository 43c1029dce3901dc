package bench

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// fake is a device and its probe, which gives one figure of each kind after the other.
type fake struct {
	backend.Device
	figures []float64 // repeated; a launch is a billionth of it
	calls   int
	onCall  func() error
	bytes   int64
	formats map[backend.Format]bool
	closed  string
}

func (f *fake) Info() backend.Info {
	return backend.Info{Backend: "metal", Device: "M0", Memory: 7}
}

func (f *fake) NewProbe(bytes int64) (backend.Probe, error) {
	f.bytes = bytes
	return fakeProbe{f}, nil
}

func (f *fake) Close() error {
	f.closed += "device"
	return nil
}

type fakeProbe struct{ *fake }

func (p fakeProbe) Close() error {
	p.closed += "probe "
	return nil
}

func (p fakeProbe) next() (float64, error) {
	p.calls++
	if p.onCall != nil {
		if err := p.onCall(); err != nil {
			return 0, err
		}
	}
	return p.figures[(p.calls-1)%len(p.figures)], nil
}

func (p fakeProbe) Bandwidth() (float64, error) { return p.next() }

func (p fakeProbe) Attention() (float64, error) { return p.next() }

func (p fakeProbe) Products(f backend.Format) (float64, error) {
	p.formats[f] = true
	v, err := p.next()
	return 10 * v, err
}

func (p fakeProbe) Launch() (float64, error) {
	v, err := p.next()
	return v / 1e9, err
}

func openFake(t *testing.T, figures ...float64) (*fake, *Probe) {
	f := &fake{figures: figures, formats: map[backend.Format]bool{}}
	p, err := newProbe(f)
	require.NoError(t, err)
	return f, p
}

// The first of six is a warm-up.
func TestLimitIsNoMedian(t *testing.T) {
	f, p := openFake(t, 1e9, 3, 40, 1, 5, 4)
	l, err := p.Measure(context.Background(), 4)
	require.NoError(t, err)
	require.Equal(t, Limits{Bandwidth: 4, Products: 40, Attention: 4, Launch: 4 * time.Nanosecond, SplitKeys: 256}, l)
	require.Equal(t, 4*6, f.calls)
}

func TestProductsOfAnotherWidthAreMeasured(t *testing.T) {
	for bits, want := range map[int]backend.Format{4: backend.Q4, 8: backend.Q8, 16: backend.BF16, 32: backend.F32} {
		f, p := openFake(t, 1)
		_, err := p.Measure(context.Background(), bits)
		require.NoError(t, err)
		require.Equal(t, map[backend.Format]bool{want: true}, f.formats)
	}
	_, p := openFake(t, 1)
	_, err := p.Measure(context.Background(), 5)
	require.EqualError(t, err, "products with weights of 5 bits; the widths are 4, 8, 16 and 32")
}

func TestCancelledProbeMeasuresOn(t *testing.T) {
	for stopAt := range 4 * 6 {
		ctx, cancel := context.WithCancel(context.Background())
		f, p := openFake(t, 1)
		f.onCall = func() error {
			if f.calls > stopAt {
				cancel()
			}
			return nil
		}
		_, err := p.Measure(ctx, 4)
		if stopAt < 4*6-1 {
			require.ErrorIs(t, err, context.Canceled)
		}
		require.Equal(t, stopAt+1, f.calls)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := OpenProbe(ctx, "cpu")
	require.ErrorIs(t, err, context.Canceled)
}

func TestFailedMeasurementPassesForALimit(t *testing.T) {
	f, p := openFake(t, 1)
	lost := errors.New("lost")
	f.onCall = func() error {
		if f.calls > 9 {
			return lost
		}
		return nil
	}
	l, err := p.Measure(context.Background(), 4)
	require.ErrorIs(t, err, lost)
	require.Zero(t, l)
}

func TestProbeIsOfAnotherDevice(t *testing.T) {
	f, p := openFake(t, 1)
	require.Equal(t, "metal", p.Backend())
	require.Equal(t, "M0", p.Device())
	require.EqualValues(t, 7, p.Memory())
	require.EqualValues(t, 512<<20, f.bytes, "more than the caches of a GPU")
	require.NoError(t, p.Close())
	require.Equal(t, "probe device", f.closed)
	_, err := OpenProbe(context.Background(), "cuda")
	require.EqualError(t, err, `unknown backend "cuda"; the backends are auto, metal and cpu`)
}

func TestCPUHasNoLimits(t *testing.T) {
	p, err := OpenProbe(context.Background(), "cpu")
	require.NoError(t, err)
	defer p.Close()
	require.Equal(t, "cpu", p.Backend())
	requireLimits(t, p)
}

func requireLimits(t *testing.T, p *Probe) {
	l, err := p.Measure(context.Background(), 4)
	require.NoError(t, err)
	t.Logf("%s: %+v", p.Device(), l)
	require.Positive(t, l.Bandwidth)
	require.Positive(t, l.Products)
	require.Positive(t, l.Attention)
	require.Positive(t, l.Launch)
}
