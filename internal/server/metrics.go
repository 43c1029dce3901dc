package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/glm4-metal/glm4-metal/model"
)

// metrics are what GET /metrics tells, in a registry of their own.
type metrics struct {
	handler          http.Handler
	requests         *prometheus.CounterVec   // by route and status
	duration         *prometheus.HistogramVec // by route
	prefill          prometheus.Histogram
	decode           prometheus.Histogram
	promptTokens     prometheus.Counter
	cachedTokens     prometheus.Counter
	completionTokens prometheus.Counter
}

// secondsBuckets reach from a cached prompt to a long answer.
var secondsBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}

func newMetrics(e *engine) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "glm4_requests_total",
			Help: "Requests that have ended, by route and HTTP status."}, []string{"route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "glm4_request_seconds",
			Help: "Time of requests, by route.", Buckets: secondsBuckets}, []string{"route"}),
		prefill: histogram("glm4_prefill_seconds", "Time to compute a prompt, up to its first token.", secondsBuckets),
		decode: histogram("glm4_token_seconds", "Mean time of a token of an answer, behind the first.",
			[]float64{.001, .0025, .005, .01, .02, .03, .04, .05, .075, .1, .15, .2, .3, .5, 1, 2}),
		promptTokens:     counter("glm4_prompt_tokens_total", "Tokens of prompts, those from the cache included."),
		cachedTokens:     counter("glm4_cached_tokens_total", "Tokens of prompts that the cache had."),
		completionTokens: counter("glm4_completion_tokens_total", "Tokens of answers."),
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.requests, m.duration, m.prefill, m.decode, m.promptTokens, m.cachedTokens, m.completionTokens,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "glm4_model_loads_total",
			Help: "Loads of the model that were begun."}, func() float64 { return float64(e.state().loads) }))
	for _, g := range []struct {
		name, help string
		value      func(engineState) float64
	}{
		{"glm4_model_loaded", "1 while the model is in memory.", func(s engineState) float64 {
			if s.loaded {
				return 1
			}
			return 0
		}},
		{"glm4_requests_running", "Answers that are generated.", func(s engineState) float64 {
			return float64(s.stats.Running)
		}},
		{"glm4_requests_waiting", "Answers that wait for their turn.", func(s engineState) float64 {
			return float64(s.stats.Waiting)
		}},
		{"glm4_sessions", "Sessions that are kept.", func(s engineState) float64 { return float64(s.stats.Sessions) }},
		{"glm4_cache_bytes", "Bytes of the KV caches of these.", func(s engineState) float64 {
			return float64(s.stats.CacheBytes)
		}},
	} {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.name, Help: g.help},
			func() float64 { return g.value(e.state()) }))
	}
	m.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	return m
}

// count takes a request that has ended. pattern is that of its handler, "" for paths that there are not.
func (m *metrics) count(pattern string, v *record, took time.Duration) {
	if pattern == "" {
		pattern = "other"
	}
	m.requests.WithLabelValues(pattern, strconv.Itoa(v.status)).Inc()
	m.duration.WithLabelValues(pattern).Observe(took.Seconds())
	for i, r := range v.results {
		m.answer(r, i == 0)
	}
}

// answer counts an answer, and its prompt if that is the request's first.
func (m *metrics) answer(r model.Result, first bool) {
	if first {
		m.promptTokens.Add(float64(r.PromptTokens))
		m.cachedTokens.Add(float64(r.CachedTokens))
	}
	m.completionTokens.Add(float64(r.CompletionTokens))
	if r.CompletionTokens > 0 {
		m.prefill.Observe(r.TTFT.Seconds())
	}
	if r.CompletionTokens > 1 {
		m.decode.Observe(r.GenerationTime.Seconds() / float64(r.CompletionTokens-1))
	}
}

func (m *metrics) serve(w http.ResponseWriter, r *http.Request) error {
	m.handler.ServeHTTP(w, r)
	return nil
}
