package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/nearest"
	"github.com/glm4-metal/glm4-metal/model"
)

// errLeave ends a chat in good order.
var errLeave = errors.New("leave")

// slashCommand is a line that begins with a slash. /help, completion and what is carried out come from the table of
// them.
type slashCommand struct {
	names    []string // without the slash
	argument string   // placeholder of what follows it, "" when nothing does
	help     string
	run      func(r *repl, ctx context.Context, argument string) error
	complete func(r *repl, argument string) []string // what the argument may become, nil: nothing
}

// slashCommands are the commands, the most used first.
func slashCommands() []slashCommand {
	return []slashCommand{
		{names: []string{"help", "?"}, help: "show this list", run: (*repl).help},
		{names: []string{"clear"}, help: "forget the conversation, all but the system message", run: (*repl).clear},
		{names: []string{"regen"}, help: "answer the last message again", run: (*repl).regenerate},
		{names: []string{"set"}, argument: "[NAME [VALUE]]", help: "show or change how answers are made, as the flags do",
			run: (*repl).set, complete: (*repl).completeSetting},
		{names: []string{"system"}, argument: "[TEXT]", help: `show or set the system message; "" removes it`,
			run: (*repl).system},
		{names: []string{"save"}, argument: "[FILE]", help: "write the conversation to a JSON file, or the last one",
			run: (*repl).save, complete: completePath},
		{names: []string{"load"}, argument: "FILE", help: "go on with a saved conversation", run: (*repl).load,
			complete: completePath},
		{names: []string{"stats"}, help: "figures of the conversation and the last answer", run: (*repl).stats},
		{names: []string{"tools"}, argument: "[FILE]", help: `list the tools, or declare those in a JSON file; "" none`,
			run: (*repl).tools, complete: completePath},
		{names: []string{"tool"}, argument: "RESULT", help: "answer the model's tool call", run: (*repl).toolResult},
		{names: []string{"exit", "quit", "bye"}, help: "leave, as does Ctrl-D",
			run: func(*repl, context.Context, string) error { return errLeave }},
	}
}

const chatHelp = `
A pasted text is one message. So are lines between """ and """. A message that
begins with / is typed with two: //. Tab completes commands, names and paths;
the arrow keys bring earlier lines back, Ctrl-R searches them.

Ctrl-C stops an answer and keeps what has come; the next one leaves, or, where
the answer does not stop, the third. A conversation that is left in this way,
or by a signal, is written to a file, which is named; with --no-history not.
Ctrl-Z suspends the program, and the shell's fg goes on.
`

func (r *repl) help(context.Context, string) error {
	for _, c := range slashCommands() {
		fmt.Fprintf(os.Stderr, "%-20s %s\n", strings.TrimSpace("/"+strings.Join(c.names, ", /")+" "+c.argument), c.help)
	}
	fmt.Fprint(os.Stderr, chatHelp)
	return nil
}

// command carries out a line that begins with a slash.
func (r *repl) command(ctx context.Context, line string) error {
	name, argument := strings.TrimPrefix(line, "/"), ""
	if i := strings.IndexAny(name, " \t\n"); i >= 0 {
		name, argument = name[:i], strings.TrimSpace(name[i:])
	}
	var names []string
	for _, c := range slashCommands() {
		if slices.Contains(c.names, name) {
			if c.argument == "" && argument != "" {
				return fmt.Errorf("/%s takes nothing behind it, found %q", name, argument)
			}
			return c.run(r, ctx, argument)
		}
		names = append(names, c.names...)
	}
	meant := ""
	if near := nearest.Name(strings.ToLower(name), names); near != "" {
		meant = "did you mean /" + near + "? "
	}
	return fmt.Errorf("there is no command /%s; %s/help lists the commands, and // begins a message with a slash", name,
		meant)
}

func (r *repl) clear(context.Context, string) error {
	if err := r.chat.Clear(); err != nil {
		return err
	}
	r.markSaved("", nil) // what comes is another conversation
	r.confirm("the conversation is forgotten")
	return nil
}

// confirm says on one line what a command did.
func (r *repl) confirm(format string, args ...any) {
	fmt.Fprintln(os.Stderr, visibleLine(fmt.Sprintf(format, args...)))
}

// nothing is how an argument is spelled that removes something.
const nothing = `""`

func (r *repl) system(_ context.Context, text string) error {
	switch text {
	case "":
		if messages := r.chat.Messages(); len(messages) > 0 && messages[0].Role == model.RoleSystem {
			fmt.Fprintln(os.Stderr, visible(messages[0].Content))
		} else {
			r.confirm("there is no system message")
		}
	case nothing:
		if err := r.chat.SetSystem(""); err != nil {
			return err
		}
		r.confirm("there is no system message any more")
	default:
		if err := r.chat.SetSystem(text); err != nil {
			return err
		}
		r.confirm("the system message is set, for the conversation so far, too")
	}
	return nil
}

func (r *repl) regenerate(ctx context.Context, _ string) error {
	asked := r.chat.Messages()
	for len(asked) > 0 && asked[len(asked)-1].Role == model.RoleAssistant {
		asked = asked[:len(asked)-1]
	}
	if len(asked) == 0 || asked[len(asked)-1].Role == model.RoleSystem {
		return errors.New("there is no question to answer again")
	}
	if r.chat.Options().Temperature == 0 {
		r.note("[the temperature is 0, so the answer will be the same; /set temp 0.7 gives others]")
	}
	return r.answer(ctx, asked, func(ctx context.Context) iter.Seq2[model.Event, error] { return r.chat.Regenerate(ctx) })
}

func (r *repl) save(_ context.Context, file string) error {
	if file = expandHome(file); file == "" {
		file = r.file
	}
	if file == "" {
		return errors.New("/save needs the name of a file")
	}
	messages := r.chat.Messages()
	if err := saveConversation(file, r.model.Info().Name, messages, 0o666); err != nil {
		return fmt.Errorf("/save: %w", err)
	}
	r.markSaved(file, messages)
	r.confirm("saved %s to %s", plural(len(messages), "message"), file)
	return nil
}

func (r *repl) load(_ context.Context, file string) error {
	if file == "" {
		return errors.New("/load needs the name of a file")
	}
	file = expandHome(file)
	messages, err := loadConversation(file)
	if err == nil {
		err = r.chat.SetMessages(messages)
	}
	if err != nil {
		return fmt.Errorf("/load: %w", err)
	}
	r.markSaved(file, r.chat.Messages())
	r.confirm("loaded %s from %s", plural(len(messages), "message"), file)
	return nil
}

func (r *repl) tools(_ context.Context, file string) error {
	switch file {
	case "":
		tools := r.chat.Tools()
		if len(tools) == 0 {
			r.confirm("no tools are declared; /tools FILE declares some")
		}
		for _, tool := range tools {
			r.confirm("%s", tool.Name)
		}
		return nil
	case nothing:
		r.chat.SetTools()
		r.confirm("no tools are declared any more")
		return nil
	}
	file = expandHome(file)
	tools, err := loadTools(file)
	if err != nil {
		return fmt.Errorf("/tools: %w", err)
	}
	r.chat.SetTools(tools...)
	r.confirm("%s declared from %s", plural(len(tools), "tool"), file)
	return nil
}

// toolResult answers one call of the last answer, in the order of the calls. The model goes on after the last result.
func (r *repl) toolResult(ctx context.Context, result string) error {
	if result == "" {
		return errors.New("/tool needs the result of the call")
	}
	messages := r.chat.Messages()
	given := 0
	for given < len(messages) && messages[len(messages)-1-given].Role == model.RoleObservation {
		given++
	}
	asked := 0
	if at := len(messages) - 1 - given; at >= 0 {
		asked = len(messages[at].ToolCalls)
	}
	if given >= asked {
		return errors.New("no tool call waits for a result")
	}
	if err := r.chat.Add(model.ToolResult(result)); err != nil {
		return err
	}
	if missing := asked - given - 1; missing > 0 {
		r.note("[%s more to answer]", plural(missing, "call"))
		return nil
	}
	return r.answer(ctx, r.chat.Messages(), func(ctx context.Context) iter.Seq2[model.Event, error] {
		return r.chat.Reply(ctx)
	})
}

func (r *repl) stats(context.Context, string) error {
	i, session, last := r.model.Info(), r.chat.Session(), r.chat.Result()
	row := func(name, format string, args ...any) { r.confirm("%-12s "+format, append([]any{name}, args...)...) }
	row("messages", "%d", len(r.chat.Messages()))
	row("context", "%d of %d tokens", session.Len(), i.Context)
	row("KV cache", "%s", gigabytes(session.CacheBytes()))
	if last.PromptTokens > 0 {
		row("last prompt", "%d tokens, %d of them cached, %.1f tokens/s", last.PromptTokens, last.CachedTokens,
			last.PromptTPS())
		row("last answer", "%d tokens, %.1f tokens/s, first after %.0f ms", last.CompletionTokens, last.GenerationTPS(),
			milliseconds(last.TTFT))
	}
	row("backend", "%s on %s; %s", i.Backend, i.Device, i.Why)
	return nil
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
