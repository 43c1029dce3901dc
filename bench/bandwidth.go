// Package bench measures what the machine can read from memory, which limits how fast it can decode: a token takes
// every weight once.
//
//	b, err := bench.MeasureBandwidth(ctx)
//	if err != nil { ... }
//	fmt.Printf("%.1f GB/s, at most %.1f tokens a second\n", b.Best/1e9, b.Best/float64(bytesOfTheWeights))
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
	memory, err := NewMemory(bandwidthBytes)
	if err != nil {
		return b, err
	}
	defer memory.Close()
	var rates []float64
	for range bandwidthRounds {
		if err := ctx.Err(); err != nil {
			return b, err
		}
		rates = append(rates, memory.Read(b.Cores))
	}
	slices.Sort(rates)
	b.Best, b.Median = rates[len(rates)-1], rates[len(rates)/2]
	return b, nil
}

// Memory is what a measurement reads, for measurements between other work. It is for one goroutine at a time.
type Memory struct {
	bytes []byte
	sum   uint64 // keeps what is read from being left out
}

// NewMemory takes n bytes, a multiple of 64; the caller closes it.
func NewMemory(n int) (*Memory, error) {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("no memory to measure with, %d bytes: %w", n, err)
	}
	adviseHugePages(b)
	m := &Memory{bytes: b}
	for i := range m.words() { // gives every page memory of its own
		m.words()[i] = 1
	}
	return m, nil
}

func (m *Memory) words() []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(&m.bytes[0])), len(m.bytes)/8)
}

// Read reads all of it on some cores and gives the bytes per second.
func (m *Memory) Read(cores int) float64 {
	start := time.Now()
	m.sum += readAll(m.words(), cores)
	return float64(len(m.bytes)) / time.Since(start).Seconds()
}

// Close frees it.
func (m *Memory) Close() error { return unix.Munmap(m.bytes) }

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
