package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/glm4-metal/glm4-metal/model"
)

// stormVariable is the environment variable with the time that the storm lasts.
const stormVariable = "GLM4_TEST_STORM"

const stormClients = 64

// stormRequests are of every API. {STREAM} is whether the answer is one.
var stormRequests = func() (all []stormRequest) {
	long := strings.Repeat("You are a small model that helps. ", 40)
	const tool = `{"type":"object","properties":{"city":{"type":"string"}}}`
	for _, text := range []string{"Hello", "Who are you?", long + "Hello", long + "Who are you?"} {
		messages := fmt.Sprintf(`"messages":[{"role":"user","content":%q}]`, text)
		all = append(all,
			stormRequest{"/v1/chat/completions", `{` + messages + `,"max_tokens":24,"temperature":0,"stream":{STREAM}}`},
			stormRequest{"/v1/chat/completions", `{` + messages + `,"max_tokens":40,"temperature":0,"stream":{STREAM},` +
				`"tools":[{"type":"function","function":{"name":"get_weather","parameters":` + tool + `}}],"tool_choice":"required"}`},
			stormRequest{"/v1/completions", fmt.Sprintf(`{"prompt":%q,"max_tokens":16,"temperature":0,"stream":{STREAM}}`, text)},
			stormRequest{"/v1/responses", fmt.Sprintf(`{"input":%q,"max_output_tokens":24,"temperature":0,"stream":{STREAM}}`, text)},
			stormRequest{"/v1/messages", `{` + messages + `,"max_tokens":24,"temperature":0,"stream":{STREAM}}`},
			stormRequest{"/v1/messages", `{` + messages + `,"max_tokens":40,"temperature":0,"stream":{STREAM},` +
				`"tools":[{"name":"get_weather","input_schema":` + tool + `}],"tool_choice":{"type":"any"}}`})
	}
	return append(all,
		stormRequest{"/v1/chat/completions", `{` + hello + `,"n":3,"max_tokens":8,"temperature":0}`},
		stormRequest{"/v1/messages/count_tokens", `{` + hello + `}`},
		stormRequest{"/tokenize", `{"content":"Hello"}`},
		stormRequest{"/v1/chat/completions", `{"messages":[],"stream":{STREAM}}`})
}()

type stormRequest struct{ path, body string }

func (r stormRequest) streamed(stream bool) stormRequest {
	return stormRequest{r.path, strings.ReplaceAll(r.body, "{STREAM}", fmt.Sprint(stream))}
}

// stormVariables are what differs from answer to answer: ids, times, and what the cache had.
var stormVariables = regexp.MustCompile(`((?:chatcmpl|cmpl|call|resp|msg|fc|toolu)[-_])[A-Z2-7]{26}` +
	`|("(?:created|created_at|completed_at|cached_tokens|cache_read_input_tokens|input_tokens)":)[\d.]+` +
	`|: ping\n|event: ping\ndata: .*\n\n`)

// stormClient sends requests, and goes away from some of them.
type stormClient struct {
	url, address string
	http         *http.Client
	random       *rand.Rand
	alone        map[stormRequest]string
	answers      *atomic.Int64 // that were whole
}

// once sends a request and, unless it goes, compares the answer.
func (c *stormClient) once(ctx context.Context) error {
	q := stormRequests[c.random.IntN(len(stormRequests))].streamed(c.random.IntN(2) == 0)
	whole, slow := true, false
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	most := int64(1 << 30) // bytes to read
	switch c.random.IntN(8) {
	case 0: // in the queue or in prefill
		whole = false
		timer := time.AfterFunc(time.Duration(c.random.IntN(20_000))*time.Microsecond, cancel)
		defer timer.Stop()
	case 1: // in an answer that would go on, perhaps after a while in which nothing is read
		whole, slow = false, c.random.IntN(2) == 0
		q = stormRequest{"/v1/chat/completions", endless + `,"stream":true,"logprobs":true,"top_logprobs":20}`}
		most = 1 + c.random.Int64N(20_000)
	case 2:
		return c.cutOff(ctx, q)
	case 3:
		slow = true
	}
	status, body, err := c.ask(ctx, q, most, slow)
	switch {
	case !whole:
		return nil
	case err != nil:
		return err
	case status == http.StatusServiceUnavailable:
		if !strings.Contains(body, "too many requests") {
			return fmt.Errorf("%s", body)
		}
		time.Sleep(time.Duration(c.random.IntN(50)) * time.Millisecond)
		return nil
	case body != c.alone[q]:
		return fmt.Errorf("%s %s is answered with\n%s\nin place of\n%s", q.path, q.body, body, c.alone[q])
	}
	c.answers.Add(1)
	return nil
}

// ask reads an answer, or up to some bytes of it. A slow reader reads few bytes at a time.
func (c *stormClient) ask(ctx context.Context, q stormRequest, most int64, slow bool) (int, string, error) {
	r, err := http.NewRequestWithContext(ctx, "POST", c.url+q.path, strings.NewReader(q.body))
	if err != nil {
		return 0, "", err
	}
	w, err := c.http.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer w.Body.Close()
	var text bytes.Buffer
	if slow {
		if _, err := io.CopyN(&text, w.Body, min(most, 100)); err != nil && !errors.Is(err, io.EOF) {
			return 0, "", err
		}
		time.Sleep(time.Duration(c.random.IntN(100)) * time.Millisecond)
	}
	if _, err := io.CopyN(&text, w.Body, most); err != nil && !errors.Is(err, io.EOF) {
		return 0, "", err
	}
	return w.StatusCode, stormVariables.ReplaceAllString(text.String(), "$1$2"), nil
}

// cutOff sends a request, or half of one, and resets the connection.
func (c *stormClient) cutOff(ctx context.Context, q stormRequest) error {
	var d net.Dialer
	connection, err := d.DialContext(ctx, "tcp", c.address)
	if err != nil {
		return err
	}
	defer connection.Close()
	text := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", q.path, len(q.body), q.body)
	if c.random.IntN(2) == 0 {
		text = text[:c.random.IntN(len(text))]
	}
	if _, err := io.WriteString(connection, text); err != nil {
		return err
	}
	time.Sleep(time.Duration(c.random.IntN(10)) * time.Millisecond)
	return connection.(*net.TCPConn).SetLinger(0)
}

// stormListener counts connections, and has little room for what is not read.
type stormListener struct {
	net.Listener
	open atomic.Int64
}

func (l *stormListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.open.Add(1)
	if err := c.(*net.TCPConn).SetWriteBuffer(4 << 10); err != nil {
		return nil, err
	}
	return &stormConnection{Conn: c, closed: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
}

type stormConnection struct {
	net.Conn
	closed func()
}

func (c *stormConnection) Close() error {
	c.closed()
	return c.Conn.Close()
}

// storm has clients ask for a while, and gives how many answers they had.
func storm(t testing.TB, s *Server, l *stormListener, alone map[stormRequest]string, seed uint64,
	lasts time.Duration) (answers int64) {
	// not the test's context: at the end of the storm each client ends what it has begun
	ctx, fail := context.WithCancelCause(context.Background())
	defer fail(nil)
	end := time.Now().Add(lasts)
	var count atomic.Int64
	var clients sync.WaitGroup
	for i := range stormClients {
		transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err == nil {
				err = c.(*net.TCPConn).SetReadBuffer(4 << 10)
			}
			return c, err
		}}
		address := l.Addr().String()
		c := &stormClient{"http://" + address, address, &http.Client{Transport: transport},
			rand.New(rand.NewPCG(seed, uint64(i))), alone, &count}
		clients.Go(func() {
			defer transport.CloseIdleConnections()
			for time.Now().Before(end) && ctx.Err() == nil {
				if err := c.once(ctx); err != nil {
					fail(err)
				}
			}
		})
	}
	clients.Wait()
	require.NoError(t, context.Cause(ctx))
	unused(t, s, 0)
	require.Eventually(t, func() bool { return l.open.Load() == 0 }, patience, time.Millisecond, "a connection is left")
	return count.Load()
}

// stormHeap is what is in memory, but for responses, whose store has a bound of its own.
func stormHeap(s *Server) int64 {
	s.stored.mu.Lock()
	for s.stored.used.Len() > 0 {
		s.stored.drop(s.stored.used.Back())
	}
	s.stored.mu.Unlock()
	runtime.GC()
	runtime.GC() // also what pools of memory hold
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) - s.engine.state().stats.CacheBytes
}

// Clients that come, go and dawdle, many at once, get the answers that each request gets alone, and leave nothing. With
// stormVariable it lasts longer than 5 seconds.
func TestAnswerDiffersInAStorm(t *testing.T) {
	lasts := 5 * time.Second
	if text, ok := os.LookupEnv(stormVariable); ok {
		var err error
		lasts, err = time.ParseDuration(text)
		require.NoError(t, err, stormVariable)
	}
	leak := goleak.IgnoreCurrent()
	s := New(Options{Load: loadDemo, Model: "glm4-demo", Pool: model.PoolOptions{Parallel: 6, Queue: 40,
		CacheBytes: 32 << 20}})
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &stormListener{Listener: tcp}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	defer stop()

	alone := map[stormRequest]string{}
	ask := func(compare bool) {
		c := &stormClient{url: "http://" + tcp.Addr().String(), http: &http.Client{Transport: &http.Transport{}}}
		defer c.http.CloseIdleConnections()
		for _, r := range stormRequests {
			for _, stream := range []bool{false, true} {
				q := r.streamed(stream)
				status, body, err := c.ask(t.Context(), q, 1<<30, false)
				require.NoError(t, err)
				if strings.Contains(q.body, `"messages":[]`) {
					require.Equal(t, http.StatusBadRequest, status)
				} else {
					require.Equal(t, http.StatusOK, status, body)
				}
				if compare {
					require.Equal(t, alone[q], body)
				}
				alone[q] = body
			}
		}
	}
	ask(false)
	answers := storm(t, s, l, alone, 1, lasts/4)
	before := stormHeap(s)
	answers += storm(t, s, l, alone, 2, lasts-lasts/4)
	grown := stormHeap(s) - before
	ask(true)
	unused(t, s, 0)

	stats := s.engine.state().stats
	t.Logf("%d answers of %d requests, %d of %d prompt tokens cached, heap grown by %d bytes", answers, stats.Requests,
		stats.CachedTokens, stats.PromptTokens, grown)
	require.Greater(t, answers, int64(stormClients))
	require.Less(t, grown, int64(1<<20), "the heap grows")
	require.Zero(t, stats.Running+stats.Waiting)
	require.Positive(t, stats.Sessions)
	require.LessOrEqual(t, stats.CacheBytes, int64(32<<20))
	require.Greater(t, stats.Requests, answers/2)
	require.Positive(t, stats.CachedTokens)
	require.Less(t, stats.CachedTokens, stats.PromptTokens)
	r, err := http.Get("http://" + tcp.Addr().String() + "/metrics")
	require.NoError(t, err)
	metrics := readAll(t, r.Body)
	r.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	for _, line := range []string{"glm4_requests_running 0", "glm4_requests_waiting 0", "glm4_model_loads_total 1"} {
		require.Contains(t, metrics, line+"\n")
	}

	stop()
	require.NoError(t, <-ended)
	require.NoError(t, s.Close())
	require.Zero(t, l.open.Load())
	require.Zero(t, s.engine.state().stats.Sessions)
	goleak.VerifyNone(t, leak)
}
