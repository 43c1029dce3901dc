// Package bench measures: what the machine can read from memory, and, in bench/counters, what the GPU's kernels do.
package bench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Bandwidth is how fast all cores together read memory: the limit of decoding, which reads every weight once a token.
type Bandwidth struct {
	Cores  int     `json:"cores"`
	Bytes  int64   `json:"bytes"`            // read in each round
	Best   float64 `json:"bytes_per_second"` // of the rounds
	Median float64 `json:"median_bytes_per_second"`
}

// Rounds and bytes of a measurement: far more than any cache holds.
const (
	bandwidthRounds = 9
	bandwidthBytes  = 1 << 30
)

// MeasureBandwidth reads a gigabyte some times, each core its own part of it from front to back; in huge pages where the
// system has them, which mapped weights may have, too.
func MeasureBandwidth(ctx context.Context) (Bandwidth, error) {
	b := Bandwidth{Cores: runtime.GOMAXPROCS(0), Bytes: bandwidthBytes}
	if err := ctx.Err(); err != nil {
		return b, err
	}
	memory, err := unix.Mmap(-1, 0, bandwidthBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return b, fmt.Errorf("no memory to measure with, %d bytes: %w", bandwidthBytes, err)
	}
	defer unix.Munmap(memory)
	adviseHugePages(memory)
	words := unsafe.Slice((*uint64)(unsafe.Pointer(&memory[0])), len(memory)/8)
	for i := range words { // gives every page memory of its own
		words[i] = uint64(i)
	}
	var rates []float64
	for range bandwidthRounds {
		if err := ctx.Err(); err != nil {
			return b, err
		}
		start := time.Now()
		if readAll(words, b.Cores) == 0 {
			return b, fmt.Errorf("memory that was written reads as 0")
		}
		rates = append(rates, float64(b.Bytes)/time.Since(start).Seconds())
	}
	slices.Sort(rates)
	b.Best, b.Median = rates[len(rates)-1], rates[len(rates)/2]
	return b, nil
}

// readAll sums the words on some cores.
func readAll(words []uint64, cores int) uint64 {
	sums := make([]uint64, cores)
	var wg sync.WaitGroup
	share := ((len(words)+cores-1)/cores + 7) / 8 * 8
	for i := range cores {
		part := words[min(i*share, len(words)):min((i+1)*share, len(words))]
		wg.Go(func() { sums[i] = sum(part) })
	}
	wg.Wait()
	var all uint64
	for _, s := range sums {
		all += s
	}
	return all
}

// sum takes a line of memory a turn, so that the loads and not the additions are what takes the time.
func sum(words []uint64) uint64 {
	var a, b, c, d uint64
	for len(words) >= 8 {
		w := words[:8:8]
		a += w[0] + w[4]
		b += w[1] + w[5]
		c += w[2] + w[6]
		d += w[3] + w[7]
		words = words[8:]
	}
	for _, w := range words {
		a += w
	}
	return a + b + c + d
}
