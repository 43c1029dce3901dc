package bench

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/glm4-metal/glm4-metal/internal/machine"
)

// sample is one repetition of a test.
type sample struct {
	prompt, generate time.Duration // 0 for what the test has not
	ttft             time.Duration
	limits           Limits    // mean of those measured before and after
	bandwidths       []float64 // measured meanwhile
	seen             machine.Activity
}

func (s sample) time() time.Duration { return s.prompt + s.generate }

// mean is half-way between two measurements.
func (l Limits) mean(m Limits) Limits {
	m.Bandwidth = (l.Bandwidth + m.Bandwidth) / 2
	m.Products = (l.Products + m.Products) / 2
	m.Attention = (l.Attention + m.Attention) / 2
	m.Launch = (l.Launch + m.Launch) / 2
	return m
}

// bound gives a sample its limits: the means of what was measured before, after and meanwhile.
func (s *sample) bound(before, after Limits) {
	s.limits = before.mean(after)
	if len(s.bandwidths) > 0 {
		s.limits.Bandwidth = mean(append(s.bandwidths, before.Bandwidth, after.Bandwidth))
	}
}

func tps(tokens int, d time.Duration) float64 {
	if tokens == 0 || d <= 0 {
		return 0
	}
	return float64(tokens) / d.Seconds()
}

// each gives a figure of every sample.
func (s *series) each(figure func(sample) float64) []float64 {
	var all []float64
	for _, sample := range s.samples {
		all = append(all, figure(sample))
	}
	return all
}

// speeds are those of the samples, tokens a second.
func (s *series) speeds() []float64 {
	return s.each(func(x sample) float64 { return tps(s.test.Prompt+s.test.Generate, x.time()) })
}

// soFar is the median speed, 0 before the first sample.
func (s *series) soFar() float64 {
	if len(s.samples) == 0 {
		return 0
	}
	return median(s.speeds())
}

// limits are the medians.
func (s *series) limits() Limits {
	var all []Limits
	for _, x := range s.samples {
		all = append(all, x.limits)
	}
	return MedianLimits(all)
}

// summarise fills a row with what was measured of its test.
func (s *series) summarise(row *Row) {
	row.Test, row.TestTime, row.Repetitions = s.test, s.began.UTC().Truncate(time.Second), len(s.samples)
	times, speeds := s.each(func(x sample) float64 { return float64(x.time()) }), s.speeds()
	row.AvgNS, row.StddevNS = int64(mean(times)), int64(stddev(times))
	row.AvgTS, row.StddevTS, row.MedianTS = mean(speeds), stddev(speeds), median(speeds)
	row.FirstTS, row.LastTS = speeds[0], speeds[len(speeds)-1]
	for _, x := range s.samples {
		row.SamplesNS = append(row.SamplesNS, int64(x.time()))
	}
	row.SamplesTS = speeds

	row.PromptTPS = mean(s.each(func(x sample) float64 { return tps(s.test.Prompt, x.prompt) }))
	row.GenerationTPS = mean(s.each(func(x sample) float64 { return tps(s.test.Generate, x.generate) }))
	row.TTFTNS = int64(median(s.each(func(x sample) float64 { return float64(x.ttft) })))
	row.JoulesToken = median(s.each(func(x sample) float64 { return x.seen.Joules })) /
		float64(s.test.Prompt+s.test.Generate)

	row.Others = median(s.each(func(x sample) float64 { return x.seen.Others }))
	row.Warning = s.warning(row.Others)
}

// What a row is warned of.
const (
	maxOthers   = 0.05 // of the machine, for other processes
	maxSlowdown = 0.1  // of the first third of the repetitions
)

// warning tells why not to trust a series, "" when nothing is known against it.
func (s *series) warning(others float64) string {
	var why []string
	if others > maxOthers {
		why = append(why, fmt.Sprintf("busy: other processes took %.0f %% of the machine", 100*others))
	}
	for _, x := range s.samples {
		if t := x.seen.Throttled; t != "" && !slices.Contains(why, t) {
			why = append(why, t)
		}
	}
	speeds := s.speeds()
	third := max(1, len(speeds)/3)
	if ratio := mean(speeds[len(speeds)-third:]) / mean(speeds[:third]); ratio < 1-maxSlowdown {
		last, first := "the last repetition", "the first"
		if third > 1 {
			last, first = fmt.Sprintf("the last %d repetitions", third), fmt.Sprintf("the first %d", third)
		}
		why = append(why, fmt.Sprintf("slowing down: %s reached %.2f of %s", last, ratio, first))
	}
	return strings.Join(why, "; ")
}
