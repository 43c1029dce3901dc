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
	"os/signal"
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
	if os.Args[0] == guardName {
		guardTerminal()
		return
	}
	defer giveBackTerminal() // when it panics
	app := newApp()
	args, err := arrange(app, os.Args)
	if err == nil {
		err = app.RunContext(context.Background(), args)
	}
	exit(report(os.Stderr, explain(err)))
}

func newApp() *cli.App {
	cli.FlagStringer = describeFlag
	cli.VersionPrinter = func(*cli.Context) { fmt.Println(program, version()) }
	app := &cli.App{
		Name:      program,
		Usage:     "run GLM-4 models",
		UsageText: program + " COMMAND [options]",
		Description: "A model is a folder, a short name such as " + firstModel + ", or org/name as on the\n" +
			"Hugging Face hub. Without one a small built-in demo answers.\n" +
			program + " help COMMAND tells more about a command.",
		Version: version(),
		Commands: []*cli.Command{
			chatCommand(), generateCommand(), serveCommand(), launchCommand(), pullCommand(), listCommand(), showCommand(),
			rmCommand(), convertCommand(), benchCommand(), doctorCommand(), tokenizeCommand(), templateCommand(),
			completionCommand(), helpCommand(), versionCommand(),
		},
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true, // a stop text may hold a comma
		ExitErrHandler:            func(*cli.Context, error) {},
		CustomAppHelpTemplate:     appHelp,
		Action: func(c *cli.Context) error {
			if !c.Args().Present() {
				return cli.ShowAppHelp(c)
			}
			return unknownCommand(c.App, c.Args().First())
		},
	}
	for _, command := range app.Commands {
		command.HideHelpCommand = true
		command.CustomHelpTemplate = commandHelp
		command.Description = fill(command.Description)
		switch command.Name {
		case "chat", "launch": // take signals themselves
		case "generate", "serve", "pull", "rm", "convert", "bench", "doctor":
			command.Action = interruptible(command.Action, true)
		default:
			command.Action = interruptible(command.Action, false)
		}
	}
	return app
}

// interruptible runs a verb with a context that the first SIGINT, SIGTERM or SIGHUP cancels; a second ends the program
// at once. A verb that does not finish holds nothing that is worth waiting for, and is left where it stands. For one
// that does, a reader that has gone is a failed write and not the end on the spot.
func interruptible(action cli.ActionFunc, finishes bool) cli.ActionFunc {
	return func(c *cli.Context) error {
		ctx, cancel := context.WithCancel(c.Context)
		defer cancel()
		signals := make(chan os.Signal, 2)
		notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		defer signal.Stop(signals)
		if finishes {
			notify(make(chan os.Signal, 1), syscall.SIGPIPE)
		}
		go func() {
			<-signals
			cancel()
			<-signals
			exit(statusInterrupted)
		}()
		c.Context = ctx
		done := make(chan error, 1)
		go func() {
			defer giveBackTerminal() // when it panics
			done <- action(c)
		}()
		if finishes {
			return <-done
		}
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return errInterrupted
		}
	}
}

// notify relays signals, but for those that are ignored when the program starts, as nohup wants it.
func notify(to chan<- os.Signal, signals ...os.Signal) {
	for _, s := range signals {
		if !signal.Ignored(s) {
			signal.Notify(to, s)
		}
	}
}

// report says what went wrong, in one line, and gives the exit status.
func report(stderr io.Writer, err error) int {
	switch usage, status := (usageError{}), statusError(0); {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
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

// oneLine is an error's text, which may quote a stranger's, in a form that is harmless for a terminal.
func oneLine(err error) string {
	return visibleLine(strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }),
		"; "))
}
