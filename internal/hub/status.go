package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Errors of [Hub.Pull] that callers may tell apart with errors.Is. Their texts say what to do.
var (
	ErrGated    = errors.New("gated repository")   // its terms must be accepted first
	ErrNoAccess = errors.New("no access")          // private, or the token is not good for it
	ErrNotFound = errors.New("not on the hub")     // no such repository, revision or file, or private
	ErrOffline  = errors.New("the hub is offline") // as the settings have it
)

// kindError is an error with a text of its own that is one of the above.
type kindError struct {
	kind error
	text string
}

func (e *kindError) Error() string { return e.text }
func (e *kindError) Unwrap() error { return e.kind }

// transientError is one that may pass, after some time where the hub has said so.
type transientError struct {
	err   error
	after time.Duration
}

func (e *transientError) Error() string { return e.err.Error() }
func (e *transientError) Unwrap() error { return e.err }

// statusError is the error of an answer that nobody wanted.
func (c *client) statusError(of repository, r request, resp *http.Response) error {
	code, message := resp.Header.Get("X-Error-Code"), clip(resp.Header.Get("X-Error-Message"))
	kind := func(kind error, format string, args ...any) error {
		return &kindError{kind, of.String() + ": " + fmt.Sprintf(format, args...)}
	}
	page := c.settings.Endpoint + "/" + of.id()
	tokens := c.settings.Endpoint + "/settings/tokens"
	status := resp.StatusCode
	switch {
	case status == 408, status == 429, status >= 500:
		return &transientError{fmt.Errorf("%s: status %s", shown(r.url), clip(resp.Status)), c.delay(resp)}
	case code == "GatedRepo" && c.token == "":
		return kind(ErrGated, "a gated repository; accept its terms at %s, make a token at %s and set HF_TOKEN", page, tokens)
	case code == "GatedRepo":
		return kind(ErrGated, "a gated repository; accept its terms at %s with the account of the token (from %s), and wait "+
			"for the approval where there is one", page, c.from)
	case code == "RevisionNotFound":
		return kind(ErrNotFound, "the repository has no revision %s; %s/tree/main shows those that it has", of.revision, page)
	case code == "EntryNotFound":
		return kind(ErrNotFound, "the repository has no file %s", shown(r.url))
	case message == "Access to this resource is disabled.":
		return kind(ErrNoAccess, "the hub has disabled access to this repository; %s may say why", page)
	case status == 401 && c.token != "" && code != "RepoNotFound":
		return kind(ErrNoAccess, "the hub does not take the token from %s; make another at %s", c.from, tokens)
	case (status == 401 || status == 404 || code == "RepoNotFound") && c.token == "":
		return kind(ErrNotFound, "there is no such repository at %s, or it is private; check the name, or make a token at "+
			"%s and set HF_TOKEN", c.settings.Endpoint, tokens)
	case status == 401 || status == 404 || code == "RepoNotFound":
		return kind(ErrNotFound, "there is no such repository at %s, or it is private and the token from %s may not read it",
			c.settings.Endpoint, c.from)
	case status == 403 && c.token != "":
		return kind(ErrNoAccess, "the token from %s may not read this repository (%s); give it the right at %s", c.from,
			message, tokens)
	case status == 403:
		return kind(ErrNoAccess, "access is forbidden (%s); make a token at %s and set HF_TOKEN", message, tokens)
	}
	return fmt.Errorf("%s: status %s %s; %w", shown(r.url), clip(resp.Status), message, errOtherSite)
}

// rateLimit has what is left and the seconds until there is more, of `"api";r=0;t=55`.
// Source: https://www.ietf.org/archive/id/draft-ietf-httpapi-ratelimit-headers-09.html.
var rateLimit = regexp.MustCompile(`;\s*r\s*=\s*(\d+)\s*;\s*t\s*=\s*(\d+)`)

// delay is how long the hub wants to be left alone, by Retry-After in seconds or as a date, or by RateLimit.
func (c *client) delay(resp *http.Response) (longest time.Duration) {
	seconds := func(text string) {
		if n, err := strconv.Atoi(text); err == nil && n >= 0 {
			// A second more, as theirs are rounded; and no more than a timer holds.
			longest = max(longest, time.Duration(min(n, 1<<30))*time.Second+time.Second)
		}
	}
	after := strings.TrimSpace(resp.Header.Get("Retry-After"))
	if at, err := http.ParseTime(after); err == nil {
		longest = max(longest, at.Sub(c.clock.now()))
	} else {
		seconds(after)
	}
	if m := rateLimit.FindStringSubmatch(resp.Header.Get("RateLimit")); resp.StatusCode == 429 && m != nil && m[1] == "0" {
		seconds(m[2])
	}
	return longest
}

const (
	maxTries = 6
	// The longest that the hub is waited for.
	maxDelay = 10 * time.Minute
)

// patience waits between tries, longer each time.
type patience struct {
	client   *client
	failures int
}

// reset is called when there was progress.
func (p *patience) reset() { p.failures = 0 }

// wait returns nil when it is time for another try after err, and otherwise the error to give up with.
func (p *patience) wait(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var passes *transientError
	if !errors.As(err, &passes) {
		return err
	}
	p.failures++
	d := min(time.Second<<(p.failures-1), 8*time.Second)
	if passes.after > 0 {
		d = passes.after
	}
	switch {
	case p.failures >= maxTries:
		return fmt.Errorf("%w; tried %d times", err, p.failures)
	case d > maxDelay:
		return fmt.Errorf("%w; the hub asks to come back in %v", err, d.Round(time.Second))
	}
	p.client.notice("%v; trying again in %v", err, d.Round(time.Second))
	return p.client.clock.sleep(ctx, d)
}
