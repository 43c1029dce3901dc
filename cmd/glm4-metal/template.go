package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/model"
)

func templateCommand() *cli.Command {
	return &cli.Command{
		Name:      "template",
		Usage:     "show the prompt that messages become",
		UsageText: program + " template [options] [TEXT]",
		Description: `The messages are those of --messages, a JSON array of {"role", "content"}, or one of the user from --prompt, the
arguments or standard input. No weights are loaded.

Examples:
  glm4-metal template "Why is the sky blue?"
  glm4-metal template --chat-template glm-z1-0414 --system-prompt "Be brief." 你好
  glm4-metal template --messages conversation.json --tools tools.json --ids`,
		Flags: []cli.Flag{
			modelFlag(),
			&cli.StringFlag{Name: "prompt", Aliases: []string{"p"}, Usage: "the user's message is this `TEXT`; - reads it from standard input"},
			systemPromptFlag(),
			&cli.StringFlag{Name: "messages", Usage: "take the messages from this JSON `FILE`; - is standard input"},
			toolsFlag(), chatTemplateFlag(),
			&cli.BoolFlag{Name: "no-generation-prompt", Usage: "end behind the last message, not where the answer begins"},
			&cli.BoolFlag{Name: "ids", Usage: "print the prompt's token ids"},
			&cli.BoolFlag{Name: "json", Usage: "print {format, prompt, ids} on one line"},
		},
		Action: template,
	}
}

// promptJSON is what template --json prints.
type promptJSON struct {
	Format string  `json:"format"`
	Prompt string  `json:"prompt"`
	IDs    []int32 `json:"ids"`
}

func template(c *cli.Context) error {
	messages, err := templateMessages(c)
	if err != nil {
		return err
	}
	if system := c.String("system-prompt"); system != "" {
		messages = slices.Insert(messages, 0, model.Message{Role: model.RoleSystem, Content: system})
	}
	tools, err := readTools(c)
	if err != nil {
		return err
	}
	text, err := model.OpenText(c.Context, c.String("model"), c.String("chat-template"))
	if err != nil {
		return err
	}
	prompt, ids, err := text.Prompt(c.Context, messages, tools, !c.Bool("no-generation-prompt"))
	switch {
	case err != nil:
		return err
	case c.Bool("json"):
		format, err := text.ChatFormat()
		return errors.Join(err, printJSON(promptJSON{format, prompt, ids}))
	case c.Bool("ids"):
		return printIDs(ids)
	}
	_, err = fmt.Println(prompt)
	return err
}

func templateMessages(c *cli.Context) ([]model.Message, error) {
	file := c.String("messages")
	if file == "" {
		text, err := inputText(c, "prompt")
		return []model.Message{{Role: model.RoleUser, Content: text}}, err
	}
	if c.IsSet("prompt") || c.NArg() > 0 {
		return nil, usagef("--messages and a prompt do not go together; leave one out")
	}
	var data []byte
	var err error
	if file == "-" {
		data, err = io.ReadAll(os.Stdin)
	} else {
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("--messages: %w", err)
	}
	messages, err := parseMessages(data, "messages")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return messages, nil
}
