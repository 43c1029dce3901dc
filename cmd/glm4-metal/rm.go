package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/internal/hub"
)

func rmCommand() *cli.Command {
	return &cli.Command{
		Name:      "rm",
		Usage:     "remove checkpoints from the cache",
		UsageText: program + " rm [options] NAME...",
		Description: `A NAME is one that list shows. Of org/name all revisions go, of org/name@revision that one, and what no
other needs. A folder that is not in the cache is yours to remove.

Examples:
  glm4-metal rm glm4:9b-4bit
  glm4-metal rm --yes zai-org/GLM-4-9B-0414`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"},
			&cli.BoolFlag{Name: "json", Usage: "print a line of JSON for each"},
		},
		Action: rm,
	}
}

// removed is what rm --json prints.
type removed struct {
	Repository string   `json:"repository"`
	Commits    []string `json:"commits"`
	Freed      int64    `json:"freed"` // bytes
}

func rm(c *cli.Context) error {
	names := c.Args().Slice()
	if len(names) == 0 {
		return usagef("what is to be removed is missing; %s list shows what there is", program)
	}
	h, err := hub.Open()
	if err != nil {
		return err
	}
	for _, name := range names { // all of them are there, before one goes
		if _, err := planRemoval(h, name); err != nil {
			return err
		}
	}
	for _, name := range names {
		p, err := h.Removal(name)
		var gone *hub.NotHereError
		switch {
		case errors.As(err, &gone): // with an earlier name
			continue
		case err != nil:
			return err
		}
		if !c.Bool("yes") {
			if !isTerminal(os.Stdin) || !isTerminal(os.Stderr) {
				return fmt.Errorf("%s, %s: nobody can be asked whether to remove it; --yes does not ask", name,
					gigabytes(p.Freed))
			}
			yes, err := ask(c.Context, fmt.Sprintf("remove %s, %s? [y/N] ", name, gigabytes(p.Freed)), false)
			if err != nil {
				return err
			}
			if !yes {
				continue
			}
		}
		if err := p.Do(); err != nil {
			return err
		}
		if c.Bool("json") {
			err = printJSON(removed{p.Repository, append([]string{}, p.Commits...), p.Freed})
		} else {
			err = printText(fmt.Sprintf("removed %s: %s are free again\n", name, gigabytes(p.Freed)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// planRemoval is Hub.Removal, which says of what is no name of a repository what it is.
func planRemoval(h *hub.Hub, name string) (*hub.Removal, error) {
	if _, ok := hub.Repository(name); !ok && (looksLikePath(name) || isFolder(name)) {
		return nil, fmt.Errorf("%s: a path, and only what is in the cache, under its name there, is removed here; delete it "+
			"yourself", name)
	}
	return h.Removal(name)
}
