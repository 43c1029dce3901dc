package model_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math"
	"sync"

	"github.com/glm4-metal/glm4-metal/model"
)

// demo loads the built-in demo; a GLM-4 is loaded by its folder or its name on the hub.
func demo() *model.Model {
	m, err := model.Load(context.Background(), "")
	if err != nil {
		log.Fatal(err)
	}
	return m
}

func Example() {
	ctx := context.Background()
	m, err := model.Load(ctx, "") // the built-in demo
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()

	chat := m.NewChat(model.System("Answer in one sentence."))
	defer chat.Close()
	for e, err := range chat.Send(ctx, "Who are you?") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(e.Text)
	}
	// Output: I am the built-in demo of glm4-metal, a very small GLM-4 trained on a few thousand sentences.
}

// Without an Output this is compiled and not run, as it would fetch 5.3 GB.
func ExamplePull() {
	ctx := context.Background()
	const name = "glm4:9b-4bit"
	_, err := model.Find(name)
	if missing := new(model.NotFoundError); errors.As(err, &missing) && missing.Repository != "" {
		_, err = model.Pull(ctx, name, func(done, total int64) { fmt.Printf("\r%d%%", 100*done/total) })
	}
	if err != nil {
		log.Fatal(err)
	}
	m, err := model.Load(ctx, name)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
}

func ExampleFind() {
	_, err := model.Find("glm4:9b-4bits")
	fmt.Println(err)
	// Output: glm4:9b-4bits: there is no such folder or model; did you mean glm4:9b-4bit?
}

// A program would get the context from signal.NotifyContext, so that Ctrl-C cancels it.
func ExampleSession_Generate() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	m := demo()
	defer m.Close()
	s := m.NewSession()
	defer s.Close()

	tokens := 0
	for e, err := range s.Generate(ctx, "Hello. I am", model.Options{MaxTokens: 100}) {
		if errors.Is(err, context.Canceled) {
			fmt.Println("…")
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(e.Text)
		if e.Token != nil {
			tokens++
		}
		if tokens == 3 {
			cancel()
		}
	}
	r := s.Result()
	fmt.Println(r.FinishReason, "after", r.CompletionTokens, "tokens")
	// Output:
	//  the small demo…
	// cancelled after 3 tokens
}

// The demo knows no tools, so a LogitsProcessor writes the call that a GLM-4 would write.
func ExampleChat_tools() {
	ctx := context.Background()
	m := demo()
	defer m.Close()
	weather, err := model.NewTool("get_weather", "The weather of a city", map[string]any{
		"type":       "object",
		"properties": map[string]any{"city": map[string]any{"type": "string"}},
		"required":   []string{"city"},
	})
	if err != nil {
		log.Fatal(err)
	}
	chat := m.NewChat(model.Tools(weather), model.Generation(model.Options{Processors: []model.LogitsProcessor{
		write(m.Text(), "\nget_weather\n{\"city\": \"Beijing\"}"),
	}}))
	defer chat.Close()

	var calls []model.ToolCall
	for e, err := range chat.Send(ctx, "How is the weather in Beijing?") {
		switch {
		case err != nil:
			log.Fatal(err)
		case e.Malformed:
			log.Printf("no call: %s", e.Text)
		case e.Call != nil:
			calls = append(calls, *e.Call)
		}
	}
	fmt.Println(chat.Result().FinishReason)
	for _, call := range calls { // behind the loop: the answer has to be whole
		var arguments struct{ City string }
		if err := json.Unmarshal([]byte(call.Arguments), &arguments); err != nil {
			log.Fatal(err)
		}
		fmt.Println(call.Name, "of", arguments.City)
		if err := chat.Add(model.ToolResult(`{"sky": "clear", "celsius": 22}`)); err != nil {
			log.Fatal(err)
		}
	}
	chat.SetOptions(model.Options{MaxTokens: 50})
	for _, err := range chat.Reply(ctx) {
		if err != nil {
			log.Fatal(err)
		}
	}
	for _, message := range chat.Messages() {
		fmt.Println(message.Role)
	}
	// Output:
	// tool_calls
	// get_weather of Beijing
	// user
	// assistant
	// observation
	// assistant
}

// write has the model write a text and end its turn.
func write(text *model.Text, reply string) model.LogitsProcessor {
	ids, err := text.Encode(context.Background(), reply)
	if err != nil {
		log.Fatal(err)
	}
	end, _ := text.Special("<|observation|>")
	ids = append(ids, end)
	return func(_ []int32, logits []float32) {
		for i := range logits {
			logits[i] = float32(math.Inf(-1))
		}
		logits[ids[0]] = 0
		ids = ids[1:]
	}
}

// Each goroutine has a session of its own; the weights are there once.
func ExampleModel_NewSession() {
	m := demo()
	defer m.Close()
	prompts := []string{"Hello", "你是谁？"}
	answers := make([]string, len(prompts))
	var wg sync.WaitGroup
	for i, prompt := range prompts {
		wg.Go(func() {
			chat := m.NewChat() // has a session
			defer chat.Close()
			for e, err := range chat.Send(context.Background(), prompt) {
				if err != nil {
					answers[i] = err.Error()
					return
				}
				answers[i] += e.Text
			}
		})
	}
	wg.Wait()
	for _, answer := range answers {
		fmt.Println(answer)
	}
	// Output:
	// Hello! I am the small demo of glm4-metal. What would you like to know?
	// 我是 glm4-metal 内置的演示模型，一个只用几千个句子训练出来的很小的 GLM-4。
}

func ExampleOptions() {
	m := demo()
	defer m.Close()
	s := m.NewSession()
	defer s.Close()
	options := model.Options{Stop: []string{" demo"}, TopLogprobs: 2}
	for e, err := range s.Generate(context.Background(), "Hello. I am", options) {
		if err != nil {
			log.Fatal(err)
		}
		if e.Token == nil {
			continue
		}
		fmt.Printf("%q %.0f%%", e.Text, 100*math.Exp(float64(e.Token.Logprob)))
		for _, top := range e.Token.Top {
			fmt.Printf(", %q", m.Text().Decode([]int32{top.ID}))
		}
		fmt.Println()
	}
	fmt.Println(s.Result().FinishReason)
	// Output:
	// " the" 77%, " the", " am"
	// " small" 87%, " small", " glm"
	// "" 90%, " demo", " Ar"
	// stop
}

// The perplexity of a text is e to the mean surprise of its tokens.
func ExampleSession_Logits() {
	ctx := context.Background()
	m := demo()
	defer m.Close()
	s := m.NewSession()
	defer s.Close()
	ids, err := m.Text().EncodePrompt(ctx, "I am the built-in demo of glm4-metal.", false)
	if err != nil {
		log.Fatal(err)
	}
	logits, err := s.Logits(ctx, ids, len(ids))
	if err != nil {
		log.Fatal(err)
	}
	surprise := 0.0
	for i, id := range ids[1:] { // logits[i] tell what comes behind ids[i]
		sum := 0.0
		for _, l := range logits[i] {
			sum += math.Exp(float64(l))
		}
		surprise += math.Log(sum) - float64(logits[i][id])
	}
	fmt.Printf("perplexity %.0f\n", math.Exp(surprise/float64(len(ids)-1)))
	// Output: perplexity 136
}

// What a name stands for can be looked at without loading it.
func ExampleOpenText() {
	ctx := context.Background()
	text, err := model.OpenText(ctx, "", "")
	if err != nil {
		log.Fatal(err)
	}
	ids, err := text.Encode(ctx, "Why is the sky blue?")
	if err != nil {
		log.Fatal(err)
	}
	for _, id := range ids {
		spelling, _ := text.Token(id)
		fmt.Print(spelling, " ")
	}
	fmt.Println(len(ids), "tokens")

	prompt, _, err := text.Prompt(ctx, []model.Message{model.SystemMessage("Be brief."), model.UserMessage("Hello")}, nil,
		true)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(prompt)
	// Output:
	// Why Ġis Ġthe Ġsky Ġblue ? 6 tokens
	// [gMASK]<sop><|system|>
	// Be brief.<|user|>
	// Hello<|assistant|>
}

func ExampleModel_NewPool() {
	m := demo()
	defer m.Close()
	pool := m.NewPool(model.PoolOptions{Parallel: 2})
	defer pool.Close()
	talk := []model.Message{model.SystemMessage("Answer in one sentence."), model.UserMessage("Hello")}
	for range 2 {
		answer, err := pool.Submit(context.Background(), model.Request{Messages: talk})
		if err != nil {
			log.Fatal(err)
		}
		for _, err := range answer.Events() {
			if err != nil {
				log.Fatal(err)
			}
		}
		fmt.Println(answer.PromptTokens()-answer.Result().CachedTokens, "tokens of the prompt computed")
		if err := answer.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// 16 tokens of the prompt computed
	// 1 tokens of the prompt computed
}
