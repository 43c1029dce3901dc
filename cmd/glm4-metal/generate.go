package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/bench"
	"github.com/glm4-metal/glm4-metal/model"
)

func generateCommand() *cli.Command {
	return &cli.Command{
		Name:      "generate",
		Usage:     "answer one prompt",
		UsageText: program + " generate [options] [MODEL] --prompt TEXT",
		Description: aboutInput + `
With --messages the text is one more message of the user, and may be missing. With --raw <|user|> and the like in the
text are control tokens, as for Hugging Face's tokenizers; in messages they are text.

Examples:
  glm4-metal generate --prompt "Why is the sky blue?"
  glm4-metal generate --model ./GLM-4-9B-0414-4bit --prompt "写一首关于秋天的诗" --temp 0.7
  cat question.txt | glm4-metal generate --max-tokens 200
  cat report.md | glm4-metal generate --prompt "Summarise this"
  glm4-metal generate --file main.go --file go.mod --prompt "What does this program do?"
  glm4-metal generate --messages conversation.json --prompt "And in French?"
  glm4-metal generate --prompt "Hello" --json | jq .generation_tps`,
		Flags: slices.Concat([]cli.Flag{modelFlag()}, promptFlags("answer this"), []cli.Flag{
			messagesFlag(), systemPromptFlag(),
			&cli.BoolFlag{Name: "raw", Aliases: []string{"ignore-chat-template"},
				Usage: "continue the prompt as plain text, without the chat template"},
			chatTemplateFlag(), toolsFlag(),
		}, samplingFlags(512), answerFlags(), []cli.Flag{
			jsonFlag(),
			&cli.IntFlag{Name: "logprobs", Usage: "with --json: log probabilities of each token and the `N` likeliest"},
		}, backendFlags()),
		Action: generate,
	}
}

// generation is what generate --json prints.
type generation struct {
	Text             string             `json:"text"`
	Reasoning        string             `json:"reasoning,omitempty"`
	ToolCalls        []toolCallJSON     `json:"tool_calls,omitempty"`
	Tokens           []int32            `json:"tokens"`
	FinishReason     model.FinishReason `json:"finish_reason"`
	PromptTokens     int                `json:"prompt_tokens"`
	CompletionTokens int                `json:"completion_tokens"`
	Seed             uint64             `json:"seed"` // that was used, also when it was a random one
	PromptTPS        float64            `json:"prompt_tps"`
	GenerationTPS    float64            `json:"generation_tps"`
	TTFT             float64            `json:"ttft_ms"`
	Load             float64            `json:"load_ms"`
	PeakMemory       int64              `json:"peak_memory_bytes"`
	Backend          string             `json:"backend"`
	Why              string             `json:"backend_reason"`
	Device           string             `json:"device"`
	Model            string             `json:"model"`
	Logprobs         []tokenLogprobs    `json:"logprobs,omitempty"`
}

type tokenLogprobs struct {
	tokenLogprob
	Top []tokenLogprob `json:"top"`
}

type tokenLogprob struct {
	ID      int32   `json:"id"`
	Token   string  `json:"token"`
	Logprob float32 `json:"logprob"`
}

func generate(c *cli.Context) error {
	options, err := sampling(c)
	if err != nil {
		return err
	}
	style, err := readAnswerStyle(c)
	if err != nil {
		return err
	}
	style.limit(&options)
	if options.Logprobs = c.IsSet("logprobs"); options.Logprobs {
		options.TopLogprobs = c.Int("logprobs")
		if !c.Bool("json") {
			return usagef("%s is printed with --json only; add it", asTyped(c, "logprobs"))
		}
	}
	if err := options.Check(); err != nil {
		return flagError(c, err)
	}
	if _, err := loading(c); err != nil { // before a text is waited for
		return err
	}
	raw := c.Bool("raw")
	if options.ParseSpecial = raw; raw {
		for _, flag := range []string{"messages", "system-prompt", "chat-template", "tools"} {
			if c.IsSet(flag) {
				return usagef("%s means nothing with %s, which takes the prompt as plain text; leave one out", asTyped(c, flag),
					asTyped(c, "raw"))
			}
		}
	}
	name, words, err := modelAndText(c)
	if err != nil {
		return err
	}
	tools, err := readTools(c)
	if err != nil {
		return err
	}
	if c.IsSet("prompt") && c.String("prompt") == "" {
		return usagef("the prompt is empty; give it some text")
	}
	messages, err := promptMessages(c, words)
	if err != nil {
		return err
	}
	switch last := messages[len(messages)-1]; {
	case last.Role == model.RoleUser && last.Content == "":
		return usagef("the prompt is empty; give it some text")
	case last.Role == model.RoleAssistant || last.Role == model.RoleSystem:
		return usagef("the last message of %s is the %s's, and there is none to answer; add one with --prompt",
			c.String("messages"), last.Role)
	}

	ctx := c.Context
	m, err := load(ctx, c, name)
	if err != nil {
		return err
	}
	defer m.Close()
	g := generation{Tokens: []int32{}}
	w := newAnswerWriter(style)
	if c.Bool("json") {
		w = nil
	}
	bar := startPrompt()
	options.OnPrefill = bar.prefilled
	chat := m.NewChat(model.Tools(tools...), model.Generation(options))
	defer chat.Close()
	if err := chat.SetMessages(messages); err != nil {
		return err
	}
	events, result := chat.Reply(ctx), chat.Result
	if raw {
		events, result = chat.Session().Generate(ctx, messages[0].Content, options), chat.Session().Result
	}
	var text *model.Text
	if options.Logprobs {
		text = m.Text()
	}
	failed := g.run(ctx, events, text, w, bar.stop)
	bar.stop()
	if w != nil {
		failed = errors.Join(w.end(), failed)
	}
	if failed != nil && !errors.Is(failed, errInterrupted) {
		return failed
	}
	r := result()
	if w == nil {
		g.sum(m.Info(), r)
		return errors.Join(printJSON(g), failed)
	}
	if c.Bool("verbose") || isTerminal(os.Stderr) {
		if r.FinishReason == model.FinishLength {
			fmt.Fprintf(os.Stderr, "\n%s", cut(r, options, m.Info()))
		}
		fmt.Fprintf(os.Stderr,
			"\nprompt %d tokens, %.1f tokens/s; answer %d tokens, %.1f tokens/s; first token after %.0f ms; peak memory %s\n",
			r.PromptTokens, r.PromptTPS(), r.CompletionTokens, r.GenerationTPS(), milliseconds(r.TTFT),
			gigabytes(bench.PeakMemory()))
	}
	return failed
}

// cut says which limit ended an answer.
func cut(r model.Result, o model.Options, i model.Info) string {
	if r.CompletionTokens == o.MaxTokens {
		return fmt.Sprintf("[the answer was cut after %d tokens; --max-tokens allows more, 0 as many as there is room for]",
			o.MaxTokens)
	}
	return fmt.Sprintf("[the answer was cut because the context of %d tokens is full]", i.Context)
}

// run collects the answer, with log probabilities unless text is nil, and writes it to w unless that is nil. begin is
// called before anything is written.
func (g *generation) run(
	ctx context.Context, events iter.Seq2[model.Event, error], text *model.Text, w *answerWriter, begin func(),
) (err error) {
	var answer model.Message
	for e, failed := range events {
		if err = failed; err != nil {
			break
		}
		answer.Add(e)
		if e.Token != nil {
			g.Tokens = append(g.Tokens, e.Token.ID)
			if text != nil {
				g.Logprobs = append(g.Logprobs, logprobs(text, e.Token))
			}
		}
		begin()
		if w != nil && !w.write(e) {
			break
		}
	}
	g.Text, g.Reasoning, g.ToolCalls = answer.Content, answer.Reasoning, toolCallsJSON(answer.ToolCalls)
	if ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

// sum fills in the figures.
func (g *generation) sum(i model.Info, r model.Result) {
	g.FinishReason = r.FinishReason
	g.PromptTokens, g.CompletionTokens, g.Seed = r.PromptTokens, r.CompletionTokens, r.Seed
	g.PromptTPS, g.GenerationTPS = round(r.PromptTPS()), round(r.GenerationTPS())
	g.TTFT, g.Load = milliseconds(r.TTFT), milliseconds(i.LoadTime)
	g.PeakMemory = bench.PeakMemory()
	g.Backend, g.Why, g.Device, g.Model = i.Backend, i.Why, i.Device, i.Name
}

func logprobs(text *model.Text, t *model.Token) tokenLogprobs {
	out := tokenLogprobs{tokenLogprob{t.ID, text.Decode([]int32{t.ID}), t.Logprob}, []tokenLogprob{}}
	for _, top := range t.Top {
		if math.IsInf(float64(top.Logprob), 0) { // forbidden, and no number of JSON
			break
		}
		out.Top = append(out.Top, tokenLogprob{top.ID, text.Decode([]int32{top.ID}), top.Logprob})
	}
	return out
}

// round keeps three decimals.
func round(x float64) float64 { return math.Round(x*1000) / 1000 }
