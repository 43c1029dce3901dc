package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// checked refuses what must not reach a handler.
func (s *Server) checked(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		preflight := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
		err := s.checkHost(r)
		if err == nil {
			err = s.checkOrigin(w, r)
		}
		if err == nil && !preflight {
			err = s.checkKey(r)
		}
		if err == nil && !preflight && s.stopping.Load() {
			w.Header().Set("Connection", "close")
			err = unavailable("stopping", "the server stops; try again later")
		}
		switch {
		case err != nil:
			s.fail(w, s.dialectOf(r), err)
		case preflight:
			allowPreflight(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// checkHost refuses names that are not known to be this machine's: with DNS rebinding a web page reaches a server of
// this machine under a name of its own. An address cannot be rebound.
func (s *Server) checkHost(r *http.Request) error {
	if address, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && address.Network() == "unix" {
		return nil // which no web page reaches
	}
	host := hostName(r.Host)
	switch {
	case host == "", host == "localhost", strings.HasSuffix(host, ".localhost"), net.ParseIP(host) != nil,
		slices.Contains(s.o.Hosts, "*"):
		return nil
	}
	for _, allowed := range s.o.Hosts {
		if strings.EqualFold(hostName(allowed), host) {
			return nil
		}
	}
	return refused(http.StatusForbidden, "host_not_allowed",
		"the server is not known as %q; whoever starts it can allow this host", host)
}

// hostName is a host without port and brackets, in small letters.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host, _, _ = strings.Cut(host, "%") // the zone of an IPv6 address
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// checkOrigin refuses what a browser sends for a page of another site, unless that may ask; if it may, it is told so.
// Programs that are no browsers send none of these headers. A link to the server may be followed from anywhere.
func (s *Server) checkOrigin(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Add("Vary", "Origin")
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	if origin == "" {
		follows := r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate"
		if site == "" || site == "same-origin" || site == "none" || follows {
			return nil
		}
		origin = "a page of another site"
	} else {
		u, err := url.Parse(origin)
		if err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host) {
			return nil
		}
		if slices.Contains(s.o.Origins, "*") || slices.ContainsFunc(s.o.Origins, func(allowed string) bool {
			return strings.EqualFold(strings.TrimSuffix(allowed, "/"), origin)
		}) {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", "X-Request-Id, Retry-After")
			return nil
		}
	}
	return refused(http.StatusForbidden, "origin_not_allowed",
		"%s may not ask this server; whoever starts it can allow the page's origin", origin)
}

// allowPreflight answers a browser that asks what a page may send (https://fetch.spec.whatwg.org/#http-cors-protocol).
func allowPreflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS")
	if headers := r.Header.Get("Access-Control-Request-Headers"); headers != "" {
		h.Set("Access-Control-Allow-Headers", headers)
	}
	if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
		h.Set("Access-Control-Allow-Private-Network", "true")
	}
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

// checkKey compares the API key in constant time. It is taken where the clients of the APIs put it.
func (s *Server) checkKey(r *http.Request) error {
	if s.o.APIKey == "" {
		return nil
	}
	if _, pattern := s.mux.Handler(r); s.public[pattern] && cleanPath(r) {
		return nil
	}
	given := ""
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "bearer") {
		given = strings.TrimSpace(token)
	}
	for _, name := range []string{"X-Api-Key", "Api-Key"} {
		if given == "" {
			given = r.Header.Get(name)
		}
	}
	if given == "" {
		return refused(http.StatusUnauthorized, "invalid_api_key",
			"the API key is missing; send it as Authorization: Bearer KEY or X-Api-Key: KEY")
	}
	want, got := sha256.Sum256([]byte(s.o.APIKey)), sha256.Sum256([]byte(given))
	if subtle.ConstantTimeCompare(want[:], got[:]) == 0 {
		return refused(http.StatusUnauthorized, "invalid_api_key", "the API key is wrong")
	}
	return nil
}

// cleanPath tells whether a path is written as it is registered: without double slashes, dots and their like. The names
// of models may have slashes, which clients encode.
func cleanPath(r *http.Request) bool {
	return path.Clean(r.URL.Path) == r.URL.Path && (r.URL.RawPath == "" || strings.HasPrefix(r.URL.RawPath, "/v1/models/"))
}

// notFound is the error of a path or a method that there is not. It names what may be meant.
func (s *Server) notFound(w http.ResponseWriter, r *http.Request) error {
	want := path.Clean("/" + r.URL.Path)
	for _, prefix := range []string{"", "/v1"} {
		methods := s.methods(prefix + want)
		switch {
		case len(methods) == 0:
		case prefix+want != r.URL.Path || r.URL.RawPath != "":
			return refused(http.StatusNotFound, "not_found", "there is no %q here; did you mean %s?", r.URL.Path, prefix+want)
		default:
			allow := strings.Join(methods, ", ")
			w.Header().Set("Allow", allow)
			return refused(http.StatusMethodNotAllowed, "method_not_allowed", "%s takes %s, not %s", want, allow, r.Method)
		}
	}
	return refused(http.StatusNotFound, "not_found", "there is no %q here", r.URL.Path)
}

// methods are those that a path takes.
func (s *Server) methods(path string) (methods []string) {
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		if _, pattern := s.mux.Handler(&http.Request{Method: method, URL: &url.URL{Path: path}}); pattern != "" {
			methods = append(methods, method)
		}
	}
	return methods
}
