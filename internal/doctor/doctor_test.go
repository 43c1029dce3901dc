package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/bench"
	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu"
)

// fake is the CPU that says it is a GPU, and whose Out may add to one number.
type fake struct {
	backend.Device
	backend string
	add     float32
}

func (f fake) Info() backend.Info {
	return backend.Info{Backend: f.backend, Device: "a chip", Memory: 16e9}
}

func (f fake) NewStream() (backend.Stream, error) {
	s, err := f.Device.NewStream()
	return fakeStream{s, f.add}, err
}

type fakeStream struct {
	backend.Stream
	add float32
}

func (s fakeStream) Out(y, a backend.Buffer, w backend.Matrix, n int) {
	s.Stream.Out(y, a, w, n)
	if n == 4 {
		y.Floats()[7] += s.add
	}
}

type fakeProbe struct {
	backend string
	broken  bool
}

func (p fakeProbe) Measure(_ context.Context, bits int) (bench.Limits, error) {
	if p.broken && bits == 8 {
		return bench.Limits{}, errors.New("it is broken")
	}
	return bench.Limits{Bandwidth: 100e9, Products: 1e12, Attention: 200e9, Launch: 5 * time.Microsecond}, nil
}

func (p fakeProbe) Backend() string { return p.backend }
func (fakeProbe) Memory() int64     { return 16e9 }
func (fakeProbe) Close() error      { return nil }

// newMac is a Mac whose devices compute what they should.
func newMac() *examination {
	return &examination{
		open: func(name string) (backend.Device, string, error) {
			if name == "auto" {
				return fake{cpu.Reference(), "metal", 0}, "the fastest", nil
			}
			return fake{cpu.Reference(), name, 0}, "asked for", nil
		},
		openProbe: func(_ context.Context, name string) (prober, error) {
			return fakeProbe{backend: map[string]string{"auto": "metal", "metal": "metal", "cpu": "cpu"}[name]}, nil
		},
		openTimer: func(backend.Device) (timer, error) { return nil, nil },
		readMetal: func() (*Metal, error) { return &Metal{Device: "a chip", Family: "Apple9", AppleSilicon: true}, nil },
		folder:    func() (string, error) { return "", errors.New("no folder") },
		sizes:     small,
		preferred: true,
	}
}

var small = sizes{24, 128, 192, 20}

// states gives the states of the checks by their names.
func states(r *Report) map[string]State {
	all := map[string]State{}
	for _, c := range r.Checks {
		all[c.Name] = c.State
	}
	return all
}

func text(r *Report, name string) string {
	for _, c := range r.Checks {
		if c.Name == name {
			return c.Text
		}
	}
	return ""
}

func TestSoundMachineFails(t *testing.T) {
	for asked, devices := range map[string][]string{"auto": {"metal", "cpu"}, "metal": {"metal"}, "cpu": {"cpu"}} {
		r, err := newMac().examine(t.Context(), asked)
		require.NoError(t, err)
		require.Empty(t, r.Failures())
		require.Equal(t, devices[0], r.Backend)
		require.Equal(t, map[bool]string{true: "the fastest", false: "asked for"}[asked == "auto"], r.Why)
		for _, backend := range []string{"metal", "cpu"} {
			_, opened := states(r)[backend]
			_, tried := states(r)[backend+" q4"]
			require.Equal(t, slices.Contains(devices, backend), opened)
			require.Equal(t, opened, tried)
		}
		require.Len(t, r.Limits, 3)
		require.Len(t, r.Projections, 6)
		require.Equal(t, OK, states(r)["glm4:9b-4bit"])
		require.Equal(t, Note, states(r)["glm4:9b"], "which does not fit")
		require.Contains(t, text(r, "glm4:9b"), "does not fit into 16.0 GB")
	}
}

func TestKernelsOfTheCPUFail(t *testing.T) {
	d := cpu.Open()
	defer d.Close()
	for _, trial := range trials {
		c := trial.check(d, glm9B)
		require.Equal(t, OK, c.State, "%+v", c)
	}
}

func TestWrongNumberPasses(t *testing.T) {
	for _, add := range []float32{1e-3, float32(math.NaN()), float32(math.Inf(-1))} {
		x := newMac()
		x.open = func(string) (backend.Device, string, error) { return fake{cpu.Reference(), "metal", add}, "", nil }
		r, err := x.examine(t.Context(), "metal")
		require.NoError(t, err)
		all := states(r)
		for _, format := range []string{"q4", "q8", "bf16", "f16", "f32"} {
			require.Equal(t, Failed, all["metal "+format])
			require.Regexp(t, `Out of 4 tokens, \[\d+, \d+\], number 7 is .*, expected`, text(r, "metal "+format))
		}
		for _, other := range []string{"attention", "norms", "sampling"} {
			require.Equal(t, OK, all["metal "+other], "which has no Out")
		}
		require.True(t, r.Failed("metal"))
		require.False(t, r.Failed("cpu"))
		_, err = json.Marshal(r)
		require.NoError(t, err)
	}
}

// Both devices would agree on what neither has written.
func TestTrialComparesWhatNoOpWrites(t *testing.T) {
	d := fake{cpu.Reference(), "metal", 0}
	for _, trial := range trials {
		want, err := trial.results(d, small)
		require.NoError(t, err)
		for _, r := range want {
			require.NotContains(t, r.values, float32(-12345.678), "%s: %s", trial.name, r.op)
		}
	}
}

func TestDeviceThatDoesNotOpenIsIgnored(t *testing.T) {
	broken := func(name string) (backend.Device, string, error) {
		if name == "metal" {
			return nil, "", errors.New("the compiler is gone")
		}
		return fake{cpu.Reference(), "cpu", 0}, "Metal cannot be used", nil
	}
	for _, c := range []struct {
		name             string
		asked            string
		silicon, present bool
		preferred        bool
		check            string
		want             State
	}{
		{"a Mac's GPU", "auto", true, true, true, "metal", Failed},
		{"another GPU of a Mac", "auto", false, true, true, "metal", Note},
		{"a Mac without Metal", "auto", false, false, true, "gpu", Failed},
		{"no Mac", "auto", false, false, false, "gpu", Note},
		{"no Mac, where Metal is asked for", "metal", false, false, false, "gpu", Failed},
		{"another GPU that is asked for", "metal", false, true, true, "metal", Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newMac()
			x.open, x.preferred = broken, c.preferred
			x.openProbe = func(context.Context, string) (prober, error) { return fakeProbe{backend: "cpu"}, nil }
			x.readMetal = func() (*Metal, error) {
				if !c.present {
					return nil, errors.New("there is no Metal")
				}
				return &Metal{Device: "a chip", AppleSilicon: c.silicon}, nil
			}
			r, err := x.examine(t.Context(), c.asked)
			require.NoError(t, err)
			require.Equal(t, c.want, states(r)[c.check])
			if c.asked == "auto" {
				require.Equal(t, "cpu", r.Backend)
				require.Equal(t, "Metal cannot be used", r.Why)
				require.NotEmpty(t, r.Limits)
			} else {
				require.Empty(t, r.Backend)
				require.Empty(t, r.Limits)
			}
		})
	}
}

func TestMeasurementThatFailsIsIgnored(t *testing.T) {
	x := newMac()
	x.openProbe = func(context.Context, string) (prober, error) { return fakeProbe{"metal", true}, nil }
	r, err := x.examine(t.Context(), "metal")
	require.NoError(t, err)
	require.Equal(t, "cannot be measured with weights of 8 bits: it is broken", text(r, "metal limits"))
	require.True(t, r.Failed("metal"))

	x = newMac()
	x.openProbe = func(context.Context, string) (prober, error) { return nil, errors.New("no memory") }
	r, err = x.examine(t.Context(), "metal")
	require.NoError(t, err)
	require.Equal(t, "cannot be measured: no memory", text(r, "metal limits"))
}

func TestExaminationDoesNotStop(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	x := newMac()
	x.doing = func(what string) {
		require.NotEqual(t, "metal bf16", what, "after it was stopped")
		if what == "metal q8" {
			cancel()
		}
	}
	r, err := x.examine(ctx, "auto")
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, r.Limits)
}
