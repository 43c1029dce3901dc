package server

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/model"
)

// Benchmarks hold the server against the library in turns, since machines change their speed: each round measures both,
// and what is told is the median over the rounds.

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// clientOf is the variable of the environment that makes the test's program a client of a URL, in a process of its own
// as clients are.
const clientOf = "GLM4_TEST_CLIENT_OF"

func TestMain(m *testing.M) {
	if url := os.Getenv(clientOf); url != "" {
		askAsTold(url)
		return
	}
	os.Exit(m.Run())
}

// askAsTold asks for the answer to each line of its input, a body, and tells how long it took.
func askAsTold(url string) {
	bodies := bufio.NewScanner(os.Stdin)
	for bodies.Scan() {
		first, rest, err := timed(url, bodies.Text())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(int64(first), int64(rest))
	}
}

// timed asks for a streamed answer and gives how long it took until the first content, and from there to the end.
func timed(url, body string) (first, rest time.Duration, err error) {
	start := time.Now()
	w, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(body))
	if err != nil {
		return 0, 0, err
	}
	defer w.Body.Close()
	lines := bufio.NewScanner(w.Body)
	var begun time.Time
	for lines.Scan() {
		if begun.IsZero() && bytes.Contains(lines.Bytes(), []byte(`"delta":{"content"`)) {
			begun = time.Now()
		}
	}
	if err := lines.Err(); err != nil {
		return 0, 0, err
	}
	if begun.IsZero() {
		return 0, 0, fmt.Errorf("status %d, and no content", w.StatusCode)
	}
	return begun.Sub(start), time.Since(begun), nil
}

// newReader gives timed in another process.
func newReader(b *testing.B, url string) (streamed func(body string) (first, rest time.Duration)) {
	c := exec.Command(os.Args[0])
	c.Env, c.Stderr = append(os.Environ(), clientOf+"="+url), os.Stderr
	in, err := c.StdinPipe()
	require.NoError(b, err)
	out, err := c.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, c.Start())
	b.Cleanup(func() {
		in.Close()
		require.NoError(b, c.Wait())
	})
	return func(body string) (first, rest time.Duration) {
		_, err := fmt.Fprintln(in, body)
		require.NoError(b, err)
		_, err = fmt.Fscan(out, (*int64)(&first), (*int64)(&rest))
		require.NoError(b, err)
		return first, rest
	}
}

// answered is the same by the library.
func answered(b *testing.B, p *model.Pool, r model.Request) (first, rest time.Duration, result model.Result) {
	start := time.Now()
	a, err := p.Submit(b.Context(), r)
	require.NoError(b, err)
	defer a.Close()
	var begun time.Time
	for e, err := range a.Events() {
		require.NoError(b, err)
		if begun.IsZero() && e.Text != "" {
			begun = time.Now()
		}
	}
	return begun.Sub(start), time.Since(begun), a.Result()
}

// BenchmarkStreamedToken tells what a streamed token takes more than in the library, and the first one.
func BenchmarkStreamedToken(b *testing.B) {
	const tokens = 200
	streamed := newReader(b, listen(b, newServer(b)))
	m, err := loadDemo(b.Context())
	require.NoError(b, err)
	defer m.Close()
	p := m.NewPool(model.PoolOptions{})
	defer p.Close()
	var over, first []float64
	for i := range 4*b.N + 20 {
		question := fmt.Sprintf("Tell me about number %d", i) // so that neither has the answer's begin
		f, r := streamed(fmt.Sprintf(`{"stream":true,"ignore_eos":true,"max_tokens":%d,`+
			`"messages":[{"role":"user","content":%q}]}`, tokens, question))
		lf, lr, result := answered(b, p, model.Request{Messages: []model.Message{model.UserMessage(question)},
			Options: model.Options{MaxTokens: tokens, IgnoreEOS: true}})
		require.Equal(b, tokens, result.CompletionTokens)
		over = append(over, float64((r-lr).Microseconds())/tokens)
		first = append(first, float64((f - lf).Microseconds()))
	}
	b.ReportMetric(median(over), "µs/token-over")
	b.ReportMetric(median(first), "µs/first-over")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkChunk tells what the server itself does for a streamed token, up to the system's call that writes it.
func BenchmarkChunk(b *testing.B) {
	c := &chatWriter{head: head{ID: newID("chatcmpl-"), Model: "glm4-demo"}, choices: make([]chatChoice, 1)}
	events := newEventStream(nowhere{http.Header{}}, nil)
	defer events.close()
	send := func(data any) error { return events.send("", data) }
	b.ReportAllocs()
	for b.Loop() {
		e := model.Event{Text: " token"}
		require.NoError(b, c.add(0, e))
		require.NoError(b, c.chunks(0, e, send))
	}
}

// nowhere is where events go that nobody reads.
type nowhere struct{ header http.Header }

func (w nowhere) Header() http.Header            { return w.header }
func (nowhere) Write(data []byte) (int, error)   { return len(data), nil }
func (nowhere) WriteHeader(int)                  {}
func (nowhere) FlushError() error                { return nil }
func (nowhere) SetWriteDeadline(time.Time) error { return nil }

// BenchmarkRepeatedPrompt tells how much sooner a prompt of about 1,900 tokens is answered that came before.
func BenchmarkRepeatedPrompt(b *testing.B) {
	streamed := newReader(b, listen(b, newServer(b)))
	var ratios []float64
	for i := range b.N + 6 {
		long := fmt.Sprintf("%d ", i) + strings.Repeat("The sky is blue. ", 380)
		body := fmt.Sprintf(`{"stream":true,"max_tokens":2,"messages":[{"role":"user","content":%q}]}`, long)
		fresh, _ := streamed(body)
		again, _ := streamed(body)
		ratios = append(ratios, float64(fresh)/float64(again))
	}
	b.ReportMetric(median(ratios), "times-sooner")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkEightClients tells the tokens that eight clients get together, as a share of what eight requests to the
// library's pool do.
func BenchmarkEightClients(b *testing.B) {
	const clients, tokens = 8, 100
	wide := model.PoolOptions{Parallel: clients}
	url := listen(b, newServer(b, func(o *Options) { o.Pool = wide }))
	m, err := loadDemo(b.Context())
	require.NoError(b, err)
	defer m.Close()
	p := m.NewPool(wide)
	defer p.Close()
	together := func(f func(client int)) time.Duration {
		start := time.Now()
		var wg sync.WaitGroup
		for c := range clients {
			wg.Go(func() { f(c) })
		}
		wg.Wait()
		return time.Since(start)
	}
	var shares []float64
	for i := range b.N + 10 {
		question := func(c int) string { return fmt.Sprintf("Tell me about number %d and %d", i, c) }
		served := together(func(c int) {
			w, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(fmt.Sprintf(
				`{"stream":true,"ignore_eos":true,"max_tokens":%d,"messages":[{"role":"user","content":%q}]}`, tokens, question(c))))
			if err != nil {
				b.Error(err)
				return
			}
			defer w.Body.Close()
			io.Copy(io.Discard, w.Body)
		})
		alone := together(func(c int) {
			answered(b, p, model.Request{Messages: []model.Message{model.UserMessage(question(c))},
				Options: model.Options{MaxTokens: tokens, IgnoreEOS: true}})
		})
		shares = append(shares, float64(alone)/float64(served))
	}
	b.ReportMetric(median(shares), "of-the-library")
	b.ReportMetric(0, "ns/op")
}
