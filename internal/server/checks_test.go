package server

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestForeignPageReachesTheServer(t *testing.T) {
	local := newServer(t)
	open := newServer(t, func(o *Options) { o.Hosts, o.Origins = []string{"Mac.local"}, []string{"https://chat.example/"} })
	all := newServer(t, func(o *Options) { o.Hosts, o.Origins = []string{"*"}, []string{"*"} })
	for _, c := range []struct {
		server  *Server
		headers []string
		status  int
		code    string
	}{
		{local, nil, 200, ""},
		{local, []string{"Host", "LOCALHOST:8080"}, 200, ""},
		{local, []string{"Host", "chat.localhost"}, 200, ""},
		{local, []string{"Host", "127.0.0.1:8080"}, 200, ""},
		{local, []string{"Host", "[::1]:8080"}, 200, ""},
		{local, []string{"Host", "[fe80::1%25en0]:8080"}, 200, ""},
		{local, []string{"Host", "192.168.1.7"}, 200, ""},
		{local, []string{"Host", "evil.example"}, 403, "host_not_allowed"},
		{local, []string{"Host", "localhost.evil.example:8080"}, 403, "host_not_allowed"},
		{local, []string{"Host", "127.0.0.1.evil.example"}, 403, "host_not_allowed"},
		{local, []string{"Host", "mac.local"}, 403, "host_not_allowed"},
		{open, []string{"Host", "mac.local.:8080"}, 200, ""},
		{all, []string{"Host", "evil.example"}, 200, ""},

		{local, []string{"Origin", "http://localhost"}, 200, ""},
		{local, []string{"Origin", "http://localhost:3000"}, 403, "origin_not_allowed"},
		{local, []string{"Origin", "https://evil.example"}, 403, "origin_not_allowed"},
		{local, []string{"Origin", "null"}, 403, "origin_not_allowed"},
		{local, []string{"Origin", "://"}, 403, "origin_not_allowed"},
		{local, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, 403, "origin_not_allowed"},
		{local, []string{"Sec-Fetch-Site", "same-site"}, 403, "origin_not_allowed"},
		{local, []string{"Sec-Fetch-Site", "same-origin"}, 200, ""},
		{local, []string{"Sec-Fetch-Site", "none"}, 200, ""},
		{local, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, 200, ""},
		{open, []string{"Origin", "https://chat.example"}, 200, ""},
		{open, []string{"Origin", "https://chat.example.evil"}, 403, "origin_not_allowed"},
		{open, []string{"Origin", "http://chat.example"}, 403, "origin_not_allowed"},
		{all, []string{"Origin", "null"}, 200, ""},
	} {
		w := ask(c.server, "GET", "/health", "", c.headers...)
		require.Equal(t, c.status, w.Code, c.headers)
		if c.code != "" {
			code, _, _ := errorOf(t, w)
			require.Equal(t, c.code, code, c.headers)
			require.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
		}
	}
	w := ask(open, "GET", "/health", "", "Origin", "https://chat.example")
	require.Equal(t, "https://chat.example", w.Header().Get("Access-Control-Allow-Origin"))
	require.Equal(t, "Origin", w.Header().Get("Vary"))
	require.Empty(t, ask(local, "GET", "/health", "", "Origin", "http://localhost").Header().
		Get("Access-Control-Allow-Origin"))
	require.Equal(t, 403, ask(local, "POST", "/v1/chat/completions", "{"+hello+"}", "Sec-Fetch-Site", "cross-site",
		"Sec-Fetch-Mode", "navigate").Code, "a form of another site")
}

func TestPreflightNeedsAKey(t *testing.T) {
	s := newServer(t, func(o *Options) { o.Origins, o.APIKey = []string{"https://chat.example"}, "secret" })
	preflight := []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,x-a",
		"Access-Control-Request-Private-Network", "true"}
	w := ask(s, "OPTIONS", "/v1/chat/completions", "", append(preflight, "Origin", "https://chat.example")...)
	require.Equal(t, http.StatusNoContent, w.Code)
	require.Equal(t, "https://chat.example", w.Header().Get("Access-Control-Allow-Origin"))
	require.Equal(t, "authorization,x-a", w.Header().Get("Access-Control-Allow-Headers"))
	require.Contains(t, w.Header().Get("Access-Control-Allow-Methods"), "POST")
	require.Equal(t, "true", w.Header().Get("Access-Control-Allow-Private-Network"))
	w = ask(s, "OPTIONS", "/v1/chat/completions", "", append(preflight, "Origin", "https://evil.example")...)
	require.Equal(t, 403, w.Code)
	require.Empty(t, w.Header().Get("Access-Control-Allow-Headers"))
}

func TestWrongKeyIsTaken(t *testing.T) {
	s := newServer(t, func(o *Options) { o.APIKey = "secret" })
	for _, c := range []struct {
		headers []string
		wants   string
	}{
		{nil, "the API key is missing"},
		{[]string{"Authorization", "Bearer "}, "the API key is missing"},
		{[]string{"Authorization", "Basic secret"}, "the API key is missing"},
		{[]string{"Authorization", "Bearer secre"}, "the API key is wrong"},
		{[]string{"Authorization", "Bearer secret2"}, "the API key is wrong"},
		{[]string{"X-Api-Key", "Secret"}, "the API key is wrong"},
		{[]string{"Authorization", "Bearer wrong", "X-Api-Key", "secret"}, "the API key is wrong"},
		{[]string{"Authorization", "Bearer secret"}, ""},
		{[]string{"Authorization", "bearer  secret"}, ""},
		{[]string{"X-Api-Key", "secret"}, ""},
		{[]string{"Api-Key", "secret"}, ""},
	} {
		w := ask(s, "GET", "/v1/models", "", c.headers...)
		if c.wants == "" {
			require.Equal(t, 200, w.Code, c.headers)
			continue
		}
		require.Equal(t, 401, w.Code, c.headers)
		code, _, message := errorOf(t, w)
		require.Equal(t, "invalid_api_key", code)
		require.Equal(t, c.wants, message[:len(c.wants)])
	}
	require.Equal(t, 401, ask(s, "GET", "/nothing", "").Code, "without a key nobody learns what there is")
	require.Equal(t, 401, ask(s, "GET", "//health", "").Code)
	require.Equal(t, 200, ask(s, "GET", "/health", "").Code, "which a watchdog asks")
}
