package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"

	"github.com/glm4-metal/glm4-metal/model"
)

// errLeave ends a chat in good order.
var errLeave = errors.New("leave")

const chatHelp = `/clear          forget the conversation
/system [TEXT]  show or set the system message; /system "" removes it
/regen          answer the last message again
/save FILE      write the conversation to a JSON file
/load FILE      go on with a saved conversation
/tool RESULT    answer the model's tool call
/stats          figures of the conversation and the last answer
/exit           leave, as do /bye and Ctrl-D

A pasted text is one message. So are lines between """ and """.
A message that begins with / is typed with two: //.
Ctrl-C stops an answer and keeps what has come.
`

// command carries out a line that begins with a slash.
func (r *repl) command(ctx context.Context, line string) error {
	name, argument := line, ""
	if i := strings.IndexAny(line, " \t\n"); i >= 0 {
		name, argument = line[:i], strings.TrimSpace(line[i:])
	}
	switch name {
	case "/help":
		fmt.Fprint(os.Stderr, chatHelp)
	case "/clear":
		r.chat.Clear()
	case "/system":
		r.system(argument)
	case "/regen":
		return r.regenerate(ctx)
	case "/save":
		return r.save(argument)
	case "/load":
		return r.load(argument)
	case "/tool":
		return r.toolResult(ctx, argument)
	case "/stats":
		r.stats()
	case "/exit", "/bye":
		return errLeave
	default:
		return fmt.Errorf("there is no command %s; /help lists the commands, and // begins a message with a slash", name)
	}
	return nil
}

func (r *repl) system(text string) {
	switch text {
	case "":
		if messages := r.chat.Messages(); len(messages) > 0 && messages[0].Role == model.RoleSystem {
			fmt.Fprintln(os.Stderr, messages[0].Content)
		} else {
			fmt.Fprintln(os.Stderr, "there is no system message")
		}
	case `""`:
		r.chat.SetSystem("")
	default:
		r.chat.SetSystem(text)
	}
}

func (r *repl) regenerate(ctx context.Context) error {
	o := r.chat.Options()
	if o.Temperature == 0 {
		r.note("[the temperature is 0, so the answer will be the same; start with --temp 0.7 for others]")
	}
	return r.answer(ctx, func(ctx context.Context) iter.Seq2[model.Delta, error] { return r.chat.Regenerate(ctx) })
}

func (r *repl) save(file string) error {
	if file == "" {
		return errors.New("/save needs the name of a file")
	}
	file = expandHome(file)
	messages := r.chat.Messages()
	if err := saveConversation(file, r.model.Info().Name, messages, 0o666); err != nil {
		return fmt.Errorf("/save: %w", err)
	}
	fmt.Fprintf(os.Stderr, "saved %s to %s\n", plural(len(messages), "message"), file)
	return nil
}

func (r *repl) load(file string) error {
	if file == "" {
		return errors.New("/load needs the name of a file")
	}
	file = expandHome(file)
	messages, err := loadConversation(file)
	if err != nil {
		return fmt.Errorf("/load: %w", err)
	}
	system, rest := "", messages
	if len(messages) > 0 && messages[0].Role == model.RoleSystem {
		system, rest = messages[0].Content, messages[1:]
	}
	r.chat.SetSystem(system)
	r.chat.Clear()
	r.chat.Add(rest...)
	fmt.Fprintf(os.Stderr, "loaded %s from %s\n", plural(len(messages), "message"), file)
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
	r.chat.Add(model.Message{Role: model.RoleObservation, Content: result})
	if missing := asked - given - 1; missing > 0 {
		r.note("[%s more to answer]", plural(missing, "call"))
		return nil
	}
	return r.answer(ctx, func(ctx context.Context) iter.Seq2[model.Delta, error] { return r.chat.Reply(ctx) })
}

func (r *repl) stats() {
	i, session, last := r.model.Info(), r.chat.Session(), r.chat.Result()
	fmt.Fprintf(os.Stderr, "messages     %d\n", len(r.chat.Messages()))
	fmt.Fprintf(os.Stderr, "context      %d of %d tokens\n", session.Len(), i.Context)
	fmt.Fprintf(os.Stderr, "KV cache     %s\n", model.Gigabytes(session.CacheBytes()))
	if last.PromptTokens > 0 {
		fmt.Fprintf(os.Stderr, "last prompt  %d tokens, %d of them cached, %.1f tokens/s\n", last.PromptTokens, last.CachedTokens, last.PromptTPS())
		fmt.Fprintf(os.Stderr, "last answer  %d tokens, %.1f tokens/s, first after %.0f ms\n", last.CompletionTokens, last.GenerationTPS(), milliseconds(last.TTFT))
	}
	fmt.Fprintf(os.Stderr, "backend      %s on %s; %s\n", i.Backend, i.Device, i.Why)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
