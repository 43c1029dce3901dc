package page

import (
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func get(t *testing.T, method, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

func names(t *testing.T) []string {
	all, err := fs.Glob(files, "*")
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

func TestBrowserTakesFileForAnotherType(t *testing.T) {
	require.Equal(t, "text/html; charset=utf-8", get(t, "GET", "/").Header.Get("Content-Type"))
	for _, name := range names(t) {
		if name == "index.html" {
			continue
		}
		r := get(t, "GET", "/page/"+name)
		require.Equal(t, 200, r.StatusCode, name)
		want := map[bool]string{true: "text/css", false: "text/javascript"}[strings.HasSuffix(name, ".css")]
		require.Equal(t, want+"; charset=utf-8", r.Header.Get("Content-Type"), name)
	}
}

// The page is useless to an attacker who makes it run, load or send something, frames it, or is told where it is.
func TestPolicyAllowsMoreThanThePageNeeds(t *testing.T) {
	for _, path := range []string{"/", "/page/page.js", "/nothing"} {
		h := get(t, "GET", path).Header
		allowed := map[string]string{}
		for part := range strings.SplitSeq(h.Get("Content-Security-Policy"), ";") {
			name, sources, _ := strings.Cut(strings.TrimSpace(part), " ")
			allowed[name] = sources
		}
		require.Equal(t, map[string]string{
			"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "connect-src": "'self'",
			"img-src": "'self' data:", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'",
			"require-trusted-types-for": "'script'", "trusted-types": "'none'",
		}, allowed, path)
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), path)
		require.Equal(t, "no-referrer", h.Get("Referrer-Policy"), path)
	}
}

func TestBrowserKeepsAnOldPage(t *testing.T) {
	first := get(t, "GET", "/")
	require.Equal(t, "no-cache", first.Header.Get("Cache-Control"))
	tag := first.Header.Get("ETag")
	require.Regexp(t, `^"[0-9a-f]{16}"$`, tag)
	require.NotEqual(t, tag, get(t, "GET", "/page/page.js").Header.Get("ETag"))
	again := get(t, "GET", "/", "If-None-Match", tag)
	require.Equal(t, http.StatusNotModified, again.StatusCode)
	require.Equal(t, 200, get(t, "GET", "/", "If-None-Match", `"else"`).StatusCode)
}

func TestHeadAnswersOtherThanGet(t *testing.T) {
	r, g := get(t, "HEAD", "/"), get(t, "GET", "/")
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Empty(t, body)
	require.Equal(t, 200, r.StatusCode)
	require.Equal(t, g.Header, r.Header)
}

func TestPathLeadsOutOfThePage(t *testing.T) {
	for _, path := range []string{"/page", "/page/", "/page/index.html", "/index.html", "/page.js", "/page/page.go",
		"/page/../page.go", "/page/page.js/", "/page/%2e%2e/page.go", "//", "/page//page.js", "/favicon.ico"} {
		require.Equal(t, 404, get(t, "GET", path).StatusCode, path)
	}
}

func TestPageTakesOtherMethods(t *testing.T) {
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "TRACE"} {
		r := get(t, method, "/")
		require.Equal(t, 405, r.StatusCode, method)
		require.Equal(t, "GET, HEAD", r.Header.Get("Allow"), method)
	}
}

// What a file names is served, and it names nothing elsewhere; scripts and styles in HTML would be stopped by the policy.
func TestPageLoadsFromElsewhere(t *testing.T) {
	address := regexp.MustCompile(`(?i)(?:https?|wss?):\\?/\\?/[\w.]+\S*|\burl\(|@import`)
	inline := regexp.MustCompile(`(?i)<style|<script[^>]*>[^<]|\s(?:style|on\w+)\s*=\s*["']`)
	html := regexp.MustCompile(`\b(?:innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|new Function)\b`)
	named := regexp.MustCompile(`(?:href|src)="([^"#]+)"|from "\./([^"]+)"`)
	for _, name := range names(t) {
		data, err := files.ReadFile(name)
		require.NoError(t, err)
		// The name of SVG's elements, which nothing loads, and the specification that a parser is from.
		text := strings.ReplaceAll(string(data), "'http://www.w3.org/2000/svg'", "")
		text = regexp.MustCompile(`(?m)^// https://\S+$`).ReplaceAllString(text, "")
		require.Empty(t, address.FindAllString(text, -1), name)
		require.Empty(t, html.FindAllString(text, -1), name)
		if name == "index.html" {
			require.Empty(t, inline.FindAllString(text, -1))
		}
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			path := "/" + m[1]
			if m[2] != "" {
				path = "/page/" + m[2]
			}
			if !strings.HasPrefix(m[1], "data:") {
				require.Equal(t, 200, get(t, "GET", path).StatusCode, "%s names %s", name, path)
			}
		}
	}
}
