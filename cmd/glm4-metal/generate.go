package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/model"
)

func generateCommand() *cli.Command {
	return &cli.Command{
		Name:      "generate",
		Usage:     "answer one prompt",
		UsageText: program + " generate [options] --prompt TEXT",
		Description: `Examples:
  glm4-metal generate --prompt "Why is the sky blue?"
  glm4-metal generate --model ./GLM-4-9B-0414-4bit --prompt "写一首关于秋天的诗" --temp 0.7
  cat question.txt | glm4-metal generate --max-tokens 200
  glm4-metal generate --prompt "Hello" --json | jq .generation_tps`,
		Flags: slices.Concat([]cli.Flag{
			modelFlag(),
			&cli.StringFlag{Name: "prompt", Aliases: []string{"p"}, Usage: "answer `TEXT`; - or none reads standard input"},
			systemPromptFlag(),
			&cli.BoolFlag{Name: "raw", Aliases: []string{"ignore-chat-template"}, Usage: "continue the prompt as plain text, without the chat template"},
			chatTemplateFlag(), toolsFlag(),
		}, samplingFlags(512), []cli.Flag{
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
	if options.Logprobs = c.IsSet("logprobs"); options.Logprobs {
		options.TopLogprobs = c.Int("logprobs")
		if options.TopLogprobs < 0 || options.TopLogprobs > model.MaxTopLogprobs {
			return usagef("--logprobs is %d; it must lie between 0 and %d", options.TopLogprobs, model.MaxTopLogprobs)
		}
		if !c.Bool("json") {
			return usagef("--logprobs is printed with --json only; add it")
		}
	}
	if c.Bool("raw") {
		for _, flag := range []string{"system-prompt", "chat-template", "tools"} {
			if c.IsSet(flag) {
				return usagef("--%s means nothing with --raw, which takes the prompt as plain text; leave one out", flag)
			}
		}
	}
	tools, err := readTools(c)
	if err != nil {
		return err
	}
	prompt, err := inputText(c, "prompt")
	if err != nil {
		return err
	}
	if prompt == "" {
		return usagef("the prompt is empty; give it some text")
	}

	ctx, stop := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
	defer stop()
	m, err := load(ctx, c, c.String("model"))
	if err != nil {
		return err
	}
	defer m.Close()
	g := generation{Tokens: []int32{}}
	w := newAnswerWriter()
	if c.Bool("json") {
		w = nil
	}
	chat := m.NewChat(model.System(c.String("system-prompt")), model.Tools(tools...), model.Generation(options),
		model.OnToken(func(token model.Token) { g.add(m, token, options.Logprobs) }))
	defer chat.Close()
	deltas, result := chat.Send(ctx, prompt), chat.Result
	if c.Bool("raw") {
		deltas, result = g.continued(ctx, m, chat.Session(), prompt, options), chat.Session().Result
	}
	failed := g.run(ctx, deltas, w)
	stop() // from here on an interrupt ends the program
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
		fmt.Fprintf(os.Stderr, "\nprompt %d tokens, %.1f tokens/s; answer %d tokens, %.1f tokens/s; first token after %.0f ms; peak memory %s\n",
			r.PromptTokens, r.PromptTPS(), r.CompletionTokens, r.GenerationTPS(), milliseconds(r.TTFT), model.Gigabytes(peakMemory()))
	}
	return failed
}

// add takes a token of the answer.
func (g *generation) add(m *model.Model, token model.Token, withLogprobs bool) {
	g.Tokens = append(g.Tokens, token.ID)
	if withLogprobs {
		g.Logprobs = append(g.Logprobs, logprobs(m, token))
	}
}

// continued streams the continuation of plain text.
func (g *generation) continued(ctx context.Context, m *model.Model, s *model.Session, prompt string, o model.Options) iter.Seq2[model.Delta, error] {
	return func(yield func(model.Delta, error) bool) {
		for token, err := range s.Generate(ctx, prompt, o) {
			if err == nil && token.ID >= 0 {
				g.add(m, token, o.Logprobs)
			}
			if !yield(model.Delta{Text: token.Text}, err) {
				return
			}
		}
	}
}

// run collects the answer, and writes it to w unless that is nil.
func (g *generation) run(ctx context.Context, deltas iter.Seq2[model.Delta, error], w *answerWriter) (err error) {
	var answer model.Message
	for d, failed := range deltas {
		if err = failed; err != nil {
			break
		}
		answer.Add(d)
		if w != nil && !w.write(d) {
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
	g.PromptTokens, g.CompletionTokens = r.PromptTokens, r.CompletionTokens
	g.PromptTPS, g.GenerationTPS = round(r.PromptTPS()), round(r.GenerationTPS())
	g.TTFT, g.Load = milliseconds(r.TTFT), milliseconds(i.LoadTime)
	g.PeakMemory = peakMemory()
	g.Backend, g.Why, g.Device, g.Model = i.Backend, i.Why, i.Device, i.Name
}

func logprobs(m *model.Model, t model.Token) tokenLogprobs {
	out := tokenLogprobs{tokenLogprob{t.ID, m.Decode([]int32{t.ID}), t.Logprob}, []tokenLogprob{}}
	for _, top := range t.Top {
		if math.IsInf(float64(top.Logprob), 0) { // forbidden, and no number of JSON
			break
		}
		out.Top = append(out.Top, tokenLogprob{top.ID, m.Decode([]int32{top.ID}), top.Logprob})
	}
	return out
}

// round keeps three decimals.
func round(x float64) float64 { return math.Round(x*1000) / 1000 }
