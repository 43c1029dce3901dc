package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// keyEnvironment has the key that the server asks for, when no file does.
const keyEnvironment = "GLM4_API_KEY"

// noKey is given to tools that want a key for a server that has none.
const noKey = program

func launchCommand() *cli.Command {
	return &cli.Command{
		Name:      "launch",
		Usage:     "start a coding agent that asks this model",
		UsageText: program + " launch [options] TOOL [-- ARGUMENTS]",
		Description: "The tools are " + strings.Join(toolNames(), ", ") + `. Where no server answers at the address, one
is started that ends with the tool; options that say how to load the model are for it. ARGUMENTS go to the tool, and
the exit status is the tool's.

Examples:
  glm4-metal launch claude-code --model GLM-4-32B-0414-4bit
  glm4-metal launch codex -- exec "explain this repository"
  glm4-metal launch opencode --print`,
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "print", Usage: "print what would be started, as lines for a shell, and start nothing"},
			&cli.StringFlag{Name: "host", Value: "127.0.0.1", Usage: "the server's `ADDRESS`"},
			&cli.IntFlag{Name: "port", Value: 8080, Usage: "the server's port, `N`"},
			&cli.StringFlag{Name: "api-key-file", Usage: "the server's key is in this `FILE`; default $" + keyEnvironment},
			modelFlag(), chatTemplateFlag(),
		}, backendFlags()...),
		Action: runLaunch,
	}
}

// statusError ends the program with the status of one that it ran, which has said why.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func runLaunch(c *cli.Context) error {
	if !c.Args().Present() {
		return usagef("which tool? The tools are %s; see %s --help", strings.Join(toolNames(), ", "), c.Command.HelpName)
	}
	t, err := findTool(c.Args().First())
	if err != nil {
		return err
	}
	address, err := serverAddress(c)
	if err != nil {
		return err
	}
	key, shownKey, err := toolKey(c)
	if err != nil {
		return err
	}
	named, err := servedName(c)
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	users := c.Args().Slice()[1:]
	s := &modelServer{url: "http://" + address, key: key}
	if c.Bool("print") {
		e, err := s.endpoint(ctx)
		if err != nil {
			say("%s: no server at %s says what it has; to start one: %s", program, s.url, serveLine(c))
			e = endpoint{url: s.url, model: named}
		}
		return printText(t.script(e, shownKey, users))
	}
	command, err := exec.LookPath(t.command)
	if err != nil {
		return fmt.Errorf("%s is not installed (no %s on the PATH); install it: %s", t.name, t.command, t.install)
	}
	stop, err := s.ensure(ctx, append([]string{"serve"}, serveFlags(c)...))
	if err != nil {
		return err
	}
	defer stop()
	e, err := s.endpoint(ctx)
	if err != nil {
		return err
	}
	if c.IsSet("model") && named != e.model {
		say("%s: the server at %s has %s, not %s; stop it, or take another --port", program, s.url, e.model, named)
	}
	return runTool(t.process(command, e, users))
}

// process is the tool, not yet started.
func (t tool) process(command string, e endpoint, users []string) *exec.Cmd {
	p := exec.Command(command, t.arguments(e, users)...)
	p.Args[0] = t.command
	p.Stdin, p.Stdout, p.Stderr = os.Stdin, os.Stdout, os.Stderr
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if !slices.Contains(t.unset, name) {
			p.Env = append(p.Env, v)
		}
	}
	for _, v := range t.environment(e) {
		p.Env = append(p.Env, v.name+"="+v.value) // the last of a name counts
	}
	return p
}

// runTool runs a tool to its end. A Ctrl-C reaches it from the terminal, as it is in the same process group; what is
// sent to this program only is passed on.
func runTool(p *exec.Cmd) error {
	signals := make(chan os.Signal, 8)
	notify(signals, os.Interrupt, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	if err := p.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- p.Wait() }()
	for {
		select {
		case s := <-signals:
			if s == syscall.SIGTERM || s == syscall.SIGHUP {
				p.Process.Signal(s)
			}
		case err := <-done:
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				return err
			}
			if w, ok := exit.Sys().(syscall.WaitStatus); ok && w.Signaled() {
				return statusError(128 + int(w.Signal())) // as shells have it
			}
			return statusError(exit.ExitCode())
		}
	}
}

func serverAddress(c *cli.Context) (string, error) {
	host, port := strings.Trim(c.String("host"), "[]"), c.Int("port")
	switch {
	case host == "" || strings.ContainsAny(host, "/@ ?#"):
		return "", usagef("%s is %q; it must be a name or an address, such as 127.0.0.1", asTyped(c, "host"),
			c.String("host"))
	case port < 1 || port > 65535:
		return "", usagef("%s is %d; it must be between 1 and 65535", asTyped(c, "port"), port)
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), nil
}

// toolKey gives the key, and the expression with which a shell gets at it.
func toolKey(c *cli.Context) (key, shown string, err error) {
	if file := c.String("api-key-file"); c.IsSet("api-key-file") {
		text, err := textfile.Read(file, maxInput)
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", asTyped(c, "api-key-file"), err)
		}
		if key = strings.TrimSpace(string(text)); key == "" {
			return "", "", fmt.Errorf("%s: %s: the file is empty", asTyped(c, "api-key-file"), file)
		}
		return key, `"$(cat ` + quoteShell(file) + `)"`, nil
	}
	if key = os.Getenv(keyEnvironment); key != "" {
		return key, `"$` + keyEnvironment + `"`, nil
	}
	return noKey, noKey, nil
}

// serveFlags are the flags of launch that the server has too, as they were given.
func serveFlags(c *cli.Context) []string {
	var out []string
	for _, f := range c.Command.Flags {
		if name := f.Names()[0]; name != "print" && c.IsSet(name) {
			out = append(out, "--"+name+"="+fmt.Sprint(c.Value(name)))
		}
	}
	return out
}

// serveLine is the command that starts the server.
func serveLine(c *cli.Context) string {
	words := []string{program, "serve"}
	for _, f := range serveFlags(c) {
		words = append(words, shellWord(f))
	}
	return strings.Join(words, " ")
}

// servedName is the name that a server would give the model of the command line.
func servedName(c *cli.Context) (string, error) {
	name, err := modelFlagged(c)
	return modelLabel(name), err
}
