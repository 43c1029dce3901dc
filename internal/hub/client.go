package hub

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// client asks the hub. It follows redirects by itself, so that nobody but the hub gets the token.
type client struct {
	settings    Settings
	endpoint    *url.URL
	token, from string
	http        *http.Client
	clock       clock
	notice      func(format string, args ...any)
}

// clock is time, which tests replace.
type clock struct {
	now   func() time.Time
	sleep func(context.Context, time.Duration) error
	after func(time.Duration, func()) timer
}

type timer interface {
	Reset(time.Duration) bool
	Stop() bool
}

var realClock = clock{
	now: time.Now,
	sleep: func(ctx context.Context, d time.Duration) error {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			return nil
		}
	},
	after: func(d time.Duration, f func()) timer { return time.AfterFunc(d, f) },
}

func newClient(s Settings, c clock, notice func(string, ...any)) (*client, error) {
	endpoint, err := s.endpoint()
	if err != nil {
		return nil, err
	}
	token, from, err := s.token()
	if err != nil {
		return nil, err
	}
	return &client{
		settings: s, endpoint: endpoint, token: token, from: from, clock: c, notice: notice,
		http: &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				Proxy:             s.Proxy,
				ForceAttemptHTTP2: true,
				// Files come as they are; a hash is of what was asked for.
				DisableCompression:  true,
				MaxIdleConnsPerHost: workers,
				ReadBufferSize:      64 << 10,
			},
		},
	}, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// at makes an address below the endpoint. Its parts are escaped by who knows which slashes are names'.
func (c *client) at(path string) (*url.URL, error) { return url.Parse(c.settings.Endpoint + path) }

// request is one question to the hub.
type request struct {
	method string
	url    *url.URL
	offset int64 // of the first byte wanted

	// see has every answer on the way, redirects too; done ends the way there.
	see func(*http.Response) (done bool, err error)
}

const maxRedirects = 10

var (
	errStalled   = errors.New("the hub sends nothing any more")
	errNoAnswer  = errors.New("the hub does not answer")
	errOtherSite = errors.New("no answer of a hub; check HF_ENDPOINT, and what proxies and networks with a login page " +
		"put in its place")
)

// once sends a request without trying again. Errors that may pass are [transientError].
func (c *client) once(ctx context.Context, r request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	at := r.url
	for range maxRedirects {
		if err := c.settings.allowed(at); err != nil {
			cancel(nil)
			return nil, fmt.Errorf("the hub leads to %s: %w", shown(at), err)
		}
		resp, err := c.send(ctx, cancel, r, at)
		if err != nil {
			cancel(nil)
			return nil, err
		}
		resp.Body = &body{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, idle: c.settings.IdleTimeout,
			timer: c.clock.after(c.settings.IdleTimeout, func() { cancel(errStalled) })}
		var next *url.URL
		done := true
		if resp.StatusCode/100 == 3 {
			done = false
			if next, err = at.Parse(resp.Header.Get("Location")); err != nil || resp.Header.Get("Location") == "" {
				resp.Body.Close()
				return nil, fmt.Errorf("%s: status %s without a place to go to; %w", shown(at), resp.Status, errOtherSite)
			}
		}
		if r.see != nil && resp.StatusCode/100 <= 3 {
			enough, err := r.see(resp)
			if err != nil {
				resp.Body.Close()
				return nil, fmt.Errorf("%s: %w", shown(at), err)
			}
			done = done || enough
		}
		if done {
			return resp, nil
		}
		resp.Body.(*body).hop()
		next.User, next.Fragment = nil, ""
		at = next
	}
	cancel(nil)
	return nil, fmt.Errorf("%s: more than %d redirects; %w", shown(r.url), maxRedirects, errOtherSite)
}

func (c *client) send(
	ctx context.Context, cancel context.CancelCauseFunc, r request, at *url.URL,
) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, at.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "glm4-metal")
	req.Header.Set("Accept-Encoding", "identity")
	if r.offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", r.offset))
	}
	if c.token != "" && sameOrigin(at, c.endpoint) {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	// With dialling and TLS.
	waits := c.clock.after(c.settings.AnswerTimeout, func() { cancel(errNoAnswer) })
	resp, err := c.http.Do(req)
	waits.Stop()
	if err == nil {
		if e := resp.Header.Get("Content-Encoding"); e != "" && e != "identity" {
			resp.Body.Close()
			return nil, fmt.Errorf("%s: the answer is in Content-Encoding %q, though it was asked for as it is; %w", shown(at),
				clip(e), errOtherSite)
		}
		return resp, nil
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // its text has the whole address, which may be signed
	}
	stopped := context.Cause(ctx)
	if stopped != nil {
		err = stopped
	}
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case stopped != nil && !errors.Is(stopped, errStalled) && !errors.Is(stopped, errNoAnswer):
		return nil, err
	case errors.As(err, &dns) && dns.IsNotFound:
		return nil, fmt.Errorf("%s: %w; check the network, or set HF_HUB_OFFLINE=1 to use what is here", shown(at), err)
	case errors.As(err, &certificate):
		return nil, fmt.Errorf("%s: %w; where a proxy reads along, its certificate must be in the system's list "+
			"(or SSL_CERT_FILE)", shown(at), err)
	}
	return nil, &transientError{err: fmt.Errorf("%s: %w", shown(at), err)}
}

// shown is an address without what is secret in it.
func shown(u *url.URL) string { return clip(u.Scheme + "://" + u.Host + u.EscapedPath()) }

// body is an answer's, which may not stall.
type body struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	idle   time.Duration
	timer  timer
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.timer.Reset(b.idle)
	if err != nil && !errors.Is(err, io.EOF) {
		if cause := context.Cause(b.ctx); cause != nil {
			err = cause
		}
	}
	return n, err
}

// hop closes the answer of a redirect; the request goes on.
func (b *body) hop() {
	io.Copy(io.Discard, io.LimitReader(b.ReadCloser, 64<<10)) // so that the connection can be used again
	b.timer.Stop()
	b.ReadCloser.Close()
}

// Close ends the request. A timer that fires meanwhile cancels what is over.
func (b *body) Close() error {
	b.timer.Stop()
	b.cancel(context.Canceled)
	return b.ReadCloser.Close()
}

// do sends a request until it is answered with one of the statuses wanted, or there is no hope.
func (c *client) do(ctx context.Context, of repository, r request, statuses ...int) (*http.Response, error) {
	p := patience{client: c}
	for {
		resp, err := c.answer(ctx, of, r, statuses...)
		if err == nil {
			return resp, nil
		}
		if err := p.wait(ctx, err); err != nil {
			return nil, err
		}
	}
}

// answer is one of the statuses wanted, or an error.
func (c *client) answer(ctx context.Context, of repository, r request, statuses ...int) (*http.Response, error) {
	resp, err := c.once(ctx, r)
	if err != nil {
		return nil, err
	}
	for _, s := range statuses {
		if resp.StatusCode == s {
			return resp, nil
		}
	}
	defer resp.Body.Close()
	return nil, c.statusError(of, r, resp)
}

// json asks for a JSON value; next is the page behind it, nil at the end.
func (c *client) json(ctx context.Context, of repository, at *url.URL, value any) (next *url.URL, err error) {
	p := patience{client: c}
	for {
		next, err = c.jsonOnce(ctx, of, at, value)
		if err == nil {
			return next, nil
		}
		if err := p.wait(ctx, err); err != nil {
			return nil, err
		}
	}
}

func (c *client) jsonOnce(ctx context.Context, of repository, at *url.URL, value any) (*url.URL, error) {
	resp, err := c.answer(ctx, of, request{method: http.MethodGet, url: at}, http.StatusOK)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxIndex+1))
	if err != nil {
		return nil, &transientError{err: fmt.Errorf("%s: %w", shown(at), err)}
	}
	if len(data) > maxIndex {
		return nil, fmt.Errorf("%s: an answer of more than %d bytes; %w", shown(at), maxIndex, errOtherSite)
	}
	if err := json.Unmarshal(data, value); err != nil {
		return nil, fmt.Errorf("%s: %w; %w", shown(at), err, errOtherSite)
	}
	link := nextLink(resp.Header.Values("Link"))
	if link == "" {
		return nil, nil
	}
	next, err := resp.Request.URL.Parse(link)
	if err != nil {
		return nil, fmt.Errorf("%s: the next page has the address %q; %w", shown(at), clip(link), errOtherSite)
	}
	if !sameOrigin(next, c.endpoint) {
		return nil, fmt.Errorf("%s: the next page is at %s, another host than the hub's", shown(at), shown(next))
	}
	return next, nil
}

// nextLink finds <ADDRESS>; rel="next" in the values of Link headers (RFC 8288).
func nextLink(headers []string) string {
	for _, h := range headers {
		for h != "" {
			_, rest, ok := strings.Cut(h, "<")
			address, rest, closed := strings.Cut(rest, ">")
			if !ok || !closed {
				break
			}
			parameters, _, _ := strings.Cut(rest, "<")
			for p := range strings.SplitSeq(parameters, ";") {
				key, value, _ := strings.Cut(p, "=")
				if strings.EqualFold(strings.TrimSpace(key), "rel") && strings.Trim(value, "\", \t") == "next" {
					return address
				}
			}
			h = rest
		}
	}
	return ""
}
