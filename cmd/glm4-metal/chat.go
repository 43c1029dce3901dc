package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/peterh/liner"
	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/loader"
	"github.com/glm4-metal/glm4-metal/model"
)

func chatCommand() *cli.Command {
	return &cli.Command{
		Name:      "chat",
		Usage:     "hold a conversation",
		UsageText: program + " chat [options] [MODEL]",
		Description: `Each line is a message. A pasted text is one message, however many lines it has, and so is what stands
between two lines of """. Lines that begin with / are commands; /help lists them. Ctrl-C stops an answer, the next
one leaves.
When the input is a pipe, each line of it is answered on standard output.
A model that is not here is fetched if you say so.

Examples:
  glm4-metal chat
  glm4-metal chat glm4:9b-4bit --temp 0.7
  glm4-metal chat ./GLM-4-9B-0414-4bit
  GLM4_MODEL=./GLM-Z1-9B-0414-4bit glm4-metal chat --system-prompt "Answer in one sentence."
  printf 'Hello\nWho are you?\n' | glm4-metal chat`,
		Flags: slices.Concat([]cli.Flag{
			modelFlag(), systemPromptFlag(), chatTemplateFlag(), toolsFlag(),
			&cli.BoolFlag{Name: "no-history", Usage: "neither read nor write the file of earlier lines"},
		}, samplingFlags(0), answerFlags(), backendFlags()),
		Action: chat,
	}
}

func chat(c *cli.Context) error {
	name, err := modelName(c)
	if err != nil {
		return err
	}
	options, err := sampling(c)
	if err != nil {
		return err
	}
	style, err := readAnswerStyle(c)
	if err != nil {
		return err
	}
	tools, err := readTools(c)
	if err != nil {
		return err
	}
	ctx, leave := context.WithCancel(c.Context)
	defer leave()
	r := &repl{style: style, interactive: isTerminal(os.Stdin), noHistory: c.Bool("no-history"), leave: leave}
	defer r.watchSignals()()

	if err := offer(ctx, name); err != nil {
		return err
	}
	if r.model, err = load(ctx, c, name); err != nil {
		return err
	}
	defer r.model.Close()
	r.chat = r.model.NewChat(model.System(c.String("system-prompt")), model.Tools(tools...), model.Generation(options))
	defer r.chat.Close()
	if r.interactive {
		r.banner(name == "")
	}
	if r.in, err = r.openInput(ctx); err != nil {
		return err
	}
	defer r.in.Close()
	if r.editor != nil {
		defer r.watchSuspension()()
	}
	return r.run(ctx)
}

// openInput takes the terminal's line editor where there is a terminal that can have one.
func (r *repl) openInput(ctx context.Context) (lineReader, error) {
	if !isTerminal(os.Stdin) || !isTerminal(os.Stdout) || !hasEscapes() || !liner.TerminalSupported() {
		return newPlainReader(), nil
	}
	var h *history
	if file, err := stateFile("history"); err == nil && !r.noHistory {
		if h, err = openHistory(file); err != nil {
			r.note("[no history: %s]", oneLine(err))
		}
	}
	e, err := newEditor(ctx, h)
	if err != nil {
		return nil, err
	}
	e.complete = r.complete
	r.editor = e
	return e, nil
}

// repl reads messages and commands, and answers them.
type repl struct {
	in          lineReader
	editor      *editor // that is in, nil where in is another
	interactive bool
	noHistory   bool
	style       answerStyle
	model       *model.Model
	chat        *model.Chat
	armed       bool   // the next Ctrl-C leaves
	file        string // of the last /save or /load, "" before

	leave context.CancelFunc // ends the chat

	mu      sync.Mutex
	cancel  context.CancelFunc // ends the answer that runs, nil when none does
	bar     *progress          // of its prompt
	asked   int                // how often it has been asked to end
	kept    []model.Message    // the conversation, for other goroutines
	coming  model.Message      // what has come of the answer that runs
	saved   []model.Message    // the conversation as a file has it
	ending  bool               // the chat has been asked to end
	rescued bool
}

// The prompts of a message and of the further lines of one in """.
const (
	prompt     = ">>> "
	nextPrompt = "... "
)

func (r *repl) banner(isDemo bool) {
	i := r.model.Info()
	fmt.Fprintf(os.Stderr, "%s on %s (%s), context %d tokens\n", visibleLine(i.Name), i.Backend, visibleLine(i.Device),
		i.Context)
	if isDemo {
		fmt.Fprintf(os.Stderr, "This is the small built-in demo. A real GLM-4: %s chat %s\n", program, firstModel)
	}
	fmt.Fprint(os.Stderr, "Type a message, or /help; Ctrl-D leaves.\n\n")
}

func (r *repl) run(ctx context.Context) error {
	err := r.converse(ctx)
	if r.interactive && (errors.Is(err, io.EOF) || errors.Is(err, errInterrupted)) {
		fmt.Fprintln(os.Stderr)
	}
	switch {
	case errors.Is(err, errLeave) || errors.Is(err, io.EOF):
		return nil
	case err != nil:
		r.rescue()
	}
	return err
}

// converse answers messages and commands. It ends with errLeave, io.EOF, errInterrupted, or what went wrong.
func (r *repl) converse(ctx context.Context) error {
	for {
		text, isCommand, err := r.read(ctx)
		var unusable lineError
		switch {
		case ctx.Err() != nil:
			return errInterrupted
		case errors.Is(err, errAborted):
			if typed := r.in.Typed(); r.armed && !typed {
				return errInterrupted
			}
			r.armed = true
			fmt.Fprintln(os.Stderr, "press Ctrl-C again or type /exit to leave"+r.hint())
			continue
		case errors.As(err, &unusable) && r.interactive:
			fmt.Fprintln(os.Stderr, oneLine(err))
			continue
		case err != nil:
			return err
		}
		r.armed = false
		r.in.Typed() // from here on
		var gone *loader.FaultError
		switch {
		case strings.TrimSpace(text) == "":
			continue
		case isCommand:
			err = r.command(ctx, text)
		default:
			err = r.answer(ctx, append(r.chat.Messages(), model.UserMessage(text)),
				func(ctx context.Context) iter.Seq2[model.Event, error] { return r.chat.Send(ctx, text) })
		}
		// Where the chat ends before an answer began, the message that it was for is not in it any more.
		if messages := r.chat.Messages(); ctx.Err() == nil || len(messages) >= len(r.kept) {
			r.keep(messages)
		}
		switch {
		case errors.Is(err, errLeave):
			return err
		case ctx.Err() != nil:
			return errInterrupted
		case errors.As(err, &gone): // no answer can come any more
			if r.file != "" {
				err = errors.Join(err, r.save(ctx, r.file))
			}
			return err
		case err != nil && (!r.interactive || errors.Is(err, syscall.EPIPE)):
			return err
		case err != nil:
			fmt.Fprintln(os.Stderr, oneLine(explain(err)))
		}
	}
}

// read gives the next message, or the next command with its slash.
func (r *repl) read(ctx context.Context) (text string, isCommand bool, err error) {
	line, err := r.in.ReadLine(ctx, prompt)
	if err != nil {
		return "", false, err
	}
	block, isBlock := strings.CutPrefix(strings.TrimLeft(line, " \t"), `"""`)
	if !isBlock {
		if rest, ok := strings.CutPrefix(line, "//"); ok {
			return "/" + rest, false, nil
		}
		return line, strings.HasPrefix(line, "/"), nil
	}
	for {
		if text, ended := strings.CutSuffix(strings.TrimRight(block, " \t\n"), `"""`); ended {
			return strings.Trim(text, "\n"), false, nil
		}
		line, err := r.in.ReadLine(ctx, nextPrompt)
		if errors.Is(err, io.EOF) {
			return strings.Trim(block, "\n"), false, nil
		}
		if err != nil {
			return "", false, err
		}
		block += "\n" + line
	}
}

// answer writes an answer as it comes. Ctrl-C ends it and keeps what has come. asked is the conversation that it
// answers.
func (r *repl) answer(ctx context.Context, asked []model.Message,
	reply func(context.Context) iter.Seq2[model.Event, error]) error {
	answering, cancel := context.WithCancel(ctx)
	defer cancel()
	r.keep(asked)
	bar := startPrompt()
	defer bar.stop()
	r.setCancel(cancel, bar)
	options := r.chat.Options()
	defer r.chat.SetOptions(options)
	r.style.limit(&options)
	options.OnPrefill = bar.prefilled
	r.chat.SetOptions(options)
	w := newAnswerWriter(r.style)
	var failed error
	calls := false
	for e, err := range reply(answering) {
		if err != nil {
			failed = err
			break
		}
		bar.stop()
		calls = calls || e.Call != nil
		r.come(e)
		if !w.write(e) {
			break
		}
	}
	bar.stop()
	r.setCancel(nil, nil)
	if err := w.end(); err != nil {
		return err
	}
	var tooLong *model.ContextError
	switch result := r.chat.Result(); {
	case ctx.Err() != nil: // the chat ends
	case answering.Err() != nil:
		r.armed = true
		r.note("[stopped; press Ctrl-C again or type /exit to leave%s]", r.hint())
	case errors.As(failed, &tooLong):
		return fmt.Errorf("the context is full: the conversation has %d tokens, the limit is %d; /clear starts a new one",
			tooLong.Tokens, tooLong.Limit)
	case failed != nil:
		return failed
	case result.FinishReason == model.FinishLength && r.chat.Session().Len()+1 >= r.model.Info().Context:
		r.note("[the context of %d tokens is full; /clear starts a new conversation]", r.model.Info().Context)
	case result.FinishReason == model.FinishLength:
		r.note("[stopped after %d tokens (--max-tokens)]", result.CompletionTokens)
	case calls:
		r.note("[/tool RESULT answers the call]")
	case r.interactive:
		fmt.Fprintln(os.Stderr)
	}
	return nil
}

// note tells a person at the terminal what happened to an answer.
func (r *repl) note(format string, args ...any) {
	if r.interactive {
		fmt.Fprintf(os.Stderr, format+"\n\n", args...)
	}
}
