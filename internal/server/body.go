package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// readWithin is how long a client may take to send a body.
const readWithin = time.Minute

// readJSON reads a request's body, one JSON object in UTF-8, into a struct. Errors name the byte or the field. The
// content type does not matter.
func (s *Server) readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		w.Header().Set("Accept-Encoding", "identity") // https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3
		return refused(http.StatusUnsupportedMediaType, "unsupported_content_encoding",
			"Content-Encoding is %q, which is not supported; send the body as it is", coding)
	}
	c := http.NewResponseController(w)
	c.SetReadDeadline(time.Now().Add(readWithin))
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.o.MaxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return err
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return refused(http.StatusRequestTimeout, "timeout", "the body did not come within %v", readWithin)
		}
		return badRequest("", "the body could not be read: %v", err)
	}
	c.SetReadDeadline(time.Time{}) // else the client counts as gone when it passes
	if s.o.LogPrompts {
		s.log.InfoContext(r.Context(), "body", "id", requestID(r), "body", string(data))
	}
	return decodeJSON(data, into)
}

// decodeJSON reads one JSON object in UTF-8, also behind the byte order mark that some writers begin with.
func decodeJSON(data []byte, into any) error {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if at := invalidUTF8(data); at >= 0 {
		return badRequest("", "the body is no UTF-8 at byte %d; send JSON in UTF-8", at)
	}
	return fieldJSON("", data, into)
}

func invalidUTF8(data []byte) int {
	for at := 0; at < len(data); {
		r, n := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && n == 1 {
			return at
		}
		at += n
	}
	return -1
}

// fieldJSON reads the JSON of a field, "" for the whole body, which must be an object.
func fieldJSON(field string, data []byte, into any) error {
	what := field
	if what == "" {
		what = "the body"
	}
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); len(trimmed) == 0 {
		return badRequest(field, "%s is empty; it must be a JSON object", what)
	} else if trimmed[0] != '{' && json.Valid(data) {
		return badRequest(field, "%s is %s; it must be a JSON object", what, kind(trimmed))
	}
	err := json.Unmarshal(data, into)
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	var known *apiError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &syntax):
		return badRequest(field, "%s is no JSON at byte %d: %v", what, syntax.Offset, err)
	case errors.As(err, &typ):
		at := joinField(field, embedded.Replace(typ.Field))
		return badRequest(at, "%s is %s; it must be %s", at, article(typ.Value), wanted(typ.Type.Kind().String()))
	case err != nil:
		return badRequest(field, "%s: %v", what, err)
	}
	return nil
}

// embedded takes out the names of embedded structs, which encoding/json has in the path of a field.
var embedded = strings.NewReplacer("sampling.", "", "constraints.", "", "streaming.", "")

// joinField is the path of a field in another.
func joinField(outer, inner string) string {
	switch {
	case outer == "":
		return inner
	case inner == "":
		return outer
	}
	return outer + "." + inner
}

// article puts one in front of what encoding/json calls a value.
func article(value string) string {
	switch value {
	case "bool":
		return "true or false"
	case "array", "object":
		return "an " + value
	}
	return "a " + value
}

// wanted says in JSON's words what a Go kind holds.
func wanted(kind string) string {
	switch kind {
	case "string":
		return "a string"
	case "bool":
		return "true or false"
	case "float64", "float32":
		return "a number"
	case "slice":
		return "an array"
	case "map", "struct":
		return "an object"
	}
	return "a whole number"
}

// kind says what a JSON value is.
func kind(data []byte) string {
	switch data[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	}
	return "a number"
}

// isNull tells whether a field is missing or null.
func isNull(data json.RawMessage) bool { return len(data) == 0 || string(data) == "null" }

// writeJSON answers with a JSON value.
func writeJSON(w http.ResponseWriter, status int, data any) error {
	var b bytes.Buffer
	if err := encodeJSON(&b, data); err != nil {
		return fmt.Errorf("the answer is no JSON: %w", err)
	}
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeWithin))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	w.Write(b.Bytes()) // a client that has gone has no use for an error
	return nil
}
