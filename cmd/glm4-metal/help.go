package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

const appHelp = `{{.Name}} - {{.Usage}}

Usage: {{.UsageText}}

Commands:{{range .VisibleCommands}}
  {{printf "%-12s" .Name}}{{.Usage}}{{end}}

{{.Description}}
`

// commandHelp shows a verb's usage, options and, from its description, examples.
const commandHelp = `{{.HelpName}} - {{.Usage}}

Usage: {{.UsageText}}
{{if .VisibleFlags}}
Options:{{range .VisibleFlags}}
  {{.}}{{end}}
{{end}}
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

// describeFlag is a flag's line in the help: its names, and behind a tab what it does.
func describeFlag(f cli.Flag) string {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return ""
	}
	return strings.TrimSpace(strings.Join(flagNames(f), ", ")+" "+placeholder(f)) + "\t" + flagUsage(d)
}
