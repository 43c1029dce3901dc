// Command glm4-metal runs GLM-4 models: it answers prompts, holds conversations, and shows what a checkpoint is and
// how it reads and writes text. Each verb has a file of its own.
//
// Standard output carries the answer, standard error everything else. The exit status is 0, 1 when it failed (one
// line says why), 2 when the command line is wrong, and 130 when it was interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
)

const program = "glm4-metal"

// The exit statuses besides 0.
const (
	statusFailed      = 1
	statusUsage       = 2
	statusInterrupted = 130
)

// errInterrupted ends a verb that the user or the system stopped.
var errInterrupted = errors.New("interrupted")

// usageError is a mistake in the command line.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func main() {
	app := newApp()
	os.Exit(report(os.Stderr, app.RunContext(context.Background(), flagsFirst(app, os.Args))))
}

func newApp() *cli.App {
	cli.FlagStringer = describeFlag
	app := &cli.App{
		Name:      program,
		Usage:     "run GLM-4 models",
		UsageText: program + " COMMAND [options]",
		Description: "Without --model and $" + modelVariable + " a small built-in demo model answers.\n" +
			program + " COMMAND --help tells more about a command.",
		Version: version(),
		Commands: []*cli.Command{
			chatCommand(), generateCommand(), showCommand(), benchCommand(), tokenizeCommand(), templateCommand(), versionCommand(),
		},
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true, // a stop text may hold a comma
		ExitErrHandler:            func(*cli.Context, error) {},
		OnUsageError:              explainUsage,
		CustomAppHelpTemplate:     appHelp,
		Action: func(c *cli.Context) error {
			if !c.Args().Present() {
				return cli.ShowAppHelp(c)
			}
			var names []string
			for _, command := range c.App.Commands {
				names = append(names, command.Name)
			}
			return usagef("unknown command %q; the commands are %s", c.Args().First(), strings.Join(names, ", "))
		},
	}
	for _, command := range app.Commands {
		command.HideHelpCommand = true
		command.OnUsageError = explainUsage
		command.CustomHelpTemplate = commandHelp
	}
	return app
}

const appHelp = `{{.Name}} - {{.Usage}}

Usage: {{.UsageText}}

Commands:{{range .VisibleCommands}}
  {{printf "%-10s" .Name}}{{.Usage}}{{end}}

{{.Description}}
`

// commandHelp shows a verb's usage, options and, from its description, examples.
const commandHelp = `{{.HelpName}} - {{.Usage}}

Usage: {{.UsageText}}

Options:{{range .VisibleFlags}}
  {{.}}{{end}}

{{.Description}}
`

// describeFlag is a flag's line in the help: its names, and behind a tab what it does.
func describeFlag(f cli.Flag) string {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return ""
	}
	usage := d.GetUsage()
	value := ""
	if d.TakesValue() {
		if parts := strings.SplitN(usage, "`", 3); len(parts) == 3 {
			value = " " + parts[1]
			usage = strings.Join(parts, "")
		}
	}
	var names []string
	for _, name := range f.Names() {
		names = append(names, map[bool]string{true: "-", false: "--"}[len(name) == 1]+name)
	}
	slices.SortStableFunc(names, func(a, b string) int { return min(len(a), 3) - min(len(b), 3) }) // -p, --prompt
	if standard := d.GetDefaultText(); d.TakesValue() && !slices.Contains([]string{"", "0", `""`}, standard) {
		usage += " (default " + strings.Trim(standard, `"`) + ")"
	}
	return strings.Join(names, ", ") + value + "\t" + usage
}

// explainUsage words the errors of the flag parser like all others.
func explainUsage(c *cli.Context, err error, _ bool) error {
	text := strings.NewReplacer(" flag -", " flag --", "defined: -", "defined: --", "argument: -", "argument: --", "---", "--").Replace(err.Error())
	name := program
	if c.Command != nil && c.Command.Name != program {
		name += " " + c.Command.Name
	}
	return usagef("%s; see %s --help", text, name)
}

// flagsFirst moves a verb's flags in front of its arguments, where the flag parser looks for them.
func flagsFirst(app *cli.App, args []string) []string {
	if len(args) < 2 {
		return args
	}
	command := app.Command(args[1])
	if command == nil {
		return args
	}
	takesValue := map[string]bool{}
	for _, f := range command.Flags {
		_, isSwitch := f.(*cli.BoolFlag)
		for _, name := range f.Names() {
			takesValue[name] = !isSwitch
		}
	}
	var flags, rest []string
	for i := 2; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			rest = append(rest, args[i+1:]...)
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			rest = append(rest, arg)
			continue
		}
		flags = append(flags, arg)
		if takesValue[strings.TrimLeft(arg, "-")] {
			if i++; i == len(args) { // for the parser to complain about
				return slices.Concat(args[:2], flags)
			}
			flags = append(flags, args[i])
		}
	}
	return slices.Concat(args[:2], flags, []string{"--"}, rest)
}

// report says what went wrong, in one line, and gives the exit status.
func report(stderr io.Writer, err error) int {
	switch usage := (usageError{}); {
	case err == nil:
		return 0
	case errors.Is(err, errInterrupted) || errors.Is(err, context.Canceled):
		return statusInterrupted
	case errors.Is(err, syscall.EPIPE): // the reader has what it wanted
		return statusFailed
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "%s: %s\n", program, oneLine(err))
		return statusUsage
	default:
		fmt.Fprintf(stderr, "%s: %s\n", program, oneLine(err))
		return statusFailed
	}
}

func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
