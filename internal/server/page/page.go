// Package page is a chat page for a browser. It is complete in itself: it loads nothing from elsewhere, needs no build,
// and keeps chats in the browser. It speaks to POST v1/chat/completions and GET v1/models next to it.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed index.html page.css page.js api.js markdown.js settings.js store.js words.js
var files embed.FS

// policy lets the page load its own files and ask its own server, and nothing else: text of a model that became a
// script or an image all the same would not run and not load. Trusted Types forbid to make HTML of strings.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// types are set here since the tables of a system may lack or change them.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
}

type file struct {
	mime, tag string
	data      []byte
}

// Handler answers GET and HEAD for "/" and the files below "/page/", which all are public: they hold no data, and a
// browser cannot bring an API key for them. Other paths get 404.
func Handler() http.Handler {
	served := map[string]file{}
	entries, err := files.ReadDir(".")
	for _, e := range entries {
		var data []byte
		if data, err = files.ReadFile(e.Name()); err != nil {
			break
		}
		sum := sha256.Sum256(data)
		served["/page/"+e.Name()] = file{types[path.Ext(e.Name())], `"` + hex.EncodeToString(sum[:8]) + `"`, data}
	}
	if err != nil {
		panic(fmt.Sprintf("page: embedded files: %v", err)) // cannot be: they are part of the program
	}
	served["/"] = served["/page/index.html"]
	delete(served, "/page/index.html") // its relative addresses hold only at "/"

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		f, ok := served[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, strings.ToLower(http.StatusText(http.StatusMethodNotAllowed)), http.StatusMethodNotAllowed)
			return
		}
		h.Set("Content-Type", f.mime)
		h.Set("Cache-Control", "no-cache") // asked for again with the ETag: a new version of the program shows at once
		h.Set("ETag", f.tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.data))
	})
}
