package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/internal/chatformat"
	"github.com/glm4-metal/glm4-metal/internal/textfile"
	"github.com/glm4-metal/glm4-metal/model"
)

// modelVariable is the environment variable that names the model when no flag does.
const modelVariable = "GLM4_MODEL"

func modelFlag() cli.Flag {
	return &cli.StringFlag{Name: "model", Usage: "run this `MODEL`: a folder, a short name, or org/name of the hub; " +
		"default $" + modelVariable + ", else the built-in demo"}
}

func chatTemplateFlag() cli.Flag {
	return &cli.StringFlag{Name: "chat-template", Usage: "write prompts as `FAMILY` does: " +
		strings.Join(chatformat.Names(), ", ") + ", or a Jinja file"}
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

// promptFlags are those of the verbs that work on a text; use says for what.
func promptFlags(use string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "prompt", Aliases: []string{"p"}, Usage: use + " `TEXT`; - is standard input"},
		&cli.StringSliceFlag{Name: "file", Aliases: []string{"f"},
			Usage: "put a `FILE` in front of it; may be repeated, - is standard input"},
	}
}

func messagesFlag() cli.Flag {
	return &cli.StringFlag{Name: "messages",
		Usage: "take the messages from a JSON `FILE`, as a chat's /save writes it; - is standard input"}
}

func backendFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "backend", Value: "auto", Usage: "compute on this device: `auto|metal|cpu`"},
		&cli.IntFlag{Name: "kv-bits", Usage: "bits of a number in the KV cache, `0|16|32`; 0: by the checkpoint"},
		&cli.StringFlag{Name: "max-kv-size",
			Usage: "prompt and answer have at most `N` tokens together; 0: the model's limit, auto: what fits"},
		&cli.IntFlag{Name: "prefill-step-size", Usage: "compute a prompt in steps of `N` tokens; 0: 512"},
		&cli.BoolFlag{Name: "verbose", Usage: "tell about the model on standard error"},
	}
}

// loading reads the flags of backendFlags.
func loading(c *cli.Context) ([]model.LoadOption, error) {
	if c.IsSet("chat-template") && c.String("chat-template") == "" {
		return nil, usagef("%s is empty; give it one of %s, or a file", asTyped(c, "chat-template"),
			strings.Join(chatformat.Names(), ", "))
	}
	context, err := maxContext(c)
	if err != nil {
		return nil, err
	}
	options := []model.LoadOption{
		model.Backend(c.String("backend")), model.KVBits(c.Int("kv-bits")), model.MaxContext(context),
		model.PrefillChunk(c.Int("prefill-step-size")), model.ChatTemplate(c.String("chat-template")),
	}
	return options, flagError(c, model.CheckLoad(options...))
}

// maxContext reads --max-kv-size.
func maxContext(c *cli.Context) (int, error) {
	switch text := c.String("max-kv-size"); text {
	case "":
		return 0, nil
	case "auto":
		return model.FittingContext, nil
	default:
		n, err := parseInteger(text)
		if err != nil {
			return 0, usagef("%s is %q; %w, or auto", asTyped(c, "max-kv-size"), text, err)
		}
		return n, nil
	}
}

// readTools reads the file of --tools, if there is one.
func readTools(c *cli.Context) ([]model.Tool, error) {
	if !c.IsSet("tools") {
		return nil, nil
	}
	name := c.String("tools")
	if name == "" {
		return nil, usagef("%s is empty; give it the name of a file", asTyped(c, "tools"))
	}
	tools, err := loadTools(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", asTyped(c, "tools"), err)
	}
	return tools, nil
}

// loadTools reads a file of tools.
func loadTools(file string) ([]model.Tool, error) {
	data, err := textfile.Read(file, maxInput)
	if err != nil {
		return nil, err
	}
	tools, err := model.ParseTools(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return tools, nil
}

// load opens the model that the flags name.
func load(ctx context.Context, c *cli.Context, name string) (*model.Model, error) {
	options, err := loading(c)
	if err != nil {
		return nil, err
	}
	bar := startLoading()
	m, err := model.Load(ctx, name, append(options, model.OnLoad(bar.set))...)
	bar.stop()
	if err != nil {
		return nil, err
	}
	i := m.Info()
	if i.Warning != "" {
		say("%s: %s", program, i.Warning)
	}
	if c.Bool("verbose") {
		say("model    %s (%s, %d layers), loaded in %.0f ms", i.Name, i.Config.ModelType, i.Config.Layers,
			milliseconds(i.LoadTime))
		say("device   %s, %s; %s", i.Backend, i.Device, i.Why)
		say("context  %d tokens, %d KV bytes a token (%d bit)", i.Context, i.KVBytes, i.KVBits)
		say("memory   %s: weights %s, KV cache %s at full context, scratch %s", gigabytes(i.Memory.Total()),
			gigabytes(i.Memory.Weights), gigabytes(i.Memory.KV), gigabytes(i.Memory.Scratch))
		say("prompts  %s", cmp.Or(i.Chat, "no chat template"))
	}
	return m, nil
}
