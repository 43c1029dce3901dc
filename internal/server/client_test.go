package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sashabaranov/go-openai"
	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/model"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// newClient is a client of another's making.
func newClient(t testing.TB, change ...func(*Options)) (*openai.Client, *Server) {
	s := newServer(t, append(change, func(o *Options) { o.APIKey = "secret" })...)
	config := openai.DefaultConfig("secret")
	config.BaseURL = listen(t, s) + "/v1"
	return openai.NewClientWithConfig(config), s
}

func chatRequestOf(text string) openai.ChatCompletionRequest {
	return openai.ChatCompletionRequest{Model: "any", MaxCompletionTokens: 8,
		Messages: []openai.ChatCompletionMessage{{Role: "user", Content: text}}}
}

// received is a stream put together.
func received(t testing.TB, stream *openai.ChatCompletionStream) (m openai.ChatCompletionMessage,
	finish openai.FinishReason, usage *openai.Usage) {
	defer stream.Close()
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return m, finish, usage
		}
		require.NoError(t, err)
		if chunk.Usage != nil {
			usage = chunk.Usage
		}
		for _, c := range chunk.Choices {
			m.Role += c.Delta.Role
			m.Content += c.Delta.Content
			m.ReasoningContent += c.Delta.ReasoningContent
			finish += c.FinishReason
			for _, call := range c.Delta.ToolCalls {
				if *call.Index == len(m.ToolCalls) {
					m.ToolCalls = append(m.ToolCalls, call)
					continue
				}
				m.ToolCalls[*call.Index].Function.Arguments += call.Function.Arguments
			}
		}
	}
}

func TestClientCannotChat(t *testing.T) {
	client, _ := newClient(t)
	whole, err := client.CreateChatCompletion(t.Context(), chatRequestOf("Hello"))
	require.NoError(t, err)
	require.Equal(t, "Hello! I am the small demo", whole.Choices[0].Message.Content)
	require.Equal(t, openai.FinishReasonLength, whole.Choices[0].FinishReason)
	require.Equal(t, 8, whole.Usage.CompletionTokens)
	q := chatRequestOf("Hello")
	q.StreamOptions = &openai.StreamOptions{IncludeUsage: true}
	stream, err := client.CreateChatCompletionStream(t.Context(), q)
	require.NoError(t, err)
	m, finish, usage := received(t, stream)
	require.Equal(t, "assistant", m.Role)
	require.Equal(t, whole.Choices[0].Message.Content, m.Content)
	require.Equal(t, openai.FinishReasonLength, finish)
	require.Equal(t, whole.Usage.TotalTokens, usage.TotalTokens)
	list, err := client.ListModels(t.Context())
	require.NoError(t, err)
	require.Equal(t, "glm4-demo", list.Models[0].ID)
}

func TestClientGetsNoLogprobs(t *testing.T) {
	client, _ := newClient(t)
	q := chatRequestOf("Hello")
	q.LogProbs, q.TopLogProbs, q.LogitBias, q.Stop = true, 2, map[string]int{"1": -100}, []string{" demo"}
	r, err := client.CreateChatCompletion(t.Context(), q)
	require.NoError(t, err)
	require.Equal(t, "Hello! I am the small", r.Choices[0].Message.Content)
	text := ""
	for _, l := range r.Choices[0].LogProbs.Content {
		text += l.Token
		require.Equal(t, l.Token, string(l.Bytes))
		require.Len(t, l.TopLogProbs, 2)
		require.Equal(t, l.Token, l.TopLogProbs[0].Token, "greedy")
		require.LessOrEqual(t, l.TopLogProbs[1].LogProb, l.LogProb)
	}
	require.Equal(t, "\nHello! I am the small demo", text)
}

// Three turns: two calls, their results in the wrong order, an answer.
func TestClientCannotUseTools(t *testing.T) {
	tools := []openai.Tool{{Type: "function", Function: &openai.FunctionDefinition{Name: "get_weather",
		Parameters: json.RawMessage(`{"type":"object"}`)}}, {Type: "function",
		Function: &openai.FunctionDefinition{Name: "get_time", Parameters: json.RawMessage(`{"type":"object"}`)}}}
	for _, streamed := range []bool{false, true} {
		client, _ := newClient(t, scripted(t, func(prompt string) string {
			switch {
			case strings.HasSuffix(prompt, "noon<|assistant|>"):
				return "\nSunny at noon.<|user|>"
			case strings.HasSuffix(prompt, "sun\n<|assistant|>"), strings.HasSuffix(prompt, "sun<|assistant|>"):
				return "\nWrong order: " + prompt + "<|user|>"
			}
			return "get_weather\n{\"city\": \"Paris\"}<|assistant|>get_time\n{}<|observation|>"
		}))
		q := openai.ChatCompletionRequest{Tools: tools,
			Messages: []openai.ChatCompletionMessage{{Role: "developer", Content: "Help."}, {Role: "user", MultiContent: []openai.
				ChatMessagePart{{Type: "text", Text: "Weather?"}, {Type: "text", Text: "And the time?"}}}}}
		ask := func() (openai.ChatCompletionMessage, openai.FinishReason) {
			if streamed {
				stream, err := client.CreateChatCompletionStream(t.Context(), q)
				require.NoError(t, err)
				m, finish, _ := received(t, stream)
				return m, finish
			}
			r, err := client.CreateChatCompletion(t.Context(), q)
			require.NoError(t, err)
			return r.Choices[0].Message, r.Choices[0].FinishReason
		}
		m, finish := ask()
		require.Equal(t, openai.FinishReasonToolCalls, finish)
		require.Empty(t, m.Content)
		require.Len(t, m.ToolCalls, 2)
		require.NotEqual(t, m.ToolCalls[0].ID, m.ToolCalls[1].ID)
		require.EqualValues(t, "function", m.ToolCalls[1].Type)
		require.Equal(t, openai.FunctionCall{Name: "get_weather", Arguments: `{"city": "Paris"}`}, m.ToolCalls[0].Function)
		require.Equal(t, openai.FunctionCall{Name: "get_time", Arguments: `{}`}, m.ToolCalls[1].Function)
		q.Messages = append(q.Messages, m,
			openai.ChatCompletionMessage{Role: "tool", ToolCallID: m.ToolCalls[1].ID, Content: "noon"},
			openai.ChatCompletionMessage{Role: "tool", ToolCallID: m.ToolCalls[0].ID, Content: "sun"})
		m, finish = ask()
		require.Equal(t, "Sunny at noon.", m.Content)
		require.Equal(t, openai.FinishReasonStop, finish)
		q.Messages = append(q.Messages, m, openai.ChatCompletionMessage{Role: "user", Content: "Again?"})
		q.ParallelToolCalls = false
		m, finish = ask()
		require.Equal(t, openai.FinishReasonToolCalls, finish)
		require.Len(t, m.ToolCalls, 1, "parallel_tool_calls is false")
	}
}

func TestClientDoesNotSeeErrors(t *testing.T) {
	client, s := newClient(t)
	q := chatRequestOf(strings.Repeat("word ", 9000))
	for _, ask := range []func() error{
		func() error {
			_, err := client.CreateChatCompletion(t.Context(), q)
			return err
		},
		func() error {
			_, err := client.CreateChatCompletionStream(t.Context(), q)
			return err
		},
	} {
		var e *openai.APIError
		require.ErrorAs(t, ask(), &e)
		require.Equal(t, http.StatusBadRequest, e.HTTPStatusCode)
		require.Equal(t, "context_length_exceeded", e.Code)
		require.Equal(t, "invalid_request_error", e.Type)
		require.Equal(t, "messages", *e.Param)
	}
	config := openai.DefaultConfig("wrong")
	config.BaseURL = listen(t, s) + "/v1"
	_, err := openai.NewClientWithConfig(config).ListModels(t.Context())
	var e *openai.APIError
	require.ErrorAs(t, err, &e)
	require.Equal(t, http.StatusUnauthorized, e.HTTPStatusCode)
}

// endless is a request whose answer goes on until the context is full.
const endless = `{` + hello + `,"ignore_eos":true,"max_tokens":-1`

// unused waits until nobody uses the model.
func unused(t testing.TB, s *Server, users int) {
	require.Eventually(t, func() bool {
		s.engine.mu.Lock()
		defer s.engine.mu.Unlock()
		return s.engine.users == users
	}, patience, time.Millisecond)
}

func TestAnswerGoesOnForNobody(t *testing.T) {
	s := newServer(t, func(o *Options) { o.Pool.Parallel = 1 })
	url := listen(t, s)
	begin := func(body string) (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, "POST", url+"/v1/chat/completions", strings.NewReader(body))
		require.NoError(t, err)
		begun, ended := make(chan error, 1), make(chan struct{})
		go func() {
			defer close(ended)
			w, err := http.DefaultClient.Do(r)
			begun <- err
			if err == nil {
				io.Copy(io.Discard, w.Body)
				w.Body.Close()
			}
		}()
		if strings.Contains(body, `"stream":true`) {
			require.NoError(t, <-begun)
		}
		return func() {
			cancel()
			<-ended
		}
	}
	stop := begin(endless + `,"stream":true}`)
	waiting := begin(endless + `}`) // in the queue
	unused(t, s, 2)
	waiting()
	unused(t, s, 1)
	stop()
	unused(t, s, 0)
	stop = begin(endless + `,"n":2}`)
	unused(t, s, 1)
	stop()
	unused(t, s, 0)
}

// postChat sends a chat completion and gives the answer when its headers have come.
func postChat(t testing.TB, url, body string) *http.Response {
	w, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(body))
	require.NoError(t, err)
	t.Cleanup(func() { w.Body.Close() })
	return w
}

func TestFullQueueTakesMore(t *testing.T) {
	s := newServer(t, func(o *Options) { o.Pool.Parallel, o.Pool.Queue = 1, 1 })
	url := listen(t, s)
	running := postChat(t, url, endless+`,"stream":true}`)
	waited := make(chan int, 1)
	go func() { waited <- ask(s, "POST", "/v1/chat/completions", `{`+hello+`,"max_tokens":2}`).Code }()
	require.Eventually(t, func() bool { return s.engine.state().stats.Waiting == 1 }, patience, time.Millisecond)
	for _, more := range []string{`}`, `,"stream":true}`} {
		w := ask(s, "POST", "/v1/chat/completions", endless+more)
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Equal(t, "1", w.Header().Get("Retry-After"))
		code, _, _ := errorOf(t, w)
		require.Equal(t, "queue_full", code)
	}
	w := ask(s, "POST", "/v1/chat/completions", `{`+hello+`,"n":3}`)
	require.Equal(t, http.StatusServiceUnavailable, w.Code, "none of the three is left in the queue")
	running.Body.Close()
	require.Equal(t, http.StatusOK, <-waited)
	unused(t, s, 0)
}

func TestCloseLeavesAStreamOpen(t *testing.T) {
	s := New(Options{Load: loadDemo, Model: "m", Pool: model.PoolOptions{Parallel: 1}})
	url := listen(t, s)
	running := postChat(t, url, endless+`,"stream":true}`)
	waited := make(chan *httptest.ResponseRecorder, 1)
	go func() { waited <- ask(s, "POST", "/v1/chat/completions", `{`+hello+`}`) }()
	unused(t, s, 2)
	require.NoError(t, s.Close())
	body := readAll(t, running.Body)
	require.True(t, strings.HasSuffix(body, `data: {"error":{"message":"the server stops; try again later",`+
		`"type":"server_error","param":null,"code":"stopping"}}`+"\n\n"), body[max(0, len(body)-300):])
	require.Equal(t, http.StatusServiceUnavailable, (<-waited).Code)
}

func TestSeveralAnswersAreOne(t *testing.T) {
	s := newServer(t)
	options := `"n":3,"temperature":1.5,"seed":7,"max_tokens":12`
	texts := func(stream bool) map[int]string {
		w := ask(s, "POST", "/v1/chat/completions", `{`+hello+`,`+options+`,"stream":`+strconv.FormatBool(stream)+`}`)
		require.Equal(t, http.StatusOK, w.Code)
		all := map[int]string{}
		for line := range strings.Lines(w.Body.String()) {
			var chunk struct {
				Choices []struct {
					Index          int
					Message, Delta struct{ Content string }
				}
			}
			data := strings.TrimPrefix(strings.TrimSpace(line), "data: ")
			if data == "" || data == "[DONE]" {
				continue
			}
			require.NoError(t, json.Unmarshal([]byte(data), &chunk))
			for _, c := range chunk.Choices {
				all[c.Index] += c.Message.Content + c.Delta.Content
			}
		}
		return all
	}
	whole := texts(false)
	require.Len(t, whole, 3)
	require.Equal(t, whole, texts(true))
	require.False(t, whole[0] == whole[1] && whole[1] == whole[2], whole)
}
