// Command langchaingo talks to a running server with langchaingo, as python.py does with the official clients:
//
//	glm4-metal serve --port 8080 &
//	go run . http://127.0.0.1:8080 [KEY]
//
// It prints a line for each check and ends with status 1 where one fails.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/llms/openai"
)

var tools = []llms.Tool{{Type: "function", Function: &llms.FunctionDefinition{Name: "get_weather",
	Parameters: map[string]any{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}}}}}

type client struct{ *openai.LLM }

func newClient(url, key string) (client, error) {
	l, err := openai.New(openai.WithBaseURL(url+"/v1"), openai.WithToken(key), openai.WithModel("glm-4"))
	return client{l}, err
}

func (c client) ask(messages []llms.MessageContent, options ...llms.CallOption) (*llms.ContentChoice, error) {
	return c.askUntil(context.Background(), messages, options...)
}

func (c client) askUntil(ctx context.Context, messages []llms.MessageContent,
	options ...llms.CallOption) (*llms.ContentChoice, error) {
	r, err := c.GenerateContent(ctx, messages, append([]llms.CallOption{llms.WithMaxTokens(64)}, options...)...)
	if err != nil {
		return nil, err
	}
	return r.Choices[0], nil
}

func human(text string) []llms.MessageContent {
	return []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeHuman, text)}
}

func (c client) chat() error {
	a, err := c.ask(human("Hello"))
	if err == nil && (a.Content == "" || a.StopReason == "" || a.GenerationInfo["CompletionTokens"] == 0) {
		err = fmt.Errorf("%+v", *a)
	}
	return err
}

func (c client) stream() error {
	whole, err := c.ask(human("Hello"))
	if err != nil {
		return err
	}
	var text strings.Builder
	a, err := c.ask(human("Hello"), llms.WithStreamingFunc(func(_ context.Context, chunk []byte) error {
		text.Write(chunk)
		return nil
	}))
	if err == nil && (text.String() != whole.Content || a.Content != whole.Content || a.StopReason != whole.StopReason) {
		err = fmt.Errorf("%q, %+v", text.String(), *a)
	}
	return err
}

func (c client) threeTurns(options ...llms.CallOption) error {
	messages := human("What is the weather in Paris?")
	options = append(options, llms.WithTools(tools))
	for range 2 {
		a, err := c.ask(messages, append(options, llms.WithToolChoice("required"))...)
		if err != nil {
			return err
		}
		if len(a.ToolCalls) == 0 {
			return fmt.Errorf("no call: %+v", *a)
		}
		said := llms.MessageContent{Role: llms.ChatMessageTypeAI}
		var results []llms.MessageContent
		for _, call := range a.ToolCalls {
			var arguments map[string]any
			if err := json.Unmarshal([]byte(call.FunctionCall.Arguments), &arguments); err != nil {
				return fmt.Errorf("%w: %s", err, call.FunctionCall.Arguments)
			}
			said.Parts = append(said.Parts, call)
			results = append(results, llms.MessageContent{Role: llms.ChatMessageTypeTool, Parts: []llms.ContentPart{
				llms.ToolCallResponse{ToolCallID: call.ID, Name: call.FunctionCall.Name, Content: "sunny"}}})
		}
		messages = append(append(messages, said), results...)
		if a, err = c.ask(messages, append(options, llms.WithToolChoice("none"))...); err != nil {
			return err
		}
		if len(a.ToolCalls) > 0 {
			return fmt.Errorf("a call: %+v", *a)
		}
		messages = append(messages, llms.TextParts(llms.ChatMessageTypeAI, a.Content),
			llms.TextParts(llms.ChatMessageTypeHuman, "And tomorrow?"))
	}
	return nil
}

func (c client) tools() error { return c.threeTurns() }

func (c client) streamedTools() error {
	return c.threeTurns(llms.WithStreamingFunc(func(context.Context, []byte) error { return nil }))
}

func (c client) refusal() error {
	_, err := c.ask(human("Hello"), llms.WithJSONMode())
	if err == nil || !strings.Contains(err.Error(), "response_format") {
		return fmt.Errorf("JSON mode is not refused by its name: %w", err)
	}
	return nil
}

func (c client) cancellation() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err := c.askUntil(ctx, human("Hello"), llms.WithStreamingFunc(func(ctx context.Context, _ []byte) error {
		cancel()
		return ctx.Err()
	}))
	if !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the stream went on: %w", err)
	}
	return c.chat()
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: langchaingo URL [KEY]")
		os.Exit(2)
	}
	key := "none"
	if len(os.Args) > 2 {
		key = os.Args[2]
	}
	c, err := newClient(os.Args[1], key)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	failed := 0
	for _, check := range []struct {
		name string
		run  func() error
	}{
		{"answer", c.chat}, {"stream", c.stream}, {"tools_over_three_turns", c.tools}, {"streamed_tools", c.streamedTools},
		{"errors", c.refusal}, {"cancellation", c.cancellation},
	} {
		if err := check.run(); err != nil {
			failed++
			fmt.Println("FAILED langchaingo", check.name, err)
			continue
		}
		fmt.Println("ok     langchaingo", check.name)
	}
	if failed > 0 {
		os.Exit(1)
	}
	fmt.Println("langchaingo: nothing failed")
}
