package bench

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPartOfTheMemoryIsNotRead(t *testing.T) {
	for _, n := range []int{1, 7, 8, 9, 1000, 4099} {
		words := make([]uint64, n)
		var want uint64
		for i := range words {
			words[i] = uint64(i*i + 1)
			want += words[i]
		}
		for cores := 1; cores < 6; cores++ {
			require.Equal(t, want, readAll(words, cores), "%d words on %d cores", n, cores)
		}
	}
}

func TestCancelledMeasurementGoesOn(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := MeasureBandwidth(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func BenchmarkBandwidth(b *testing.B) {
	for b.Loop() {
		m, err := MeasureBandwidth(context.Background())
		require.NoError(b, err)
		b.ReportMetric(m.Best/1e9, "GB/s")
	}
}
