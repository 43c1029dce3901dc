package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// grace is how long answers may go on when the server is told to stop.
	grace = 10 * time.Second
	// lastWords is how long they then have for the event that ends them.
	lastWords = 2 * time.Second
	// headerWithin is how long a client may take to send the headers of a request.
	headerWithin = 10 * time.Second
	idleWithin   = 2 * time.Minute
	maxHeader    = 64 << 10
)

// Serve answers what comes to the listeners until the context ends, and closes them. Requests that are answered then
// may go on for a while before they are ended with an error; new ones are refused. The model stays until Close. The
// error is that of a listener, or nil.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	h := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: headerWithin,
		IdleTimeout:       idleWithin,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, len(listeners))
	var serving sync.WaitGroup
	for _, l := range listeners {
		serving.Go(func() {
			if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		})
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	s.stopping.Store(true)
	if !s.shutdown(h, grace) {
		s.engine.end()
		s.shutdown(h, lastWords)
	}
	h.Close()
	serving.Wait()
	return err
}

// shutdown waits for all requests to end, and tells whether they have.
func (s *Server) shutdown(h *http.Server, within time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return h.Shutdown(ctx) == nil
}
