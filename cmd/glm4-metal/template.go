package main

import (
	"errors"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/model"
)

func templateCommand() *cli.Command {
	return &cli.Command{
		Name:      "template",
		Usage:     "show the prompt that messages become",
		UsageText: program + " template [options] [MODEL] [TEXT]",
		Description: `The messages are those of --messages, a JSON array of {"role", "content"} or what a chat's /save
writes, and one of the user. No weights are loaded.

` + aboutInput + `
Examples:
  glm4-metal template "Why is the sky blue?"
  glm4-metal template --chat-template glm-z1-0414 --system-prompt "Be brief." 你好
  glm4-metal template --messages conversation.json --tools tools.json --ids`,
		Flags: slices.Concat([]cli.Flag{modelFlag()}, promptFlags("the user's message is this"), []cli.Flag{
			messagesFlag(), systemPromptFlag(), toolsFlag(), chatTemplateFlag(),
			&cli.BoolFlag{Name: "no-generation-prompt", Usage: "end behind the last message, not where the answer begins"},
			&cli.BoolFlag{Name: "ids", Usage: "print the prompt's token ids"},
			&cli.BoolFlag{Name: "json", Usage: "print {format, prompt, ids} on one line"},
		}),
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
	name, words, err := modelAndText(c)
	if err != nil {
		return err
	}
	messages, err := promptMessages(c, words)
	if err != nil {
		return err
	}
	tools, err := readTools(c)
	if err != nil {
		return err
	}
	text, err := model.OpenText(c.Context, name, c.String("chat-template"))
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
	return printText(prompt + "\n")
}
