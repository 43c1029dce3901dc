package bench

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

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
