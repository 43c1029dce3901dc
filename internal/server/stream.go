package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"
)

const (
	// pingEvery is how long a stream may be silent. Readers and proxies give up after 30 seconds or more.
	pingEvery = 10 * time.Second
	// writeWithin is how long a reader may take for one write, with the system's buffers full, before it is cut off.
	writeWithin = 30 * time.Second
)

// eventStream writes server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). Headers go out
// with the first of them. It is for one goroutine.
type eventStream struct {
	ping func() (event string, data any)

	mu      sync.Mutex // pings come from another goroutine
	w       http.ResponseWriter
	buffer  bytes.Buffer
	encoder *json.Encoder // to the buffer
	timer   *time.Timer
	sent    bool
	closed  bool
	err     error // of the first write that failed
}

// newEventStream begins a stream; nothing is written yet. While nothing is sent for pingEvery, what ping gives is, or
// with a nil ping a comment. So it is called when the request is known to be good: the first ping sends the headers.
func newEventStream(w http.ResponseWriter, ping func() (event string, data any)) *eventStream {
	s := &eventStream{w: w, ping: ping}
	s.encoder = newEncoder(&s.buffer)
	s.mu.Lock() // the timer may be quicker than its assignment
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(pingEvery, s.keepAlive)
	return s
}

// send writes an event with JSON data; event "" writes no event line. It fails when the reader is gone or too slow.
func (s *eventStream) send(event string, data any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sendLocked(event, data)
}

func (s *eventStream) sendLocked(event string, data any) error {
	s.begin(event)
	f, framed := data.(*framedText)
	if framed {
		s.buffer.Write(f.before)
		data = &f.text
	}
	if err := s.encoder.Encode(data); err != nil { // ends the line
		return err
	}
	if framed {
		s.buffer.Truncate(s.buffer.Len() - 1)
		s.buffer.Write(f.after) // ends it, too
	}
	return s.end("\n")
}

// sendText writes data of one line as it is, such as [DONE].
func (s *eventStream) sendText(data string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin("")
	return s.end(data + "\n\n")
}

func (s *eventStream) begin(event string) {
	s.buffer.Reset()
	if event != "" {
		s.buffer.WriteString("event: " + event + "\n")
	}
	s.buffer.WriteString("data: ")
}

// end writes what is in the buffer, and a last text.
func (s *eventStream) end(text string) error {
	s.buffer.WriteString(text)
	switch {
	case s.err != nil:
		return s.err
	case s.closed:
		return http.ErrHandlerTimeout
	}
	if !s.sent {
		s.sent = true
		h := s.w.Header()
		h.Set("Content-Type", "text/event-stream; charset=utf-8")
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Accel-Buffering", "no") // nginx passes events on as they come
		s.w.WriteHeader(http.StatusOK)
	}
	s.timer.Stop() // a reader that is slow needs no ping
	defer s.timer.Reset(pingEvery)
	c := http.NewResponseController(s.w)
	s.err = c.SetWriteDeadline(time.Now().Add(writeWithin))
	if errors.Is(s.err, http.ErrNotSupported) {
		s.err = nil
	}
	if s.err == nil {
		_, s.err = s.w.Write(s.buffer.Bytes())
	}
	if s.err == nil {
		s.err = c.Flush()
	}
	if s.err != nil && !errors.Is(s.err, http.ErrNotSupported) {
		s.err = goneError{s.err}
	}
	return s.err
}

// keepAlive sends a ping. The comment is one line without an empty one behind it: openai-go and openai-python take that
// for the end of an event without data, and fail.
func (s *eventStream) keepAlive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed || s.err != nil:
	case s.ping == nil:
		s.buffer.Reset()
		s.end(": ping\n")
	default:
		s.sendLocked(s.ping())
	}
}

// closeUnbegun closes a stream of which nothing has been written, and tells whether it was one: then an error may have
// a status, else it has to be an event.
func (s *eventStream) closeUnbegun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.sent {
		s.closed = true
		s.timer.Stop()
	}
	return !s.sent
}

// close ends the stream, and the pings that go out while nothing else does. Nothing is written behind it; it may be
// called twice.
func (s *eventStream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.timer.Stop()
}

// encodeJSON writes a value and a newline.
func encodeJSON(b *bytes.Buffer, data any) error { return newEncoder(b).Encode(data) }

// newEncoder is for values with < and > as they are: no browser takes them for HTML.
func newEncoder(b *bytes.Buffer) *json.Encoder {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	return e
}

// frame is the JSON of events that differ in one text only. Most of what a token costs the server would go into the
// rest of its event.
type frame struct{ before, after []byte }

// framedText is an event in a frame.
type framedText struct {
	*frame
	text string
}

// event is that of a text, as whole makes it.
func (f *frame) event(text string, whole func(text string) any) any {
	if f.before == nil {
		var b bytes.Buffer
		mark := newID("")
		if encodeJSON(&b, whole(mark)) != nil {
			return whole(text) // whose error is told where it is sent
		}
		f.before, f.after, _ = bytes.Cut(b.Bytes(), []byte(`"`+mark+`"`))
	}
	return &framedText{f, text}
}
