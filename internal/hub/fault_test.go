package hub

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/hub/hubtest"
)

const testShard = "model-00001-of-00002.safetensors"

// failing answers requests for a part of a path with a status and headers.
func failing(part string, times, status int, headers ...string) func(http.ResponseWriter, *http.Request, int) bool {
	return func(w http.ResponseWriter, r *http.Request, n int) bool {
		if !strings.Contains(r.URL.Path, part) || n > times {
			return false
		}
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		return true
	}
}

func TestRefusalSaysNothing(t *testing.T) {
	for _, c := range []struct {
		status  int
		headers []string
		token   string
		is      error
		says    string
	}{
		{401, []string{"X-Error-Code", "GatedRepo"}, "", ErrGated, "accept its terms at ENDPOINT/" + testName + ", make a token"},
		{403, []string{"X-Error-Code", "GatedRepo"}, "hf_x", ErrGated, "with the account of the token (from HF_TOKEN)"},
		{401, []string{"X-Error-Message", "Invalid credentials in Authorization header"}, "hf_x", ErrNoAccess,
			"does not take the token from HF_TOKEN"},
		{401, []string{"X-Error-Code", "RepoNotFound"}, "", ErrNotFound, "or it is private; check the name"},
		{404, []string{"X-Error-Code", "RepoNotFound"}, "hf_x", ErrNotFound, "the token from HF_TOKEN may not read it"},
		{401, nil, "", ErrNotFound, "set HF_TOKEN"},
		{404, []string{"X-Error-Code", "RevisionNotFound"}, "", ErrNotFound, "has no revision main"},
		{404, []string{"X-Error-Code", "EntryNotFound"}, "", ErrNotFound, "has no file"},
		{403, []string{"X-Error-Message", "no\u009b31m right"}, "hf_x", ErrNoAccess, "(no 31m right); give it the right"},
		{403, nil, "", ErrNoAccess, "forbidden"},
		{403, []string{"X-Error-Message", "Access to this resource is disabled."}, "", ErrNoAccess, "has disabled access"},
		{418, nil, "", errOtherSite, "418"},
	} {
		for _, part := range []string{"/revision/", "/tree/", "/resolve/"} {
			h := newHub(t, tinyFiles())
			h.Fault = failing(part, 99, c.status, c.headers...)
			client := h.client(t)
			client.Settings.Token = c.token
			_, err := client.Pull(t.Context(), testName, nil)
			require.ErrorIs(t, err, c.is, "%v at %s", c, part)
			require.ErrorContains(t, err, strings.ReplaceAll(c.says, "ENDPOINT", h.URL), "%v at %s", c, part)
			require.NotContains(t, err.Error(), "\u009b")
			require.NotContains(t, err.Error(), "hf_x")
			require.Empty(t, client.slept, "it will not pass")
		}
	}
}

func TestBusyHubIsNotAskedAgain(t *testing.T) {
	date := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		status  int
		headers []string
		slept   time.Duration
	}{
		{429, []string{"Retry-After", "7"}, 8 * time.Second},
		{429, []string{"Retry-After", date.Add(30 * time.Second).Format(http.TimeFormat)}, 30 * time.Second},
		{429, []string{"Retry-After", date.Add(-30 * time.Second).Format(http.TimeFormat)}, time.Second},
		{429, []string{"RateLimit", `"api";r=0;t=55`}, 56 * time.Second},
		{429, []string{"RateLimit", `"api"; r=0; t=55`, "Retry-After", "3"}, 56 * time.Second},
		{429, []string{"RateLimit", `"api";r=3;t=55`}, time.Second}, // not why
		{429, []string{"RateLimit", `nonsense`, "Retry-After", "soon"}, time.Second},
		{503, []string{"Retry-After", "20"}, 21 * time.Second},
		{408, nil, time.Second}, {500, nil, time.Second}, {502, nil, time.Second}, {504, nil, time.Second},
	} {
		for _, part := range []string{"/revision/", "/tree/", "/resolve/" + testCommit + "/config.json"} {
			h := newHub(t, tinyFiles())
			h.Fault = failing(part, 1, c.status, c.headers...)
			client := h.client(t)
			client.clock.now = func() time.Time { return date }
			h.requireWhole(t, client, client.pull(t))
			require.Contains(t, client.slept, c.slept, "%v at %s", c, part)
			require.LessOrEqual(t, len(client.slept), 2, "HEAD and GET")
			require.Contains(t, client.notices[0], "trying again in", "said")
		}
	}
	h := newHub(t, tinyFiles())
	h.Fault = failing("/revision/", 99, 503)
	client := h.client(t)
	_, err := client.Pull(t.Context(), testName, nil)
	require.ErrorContains(t, err, "tried 6 times")
	require.Equal(t, []time.Duration{1e9, 2e9, 4e9, 8e9, 8e9}, client.slept)
	h.Change(func() { h.Fault = failing("/revision/", 99, 429, "Retry-After", "99999999999") })
	client = h.client(t)
	_, err = client.Pull(t.Context(), testName, nil)
	require.ErrorContains(t, err, "429")
	h.Change(func() { h.Fault = failing("/revision/", 99, 429, "Retry-After", "7200") })
	_, err = client.Pull(t.Context(), testName, nil)
	require.ErrorContains(t, err, "asks to come back in 2h0m1s")
}

// spoiled serves a shard wrongly, in its own way.
func TestDamagedDownloadIsTaken(t *testing.T) {
	whole := tinyFiles()[testShard].Data
	serve := func(w http.ResponseWriter, status int, headers http.Header, body []byte) {
		for k, v := range headers {
			w.Header()[k] = v
		}
		w.WriteHeader(status)
		w.Write(body)
	}
	cut := func(w http.ResponseWriter, from, to int) {
		w.Header().Set("ETag", `"of the cdn"`)
		w.Header().Set("Content-Length", strconv.Itoa(len(whole)-from))
		if from > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(whole)-1, len(whole)))
			w.WriteHeader(206)
		}
		w.Write(whole[from:to])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	flipped := slices.Clone(whole)
	flipped[77]++
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request, n int) bool // of the shard's host
		ranges []string                                                 // asked for
		fails  string
	}{
		"cut": {func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n <= 3 {
				cut(w, (n-1)*40000, n*40000)
			}
			return false
		}, []string{"", "40000-", "80000-", "120000-"}, ""},
		"always cut at once": {func(w http.ResponseWriter, r *http.Request, n int) bool {
			panic(http.ErrAbortHandler)
		}, nil, "tried 6 times"},
		"whole in place of the rest": {func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n == 1 {
				cut(w, 0, 40000)
			}
			serve(w, 200, nil, whole)
			return true
		}, []string{"", "40000-"}, ""},
		"another range": {func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n == 1 {
				cut(w, 0, 40000)
			}
			if n > 2 {
				return false
			}
			serve(w, 206, http.Header{"Etag": {`"of the cdn"`}, "Content-Range": {fmt.Sprintf("bytes 0-%d/%d", len(whole)-1, len(whole))}}, whole)
			return true
		}, []string{"", "40000-", ""}, ""},
		"changed in the middle": {func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n == 1 {
				cut(w, 0, 40000)
			}
			if n > 2 {
				return false
			}
			serve(w, 206, http.Header{"Etag": {`"another"`},
				"Content-Range": {fmt.Sprintf("bytes 40000-%d/%d", len(whole)-1, len(whole))}}, flipped[40000:])
			return true
		}, []string{"", "40000-", ""}, ""},
		"no such range": {func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n == 1 {
				cut(w, 0, 40000)
			}
			if n > 2 {
				return false
			}
			serve(w, 416, http.Header{"Content-Range": {"bytes */40000"}}, nil)
			return true
		}, []string{"", "40000-", ""}, ""},
		"wrong once": {func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n > 1 {
				return false
			}
			serve(w, 200, nil, flipped)
			return true
		}, []string{"", ""}, ""},
		"wrong": {func(w http.ResponseWriter, r *http.Request, n int) bool {
			serve(w, 200, nil, flipped)
			return true
		}, []string{"", ""}, "fetched twice, and thrown away"},
		"too long": {func(w http.ResponseWriter, r *http.Request, n int) bool {
			w.(http.Flusher).Flush() // so that there is no Content-Length
			w.Write(append(slices.Clone(whole), 0))
			return true
		}, []string{"", ""}, "more than the 150000 bytes"},
		"too short": {func(w http.ResponseWriter, r *http.Request, n int) bool {
			serve(w, 200, nil, whole[:1000])
			return true
		}, []string{"", ""}, "1000 bytes are served; the hub lists 150000"},
		"ends early": {func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n == 1 {
				w.(http.Flusher).Flush()
				w.Write(whole[:1000])
				return true
			}
			return false
		}, []string{"", "1000-"}, ""},
		"empty": {func(w http.ResponseWriter, r *http.Request, n int) bool {
			w.(http.Flusher).Flush()
			return true
		}, nil, "the answer ends after 0 of 150000 bytes"},
		"compressed": {func(w http.ResponseWriter, r *http.Request, n int) bool {
			serve(w, 200, http.Header{"Content-Encoding": {"gzip"}}, whole)
			return true
		}, []string{""}, "Content-Encoding \"gzip\""},
		"never the same": {func(w http.ResponseWriter, r *http.Request, n int) bool {
			if r.Header.Get("Range") == "" {
				cut(w, 0, 40000)
			}
			serve(w, 416, nil, nil)
			return true
		}, nil, "contradict one another"},
	} {
		h := newHub(t, tinyFiles())
		etag := tinyFiles()[testShard].ETag()
		h.Fault = func(w http.ResponseWriter, r *http.Request, n int) bool {
			return r.URL.Path == "/"+etag && c.answer(w, r, n)
		}
		client := h.client(t)
		var done, total int64
		folder, err := client.Pull(t.Context(), testName, func(d, a int64) { done, total = d, a })
		var ranges []string
		for _, line := range h.Log() {
			if path, ok := strings.CutPrefix(line, "GET cdn/"+etag); ok {
				ranges = append(ranges, strings.TrimSpace(path))
			}
		}
		if c.ranges != nil {
			require.Equal(t, c.ranges, ranges, name)
		}
		if c.fails == "" {
			require.NoError(t, err, name)
			h.requireWhole(t, client, folder)
			require.Equal(t, total, done, name)
			continue
		}
		require.ErrorContains(t, err, c.fails, name)
		require.ErrorContains(t, err, testShard, name)
		require.NotContains(t, err.Error(), "secret", "a signed address")
		_, err = client.Find(testName)
		require.Error(t, err, name)
		for path := range cacheTree(t, client.Settings.Cache) {
			require.NotEqual(t, etag, filepath.Base(path), "%s: taken for the blob", name)
			require.NotContains(t, path, etag+".0", name)
		}
		h.Change(func() { h.Fault = nil })
		h.requireWhole(t, client, client.pull(t))
	}
}

func TestStalledAnswerIsWaitedForForever(t *testing.T) {
	h := newHub(t, tinyFiles())
	etag := tinyFiles()[testShard].ETag()
	c := h.client(t)
	stalled := make(chan bool, 2)
	var mutex sync.Mutex
	fire := map[time.Duration][]func(){}
	c.Settings.AnswerTimeout, c.Settings.IdleTimeout = time.Hour, 2*time.Hour
	c.clock.after = func(d time.Duration, f func()) timer {
		mutex.Lock()
		defer mutex.Unlock()
		fire[d] = append(fire[d], f)
		return time.NewTimer(d) // never fires in a test
	}
	go func() {
		for body := range stalled {
			mutex.Lock()
			d := map[bool]time.Duration{false: c.Settings.AnswerTimeout, true: c.Settings.IdleTimeout}[body]
			list := fire[d]
			mutex.Unlock()
			list[len(list)-1]()
		}
	}()
	defer close(stalled)
	h.Fault = func(w http.ResponseWriter, r *http.Request, n int) bool {
		switch {
		case r.URL.Path != "/"+etag || n > 2:
			return false
		case n == 1:
			w.Header().Set("Content-Length", "150000")
			w.Write(tinyFiles()[testShard].Data[:1000])
			w.(http.Flusher).Flush()
		}
		stalled <- n == 1
		<-r.Context().Done()
		return true
	}
	// One file at a time, so that the last timer is that of the answer that stalls.
	delete(h.Commits[testCommit], "model-00002-of-00002.safetensors")
	h.Commits[testCommit][indexName] = hubtest.File{Data: []byte(`{"weight_map": {"a": "` + testShard + `"}}`)}
	h.requireWhole(t, c, c.pull(t))
	require.Len(t, c.notices, 2)
	require.Contains(t, c.notices[0], errStalled.Error())
	require.Contains(t, c.notices[1], errNoAnswer.Error())
}

func TestTokenFollowsARedirect(t *testing.T) {
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Empty(t, r.Header.Get("Authorization"))
		w.Write([]byte(`{"sha": "` + testCommit + `"}`))
	}))
	defer stranger.Close()
	asked := 0
	for _, to := range []string{
		stranger.URL + "/x", // another port
		strings.Replace(stranger.URL, "127.0.0.1", "localhost", 1), // another host
	} {
		h := newHub(t, tinyFiles())
		h.Fault = failing("/revision/", 99, 307, "Location", to)
		c := h.client(t)
		_, err := c.Pull(t.Context(), testName, nil)
		require.NoError(t, err, "what it answers is looked at")
		asked++
	}
	require.Equal(t, 2, asked)
	for to, fails := range map[string]string{
		"http://hub.example/x": "plain http", "file:///etc/passwd": "without a host", "": "without a place to go to", "ftp://127.0.0.1/": "no scheme",
		"/api/models/" + testName + "/revision/main": "more than 10 redirects",
	} {
		h := newHub(t, tinyFiles())
		h.Fault = failing("/revision/", 99, 302, "Location", to)
		_, err := h.client(t).Pull(t.Context(), testName, nil)
		require.ErrorContains(t, err, fails, to)
	}
}

func TestNextPageIsAnotherHosts(t *testing.T) {
	for link, fails := range map[string]string{
		`<http://127.0.0.1:1/api>; rel="next"`: "another host", `<http://localhost:PORT/api>; rel=next`: "another host",
		`<https://127.0.0.1:PORT/api>; rel="next"`: "another host", `<::>; rel="next"`: "no answer of a hub",
		`</api/models/` + testName + `/tree/` + testCommit + `>; title="x"; rel="next"`: "more than 200 pages",
		`<http://127.0.0.1:1/api>; rel="prev", <http://127.0.0.1:1/api>; rel="last"`:    "", `<`: "", `nonsense`: "",
	} {
		h := newHub(t, tinyFiles())
		h.Page = 100
		u, err := url.Parse(h.URL)
		require.NoError(t, err)
		h.Fault = func(w http.ResponseWriter, r *http.Request, n int) bool {
			if strings.Contains(r.URL.Path, "/tree/") {
				w.Header().Set("Link", strings.ReplaceAll(link, "PORT", u.Port()))
			}
			return false
		}
		_, err = h.client(t).Pull(t.Context(), testName, nil)
		if fails == "" {
			require.NoError(t, err, link)
			continue
		}
		require.ErrorContains(t, err, fails, link)
	}
}

func TestHashThatIsNoneNamesAFile(t *testing.T) {
	path := "/resolve/" + testCommit + "/" + testShard
	other := strings.Repeat("3", 40)
	for name, c := range map[string]struct {
		fault func(http.ResponseWriter, *http.Request, int) bool
		fails string
	}{
		"sha":                {answering("/revision/", `{"sha": "../../../evil"}`), "40 or 64 hex digits"},
		"no sha":             {answering("/revision/", `{}`), "has no commit"},
		"html":               {answering("/revision/", `<html>Log in`), "a login page"},
		"oid":                {answering("/tree/", `[{"type": "file", "path": "config.json", "size": 1, "oid": "../x"}]`), "40 or 64 hex digits"},
		"commit of the file": {failing(path, 99, 200, "X-Repo-Commit", "../x", "ETag", `"x"`), "40 or 64 hex digits"},
		"ETag":               {failing(path, 99, 200, "X-Repo-Commit", testCommit, "ETag", `"../../x"`), "40 or 64 hex digits"},
		"no ETag":            {failing(path, 99, 200, "X-Repo-Commit", testCommit), "has no ETag"},
		"no commit":          {failing(path, 99, 200, "ETag", `"`+testCommit+`"`), "has no X-Repo-Commit"},
		"another commit":     {failing(path, 99, 200, "X-Repo-Commit", other, "ETag", `"`+tinyFiles()[testShard].ETag()+`"`), "become another"},
		"another ETag":       {failing(path, 99, 200, "X-Repo-Commit", testCommit, "ETag", `"`+other+`"`), "become another"},
		"another size":       {failing(path, 99, 200, "X-Repo-Commit", testCommit, "ETag", `"`+other+`"`, "X-Linked-Size", "7"), "7 by the file's"},
		"another ETag when it is fetched": {func(w http.ResponseWriter, r *http.Request, n int) bool {
			return r.Method == "GET" && failing(path, 99, 302, "X-Repo-Commit", testCommit, "X-Linked-Etag", `"`+other+`"`, "Location", "/x")(w, r, n)
		}, "become another"},
	} {
		h := newHub(t, tinyFiles())
		h.Fault = c.fault
		client := h.client(t)
		_, err := client.Pull(t.Context(), testName, nil)
		require.ErrorContains(t, err, c.fails, name)
		entries, err := os.ReadDir(filepath.Dir(client.Settings.Cache))
		require.NoError(t, err)
		require.LessOrEqual(t, len(entries), 1, "something beside the cache")
	}
}

// answering answers requests for a part of a path with a text.
func answering(part, text string) func(http.ResponseWriter, *http.Request, int) bool {
	return func(w http.ResponseWriter, r *http.Request, n int) bool {
		if !strings.Contains(r.URL.Path, part) {
			return false
		}
		w.Write([]byte(text))
		return true
	}
}

func TestUnreachableHubIsWaitedFor(t *testing.T) {
	h := newHub(t, tinyFiles())
	c := h.client(t)
	h.Close()
	_, err := c.Pull(t.Context(), testName, nil)
	require.ErrorContains(t, err, "connection refused")
	require.ErrorContains(t, err, "tried 6 times")
	c.clock.sleep = realClock.sleep
	ctx, cancel := context.WithCancel(t.Context())
	c.Notice = func(string) { cancel() }
	_, err = c.Pull(ctx, testName, nil)
	require.ErrorIs(t, err, context.Canceled, "while it waits")
}
