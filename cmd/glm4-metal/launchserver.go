package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// How often a server that starts is asked, how long an answer may take, and how long a server may take to end.
const (
	askAgain     = 100 * time.Millisecond
	answerWithin = 5 * time.Second
	endWithin    = 10 * time.Second
)

// modelServer is one that tools ask.
type modelServer struct {
	url, key string
	log      string        // of one that was started
	ended    chan struct{} // closed when that has ended
}

// serverState is what a server says of itself.
type serverState int

const (
	serverAbsent serverState = iota // nothing listens
	serverLoading
	serverReady
)

// ensure starts a server with these arguments of this program where none answers. stop ends the one that was started.
func (s *modelServer) ensure(ctx context.Context, args []string) (stop func(), err error) {
	stop = func() {}
	state, err := s.check(ctx)
	if err != nil || state == serverReady {
		return stop, err
	}
	if state == serverAbsent {
		self, err := os.Executable()
		if err != nil {
			return stop, err
		}
		if stop, err = s.start(self, args); err != nil {
			return stop, err
		}
		say("%s: starting the server at %s; its log is %s", program, s.url, s.log)
	}
	if err := s.wait(ctx); err != nil {
		stop()
		return stop, err
	}
	return stop, nil
}

// get asks the server.
func (s *modelServer) get(ctx context.Context, path string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+s.key)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy
	response, err := client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return response.StatusCode, body, err
}

// check tells whether a server answers. Anything else at its address is an error.
func (s *modelServer) check(ctx context.Context) (serverState, error) {
	status, _, err := s.get(ctx, "/health")
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return serverAbsent, nil
	case err != nil:
		return serverAbsent, err
	case status == http.StatusOK:
		return serverReady, nil
	case status == http.StatusServiceUnavailable:
		return serverLoading, nil
	}
	return serverAbsent, fmt.Errorf("another program listens at %s (it answers GET /health with status %d); take another "+
		"--port", s.url, status)
}

// start starts a server that writes to a log of its own. It is in another process group, so that a Ctrl-C does not
// reach it. stop ends it.
func (s *modelServer) start(command string, args []string) (stop func(), err error) {
	s.log, err = stateFile("serve-" + s.url[strings.LastIndex(s.url, ":")+1:] + ".log") // a port has one server
	if err == nil {
		err = os.MkdirAll(filepath.Dir(s.log), 0o700)
	}
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := exec.Command(command, args...)
	p.Stdout, p.Stderr = log, log
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.Start(); err != nil {
		return nil, err
	}
	s.ended = make(chan struct{})
	go func() {
		p.Wait()
		close(s.ended)
	}()
	return func() {
		p.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.ended:
		case <-time.After(endWithin):
			p.Process.Kill()
			<-s.ended
		}
	}, nil
}

// wait waits until the server is ready.
func (s *modelServer) wait(ctx context.Context) error {
	again := time.NewTicker(askAgain)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ended:
			return fmt.Errorf("the server ended before it answered: %s; see %s", lastLine(s.log), s.log)
		case <-again.C:
		}
		if state, err := s.check(ctx); err != nil || state == serverReady {
			return err
		}
	}
}

// lastLine is the last line of a log.
func lastLine(file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return "it says nothing"
	}
	return text[strings.LastIndex(text, "\n")+1:]
}

// endpoint asks the server for its model.
func (s *modelServer) endpoint(ctx context.Context) (endpoint, error) {
	e := endpoint{url: s.url, key: s.key}
	status, body, err := s.get(ctx, "/v1/models")
	switch {
	case err != nil:
		return e, err
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return e, fmt.Errorf("the server at %s wants another key; give it with --api-key-file or in $%s", s.url,
			keyEnvironment)
	case status != http.StatusOK:
		return e, fmt.Errorf("%s/v1/models: status %d", s.url, status)
	}
	var list struct {
		Data []struct {
			ID      string `json:"id"`
			Context int    `json:"context_length"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return e, fmt.Errorf("%s/v1/models: %w", s.url, err)
	}
	if len(list.Data) == 0 || list.Data[0].ID == "" {
		return e, fmt.Errorf("%s/v1/models: the list has no model", s.url)
	}
	e.model, e.context = list.Data[0].ID, list.Data[0].Context
	return e, nil
}
