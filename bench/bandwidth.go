package bench

import (
	"context"
	"runtime"

	"github.com/glm4-metal/glm4-metal/internal/backend/cpu"
)

// Bandwidth is how fast all cores together read memory: the limit of decoding, which reads every weight once a token.
type Bandwidth struct {
	Cores  int     `json:"cores"`            // that read at once
	Bytes  int64   `json:"bytes"`            // read in each round
	Best   float64 `json:"bytes_per_second"` // of the rounds
	Median float64 `json:"median_bytes_per_second"`
}

// Rounds and bytes of a measurement: far more than any cache holds.
const (
	bandwidthRounds = 9
	bandwidthBytes  = 1 << 30
)

// MeasureBandwidth takes a gigabyte of memory and reads it nine times, each core its own part of it from front to back;
// in huge pages where the system has them, which mapped weights may have, too. It looks at ctx between the readings.
func MeasureBandwidth(ctx context.Context) (Bandwidth, error) {
	b := Bandwidth{Cores: runtime.GOMAXPROCS(0), Bytes: bandwidthBytes}
	if err := ctx.Err(); err != nil {
		return b, err
	}
	d := cpu.Open()
	defer d.Close()
	p, err := d.NewProbe(bandwidthBytes)
	if err != nil {
		return b, err
	}
	defer p.Close()
	rates, err := repeat(ctx, bandwidthRounds, p.Bandwidth)
	if err != nil {
		return b, err
	}
	b.Best, b.Median = rates[len(rates)-1], rates[len(rates)/2]
	return b, nil
}
