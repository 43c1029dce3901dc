package server

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/chatformat"
	"github.com/glm4-metal/glm4-metal/model"
)

// template has a server write prompts in a format.
func template(nameOrFile string) func(*Options) {
	return func(o *Options) {
		o.Load = func(ctx context.Context) (*model.Model, error) {
			return model.Load(ctx, "", model.Backend(device), model.ChatTemplate(nameOrFile))
		}
	}
}

func post(s *Server, path, body string) (status int, answer string) {
	w := ask(s, "POST", path, body)
	return w.Code, w.Body.String()
}

// askMessage asks for a message.
func askMessage(t *testing.T, s *Server, body string) (m message) {
	t.Helper()
	w := ask(s, "POST", "/v1/messages", body)
	require.Equal(t, 200, w.Code, w.Body)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &m))
	return m
}

func TestBegunAnswerIsNotContinued(t *testing.T) {
	for _, format := range []string{"glm-4-0414", "glm-4-9b-chat"} { // the demo was not trained to reason
		s := newServer(t, template(format))
		whole := askMessage(t, s, `{"max_tokens": 20, "temperature": 0, "messages": [{"role": "user", "content": "Hello"}]}`)
		text := *whole.Content[0].Text
		for at := range text {
			if at == 0 || text[at] != ' ' {
				continue
			}
			begun, err := json.Marshal(text[:at])
			require.NoError(t, err)
			rest := askMessage(t, s, `{"max_tokens": 20, "temperature": 0, "messages": [{"role": "user", "content": "Hello"},
				{"role": "assistant", "content": `+string(begun)+`}]}`)
			require.True(t, strings.HasPrefix(text[:at]+*rest.Content[0].Text, text), "%s: %q after %q", format,
				*rest.Content[0].Text, text[:at])
		}
	}
}

func TestBegunAnswerLosesItsCall(t *testing.T) {
	for begun, said := range map[string]string{
		`Let me see.`:    "\nget_weather\n{\"city\": \"Paris\"}",
		`Let me see.\n`:  "get_weather\n{\"city\": \"Paris\"}",
		`get_we`:         "ather\n{\"city\": \"Paris\"}",
		`get_weather\n{`: "\"city\": \"Paris\"}",
	} {
		for _, format := range chatformat.Names() {
			m, err := model.Load(context.Background(), "", model.ChatTemplate(format))
			require.NoError(t, err)
			q, err := decodeMessages(readBytes(t, `{"max_tokens": 50, "messages": [{"role": "user", "content": "Hello"},
				{"role": "assistant", "content": "`+begun+`"}], "tools": [{"name": "get_weather", "input_schema": {}}]}`),
				model.Options{}, false)
			require.NoError(t, err)
			_, reply, err := continuation(t.Context(), m.Text(), q.Request)
			require.NoError(t, err)
			var got model.Message
			for e, err := range reply.events(letters(said)) {
				require.NoError(t, err)
				got.Add(e)
			}
			require.Equal(t, model.Message{ToolCalls: []model.ToolCall{{Name: "get_weather", Arguments: `{"city": "Paris"}`}}},
				got, "%s: %q", format, begun)
			require.NoError(t, m.Close())
		}
	}
}

// letters are events of a letter each.
func letters(text string) iter.Seq2[model.Event, error] {
	var events []model.Event
	for _, r := range text {
		events = append(events, model.Event{Text: string(r)})
	}
	return said(events...)
}

func TestBeginningIsToldAgain(t *testing.T) {
	m, err := model.Load(context.Background(), "")
	require.NoError(t, err)
	defer m.Close()
	for _, begun := range []string{"a", "get_we", "get_weather\n{", "line\n", "\nline", "\n\nget_weather\n", "get_weather\n{}\n"} {
		_, reply, err := continuation(t.Context(), m.Text(), model.Request{Tools: []model.Tool{{Name: "get_weather",
			JSON: json.RawMessage(`{"name": "get_weather"}`)}},
			Messages: []model.Message{model.UserMessage("Hello"), model.AssistantMessage(begun)}})
		require.NoError(t, err)
		var got model.Message
		for e, err := range reply.events(letters("st and more")) {
			require.NoError(t, err)
			got.Add(e)
		}
		require.Equal(t, "st and more", got.Content, "%q", begun)
	}
}

func TestTemplateThatCannotContinueIsNotTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "own.jinja")
	require.NoError(t, os.WriteFile(file, []byte(`{% for m in messages %}{{ m.content }}{% endfor %}`), 0o600))
	s := newServer(t, template(file))
	status, answer := post(s, "/v1/messages", `{"max_tokens": 1, "messages": [{"role": "assistant", "content": "a"}]}`)
	require.Equal(t, 400, status)
	require.Contains(t, answer, "own.jinja")
	require.Contains(t, answer, `"type":"invalid_request_error"`)
}

func TestCountIsNotThePromptsLength(t *testing.T) {
	s := newServer(t)
	for _, body := range []string{
		`"messages": [{"role": "user", "content": "Hello"}]`,
		`"messages": [{"role": "user", "content": "Hello"}], "system": "Be brief.",
			"tools": [{"name": "f", "input_schema": {"type": "object"}}]`,
		`"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "I"}]`,
	} {
		status, answer := post(s, "/v1/messages/count_tokens", `{"model": "glm-4", `+body+`}`)
		require.Equal(t, 200, status, answer)
		m := askMessage(t, s, `{"model": "glm-4", "max_tokens": 1, `+body+`}`)
		require.JSONEq(t, fmt.Sprintf(`{"input_tokens": %d}`, m.Usage.InputTokens+m.Usage.CacheReadInputTokens), answer)
	}
}

func TestStopSequenceIsNotTold(t *testing.T) {
	s := newServer(t, scripted(t, func(string) string { return "one two three<|user|>" }))
	m := askMessage(t, s, `{"max_tokens": 50, "stop_sequences": ["four", " thr"], "messages": [{"role": "user", "content": "Hello"}]}`)
	require.Equal(t, "stop_sequence", *m.StopReason)
	require.Equal(t, " thr", *m.StopSequence)
	require.Equal(t, "one two", *m.Content[0].Text)
}

func TestPromptThatIsTooLongIsNotAnthropicsError(t *testing.T) {
	long := strings.Repeat("word ", 20000)
	s := newServer(t)
	body := `"max_tokens": 1, "messages": [{"role": "user", "content": "` + long + `"}]}`
	status, answer := post(s, "/v1/messages", `{`+body)
	require.Equal(t, 400, status)
	require.Regexp(t, `^{"error":{"message":"prompt is too long: \d+ tokens > \d+ maximum","type":"invalid_request_error"},"type":"error"}`, answer)
}

// chatter is what a model writes that has been told of get_weather: a call, and after its result a text.
func chatter(prompt string) string {
	last := prompt[strings.LastIndex(prompt, "<|user|>"):]
	switch {
	case !strings.Contains(prompt, "get_weather"):
		return "Hello there.<|user|>"
	case strings.Contains(last, "<|observation|>"):
		return "It is sunny.<|user|>"
	}
	return "I look.\nget_weather\n{\"city\": \"Paris\"}<|observation|>"
}

func TestToolsOfMessagesFailOverThreeTurns(t *testing.T) {
	s := newServer(t, scripted(t, chatter))
	history := `{"role": "user", "content": "Weather in Paris?"}`
	turn := func() message {
		return askMessage(t, s, `{"max_tokens": 50, "tools": [{"name": "get_weather", "input_schema": {"type": "object"}}],
			"messages": [`+history+`]}`)
	}
	for range 2 {
		m := turn()
		require.Equal(t, "tool_use", *m.StopReason)
		require.Equal(t, "I look.", *m.Content[0].Text)
		require.JSONEq(t, `{"city": "Paris"}`, string(m.Content[1].Input))
		content, err := json.Marshal(m.Content)
		require.NoError(t, err)
		history += `, {"role": "assistant", "content": ` + string(content) + `}, {"role": "user", "content": [
			{"type": "tool_result", "tool_use_id": "` + m.Content[1].ID + `", "content": "sun"}]}`
		m = turn()
		require.Equal(t, "end_turn", *m.StopReason)
		require.Equal(t, "It is sunny.", *m.Content[0].Text)
		history += `, {"role": "assistant", "content": "It is sunny."}, {"role": "user", "content": "And now?"}`
	}
}

func TestToolsOfResponsesFailOverThreeTurns(t *testing.T) {
	s := newServer(t, scripted(t, chatter))
	previous, input := "null", `"Weather in Paris?"`
	type answer struct {
		ID     string
		Output []responseItem
	}
	turn := func() (a answer) {
		status, text := post(s, "/v1/responses", `{"tools": [{"type": "function", "name": "get_weather",
			"parameters": {"type": "object"}}], "input": `+input+`, "previous_response_id": `+previous+`}`)
		require.Equal(t, 200, status, text)
		require.NoError(t, json.Unmarshal([]byte(text), &a))
		previous = `"` + a.ID + `"`
		return a
	}
	for range 2 {
		a := turn()
		require.Equal(t, "message", a.Output[0].Type)
		require.Equal(t, "function_call", a.Output[1].Type)
		input = `[{"type": "function_call_output", "call_id": "` + a.Output[1].CallID + `", "output": "sun"}]`
		a = turn()
		require.Len(t, a.Output, 1)
		require.Equal(t, "message", a.Output[0].Type)
		input = `"And now?"`
	}
	w := ask(s, "GET", "/v1/responses/"+strings.Trim(previous, `"`), "")
	require.Equal(t, 200, w.Code)
	require.Contains(t, w.Body.String(), "It is sunny.")
}

func TestUnknownResponseIsNoError(t *testing.T) {
	s := newServer(t)
	for _, method := range []string{"GET", "DELETE"} {
		require.Equal(t, 404, ask(s, method, "/v1/responses/resp_x", "").Code)
	}
	status, answer := post(s, "/v1/responses", `{"input": "a", "previous_response_id": "resp_x"}`)
	require.Equal(t, 400, status, "as OpenAI's")
	require.Contains(t, answer, `"code":"previous_response_not_found"`)
}

func TestResponseIsKeptAgainstTheRequest(t *testing.T) {
	s := newServer(t, scripted(t, chatter))
	_, text := post(s, "/v1/responses", `{"input": "Hello", "store": false}`)
	var a struct{ ID string }
	require.NoError(t, json.Unmarshal([]byte(text), &a))
	require.Equal(t, 404, ask(s, "GET", "/v1/responses/"+a.ID, "").Code)
}

func TestStreamOverHTTPHasOtherEvents(t *testing.T) {
	s := newServer(t, scripted(t, chatter))
	status, answer := post(s, "/v1/messages", `{"max_tokens": 50, "stream": true, "messages": [{"role": "user", "content": "Hello"}]}`)
	require.Equal(t, 200, status)
	require.True(t, strings.HasPrefix(answer, "event: message_start\ndata: {"), answer)
	require.True(t, strings.HasSuffix(answer, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"), answer)
	status, answer = post(s, "/v1/responses", `{"stream": true, "input": "Hello"}`)
	require.Equal(t, 200, status)
	require.True(t, strings.HasPrefix(answer, "event: response.created\ndata: {"), answer)
	require.Contains(t, answer, "event: response.completed\ndata: {")
}

func TestStreamThatFailsEndsAsIfWhole(t *testing.T) {
	for path, c := range map[string]struct{ body, last string }{
		"/v1/messages":  {`{"max_tokens": 50, "stream": true, ` + hello + `}`, `event: error` + "\n" + `data: {"error":{"message":`},
		"/v1/responses": {`{"stream": true, "input": "Hello"}`, `event: response.failed` + "\n" + `data: {"response":{"id":"resp_`},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		tokens := 0
		s := newServer(t, func(o *Options) {
			o.Defaults.Processors = []model.LogitsProcessor{func([]int32, []float32) {
				if tokens++; tokens == 3 {
					cancel()
				}
			}}
		})
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, "POST", "http://localhost"+path, strings.NewReader(c.body)))
		events := strings.Split(strings.TrimSuffix(w.Body.String(), "\n\n"), "\n\n")
		require.True(t, strings.HasPrefix(events[len(events)-1], c.last), events[len(events)-1])
		require.Contains(t, w.Body.String(), "Hello")
	}
}
