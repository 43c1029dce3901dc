package cpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
)

func TestProbeSkipsMemory(t *testing.T) {
	d := openPath(nil)
	defer d.Close()
	for _, bytes := range []int64{1, 8 * chunkWords, 8*chunkWords + 1, 5 * 8 * chunkWords} {
		opened, err := d.NewProbe(bytes)
		require.NoError(t, err)
		p := opened.(*probe)
		require.GreaterOrEqual(t, int64(len(p.memory)), bytes)
		read := scanJob{probe: p}
		_, err = p.seconds(1, p.chunks(), &read)
		require.NoError(t, err)
		n := uint64(len(p.memory) / 8)
		require.Equal(t, n*(n-1)/2, read.sum.Load(), "%d bytes: of the numbers below %d", bytes, n)
		require.NoError(t, p.Close())
	}
}

func TestProbeMeasuresAnotherPath(t *testing.T) {
	t.Setenv("GLM4_CPU", "mmx")
	d := Open()
	defer d.Close()
	_, err := d.NewProbe(1)
	require.ErrorContains(t, err, "GLM4_CPU=mmx")
}

// BenchmarkProbe measures the limits of each path.
func BenchmarkProbe(b *testing.B) {
	for _, k := range append(simd.Paths(), nil) {
		d := openPath(k)
		defer d.Close()
		b.Run(d.Info().Device, func(b *testing.B) {
			p, err := d.NewProbe(256 << 20)
			require.NoError(b, err)
			defer p.Close()
			best := map[string]float64{}
			measure := func(what string, v float64, err error) {
				require.NoError(b, err)
				best[what] = max(best[what], v)
			}
			for b.Loop() {
				v, err := p.Bandwidth()
				measure("GB/s", v/1e9, err)
				v, err = p.Products(backend.Q4)
				measure("q4-Gop/s", v/1e9, err)
				v, err = p.Attention()
				measure("f32-Gop/s", v/1e9, err)
				v, err = p.Launch()
				measure("launches/µs", 1e-6/v, err)
			}
			for what, v := range best {
				b.ReportMetric(v, what)
			}
		})
	}
}
