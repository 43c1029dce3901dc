package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/model"
)

// readCorpus reads a body in the shape of a client's, as its sources and documentation have it.
func readCorpus(t testing.TB, pattern string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "requests", pattern+"-*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	bodies := map[string]string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		bodies[strings.TrimSuffix(filepath.Base(file), ".json")] = string(data)
	}
	return bodies
}

// read decodes a body as the API does that its name begins with.
func read(t testing.TB, name, body string) (r model.Request, err error) {
	t.Helper()
	switch api, _, _ := strings.Cut(name, "-"); api {
	case "messages", "count":
		q, err := decodeMessages(readBytes(t, body), model.Options{}, api == "count")
		require.NoError(t, err, name)
		return q.Request, nil
	case "responses":
		q, err := decodeResponses(readBytes(t, body), model.Options{}, noHistory)
		require.NoError(t, err, name)
		return q.Request, nil
	default:
		var q chatRequest
		require.NoError(t, decodeJSON([]byte(body), &q))
		return q.request(model.Options{})
	}
}

func TestClientsRequestIsRefused(t *testing.T) {
	m, err := model.Load(t.Context(), "")
	require.NoError(t, err)
	defer m.Close()
	bodies := readCorpus(t, "*")
	require.Len(t, bodies, 17)
	for name, body := range bodies {
		r, err := read(t, name, body)
		require.NoError(t, err, name)
		require.NoError(t, r.Options.Check(), name)
		_, ids, err := m.Text().Prompt(t.Context(), r.Messages, r.Tools, true)
		require.NoError(t, err, name)
		require.NotEmpty(t, ids, name)
		for _, tool := range r.Tools {
			require.NotContains(t, []string{"web_search", "apply_patch"}, tool.Name, name)
		}
	}
}

// FuzzMessages and FuzzResponses look for what neither is read nor refused, and for what a prompt cannot be made of.
func FuzzMessages(f *testing.F) {
	for _, body := range readCorpus(f, "messages") {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var raw rawObject
		if decodeJSON(data, &raw) != nil {
			return
		}
		q, err := decodeMessages(raw, model.Options{}, false)
		checkDecoded(t, &q.Request, err)
	})
}

func FuzzResponses(f *testing.F) {
	for _, body := range readCorpus(f, "responses") {
		f.Add([]byte(body))
	}
	earlier := turns{}
	earlier.add(model.UserMessage("a"))
	earlier.call("c", "f", "{}")
	f.Fuzz(func(t *testing.T, data []byte) {
		var raw rawObject
		if decodeJSON(data, &raw) != nil {
			return
		}
		q, err := decodeResponses(raw, model.Options{}, func(string) (turns, bool) { return earlier, true })
		checkDecoded(t, &q.Request, err)
		require.Len(t, earlier.messages, 2)
		require.Len(t, earlier.messages[1].ToolCalls, 1)
		if err == nil {
			_, err := q.response.encode()
			require.NoError(t, err)
		}
	})
}

// checkDecoded checks that an error names a field, and that a request without one is whole.
func checkDecoded(t *testing.T, r *model.Request, err error) {
	t.Helper()
	if err != nil {
		e := explain(err)
		require.Less(t, e.Status, 500, e.Message)
		require.NotEmpty(t, e.Param, e.Message)
		return
	}
	require.NotEmpty(t, r.Messages)
	calls := 0
	for _, m := range r.Messages {
		switch m.Role {
		case model.RoleAssistant:
			calls += len(m.ToolCalls)
		case model.RoleObservation:
			require.Positive(t, calls, "a result without a call")
		case model.RoleSystem, model.RoleUser:
		default:
			t.Fatalf("role %q", m.Role)
		}
	}
}
