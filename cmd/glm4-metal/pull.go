package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/internal/hub"
	"github.com/glm4-metal/glm4-metal/model"
)

// firstModel is the short name that is proposed to who has no model.
const firstModel = "glm4:9b-4bit"

func pullCommand() *cli.Command {
	return &cli.Command{
		Name:      "pull",
		Usage:     "fetch checkpoints from the Hugging Face hub",
		UsageText: program + " pull [options] NAME...",
		Description: "A NAME is org/name or org/name@revision, or one of the short names: " +
			strings.Join(hub.Names(), ", ") + `.

What is here already, of an earlier pull or of mlx-lm's or huggingface_hub's, is not fetched again. It goes to the cache
that they have in common, which HF_HOME and HF_HUB_CACHE move; HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE and the proxies of
the environment count too. The folder is printed.

Examples:
  glm4-metal pull glm4:9b-4bit
  glm4-metal pull zai-org/GLM-Z1-9B-0414
  HF_HOME=/Volumes/models glm4-metal pull glm4:32b-4bit`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print a line of JSON for each"},
		},
		Action: pull,
	}
}

// pulled is what pull --json prints.
type pulled struct {
	Name   string `json:"name"`
	Folder string `json:"folder"`
	Bytes  int64  `json:"bytes"`
}

func pull(c *cli.Context) error {
	names := c.Args().Slice()
	if len(names) == 0 {
		return usagef("what is to be fetched is missing: %s pull %s; see %s --help", program, firstModel, c.Command.HelpName)
	}
	for _, name := range names {
		_, err := model.Find(name)
		var missing *model.NotFoundError
		if _, ok := hub.Repository(name); err == nil && !ok {
			err = usagef("%s: a folder, for which nothing is fetched", name)
		} else if errors.As(err, &missing) && missing.Repository != "" {
			err = nil
		}
		if err != nil {
			return err
		}
	}
	for _, name := range names {
		p, err := fetch(c.Context, name)
		if err != nil {
			return err
		}
		if c.Bool("json") {
			err = printJSON(p)
		} else if err = printText(p.Folder + "\n"); err == nil {
			say("to talk to it: %s chat %s", program, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// knownModel gives the checkpoint of a short name, which a revision may follow.
func knownModel(name string) (hub.Known, bool) {
	short, _, _ := strings.Cut(name, "@")
	return hub.Find(short)
}

// fetch fetches a checkpoint, and shows how.
func fetch(ctx context.Context, name string) (p pulled, err error) {
	h, err := hub.Open()
	if err != nil {
		return p, err
	}
	if k, ok := knownModel(name); ok {
		say("%s is %s, %s; it goes to %s", name, k.Repository, gigabytes(k.Config.Sizes().Total().Bytes), h.Settings.Cache)
	} else {
		say("%s goes to %s", name, h.Settings.Cache)
	}
	bar := startTransfer("fetching " + name)
	defer bar.stop()
	h.Notice = bar.say
	p.Name = name
	p.Folder, err = h.Pull(ctx, name, func(done, total int64) {
		p.Bytes = total
		bar.set(done, total)
	})
	bar.stop()
	switch {
	case ctx.Err() != nil:
		say("interrupted; what has come is kept: the same command goes on from there")
		return p, errInterrupted
	case errors.Is(err, errors.ErrUnsupported):
		err = fmt.Errorf("%w; these can be run: %s", err, strings.Join(hub.Names(), ", "))
	}
	return p, err
}

// offer fetches a model that is not here, if somebody is there and wants it.
func offer(ctx context.Context, name string) error {
	if name == "" || !isTerminal(os.Stdin) || !isTerminal(os.Stderr) {
		return nil
	}
	_, err := model.Find(name)
	var missing *model.NotFoundError
	if !errors.As(err, &missing) || missing.Repository == "" {
		return nil // loading says it
	}
	what, size := "here", ""
	if len(missing.Missing) > 0 {
		what = "whole"
	}
	if k, ok := knownModel(name); ok {
		size = ", " + gigabytes(k.Config.Sizes().Total().Bytes)
	}
	yes, err := ask(ctx, fmt.Sprintf("%s is not %s%s; fetch it? [Y/n] ", name, what, size), true)
	if err == nil && yes {
		_, err = fetch(ctx, name)
	}
	return err
}

// ask asks a question on the terminal; an empty answer is otherwise's.
func ask(ctx context.Context, question string, otherwise bool) (bool, error) {
	for {
		answer, err := newPlainReader().ReadLine(ctx, visibleLine(question))
		var unusable lineError
		switch {
		case ctx.Err() != nil:
			fmt.Fprintln(os.Stderr)
			return false, errInterrupted
		case errors.Is(err, io.EOF):
			fmt.Fprintln(os.Stderr)
			return false, nil
		case err != nil && !errors.As(err, &unusable):
			return false, err
		}
		switch strings.ToLower(strings.TrimSpace(answer)) {
		case "":
			return otherwise, nil
		case "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		}
	}
}
