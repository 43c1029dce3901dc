package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
)

// inputText gives the text that a verb works on: the flag's, or else the arguments, or else standard input.
func inputText(c *cli.Context, flag string) (string, error) {
	switch text := c.String(flag); {
	case c.IsSet(flag) && c.NArg() > 0:
		return "", usagef("unexpected argument %q beside --%s; put a text of several words in quotes", c.Args().First(), flag)
	case c.IsSet(flag) && text != "-":
		return text, nil
	case c.NArg() > 0:
		return strings.Join(c.Args().Slice(), " "), nil
	case !c.IsSet(flag) && isTerminal(os.Stdin):
		return "", usagef("there is no text; give it with --%s TEXT, as an argument, or through a pipe", flag)
	}
	data, err := io.ReadAll(os.Stdin)
	if err != nil {
		return "", fmt.Errorf("standard input: %w", err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
}
