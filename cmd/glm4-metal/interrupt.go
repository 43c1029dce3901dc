package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"syscall"
	"time"

	"github.com/glm4-metal/glm4-metal/model"
)

// How long an answer may take to stop before that is said, and how long the program waits for itself to end, and then
// for the GPU.
const (
	sayStopping = 300 * time.Millisecond
	endAnyway   = 2 * time.Second
)

// watchSignals handles signals until the function that it gives is called. They are handled while the chat waits for
// whatever may hang, too.
func (r *repl) watchSignals() (stop func()) {
	signals := make(chan os.Signal, 8)
	notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	if r.interactive {
		notify(signals, syscall.SIGQUIT, syscall.SIGABRT)
		signal.Ignore(syscall.SIGPIPE) // it would leave the terminal as it is; the write fails instead
	}
	go func() {
		for s := range signals {
			r.signal(s)
		}
	}()
	return func() { signal.Stop(signals) }
}

// watchSuspension is for a program that has changed the terminal's modes; one that has not is suspended without notice.
func (r *repl) watchSuspension() (stop func()) {
	signals := make(chan os.Signal, 8)
	notify(signals, syscall.SIGTSTP, syscall.SIGCONT)
	go func() {
		for s := range signals {
			if s == syscall.SIGTSTP {
				r.editor.suspend()
			} else {
				r.editor.resume()
			}
		}
	}()
	return func() { signal.Stop(signals) }
}

// signal takes a signal from outside. At the prompt the editor takes Ctrl-C, not this.
func (r *repl) signal(s os.Signal) {
	switch s {
	case syscall.SIGQUIT, syscall.SIGABRT: // end as Go programs do, but with the terminal restored
		r.rescue()
		giveBackTerminal()
		signal.Reset(s)
		syscall.Kill(os.Getpid(), s.(syscall.Signal))
	case os.Interrupt:
		r.interrupt()
	default:
		r.end()
	}
}

// interrupt takes a Ctrl-C that is no key of the editor. The first stops the answer that runs; the second says what the
// third does, which ends a program that does not stop.
func (r *repl) interrupt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancel == nil || !r.interactive {
		r.endLocked()
		return
	}
	switch r.asked++; r.asked {
	case 1:
		r.cancel()
		time.AfterFunc(sayStopping, r.sayStopping)
	case 2:
		r.interject("[still stopping; Ctrl-C once more leaves at once" + r.hint() + "]")
	case 3:
		go r.exit()
	}
}

// hint warns of the loss of a conversation.
func (r *repl) hint() string {
	if r.noHistory {
		return "; the conversation is not kept"
	}
	return ""
}

// sayStopping tells that a Ctrl-C has been noticed.
func (r *repl) sayStopping() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancel != nil && r.asked == 1 {
		r.interject("[stopping…]")
	}
}

// interject writes a line while an answer runs. r is locked.
func (r *repl) interject(line string) {
	r.bar.stop()
	if r.begun() {
		line = "\n" + line
	}
	fmt.Fprintln(os.Stderr, line)
}

// begun tells whether something of the answer that runs has come. r is locked.
func (r *repl) begun() bool {
	return r.coming.Content != "" || r.coming.Reasoning != "" || len(r.coming.ToolCalls) > 0
}

// end ends the chat in good order, or without it where that takes too long or is asked for again.
func (r *repl) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.endLocked()
}

func (r *repl) endLocked() {
	if r.ending {
		go r.exit()
		return
	}
	r.ending = true
	r.leave()
	time.AfterFunc(endAnyway, r.exit)
}

func (r *repl) exit() {
	r.rescue()
	exit(statusInterrupted)
}

// setCancel notes that an answer runs, with the progress of its prompt, or with nil that it has ended.
func (r *repl) setCancel(cancel context.CancelFunc, bar *progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cancel, r.bar, r.asked, r.coming = cancel, bar, 0, model.Message{Role: model.RoleAssistant}
}

// keep notes the conversation for the case that it has to be rescued.
func (r *repl) keep(messages []model.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = messages
}

// come notes what an event brings of the answer that runs.
func (r *repl) come(e model.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.coming.Add(e)
}

// markSaved notes that a file has the conversation, or with "" that none has.
func (r *repl) markSaved(file string, messages []model.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.file, r.saved = file, messages
}

// rescue writes a conversation that no file has to one of its own, and names it, when the chat ends otherwise than by
// the user's wish. With --no-history nothing is written unasked.
func (r *repl) rescue() {
	r.mu.Lock()
	defer r.mu.Unlock()
	messages := r.kept
	if r.cancel != nil && r.begun() {
		messages = append(slices.Clone(messages), r.coming)
	}
	isUsers := func(m model.Message) bool { return m.Role == model.RoleUser }
	if r.rescued || r.noHistory || !r.interactive || reflect.DeepEqual(messages, r.saved) ||
		!slices.ContainsFunc(messages, isUsers) {
		return
	}
	r.rescued = true
	file, err := stateFile("unsaved-" + time.Now().Format("20060102-150405") + ".json")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o700)
	}
	if err == nil {
		err = saveConversation(file, r.model.Info().Name, messages, 0o600)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "[the conversation is lost: %s]\n", oneLine(err))
		return
	}
	fmt.Fprintf(os.Stderr, "[the conversation is in %s; /load goes on with it]\n", visibleLine(file))
	dropOldest(filepath.Join(filepath.Dir(file), "unsaved-*.json"))
}

// rescuedConversations is how many of them are kept.
const rescuedConversations = 20

func dropOldest(pattern string) {
	files, _ := filepath.Glob(pattern) // their names sort by time
	for _, file := range files[:max(0, len(files)-rescuedConversations)] {
		os.Remove(file)
	}
}
