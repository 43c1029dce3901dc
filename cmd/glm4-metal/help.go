package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

const appHelp = `{{.Name}} - {{.Usage}}

Usage: {{.UsageText}}

Commands:{{range .VisibleCommands}}
  {{printf "%-24s" .Name}}{{.Usage}}{{end}}

Options:
  -h, --help              show help
  -v, --version           print the version

{{.Description}}
`

// commandHelp shows a verb's usage, options and, from its description, examples.
const commandHelp = `{{.HelpName}} - {{.Usage}}

Usage: {{.UsageText}}

Options:{{range .VisibleFlags}}
  {{.}}{{end}}

{{.Description}}
`

func helpCommand() *cli.Command {
	return &cli.Command{
		Name:      "help",
		Usage:     "tell about the program or a command",
		UsageText: program + " help [COMMAND]",
		Description: `Examples:
  glm4-metal help
  glm4-metal help generate`,
		Action: func(c *cli.Context) error {
			switch {
			case c.NArg() == 0:
				return cli.ShowAppHelp(c)
			case c.NArg() > 1:
				return usagef("unexpected argument %q: help takes one command", c.Args().Get(1))
			case c.App.Command(c.Args().First()) == nil:
				return unknownCommand(c.App, c.Args().First())
			}
			return cli.ShowCommandHelp(c, c.Args().First())
		},
	}
}

// flagNames are a flag's names as they are typed, short ones first.
func flagNames(f cli.Flag) []string {
	var names []string
	for _, name := range f.Names() {
		names = append(names, dashed(name))
	}
	slices.SortStableFunc(names, func(a, b string) int { return min(len(a), 3) - min(len(b), 3) }) // -p, --prompt
	return names
}

// flagUsage is what a flag does, with the value that it has by itself.
func flagUsage(f cli.DocGenerationFlag) string {
	usage := strings.ReplaceAll(f.GetUsage(), "`", "")
	if standard := strings.Trim(f.GetDefaultText(), `"`); f.TakesValue() && standard != "" && standard != "0" {
		usage += " (default " + standard + ")"
	}
	return usage
}

// The help is written for a terminal of helpWidth columns; what a flag does begins in column helpColumn.
const (
	helpWidth  = 80
	helpColumn = 26
)

// describeFlag is a flag's place in the help: its names, and beside or, where they are long, below them what it does.
func describeFlag(f cli.Flag) string {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return ""
	}
	names := strings.TrimSpace(strings.Join(flagNames(f), ", ") + " " + placeholder(f))
	lines := wrap(flagUsage(d), helpWidth-helpColumn)
	if len(names)+4 > helpColumn { // two columns stand before the names, and two behind
		lines = append([]string{""}, lines...)
	}
	lines[0] = strings.TrimRight(fmt.Sprintf("%-*s%s", helpColumn-2, names, lines[0]), " ")
	return strings.Join(lines, "\n"+strings.Repeat(" ", helpColumn))
}

// fill breaks a text's paragraphs into lines of the help. Indented lines stay as they are.
func fill(text string) string {
	var out, paragraph []string
	end := func() {
		out = append(out, wrap(strings.Join(paragraph, " "), helpWidth)...)
		paragraph = nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if line != "" && line[0] != ' ' {
			paragraph = append(paragraph, line)
			continue
		}
		end()
		out = append(out, line)
	}
	end()
	return strings.Join(out, "\n")
}

// wrap breaks words into lines of at most width columns.
func wrap(text string, width int) []string {
	var lines []string
	for word := range strings.FieldsSeq(text) {
		if last := len(lines) - 1; last >= 0 && len(lines[last])+1+len(word) <= width {
			lines[last] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}
