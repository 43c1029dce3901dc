package server

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/model"
)

// slowWriter is a reader that takes as long for each write, or does not take it in time.
type slowWriter struct {
	*httptest.ResponseRecorder
	takes    time.Duration
	deadline time.Time
}

func (w *slowWriter) SetWriteDeadline(at time.Time) error {
	w.deadline = at
	return nil
}

func (w *slowWriter) Write(data []byte) (int, error) {
	time.Sleep(min(w.takes, time.Until(w.deadline)))
	if w.takes > 0 && !time.Now().Before(w.deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	return w.ResponseRecorder.Write(data)
}

func TestSilentStreamIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := httptest.NewRecorder()
		s := newEventStream(w, nil)
		written := func() string {
			s.mu.Lock()
			defer s.mu.Unlock()
			return w.Body.String()
		}
		time.Sleep(pingEvery - 1)
		require.Empty(t, written())
		time.Sleep(2 * time.Nanosecond)
		synctest.Wait()
		require.Equal(t, ": ping\n", written(), "an empty line would end an event without data")
		require.Equal(t, "text/event-stream; charset=utf-8", w.Header().Get("Content-Type"))
		require.True(t, w.Flushed)
		time.Sleep(pingEvery / 2)
		require.NoError(t, s.send("", map[string]string{"a": "<b>"}))
		time.Sleep(pingEvery - 1)
		require.Equal(t, ": ping\ndata: {\"a\":\"<b>\"}\n\n", written(), "the time begins again with an event")
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.NoError(t, s.sendText("[DONE]"))
		s.close()
		s.close()
		time.Sleep(2 * pingEvery)
		require.Equal(t, ": ping\ndata: {\"a\":\"<b>\"}\n\n: ping\ndata: [DONE]\n\n", written())
		require.Error(t, s.send("", 1), "closed")
	})
}

func TestPingOfAnAPIIsNoEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := httptest.NewRecorder()
		s := newEventStream(w, func() (string, any) { return "ping", map[string]string{"type": "ping"} })
		defer s.close()
		time.Sleep(pingEvery)
		synctest.Wait()
		require.Equal(t, "event: ping\ndata: {\"type\":\"ping\"}\n\n", w.Body.String())
	})
}

func TestErrorBehindAPingHasAStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := httptest.NewRecorder()
		s := newEventStream(w, nil)
		time.Sleep(pingEvery)
		synctest.Wait()
		require.False(t, s.closeUnbegun(), "the status is out")
		require.NoError(t, s.send("error", 1))
		s.close()

		s = newEventStream(httptest.NewRecorder(), nil)
		require.True(t, s.closeUnbegun())
		time.Sleep(2 * pingEvery)
		require.Error(t, s.send("", 1), "nothing may be written behind the error's body")
	})
}

func TestSlowReaderHoldsAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &slowWriter{ResponseRecorder: httptest.NewRecorder(), takes: writeWithin / 2}
		s := newEventStream(w, nil)
		defer s.close()
		require.NoError(t, s.send("", 1))
		require.NoError(t, s.send("", 2), "each write has time of its own")
		w.takes = writeWithin * 2
		begin := time.Now()
		require.ErrorIs(t, s.send("", 3), os.ErrDeadlineExceeded)
		require.Equal(t, writeWithin, time.Since(begin))
		w.takes = 0
		require.ErrorIs(t, s.send("", 4), os.ErrDeadlineExceeded, "half an event may be out")
	})
}

func TestReaderThatGoesIsTheServersError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for path, body := range map[string]string{
			"/v1/chat/completions": `{` + hello + `,"stream":true}`,
			"/v1/completions":      `{"prompt":"Hello","stream":true}`,
			"/v1/responses":        `{"input":"Hello","stream":true}`,
			"/v1/messages":         `{` + hello + `,"max_tokens":8,"stream":true}`,
		} {
			var log lockedBuffer
			s := newServer(t, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
			w := &slowWriter{ResponseRecorder: httptest.NewRecorder(), takes: writeWithin * 2}
			s.Handler().ServeHTTP(w, httptest.NewRequest("POST", "http://localhost"+path, strings.NewReader(body)))
			require.Contains(t, log.String(), "level=INFO msg=request", path)
			require.Contains(t, log.String(), "code=cancelled", path)
		}
	})
}

func TestFramedEventDiffersFromAWholeOne(t *testing.T) {
	c := chatWriter{head: head{Model: `a "model"`}, choices: make([]chatChoice, 1)}
	for _, text := range []string{"a", `"\`, "<b>&", "line\n\ttab", "\u2028 你好 😀", "half \xe4\xbd", "\x00"} {
		for _, e := range []model.Event{{Text: text}, {Reasoning: text}} {
			write := func(data any) string {
				w := httptest.NewRecorder()
				s := newEventStream(w, nil)
				defer s.close()
				require.NoError(t, s.send("", data))
				return w.Body.String()
			}
			framed := c.textChunk(0, e)
			require.IsType(t, &framedText{}, framed)
			delta := deltaJSON{Content: &text}
			if e.Text == "" {
				delta = deltaJSON{Reasoning: text}
			}
			require.Equal(t, write(c.chunk(chatChunkChoice{Delta: delta})), write(framed))
		}
	}
}

// plainWriter can neither flush nor keep deadlines.
type plainWriter struct{ http.ResponseWriter }

func TestWriterThatCannotStream(t *testing.T) {
	s := newEventStream(plainWriter{httptest.NewRecorder()}, nil)
	defer s.close()
	require.True(t, errors.Is(s.send("", 1), http.ErrNotSupported))
}
