package server

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/model"
)

// device is what the tests run on.
var device = "cpu"

func loadDemo(ctx context.Context) (*model.Model, error) {
	return model.Load(ctx, "", model.Backend(device))
}

// newServer is a server with the demo model. It is closed when the test ends.
func newServer(t testing.TB, change ...func(*Options)) *Server {
	o := Options{Load: loadDemo, Model: "glm4-demo"}
	for _, f := range change {
		f(&o)
	}
	s := New(o)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// ask sends a request with headers, each a name and a value.
func ask(s *Server, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

// listen has the server answer at an address.
func listen(t testing.TB, s *Server) (url string) {
	l := httptest.NewServer(s.Handler())
	t.Cleanup(l.Close)
	return l.URL
}

// errorOf is the error that an answer in OpenAI's shape has.
func errorOf(t testing.TB, w *httptest.ResponseRecorder) (code, param, message string) {
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	var body struct {
		Error map[string]*string `json:"error"`
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body), w.Body.String())
	require.Len(t, body.Error, 4)
	text := func(field string) string {
		require.Contains(t, body.Error, field)
		if p := body.Error[field]; p != nil {
			return *p
		}
		return ""
	}
	require.NotEmpty(t, text("type"))
	return text("code"), text("param"), text("message")
}

// variable is what differs from answer to answer.
var variable = regexp.MustCompile(`"(chatcmpl|cmpl|call)[-_][A-Z2-7]{26}"|"created":\d+`)

// masked is an answer without that.
func masked(text string) string {
	return variable.ReplaceAllStringFunc(text, func(s string) string {
		if kind, _, ok := strings.Cut(s, "-"); ok {
			return kind + `-ID"`
		}
		if strings.HasPrefix(s, `"call_`) {
			return `"call_ID"`
		}
		return `"created":1`
	})
}

func readAll(t testing.TB, r io.Reader) string {
	data, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(data)
}

const hello = `"messages":[{"role":"user","content":"Hello"}]`

// The texts are those that the demo model answers; what is around them is from
// https://platform.openai.com/docs/api-reference/chat and /completions.
func TestAnswerHasAnotherShape(t *testing.T) {
	s := newServer(t)
	const chunk = `data: {"id":"chatcmpl-ID","object":"chat.completion.chunk","created":1,"model":"glm4-demo",` +
		`"system_fingerprint":"glm4-metal","choices":[`
	const piece = `data: {"id":"cmpl-ID","object":"text_completion","created":1,"model":"glm4-demo",` +
		`"system_fingerprint":"glm4-metal","choices":[`
	const counts = `{"prompt_tokens":6,"completion_tokens":3,"total_tokens":9,` +
		`"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}`
	for _, c := range []struct{ path, body, want string }{
		{"/v1/chat/completions", `{` + hello + `,"max_tokens":3}`,
			`{"id":"chatcmpl-ID","object":"chat.completion","created":1,"model":"glm4-demo","system_fingerprint":"glm4-metal",` +
				`"choices":[{"index":0,"message":{"role":"assistant","content":"Hello!","refusal":null},"logprobs":null,` +
				`"finish_reason":"length"}],"usage":` + counts + "}\n"},
		{"/v1/chat/completions", `{` + hello + `,"max_tokens":3,"n":2}`,
			`{"id":"chatcmpl-ID","object":"chat.completion","created":1,"model":"glm4-demo","system_fingerprint":"glm4-metal",` +
				`"choices":[{"index":0,"message":{"role":"assistant","content":"Hello!","refusal":null},"logprobs":null,` +
				`"finish_reason":"length"},{"index":1,"message":{"role":"assistant","content":"Hello!","refusal":null},` +
				`"logprobs":null,"finish_reason":"length"}],"usage":` +
				strings.NewReplacer(`n_tokens":3`, `n_tokens":6`, `:9`, `:12`).Replace(counts) + "}\n"},
		{"/v1/chat/completions", `{` + hello + `,"max_tokens":3,"stream":true}`,
			chunk + `{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}` + "\n\n" +
				chunk + `{"index":0,"delta":{"content":"Hello"},"logprobs":null,"finish_reason":null}]}` + "\n\n" +
				chunk + `{"index":0,"delta":{"content":"!"},"logprobs":null,"finish_reason":null}]}` + "\n\n" +
				chunk + `{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}]}` + "\n\n" +
				"data: [DONE]\n\n"},
		{"/v1/chat/completions", `{` + hello + `,"max_tokens":3,"stream":true,"stream_options":{"include_usage":true},` +
			`"stop":"!"}`,
			chunk + `{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null}` +
				"\n\n" +
				chunk + `{"index":0,"delta":{"content":"Hello"},"logprobs":null,"finish_reason":null}],"usage":null}` + "\n\n" +
				chunk + `{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}` + "\n\n" +
				chunk + `],"usage":` + counts + "}\n\n" +
				"data: [DONE]\n\n"},
		{"/v1/completions", `{"prompt":"Hello"}`,
			`{"id":"cmpl-ID","object":"text_completion","created":1,"model":"glm4-demo","system_fingerprint":"glm4-metal",` +
				`"choices":[{"text":" / /.","index":0,"logprobs":null,"finish_reason":"stop"}],"usage":` +
				strings.NewReplacer(`"prompt_tokens":6`, `"prompt_tokens":3`, ":9", ":6").Replace(counts) + "}\n"},
		{"/v1/completions", `{"prompt":["Hello"],"stream":true,"stream_options":{"include_usage":true}}`,
			piece + `{"text":" /","index":0,"logprobs":null,"finish_reason":null}],"usage":null}` + "\n\n" +
				piece + `{"text":" /","index":0,"logprobs":null,"finish_reason":null}],"usage":null}` + "\n\n" +
				piece + `{"text":".","index":0,"logprobs":null,"finish_reason":null}],"usage":null}` + "\n\n" +
				piece + `{"text":"","index":0,"logprobs":null,"finish_reason":"stop"}],"usage":null}` + "\n\n" +
				piece + `],"usage":` +
				strings.NewReplacer(`"prompt_tokens":6`, `"prompt_tokens":3`, ":9", ":6").Replace(counts) + "}\n\n" +
				"data: [DONE]\n\n"},
	} {
		w := ask(s, "POST", c.path, c.body)
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		got := regexp.MustCompile(`"cached_tokens":\d+`).ReplaceAllString(masked(w.Body.String()), `"cached_tokens":0`)
		require.Equal(t, c.want, got, c.body)
		if strings.Contains(c.body, "stream") {
			require.Equal(t, "text/event-stream; charset=utf-8", w.Header().Get("Content-Type"))
			require.True(t, w.Flushed)
		}
	}
}

func TestRequestIsMisunderstood(t *testing.T) {
	s := newServer(t, func(o *Options) { o.MaxBody = 1 << 20 })
	chat := func(fields string) string { return `{` + hello + `,` + fields + `}` }
	messages := func(list string) string { return `{"messages":[` + list + `]}` }
	tool := `{"type":"function","function":{"name":"f","parameters":{}}}`
	for _, c := range []struct {
		body               string
		status             int
		code, param, wants string
	}{
		{``, 400, "", "", "the body is empty"},
		{`{"messages": [}`, 400, "", "", "the body is no JSON at byte 15"},
		{`{} {}`, 400, "", "", "the body is no JSON at byte 4"},
		{`[]`, 400, "", "", "the body is an array; it must be a JSON object"},
		{"{\"messages\":\"\xff\"}", 400, "", "", "the body is no UTF-8 at byte 13"},
		{`{"messages":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "request_too_large", "", "larger than 1048576 bytes"},
		{`{}`, 400, "", "messages", "messages is missing or empty"},
		{messages(``), 400, "", "messages", "missing or empty"},
		{messages(`7`), 400, "", "messages[0]", "messages[0] is a number; it must be a JSON object"},
		{messages(`{"role":"user"}`), 400, "", "messages[0].content", "is missing"},
		{messages(`{"role":"user","content":7}`), 400, "", "messages[0].content", "is a number; it must be a string or an array"},
		{messages(`{"role":"boss","content":"x"}`), 400, "", "messages[0].role", `is "boss"; it must be system`},
		{messages(`{"role":"function","content":"x"}`), 400, "unsupported_value", "messages[0].role", `use "tool"`},
		{messages(`{"role":"user","content":[{"type":"image_url"}]}`), 400, "unsupported_value", "messages[0].content[0].type",
			`is "image_url"; the model reads text only`},
		{messages(`{"role":"user","content":"x"},{"role":"tool","tool_call_id":"a","content":"x"}`), 400, "",
			"messages[1].tool_call_id", `is "a"; no call`},
		{messages(`{"role":"assistant","function_call":{"name":"f"}}`), 400, "unsupported_value", "messages[0].function_call",
			"use tool_calls"},
		{chat(`"temperature":"hot"`), 400, "", "temperature", "temperature is a string; it must be a number"},
		{chat(`"temperature":-1`), 400, "", "temperature", "temperature is -1; it must be 0 (greedy) or more"},
		{chat(`"top_p":2`), 400, "", "top_p", "top_p is 2"},
		{chat(`"max_tokens":0`), 400, "", "max_tokens", "max_tokens is 0; it must be 1 or more"},
		{chat(`"max_tokens":1.5`), 400, "", "max_tokens", "it must be a whole number"},
		{chat(`"n":"2"`), 400, "", "n", "n is a string; it must be a whole number"},
		{chat(`"seed":1e999`), 400, "", "seed", "it must be a whole number"},
		{chat(`"max_completion_tokens":-2`), 400, "", "max_completion_tokens", "max_completion_tokens is -2"},
		{chat(`"stop":[1]`), 400, "", "stop", "stop is a number; it must be a string"},
		{chat(`"stop":""`), 400, "", "stop", "of some length"},
		{chat(`"stop":5`), 400, "", "stop", "stop is a number; it must be a string or an array of strings"},
		{chat(`"n":0`), 400, "", "n", "n is 0; it must lie between 1 and 128"},
		{chat(`"logit_bias":{"1":1e39}`), 400, "", "logit_bias", "of 1 is 1e+39; it must be 3.4"},
		{chat(`"logit_bias":{"x":1}`), 400, "", "logit_bias", `the key "x"`},
		{chat(`"logit_bias":{"99999999":1}`), 400, "", "logit_bias", "for an id below"},
		{chat(`"top_logprobs":2`), 400, "", "top_logprobs", "needs logprobs"},
		{chat(`"logprobs":true,"top_logprobs":21`), 400, "", "top_logprobs", "between 0 and 20"},
		{chat(`"response_format":{"type":"json_object"}`), 400, "unsupported_value", "response_format", "is not supported"},
		{chat(`"grammar":"root ::= x"`), 400, "unsupported_value", "grammar", "is not supported"},
		{chat(`"guided_json":{}`), 400, "unsupported_value", "guided_json", "is not supported"},
		{chat(`"format":"json"`), 400, "unsupported_value", "format", "is not supported"},
		{chat(`"functions":[]`), 400, "unsupported_value", "functions", "use tools"},
		{chat(`"modalities":["audio"]`), 400, "unsupported_value", "modalities", "text only"},
		{chat(`"tools":[{"type":"function","function":{}}]`), 400, "", "tools[0]", "function name"},
		{chat(`"tools":[` + tool + `,` + tool + `]`), 400, "", "tools[1]", `the name "f"`},
		{chat(`"tools":[` + strings.TrimSuffix(strings.Repeat(`{"type":"x"},`, maxTools+1), ",") + `]`), 400, "", "tools",
			"1025 entries"},
		{chat(`"tool_choice":"required"`), 400, "", "tool_choice", "tools declares no function"},
		{chat(`"tools":[` + tool + `],"tool_choice":{"type":"function","function":{"name":"g"}}`), 400, "", "tool_choice",
			`the function "g"`},
		{chat(`"tool_choice":"maybe"`), 400, "unsupported_value", "tool_choice", `is "maybe"`},
		{messages(`{"role":"user","content":"` + strings.Repeat("word ", 9000) + `"}`), 400, "context_length_exceeded",
			"messages", "the prompt has"},
	} {
		for _, stream := range []string{`{`, `{"stream":true,`} {
			body := c.body
			if strings.HasPrefix(body, `{"`) {
				body = stream + body[1:]
			} else if stream != `{` {
				continue
			}
			w := ask(s, "POST", "/v1/chat/completions", body)
			require.Equal(t, c.status, w.Code, "%.200s\n%.500s", body, w.Body.String())
			code, param, message := errorOf(t, w)
			require.Equal(t, c.code, code, message)
			require.Equal(t, c.param, param, message)
			if stream == `{` {
				require.Contains(t, message, c.wants)
			}
		}
	}
}

func TestPackedBodyIsTakenForJSON(t *testing.T) {
	s := newServer(t)
	for _, path := range []string{"/v1/chat/completions", "/v1/messages", "/v1/responses"} {
		w := ask(s, "POST", path, "\x1f\x8b", "Content-Encoding", "gzip")
		require.Equal(t, http.StatusUnsupportedMediaType, w.Code)
		require.Equal(t, "identity", w.Header().Get("Accept-Encoding"))
		require.Contains(t, w.Body.String(), `Content-Encoding is \"gzip\"`)
	}
	w := ask(s, "POST", "/v1/chat/completions", `{"max_tokens":1,`+hello+`}`, "Content-Encoding", "identity")
	require.Equal(t, http.StatusOK, w.Code)
}

func TestByteOrderMarkIsNoJSON(t *testing.T) {
	w := ask(newServer(t), "POST", "/v1/chat/completions", "\ufeff"+`{"max_tokens":1,`+hello+`}`)
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
}

// Each API has a field of its own for a format, and is asked for those of others too.
func TestFormatIsIgnoredByAnotherAPI(t *testing.T) {
	s := newServer(t)
	for path, body := range map[string]string{
		"/v1/chat/completions":      hello,
		"/v1/completions":           `"prompt":"Hello"`,
		"/v1/responses":             `"input":"Hello"`,
		"/v1/messages":              `"max_tokens":1,` + hello,
		"/v1/messages/count_tokens": hello,
	} {
		for _, c := range new(constraints).all() {
			w := ask(s, "POST", path, `{`+body+`,"`+c.name+`":{"type":"json_object"}}`)
			require.Equal(t, http.StatusBadRequest, w.Code, path)
			require.Contains(t, w.Body.String(), c.name+" is not supported", path)
			w = ask(s, "POST", path, `{"`+c.name+`":null,"response_format":{"type":"text"},`+body+`}`)
			require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		}
	}
}

func TestFieldThatMeansNothingIsRefused(t *testing.T) {
	s := newServer(t)
	for _, fields := range []string{
		`"model":"gpt-5","user":"u","metadata":{"a":"b"},"store":true,"service_tier":"auto","unknown":[1]`,
		`"response_format":{"type":"text"},"format":"","grammar":null,"stream_options":null,"tools":null,"tool_choice":null`,
		`"temperature":null,"top_p":null,"n":null,"stop":null,"seed":null,"max_tokens":null,"logit_bias":null`,
		`"tools":[{"type":"web_search"},{"type":"code_interpreter","container":{}}],"tool_choice":"auto"`,
		`"n":1.0,"max_completion_tokens":2.0,"top_k":-1.0,"seed":9223372036854775807`,
		`"modalities":["text"],"max_tokens":-1,"max_completion_tokens":2,"stop":["a","b","c","d","e","f"]`,
		`"chat_template_kwargs":{"enable_thinking":false,"more":1},"reasoning_effort":"low","parallel_tool_calls":false`,
	} {
		w := ask(s, "POST", "/v1/chat/completions", `{"max_tokens":2,`+hello+`,`+fields+`}`, "Content-Type", "text/plain")
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		require.Contains(t, w.Body.String(), `"completion_tokens":2`, fields)
	}
}

func TestUnknownPathIsNoJSON(t *testing.T) {
	s := newServer(t)
	for _, c := range []struct {
		method, path string
		status       int
		wants        string
	}{
		{"GET", "/nothing", 404, `there is no "/nothing" here`},
		{"POST", "/chat/completions", 404, "did you mean /v1/chat/completions?"},
		{"POST", "/v1//chat/completions", 404, "did you mean /v1/chat/completions?"},
		{"POST", "/v1/chat/completions/", 404, "did you mean /v1/chat/completions?"},
		{"POST", "/x/../v1/chat/completions", 404, "did you mean /v1/chat/completions?"},
		{"POST", "/v1/chat%2fcompletions", 404, "did you mean /v1/chat/completions?"},
		{"GET", "/v1/models/../../health", 404, "did you mean /health?"},
		{"GET", "/v1/chat/completions", 405, "/v1/chat/completions takes POST, not GET"},
		{"GET", "/v1/models/org%2fother", 404, "there is no model org/other here, only glm4-demo"},
		{"GET", "/v1/models%2fother", 404, "did you mean /v1/models/other?"},
		{"GET", "/v1/models/other", 404, "there is no model other here, only glm4-demo"},
	} {
		w := ask(s, c.method, c.path, "{}")
		require.Equal(t, c.status, w.Code, c.path)
		_, _, message := errorOf(t, w)
		require.Contains(t, message, c.wants)
		if c.status == 405 {
			require.Equal(t, "POST", w.Header().Get("Allow"))
		}
	}
}

func TestAnthropicsClientGetsAnotherAPIsError(t *testing.T) {
	s := newServer(t)
	for _, path := range []string{"/v1/messages/", "/v1/messages/batches"} {
		w := ask(s, "POST", path, "{}")
		require.Equal(t, 404, w.Code)
		require.Contains(t, w.Body.String(), `"type":"not_found_error"`, path)
	}
}

func TestModelsAndHealth(t *testing.T) {
	s := newServer(t, func(o *Options) { o.Model = "org/glm4" })
	one := `{"id":"org/glm4","object":"model","created":1,"owned_by":"glm4-metal"}`
	require.JSONEq(t, `{"object":"list","data":[`+one+`]}`, masked(ask(s, "GET", "/v1/models", "").Body.String()))
	for _, path := range []string{"/v1/models/org/glm4", "/v1/models/org%2Fglm4"} { // the latter is openai-node's
		require.JSONEq(t, one, masked(ask(s, "GET", path, "").Body.String()))
	}
	require.JSONEq(t, `{"status":"ok","model":"org/glm4","loaded":false}`, ask(s, "GET", "/health", "").Body.String())
	require.NoError(t, s.Load(t.Context()))
	require.JSONEq(t, `{"status":"ok","model":"org/glm4","loaded":true}`, ask(s, "GET", "/health", "").Body.String())
	require.Contains(t, ask(s, "GET", "/v1/models", "").Body.String(), `"context_length":`)
}

func TestPageNeedsAKey(t *testing.T) {
	s := newServer(t, func(o *Options) { o.APIKey = "secret" })
	for _, path := range []string{"/", "/page/page.js"} {
		require.Equal(t, 200, ask(s, "GET", path, "").Code, path)
	}
	require.Equal(t, 401, ask(s, "POST", "/", "").Code)
}

func TestTokensComeBackOtherwise(t *testing.T) {
	s := newServer(t)
	for _, c := range []struct{ path, body, want string }{
		{"/tokenize", `{"content":""}`, `{"tokens":[]}`},
		{"/tokenize", `{"content":"<|user|>"}`, `{"tokens":[USER]}`},
		{"/tokenize", `{"content":"","add_special":true}`, `{"tokens":[GMASK,SOP]}`},
		{"/tokenize", `{"content":"<|user|>","with_pieces":true}`, `{"tokens":[{"id":USER,"piece":"<|user|>"}]}`},
		{"/detokenize", `{"tokens":[USER]}`, `{"content":"<|user|>"}`},
	} {
		m, err := model.OpenText(t.Context(), "", "")
		require.NoError(t, err)
		id := func(name string) string {
			id, ok := m.Special(name)
			require.True(t, ok)
			data, err := json.Marshal(id)
			require.NoError(t, err)
			return string(data)
		}
		ids := strings.NewReplacer("USER", id("<|user|>"), "GMASK", id("[gMASK]"), "SOP", id("<sop>"))
		w := ask(s, "POST", c.path, ids.Replace(c.body))
		require.JSONEq(t, ids.Replace(c.want), w.Body.String(), c.body)
	}
	var tokens struct {
		Tokens []int32 `json:"tokens"`
	}
	w := ask(s, "POST", "/tokenize", `{"content":"<|user|>","parse_special":false}`)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &tokens))
	require.Greater(t, len(tokens.Tokens), 1)
	w = ask(s, "POST", "/tokenize", `{"content":"é","with_pieces":true}`)
	require.Contains(t, w.Body.String(), `"piece":`)
	for body, wants := range map[string]string{`{}`: "content is missing", `{"content":[1]}`: "content is an array"} {
		_, _, message := errorOf(t, ask(s, "POST", "/tokenize", body))
		require.Contains(t, message, wants)
	}
	for body, wants := range map[string]string{
		`{}`: "tokens must be", `{"tokens":[-1]}`: "tokens[0] is -1", `{"tokens":[1,null]}`: "tokens must be",
	} {
		_, _, message := errorOf(t, ask(s, "POST", "/detokenize", body))
		require.Contains(t, message, wants)
	}
}

func TestLogTellsAPrompt(t *testing.T) {
	for _, prompts := range []bool{false, true} {
		var out lockedBuffer
		s := newServer(t, func(o *Options) { o.Log, o.LogPrompts = slog.New(slog.NewJSONHandler(&out, nil)), prompts })
		for _, body := range []string{`{"messages":[{"role":"user","content":"MYSTERY"}],"max_tokens":3}`,
			`{"messages":[{"role":"MYSTERY","content":"MYSTERY"}]}`, `{"MYSTERY`} {
			ask(s, "POST", "/v1/chat/completions?key=MYSTERY", body, "Authorization", "Bearer MYSTERY")
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		var first, second map[string]any
		if !prompts {
			require.Len(t, lines, 3)
			require.NotContains(t, out.String(), "MYSTERY")
			require.NoError(t, json.Unmarshal([]byte(lines[0]), &first))
			require.NoError(t, json.Unmarshal([]byte(lines[1]), &second))
			require.Equal(t, "/v1/chat/completions", first["path"])
			require.EqualValues(t, 200, first["status"])
			require.EqualValues(t, 3, first["completion_tokens"])
			require.EqualValues(t, 400, second["status"])
			require.Equal(t, "messages[0].role", second["param"])
			continue
		}
		require.Len(t, lines, 6)
		require.Contains(t, lines[0], "MYSTERY")
		require.NotContains(t, out.String(), "Bearer")
	}
}

func TestMetricsCountNothing(t *testing.T) {
	s := newServer(t)
	ask(s, "POST", "/v1/chat/completions", `{`+hello+`,"max_tokens":3,"n":2}`)
	ask(s, "POST", "/v1/chat/completions", `{`)
	ask(s, "GET", "/nothing/at/all", "")
	text := ask(s, "GET", "/metrics", "").Body.String()
	for _, line := range []string{
		`glm4_requests_total{route="POST /v1/chat/completions",status="200"} 1`,
		`glm4_requests_total{route="POST /v1/chat/completions",status="400"} 1`,
		`glm4_requests_total{route="other",status="404"} 1`,
		"glm4_prompt_tokens_total 6", "glm4_completion_tokens_total 6", "glm4_model_loaded 1", "glm4_model_loads_total 1",
		"glm4_requests_running 0", "glm4_prefill_seconds_count 2",
	} {
		require.Contains(t, text, line+"\n")
	}
}

func TestRequestTakesForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := func(tokens []int32, _ []float32) {
			if len(tokens) > 8 { // two of the answer
				time.Sleep(time.Hour)
			}
		}
		s := newServer(t, func(o *Options) {
			o.Timeout, o.Defaults.Processors = time.Minute, []model.LogitsProcessor{stuck}
		})
		w := ask(s, "POST", "/v1/chat/completions", `{`+hello+`}`)
		require.Equal(t, http.StatusGatewayTimeout, w.Code)
		code, _, _ := errorOf(t, w)
		require.Equal(t, "timeout", code)
		w = ask(s, "POST", "/v1/chat/completions", `{`+hello+`,"stream":true}`)
		require.Equal(t, http.StatusOK, w.Code)
		require.Contains(t, w.Body.String(), ": ping\n")
		require.True(t, strings.HasSuffix(w.Body.String(),
			`data: {"error":{"message":"the request has taken longer than it may","type":"server_error","param":null,`+
				`"code":"timeout"}}`+"\n\n"), w.Body.String())
	})
}

// lockedBuffer may be written to from several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *lockedBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(data)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
