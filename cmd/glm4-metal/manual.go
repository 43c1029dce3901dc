package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// writeManual writes the manual page in the macros of man(7).
func writeManual(b *strings.Builder, app *cli.App) {
	fmt.Fprintf(b, ".TH %s 1 \"\" %s\n", strings.ToUpper(roff(program)), roffQuote(program+" "+version()))
	fmt.Fprintf(b, ".SH NAME\n%s \\- %s\n", roff(program), roff(app.Usage))
	b.WriteString(".SH SYNOPSIS\n")
	var usages []string
	for _, c := range app.VisibleCommands() {
		usages = append(usages, ".B "+roff(c.UsageText)+"\n")
	}
	b.WriteString(strings.Join(usages, ".br\n"))
	b.WriteString(".SH DESCRIPTION\n")
	paragraphs(b, app.Description)
	b.WriteString("Standard output has the answer, standard error everything else.\n.SH COMMANDS\n")
	for _, c := range app.VisibleCommands() {
		fmt.Fprintf(b, ".SS %s\n%s: %s.\n", roffQuote(c.Name), roff(c.UsageText), roff(c.Usage))
		for _, f := range c.VisibleFlags() {
			fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(strings.TrimSpace(strings.Join(flagNames(f), ", ")+" "+placeholder(f))),
				roff(flagUsage(f.(cli.DocGenerationFlag))))
		}
		b.WriteString(".PP\n")
		paragraphs(b, c.Description)
	}
	fmt.Fprintf(b, `.SH ENVIRONMENT
.TP
.B %s
names the model where neither \-\-model nor an argument does.
.TP
.B HF_HOME, HF_HUB_CACHE
move the cache of the Hugging Face hub, which is \(ti/.cache/huggingface/hub otherwise.
.TP
.B HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE, HTTPS_PROXY
are for pull, as huggingface_hub has them.
.SH EXIT STATUS
.TP
.B 0
It worked.
.TP
.B %d
It failed; one line on standard error says why.
.TP
.B %d
The command line is wrong.
.TP
.B %d
It was interrupted.
`, modelVariable, statusFailed, statusUsage, statusInterrupted)
}

// paragraphs writes a text whose indented lines stand as they are.
func paragraphs(b *strings.Builder, text string) {
	asItStands := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if indented := strings.HasPrefix(line, " "); indented != asItStands {
			b.WriteString(map[bool]string{true: ".nf\n", false: ".fi\n"}[indented])
			asItStands = indented
		}
		if line == "" {
			line = ".PP"
		} else {
			line = roff(line)
		}
		b.WriteString(line + "\n")
	}
	if asItStands {
		b.WriteString(".fi\n")
	}
}

// roff escapes what means something to a formatter: backslashes, dashes that are to be copied, and a dot or quote that
// begins a line.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", "\\(ga", "~", `\(ti`, "^", `\(ha`).Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}

// roffQuote makes an argument of a macro.
func roffQuote(text string) string {
	return `"` + strings.ReplaceAll(roff(text), `"`, `\(dq`) + `"`
}
