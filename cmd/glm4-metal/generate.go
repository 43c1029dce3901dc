package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/internal/chatformat"
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
	ids, parser, err := generationPrompt(c, m, prompt, tools)
	if err != nil {
		return err
	}
	session := m.NewSession()
	defer session.Close()
	g := generation{Tokens: []int32{}}
	w := newAnswerWriter()
	if c.Bool("json") {
		w = nil
	}
	failed := g.run(ctx, m, session, ids, parser, options, w)
	stop() // from here on an interrupt ends the program
	if w != nil {
		failed = errors.Join(w.end(), failed)
	}
	if failed != nil && !errors.Is(failed, errInterrupted) {
		return failed
	}
	r := session.Result()
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

// generationPrompt gives the ids to start from, and the parser of the reply, which is nil for plain text.
func generationPrompt(c *cli.Context, m *model.Model, prompt string, tools []model.Tool) ([]int32, *chatformat.Parser, error) {
	if c.Bool("raw") {
		return m.Encode(prompt), nil, nil
	}
	messages := []model.Message{{Role: model.RoleUser, Content: prompt}}
	if system := c.String("system-prompt"); system != "" {
		messages = slices.Insert(messages, 0, model.Message{Role: model.RoleSystem, Content: system})
	}
	_, ids, err := m.Prompt(messages, tools)
	if err != nil {
		return nil, nil, err
	}
	format, err := chatformat.ByName(m.Info().Chat)
	if err != nil { // a template of its own
		format, err = chatFormat(c.String("model"), c.String("chat-template"), nil)
	}
	if err != nil {
		return nil, nil, err
	}
	return ids, format.NewParser(tools, ""), nil
}

// run generates and collects the answer, and writes it to w unless that is nil.
func (g *generation) run(ctx context.Context, m *model.Model, s *model.Session, ids []int32, parser *chatformat.Parser, o model.Options, w *answerWriter) (err error) {
	var answer model.Message
	say := func(deltas []model.Delta) bool {
		for _, d := range deltas {
			answer.Add(d)
			if w != nil && !w.write(d) {
				return false
			}
		}
		return true
	}
	for token, failed := range s.GenerateTokens(ctx, ids, o) {
		if err = failed; err != nil {
			break
		}
		if token.ID >= 0 {
			g.Tokens = append(g.Tokens, token.ID)
			if o.Logprobs {
				g.Logprobs = append(g.Logprobs, logprobs(m, token))
			}
		}
		deltas := []model.Delta{{Text: token.Text}}
		if parser != nil {
			deltas = parser.Write(token.Text)
			if token.Text == "" && token.ID >= 0 && m.Decode([]int32{token.ID}) == "<|assistant|>" {
				deltas = append(deltas, parser.Boundary()...)
			}
		}
		if !say(deltas) {
			break
		}
	}
	if parser != nil {
		say(parser.Close())
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
	if r.FinishReason == model.FinishStop && len(g.ToolCalls) > 0 {
		g.FinishReason = model.FinishToolCalls
	}
	g.PromptTokens, g.CompletionTokens = r.PromptTokens, r.CompletionTokens
	g.PromptTPS, g.GenerationTPS = round(r.PromptTPS()), round(r.GenerationTPS())
	g.TTFT, g.Load = milliseconds(r.TTFT), milliseconds(i.LoadTime)
	g.PeakMemory = peakMemory()
	g.Backend, g.Device, g.Model = i.Backend, i.Device, i.Name
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
