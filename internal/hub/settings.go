package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// Settings say where the cache and the hub are. [FromEnvironment] gives those that huggingface_hub would take.
type Settings struct {
	Cache    string // folder with models--org--name in it
	Endpoint string // "https://huggingface.co", without slash at its end

	// The token, or else a file that holds it, which need not exist. NoToken sends none.
	Token, TokenFile string
	NoToken          bool

	Offline   bool // no network
	NoLinks   bool // snapshots hold plain files
	PlainHTTP bool // hosts other than this machine may be asked without TLS

	AnswerTimeout time.Duration // until an answer begins
	IdleTimeout   time.Duration // without a byte of it

	Proxy func(*http.Request) (*url.URL, error) // nil: none
}

const plainHTTPVariable = "GLM4_HUB_PLAIN_HTTP"

// FromEnvironment reads the settings from the environment. The names and what they mean are those of huggingface_hub,
// https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables:
//
//   - HF_HOME: where the cache and the token are; $XDG_CACHE_HOME/huggingface, or ~/.cache/huggingface.
//   - HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE: the cache; $HF_HOME/hub.
//   - HF_TOKEN, HUGGING_FACE_HUB_TOKEN, or else the file HF_TOKEN_PATH: the token; $HF_HOME/token.
//   - HF_HUB_DISABLE_IMPLICIT_TOKEN: send none.
//   - HF_ENDPOINT: the hub; https://huggingface.co. Plain http is taken for this machine (localhost, 127.0.0.1, ::1)
//     alone, unless GLM4_HUB_PLAIN_HTTP is set, as it shows the token and the model to everyone on the way.
//   - HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE: no network.
//   - HF_HUB_DISABLE_SYMLINKS: plain files in snapshots.
//   - HF_HUB_ETAG_TIMEOUT, HF_HUB_DOWNLOAD_TIMEOUT: seconds until an answer begins, and between two parts of it; 10.
//   - HTTPS_PROXY, HTTP_PROXY, NO_PROXY: as net/http takes them.
//
// Switches are on when they are 1, on, yes or true. A variable that is empty counts as not set.
func FromEnvironment() (Settings, error) {
	home, _ := os.UserHomeDir()
	s, err := settingsOf(os.Getenv, home)
	s.Proxy = http.ProxyFromEnvironment
	return s, err
}

func settingsOf(getenv func(string) string, home string) (s Settings, err error) {
	first := func(names ...string) string {
		for _, name := range names {
			if v := getenv(name); v != "" {
				return v
			}
		}
		return ""
	}
	on := func(names ...string) bool {
		switch strings.ToUpper(first(names...)) {
		case "1", "ON", "YES", "TRUE":
			return true
		}
		return false
	}
	folder := func(otherwise string, names ...string) string {
		if v := first(names...); v != "" {
			return expand(v, getenv, home)
		}
		return otherwise
	}
	caches := folder(home+"/.cache", "XDG_CACHE_HOME")
	hf := folder(filepath.Join(caches, "huggingface"), "HF_HOME")
	s = Settings{
		Cache:     folder(filepath.Join(hf, "hub"), "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"),
		Endpoint:  "https://huggingface.co",
		Token:     cleanToken(first("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")),
		TokenFile: folder(filepath.Join(hf, "token"), "HF_TOKEN_PATH"),
		NoToken:   on("HF_HUB_DISABLE_IMPLICIT_TOKEN"),
		Offline:   on("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"),
		NoLinks:   on("HF_HUB_DISABLE_SYMLINKS"),
		PlainHTTP: on(plainHTTPVariable),
	}
	if s.Cache, err = filepath.Abs(s.Cache); err != nil {
		return s, fmt.Errorf("the cache folder of the hub: %w", err)
	}
	if v := first("HF_ENDPOINT"); v != "" {
		s.Endpoint = strings.TrimRight(v, "/")
	}
	if _, err := s.endpoint(); err != nil {
		return s, err
	}
	for name, d := range map[string]*time.Duration{
		"HF_HUB_ETAG_TIMEOUT": &s.AnswerTimeout, "HF_HUB_DOWNLOAD_TIMEOUT": &s.IdleTimeout,
	} {
		*d = 10 * time.Second
		if v := first(name); v != "" {
			n, err := strconv.Atoi(v)
			if err != nil || n < 0 || n > 86400 {
				return s, fmt.Errorf("%s is %q; it must be a whole number of seconds, at most 86400", name, v)
			}
			if n > 0 {
				*d = time.Duration(n) * time.Second
			}
		}
	}
	return s, nil
}

var variable = regexp.MustCompile(`\$(\w+|\{[^}]*\})`)

// expand replaces ~ at the beginning, and variables that are set, as Python's expanduser and expandvars do.
func expand(path string, getenv func(string) string, home string) string {
	if path == "~" || strings.HasPrefix(path, "~/") {
		path = home + path[1:]
	}
	return variable.ReplaceAllStringFunc(path, func(v string) string {
		if value := getenv(strings.Trim(v, "${}")); value != "" {
			return value
		}
		return v
	})
}

func cleanToken(text string) string {
	return strings.TrimSpace(strings.NewReplacer("\r", "", "\n", "").Replace(text))
}

// token gives the token to send, "" if there is none, and where it is from.
func (s Settings) token() (token, from string, err error) {
	if s.NoToken {
		return "", "", nil
	}
	token, from = s.Token, "HF_TOKEN"
	if token == "" && s.TokenFile != "" {
		data, err := textfile.Read(s.TokenFile, 64<<10)
		if errors.Is(err, fs.ErrNotExist) {
			return "", "", nil
		}
		if err != nil {
			return "", "", fmt.Errorf("the token of the hub: %w", err)
		}
		token, from = cleanToken(string(data)), s.TokenFile
	}
	for _, c := range []byte(token) {
		if c <= ' ' || c > '~' { // would be another header, or none
			return "", "", fmt.Errorf("the token of the hub, from %s, holds the character %q; a token is letters, digits and _",
				from, rune(c))
		}
	}
	return token, from, nil
}

func (s Settings) endpoint() (*url.URL, error) {
	u, err := url.Parse(s.Endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("HF_ENDPOINT is %q; it must be an address such as https://huggingface.co", s.Endpoint)
	}
	if err := s.allowed(u); err != nil {
		return nil, fmt.Errorf("HF_ENDPOINT is %s: %w", s.Endpoint, err)
	}
	return u, nil
}

// allowed refuses addresses that are no https, or http of another machine where nobody asked for that.
func (s Settings) allowed(u *url.URL) error {
	host := u.Hostname()
	switch {
	case host == "":
		return fmt.Errorf("an address without a host")
	case u.Scheme == "https", u.Scheme == "http" && (s.PlainHTTP || loopback(host)):
		return nil
	case u.Scheme == "http":
		return fmt.Errorf("plain http is taken for this machine only; use https, or set %s=1", plainHTTPVariable)
	}
	return fmt.Errorf("%q is no scheme for a hub; use https", u.Scheme)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// sameOrigin tells whether two addresses have the scheme, the host and the port in common. Nothing else may have the
// token: net/http would send it to other ports and to subdomains.
func sameOrigin(a, b *url.URL) bool {
	port := func(u *url.URL) string {
		if p := u.Port(); p != "" {
			return p
		}
		return map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}
