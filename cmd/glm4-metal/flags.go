package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/internal/chatformat"
	"github.com/glm4-metal/glm4-metal/model"
)

// modelVariable is the environment variable that names the model when no flag does.
const modelVariable = "GLM4_MODEL"

func modelFlag() cli.Flag {
	return &cli.StringFlag{Name: "model", Usage: "`FOLDER` of a checkpoint; default $" + modelVariable + ", else the built-in demo", EnvVars: []string{modelVariable}}
}

func chatTemplateFlag() cli.Flag {
	return &cli.StringFlag{Name: "chat-template", Usage: "write prompts as `FAMILY` does: " + strings.Join(chatformat.Names(), ", ") + ", or a Jinja file"}
}

func toolsFlag() cli.Flag {
	return &cli.StringFlag{Name: "tools", Usage: "declare the tools in a JSON `FILE` to the model"}
}

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print one line of JSON"}
}

func systemPromptFlag() cli.Flag {
	return &cli.StringFlag{Name: "system-prompt", Usage: "the system message is `TEXT`"}
}

func backendFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "backend", Value: "auto", Usage: "`NAME` of the device: auto, metal or cpu"},
		&cli.IntFlag{Name: "kv-bits", Usage: "the KV cache holds numbers of 16 or 32 `BITS`; 0: by the checkpoint"},
		&cli.IntFlag{Name: "max-kv-size", Usage: "prompt and answer have at most `N` tokens together; 0: the model's limit"},
		&cli.IntFlag{Name: "prefill-step-size", Usage: "compute a prompt in steps of `N` tokens; 0: 512"},
		&cli.BoolFlag{Name: "verbose", Usage: "tell about the model on standard error"},
	}
}

func samplingFlags(maxTokens int) []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "max-tokens", Value: maxTokens, Usage: "end an answer after `N` tokens; 0: when the context is full"},
		&cli.Float64Flag{Name: "temp", Usage: "sampling temperature `T`; 0: always the likeliest token"},
		&cli.Float64Flag{Name: "top-p", Value: 1, Usage: "sample from the likeliest tokens that make up probability `P`"},
		&cli.IntFlag{Name: "top-k", Usage: "sample from the `K` likeliest tokens; 0: from all"},
		&cli.Float64Flag{Name: "min-p", Usage: "sample from tokens at least `P` times as likely as the likeliest; 0: off"},
		&cli.Uint64Flag{Name: "seed", Usage: "the same seed `N` gives the same answer; 0: a random one"},
		&cli.Float64Flag{Name: "repetition-penalty", Value: 1, Usage: "divide the logits of recent tokens by `X`; 1: off"},
		&cli.Float64Flag{Name: "presence-penalty", Usage: "subtract `X` from the logits of recent tokens"},
		&cli.Float64Flag{Name: "frequency-penalty", Usage: "subtract `X` for each time that a recent token occurred"},
		&cli.StringSliceFlag{Name: "logit-bias", Usage: "add to a token's logit; may be repeated: `ID=VALUE`"},
		&cli.StringSliceFlag{Name: "stop", Usage: "end an answer before `TEXT`; may be repeated"},
		&cli.BoolFlag{Name: "ignore-eos", Usage: "go on after the model's own end, for measurements"},
	}
}

// modelName is the model that the one argument, the flag or the environment names; "" stands for the demo.
func modelName(c *cli.Context) (string, error) {
	named, argument := c.String("model"), c.Args().First()
	switch {
	case c.NArg() > 1:
		return "", usagef("unexpected argument %q; see %s --help", c.Args().Get(1), c.Command.HelpName)
	case argument == "":
		return named, nil
	case named != "" && named != os.Getenv(modelVariable):
		return "", usagef("two models are named, %q and --model %q; name one", argument, named)
	}
	return argument, nil
}

// noArgument refuses what a verb without arguments was given.
func noArgument(c *cli.Context) error {
	if c.NArg() > 0 {
		return usagef("unexpected argument %q; see %s --help", c.Args().First(), c.Command.HelpName)
	}
	return nil
}

// loading reads the flags of backendFlags.
func loading(c *cli.Context) ([]model.LoadOption, error) {
	for _, flag := range []string{"max-kv-size", "prefill-step-size"} {
		if c.Int(flag) < 0 {
			return nil, usagef("--%s is %d; it must be 0 or more", flag, c.Int(flag))
		}
	}
	if bits := c.Int("kv-bits"); !slices.Contains([]int{0, 16, 32}, bits) {
		return nil, usagef("--kv-bits is %d; it must be 16 or 32, or 0 to choose by the checkpoint", bits)
	}
	if name := c.String("backend"); !slices.Contains([]string{"auto", "metal", "cpu"}, name) {
		return nil, usagef("--backend is %q; it must be auto, metal or cpu", name)
	}
	return []model.LoadOption{
		model.Backend(c.String("backend")), model.KVBits(c.Int("kv-bits")), model.MaxContext(c.Int("max-kv-size")),
		model.PrefillChunk(c.Int("prefill-step-size")), model.ChatTemplate(c.String("chat-template")),
	}, nil
}

// sampling reads the flags of samplingFlags.
func sampling(c *cli.Context) (model.Options, error) {
	o := model.Options{
		MaxTokens:   c.Int("max-tokens"),
		Temperature: c.Float64("temp"), TopP: c.Float64("top-p"), TopK: c.Int("top-k"), MinP: c.Float64("min-p"), Seed: c.Uint64("seed"),
		RepetitionPenalty: c.Float64("repetition-penalty"), PresencePenalty: c.Float64("presence-penalty"), FrequencyPenalty: c.Float64("frequency-penalty"),
		Stop: c.StringSlice("stop"), IgnoreEOS: c.Bool("ignore-eos"),
	}
	for _, f := range []struct {
		name      string
		value     float64
		low, high float64
		want      string
	}{
		{"max-tokens", float64(o.MaxTokens), 0, math.MaxInt32, "0 (no limit) or more"},
		{"temp", o.Temperature, 0, math.MaxFloat64, "0 (greedy) or more"},
		{"top-p", o.TopP, 0, 1, "between 0 and 1"},
		{"top-k", float64(o.TopK), 0, math.MaxInt32, "0 (off) or more"},
		{"min-p", o.MinP, 0, 1, "between 0 and 1"},
		{"repetition-penalty", o.RepetitionPenalty, 0, math.MaxFloat64, "0 (off) or more"},
		{"presence-penalty", o.PresencePenalty, -math.MaxFloat64, math.MaxFloat64, "a number"},
		{"frequency-penalty", o.FrequencyPenalty, -math.MaxFloat64, math.MaxFloat64, "a number"},
	} {
		if !(f.value >= f.low && f.value <= f.high) { // also when it is NaN
			return o, usagef("--%s is %v; it must be %s", f.name, f.value, f.want)
		}
	}
	if slices.Contains(o.Stop, "") {
		return o, usagef("--stop is empty; give it a text")
	}
	for _, bias := range c.StringSlice("logit-bias") {
		id, value, err := parseBias(bias)
		if err != nil {
			return o, err
		}
		if o.LogitBias == nil {
			o.LogitBias = map[int32]float32{}
		}
		o.LogitBias[id] = value
	}
	return o, nil
}

func parseBias(text string) (int32, float32, error) {
	key, value, _ := strings.Cut(text, "=")
	id, err := strconv.ParseInt(strings.TrimSpace(key), 10, 32)
	bias, err2 := strconv.ParseFloat(strings.TrimSpace(value), 32)
	if err := cmp.Or(err, err2); err != nil || id < 0 || math.IsNaN(bias) {
		return 0, 0, usagef("--logit-bias is %q; it must be ID=VALUE, such as 42=-1.5 or 42=-inf", text)
	}
	return int32(id), float32(bias), nil
}

// readTools reads the file of --tools, if there is one.
func readTools(c *cli.Context) ([]model.Tool, error) {
	name := c.String("tools")
	if name == "" {
		return nil, nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("--tools: %w", err)
	}
	tools, err := model.ParseTools(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return tools, nil
}

// load opens the model that the flags name.
func load(ctx context.Context, c *cli.Context, name string) (*model.Model, error) {
	options, err := loading(c)
	if err != nil {
		return nil, err
	}
	m, err := model.Load(ctx, name, options...)
	if err != nil {
		return nil, err
	}
	i := m.Info()
	if i.Warning != "" {
		fmt.Fprintf(os.Stderr, "%s: %s\n", program, i.Warning)
	}
	if c.Bool("verbose") {
		fmt.Fprintf(os.Stderr, "model    %s (%s, %d layers), loaded in %.0f ms\n", i.Name, i.Config.ModelType, i.Config.Layers, milliseconds(i.LoadTime))
		fmt.Fprintf(os.Stderr, "device   %s, %s; %s\n", i.Backend, i.Device, i.Why)
		fmt.Fprintf(os.Stderr, "context  %d tokens, %d KV bytes a token (%d bit)\n", i.Context, i.KVBytes, i.KVBits)
		fmt.Fprintf(os.Stderr, "memory   %s: weights %s, KV cache %s at full context, scratch %s\n", model.Gigabytes(i.Memory.Total()),
			model.Gigabytes(i.Memory.Weights), model.Gigabytes(i.Memory.KV), model.Gigabytes(i.Memory.Scratch))
		fmt.Fprintf(os.Stderr, "prompts  %s\n", cmp.Or(i.Chat, "no chat template"))
	}
	return m, nil
}
