package server

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/model"
)

// serving has Serve run until stop is called, which gives its error.
func serving(t testing.TB, s *Server) (address string, stop func() error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	t.Cleanup(cancel)
	return l.Addr().String(), func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			t.Fatal("the server does not end")
			return nil
		}
	}
}

func TestShutdownCutsAnAnswer(t *testing.T) {
	s := newServer(t)
	address, stop := serving(t, s)
	w, err := http.Post("http://"+address+"/v1/chat/completions", "application/json",
		strings.NewReader(`{`+hello+`,"stream":true,"ignore_eos":true,"max_tokens":200}`))
	require.NoError(t, err)
	defer w.Body.Close()
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	require.Eventually(t, s.stopping.Load, patience, time.Millisecond)
	refused := ask(s, "POST", "/v1/chat/completions", "{"+hello+"}")
	require.Equal(t, http.StatusServiceUnavailable, refused.Code)
	require.Equal(t, "1", refused.Header().Get("Retry-After"))
	require.Equal(t, "close", refused.Header().Get("Connection"))
	body := readAll(t, w.Body)
	require.Contains(t, body, `"finish_reason":"length"`)
	require.True(t, strings.HasSuffix(body, "data: [DONE]\n\n"), body)
	require.NoError(t, <-stopped)
	_, err = net.Dial("tcp", address)
	require.Error(t, err)
}

// raw sends bytes as they are and gives the first line of the answer, "" where the connection ends without one.
func raw(t testing.TB, address, text string) string {
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(c, text)
	require.NoError(t, err)
	line, _ := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line)
}

func TestSmuggledRequest(t *testing.T) {
	s := newServer(t)
	address, _ := serving(t, s)
	for request, want := range map[string]string{
		"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n":                                                "HTTP/1.1 200 OK",
		"GET /health HTTP/1.1\r\n\r\n":                                                                   "HTTP/1.1 400 ",
		"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n":                                             "HTTP/1.1 400 ",
		"GET /health HTTP/1.1\r\nHost: a b\r\n\r\n":                                                      "HTTP/1.1 400 ",
		"GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\n\r\n":                             "HTTP/1.1 403 ",
		"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab": "HTTP/1.1 400 ",
		"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n":                       "HTTP/1.1 400 ",
		"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, x\r\n\r\n":            "HTTP/1.1 501 ",
		"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding : chunked\r\n\r\n":              "HTTP/1.1 400 ",
		"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 1<<17) + "\r\n\r\n":       "HTTP/1.1 431 ",
		// both lengths: the chunks count, and the connection ends behind them
		"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" +
			"e\r\n{\"content\":\"\"}\r\n0\r\n\r\n": "HTTP/1.1 200 OK",
	} {
		require.True(t, strings.HasPrefix(raw(t, address, request)+" ", want), "%.200s", request)
	}
}

func TestPanicEndsTheServer(t *testing.T) {
	s := newServer(t)
	s.handle("GET /panic", openAI, func(http.ResponseWriter, *http.Request) error { panic("oh") })
	address, _ := serving(t, s)
	r, err := http.Get("http://" + address + "/panic")
	require.NoError(t, err)
	defer r.Body.Close()
	require.Equal(t, http.StatusInternalServerError, r.StatusCode)
	require.NotContains(t, readAll(t, r.Body), "oh")
	require.Equal(t, "HTTP/1.1 200 OK", raw(t, address, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

// pipes is a listener within the program, with which the time of a synctest bubble goes on.
type pipes struct {
	connections chan net.Conn
	closed      chan struct{}
	once        sync.Once
}

func newPipes() *pipes { return &pipes{connections: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.connections:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.connections <- theirs
	return ours
}

func TestAnswerOutlivesTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(o *Options) {
			o.Defaults.Processors = []model.LogitsProcessor{func([]int32, []float32) { time.Sleep(time.Second) }}
		})
		l := newPipes()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(ctx, l) }()
		c := l.dial()
		defer c.Close()
		body := endless + `,"stream":true}`
		_, err := io.WriteString(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: "+
			strconv.Itoa(len(body))+"\r\n\r\n"+body)
		require.NoError(t, err)
		read := bufio.NewReader(c)
		_, err = read.ReadString('\n')
		require.NoError(t, err)
		begin := time.Now()
		cancel()
		rest := readAll(t, read)
		require.Contains(t, rest, `data: {"error":{"message":"the server stops; try again later"`)
		require.True(t, strings.HasSuffix(rest, "\r\n0\r\n\r\n"), "the stream ends in good order")
		require.NoError(t, <-ended)
		require.InDelta(t, grace.Seconds(), time.Since(begin).Seconds(), lastWords.Seconds())
	})
}

func TestSlowClientHoldsAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		l := newPipes()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(ctx, l) }()
		for begin, within := range map[string]time.Duration{
			"GET /health HTTP/1.1\r\nHo": headerWithin,
			"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{": readWithin,
			"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n":                          idleWithin,
		} {
			c := l.dial()
			at := time.Now()
			_, err := io.WriteString(c, begin)
			require.NoError(t, err)
			answer := readAll(t, c)
			require.Equal(t, within == readWithin, strings.Contains(answer, "408 Request Timeout"), answer)
			require.InDelta(t, within.Seconds(), time.Since(at).Seconds(), 1, begin)
			c.Close()
		}
		cancel()
		require.NoError(t, <-ended)
	})
}
