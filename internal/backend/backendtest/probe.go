package backendtest

import (
	"math"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// measurements are those of a probe.
func measurements(p backend.Probe) map[string]func() (float64, error) {
	all := map[string]func() (float64, error){"bandwidth": p.Bandwidth, "attention": p.Attention, "launch": p.Launch}
	for _, f := range []backend.Format{backend.F32, backend.F16, backend.BF16, backend.Q4, backend.Q8} {
		all["products with "+f.String()] = func() (float64, error) { return p.Products(f) }
	}
	return all
}

func (b *bench) probe() {
	p, err := b.d.NewProbe(1_000_000) // no whole number of pages
	require.NoError(b, err)
	for what, measure := range measurements(p) {
		v, err := measure()
		require.NoError(b, err, what)
		require.True(b, v > 0 && !math.IsInf(v, 1), "%s: %v", what, v)
	}
	require.NoError(b, p.Close())
	require.NoError(b, p.Close())
	for what, measure := range measurements(p) {
		_, err := measure()
		require.Error(b, err, "%s after Close", what)
	}
}

func (b *bench) probeOfAClosedDevice() {
	d := b.Open(b.T)
	p, err := d.NewProbe(1)
	require.NoError(b, err)
	require.NoError(b, d.Close())
	for what, measure := range measurements(p) {
		_, err := measure()
		require.Error(b, err, what)
	}
	require.NoError(b, p.Close())
	_, err = d.NewProbe(1)
	require.Error(b, err)
}
