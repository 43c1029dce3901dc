package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"
)

// The first picture of a progress comes after progressDelay, so that what is quick shows none.
const (
	progressDelay    = 200 * time.Millisecond
	progressInterval = 100 * time.Millisecond
)

// echoedCtrlC is what a terminal may write behind a progress.
const echoedCtrlC = "^C"

// plainInterval is between the lines of a progress that has no terminal.
const plainInterval = 5 * time.Second

// progress is a line on a terminal that tells how far a work is. It has to be stopped, which takes the line away,
// before anything else is written there but by say. nil stands for no terminal, and shows nothing. Its methods may be
// called from several goroutines.
type progress struct {
	out   io.Writer
	plain bool // no terminal: a line of its own each time
	width int  // columns that the line may take
	what  string
	// amount says how much has been done, "" where that says nothing.
	amount func(done, total int64, elapsed time.Duration) string

	mu          sync.Mutex
	done, total int64
	start       time.Time
	drawn       int // columns of the last picture
	pictures    int
	stopped     chan struct{}
}

// startProgress shows a work on standard error, where that is a terminal that can take a line back.
func startProgress(what string, amount func(done, total int64, elapsed time.Duration) string) *progress {
	if t := os.Getenv("TERM"); !isTerminal(os.Stderr) || t == "" || t == "dumb" {
		return nil
	}
	width, _, err := term.GetSize(int(os.Stderr.Fd()))
	if err != nil || width <= 0 {
		width = 80
	}
	p := &progress{out: os.Stderr, width: max(1, width-1-len(echoedCtrlC)), what: what, amount: amount}
	p.run(progressDelay, progressInterval)
	return p
}

func (p *progress) run(delay, interval time.Duration) {
	p.start, p.stopped = time.Now(), make(chan struct{})
	go func() {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		for {
			select {
			case <-p.stopped:
				return
			case <-timer.C:
				p.draw()
				timer.Reset(interval)
			}
		}
	}()
}

// set tells how much has been done.
func (p *progress) set(done, total int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done, p.total = done, total
}

// describe tells what is done now.
func (p *progress) describe(what string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what = what
}

// prefilled is set for model.Options.OnPrefill.
func (p *progress) prefilled(done, total int) { p.set(int64(done), int64(total)) }

func (p *progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.stopped:
		return
	default:
	}
	line := p.what
	if !p.plain {
		line = string(`|/-\`[p.pictures%4]) + " " + line
	}
	if p.total > 0 {
		line += fmt.Sprintf(" %d%%%s", 100*p.done/p.total, p.amount(p.done, p.total, time.Since(p.start)))
	}
	if p.plain {
		fmt.Fprintln(p.out, visibleLine(line))
		return
	}
	line = runewidth.Truncate(line, p.width, "")
	drawn := runewidth.StringWidth(line)
	fmt.Fprintf(p.out, "\r%s%s", line, strings.Repeat(" ", max(0, p.drawn-drawn)))
	p.drawn = drawn
	p.pictures++
}

// stop takes the line away. Nothing is drawn any more when it returns; stopping again changes nothing.
func (p *progress) stop() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.stopped:
		return
	default:
	}
	close(p.stopped)
	p.erase()
}

// erase takes the line away. p is locked.
func (p *progress) erase() {
	if p.drawn > 0 { // blanks, which every terminal knows
		fmt.Fprintf(p.out, "\r%s\r", strings.Repeat(" ", p.drawn+len(echoedCtrlC)))
	}
	p.drawn = 0
}

// say writes a line of its own above the progress.
func (p *progress) say(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	fmt.Fprintln(p.out, visibleLine(line))
}

func startLoading() *progress {
	return startProgress("loading the model", func(_, total int64, _ time.Duration) string {
		return " of " + gigabytes(total)
	})
}

func startPrompt() *progress {
	return startProgress("reading the prompt", func(done, total int64, elapsed time.Duration) string {
		return fmt.Sprintf(" of %d tokens, %.0f tokens/s", total, float64(done)/elapsed.Seconds())
	})
}

// startTransfer shows how many bytes have come. Where there is no terminal it writes a line every few seconds.
func startTransfer(what string) *progress {
	var p pace
	if bar := startProgress(what, p.amount); bar != nil {
		return bar
	}
	bar := &progress{out: os.Stderr, plain: true, what: what, amount: p.amount}
	bar.run(plainInterval, plainInterval)
	return bar
}

// pace tells how fast bytes come, by those of the last paceSpan.
type pace struct{ marks []paceMark }

type paceMark struct {
	at   time.Duration
	done int64
}

const paceSpan = 10 * time.Second

func (p *pace) amount(done, total int64, elapsed time.Duration) string {
	if n := len(p.marks); n > 0 && done < p.marks[n-1].done { // something is fetched again
		p.marks = nil
	}
	p.marks = append(p.marks, paceMark{elapsed, done})
	for len(p.marks) > 2 && elapsed-p.marks[1].at >= paceSpan {
		p.marks = p.marks[1:]
	}
	text, first := " of "+gigabytes(total), p.marks[0]
	span := elapsed - first.at
	if span < time.Second {
		return text
	}
	perSecond := float64(done-first.done) / span.Seconds()
	text += fmt.Sprintf(", %.1f MB/s", perSecond/1e6)
	if left := float64(total-done) / perSecond; left > 0 && left < 1e6 { // seconds; +Inf where nothing comes
		text += fmt.Sprintf(", %v left", time.Duration(left*float64(time.Second)).Round(time.Second))
	}
	return text
}
