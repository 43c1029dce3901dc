package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/internal/chatformat"
	"github.com/glm4-metal/glm4-metal/internal/hub"
)

func completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a shell's completion, or the manual page",
		UsageText: program + " completion bash|zsh|fish|man",
		Description: `What is printed goes where the shell looks for it:
  glm4-metal completion bash > ~/.local/share/bash-completion/completions/glm4-metal
  glm4-metal completion zsh > "${fpath[1]}/_glm4-metal"
  glm4-metal completion fish > ~/.config/fish/completions/glm4-metal.fish
  glm4-metal completion man > /usr/local/share/man/man1/glm4-metal.1

Examples:
  source <(glm4-metal completion bash)
  glm4-metal completion man | man -l -`,
		Action: func(c *cli.Context) error {
			if c.NArg() > 1 {
				return usagef("unexpected argument %q: completion takes one of bash, zsh, fish and man", c.Args().Get(1))
			}
			var b strings.Builder
			switch shell := c.Args().First(); shell {
			case "bash":
				writeBash(&b, completedCommands(c.App))
			case "zsh":
				writeZsh(&b, completedCommands(c.App))
			case "fish":
				writeFish(&b, completedCommands(c.App))
			case "man":
				writeManual(&b, c.App)
			case modelWords: // what the scripts ask for
				for _, name := range modelNames() {
					b.WriteString(name + "\n")
				}
			default:
				return usagef("completion is for bash, zsh, fish and man, not for %q", shell)
			}
			_, err := io.WriteString(os.Stdout, b.String())
			return err
		},
	}
}

// modelWords is the argument of completion that prints names of models.
const modelWords = "models"

// modelNames are the short names, and the other names in the cache.
func modelNames() []string {
	names := hub.Names()
	h, err := hub.Open()
	if err != nil {
		return names
	}
	found, _ := h.List() // what cannot be read is not completed
	for _, l := range listings(found) {
		if !slices.Contains(names, l.Name) {
			names = append(names, l.Name)
		}
	}
	return names
}

// completedCommand is what a shell has to know of a command.
type completedCommand struct {
	name, usage string
	flags       []completedFlag
	argument    completedValue
}

type completedFlag struct {
	names    []string // as they are typed
	usage    string
	isSwitch bool
	value    string // placeholder
	can      completedValue
	repeated bool
}

// completedValue is what an argument, or the value of a flag, can be.
type completedValue struct {
	words                  []string
	files, folders, models bool
}

func completedCommands(app *cli.App) []completedCommand {
	var commands, names = []completedCommand{}, []string{}
	for _, command := range app.VisibleCommands() {
		names = append(names, command.Name)
	}
	for _, command := range app.VisibleCommands() {
		isModel := strings.Contains(command.UsageText, "[MODEL]") || strings.Contains(command.UsageText, "SRC DST")
		c := completedCommand{name: command.Name, usage: command.Usage, argument: completedValue{
			folders: isModel || strings.Contains(command.UsageText, "[FOLDER]"),
			models:  isModel || strings.Contains(command.UsageText, "NAME..."),
		}}
		switch command.Name {
		case "help":
			c.argument.words = names
		case "completion":
			c.argument.words = []string{"bash", "zsh", "fish", "man"}
		case "launch":
			c.argument.words = toolNames()
		}
		for _, f := range append(command.VisibleFlags(), cli.HelpFlag) {
			c.flags = append(c.flags, completeFlag(f))
		}
		commands = append(commands, c)
	}
	return commands
}

func completeFlag(f cli.Flag) completedFlag {
	value := placeholder(f)
	_, repeated := f.(*cli.StringSliceFlag)
	c := completedFlag{
		names: flagNames(f), usage: flagUsage(f.(cli.DocGenerationFlag)), isSwitch: value == "", value: value,
		repeated: repeated,
		can: completedValue{files: value == "FILE" || value == "FAMILY", folders: value == "MODEL",
			models: value == "MODEL"},
	}
	switch {
	case value == "FAMILY":
		c.can.words = chatformat.Names()
	case strings.Contains(value, "|"):
		c.can.words = strings.Split(value, "|")
	}
	return c
}

// writeBash writes a function that needs nothing but bash 3.2, as it is on a Mac. Bash takes the colon in a model's
// name for the end of a word: the parts are joined, and what is before the last colon is left out of the replies.
func writeBash(w *strings.Builder, commands []completedCommand) {
	fmt.Fprintf(w, `# bash completion of %[1]s
_glm4_metal() {
    local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" i first=$COMP_CWORD head
    COMPREPLY=()
    while (( first > 2 )) && [[ ${COMP_WORDS[first]} == ":" || ${COMP_WORDS[first-1]} == ":" ]]; do
        (( first-- ))
        current="${COMP_WORDS[first]}$current"
        previous="${COMP_WORDS[first-1]}"
    done
    if [[ $current == "=" ]]; then
        current=""
    elif [[ $previous == "=" ]]; then
        previous="${COMP_WORDS[first-2]}"
    fi
    if (( COMP_CWORD == 1 )); then
        COMPREPLY=($(compgen -W "%[2]s --help --version" -- "$current"))
        return
    fi
    case "${COMP_WORDS[1]}" in
`, program, strings.Join(names(commands), " "))
	for _, c := range commands {
		fmt.Fprintf(w, "    %s)\n        case \"$previous\" in\n", c.name)
		var flags []string
		for _, f := range c.flags {
			flags = append(flags, f.names...)
			if !f.isSwitch {
				fmt.Fprintf(w, "        %s) %sreturn ;;\n", strings.Join(f.names, "|"), bashReply(f.can))
			}
		}
		fmt.Fprintf(w, `        esac
        if [[ $current == -* ]]; then
            COMPREPLY=($(compgen -W "%s" -- "$current"))
        else
            %s:
        fi ;;
`, strings.Join(flags, " "), bashReply(c.argument))
	}
	fmt.Fprint(w, `    esac
}
complete -F _glm4_metal `+program+"\n")
}

// askModels is the command that prints names of models.
const askModels = program + " completion " + modelWords + " 2>/dev/null"

// bashReply is the command that completes a value. A name of a file may hold spaces.
func bashReply(v completedValue) string {
	var b strings.Builder
	if len(v.words) > 0 {
		fmt.Fprintf(&b, `COMPREPLY=($(compgen -W "%s" -- "$current")); `, strings.Join(v.words, " "))
	}
	if v.models {
		b.WriteString(`COMPREPLY=($(compgen -W "$(` + askModels + `)" -- "$current")); ` +
			`if [[ $COMP_WORDBREAKS == *:* && $current == *:* ]]; then head="${current%:*}:"; ` +
			`for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]="${COMPREPLY[i]#"$head"}"; done; fi; `)
	}
	if v.files || v.folders {
		kind := map[bool]string{true: "-f", false: "-d"}[v.files]
		fmt.Fprintf(&b, `compopt -o filenames 2>/dev/null; while IFS= read -r i; do COMPREPLY+=("$i"); done `+
			`< <(compgen %s -- "$current"); `, kind)
	}
	return b.String()
}

func names(commands []completedCommand) []string {
	var names []string
	for _, c := range commands {
		names = append(names, c.name)
	}
	return names
}

func writeZsh(w *strings.Builder, commands []completedCommand) {
	fmt.Fprintf(w, `#compdef %[1]s
_glm4_metal() {
    local -a commands
    commands=(
`, program)
	for _, c := range commands {
		fmt.Fprintf(w, "        %s\n", quoteShell(c.name+":"+c.usage))
	}
	fmt.Fprint(w, `    )
    if (( CURRENT == 2 )); then
        _describe command commands
        _arguments '--help[show help]' '--version[print the version]'
        return
    fi
    local verb=$words[2]
    shift words
    (( CURRENT-- ))
    case $verb in
`)
	for _, c := range commands {
		fmt.Fprintf(w, "    %s) _arguments -S", c.name)
		for _, f := range c.flags {
			for _, name := range f.names {
				fmt.Fprintf(w, " \\\n        %s", quoteShell(zshFlag(f, name)))
			}
		}
		fmt.Fprintf(w, " \\\n        %s ;;\n", quoteShell("*:argument:"+zshAction(c.argument)))
	}
	fmt.Fprintf(w, `    esac
}
if [[ $funcstack[1] == _%[1]s ]]; then
    _glm4_metal "$@"
else
    compdef _glm4_metal %[1]s
fi
`, program)
}

// zshFlag is one name of a flag as _arguments takes it.
func zshFlag(f completedFlag, name string) string {
	escape := strings.NewReplacer(":", `\:`, "[", `\[`, "]", `\]`)
	spec := "(" + strings.Join(f.names, " ") + ")" + name
	if f.repeated {
		spec = "*" + name
	}
	if !f.isSwitch && strings.HasPrefix(name, "--") {
		spec += "=" // or a space
	}
	spec += "[" + escape.Replace(f.usage) + "]"
	if !f.isSwitch {
		spec += ":" + escape.Replace(f.value) + ":" + zshAction(f.can)
	}
	return spec
}

func zshAction(v completedValue) string {
	var parts []string
	if v.models {
		parts = append(parts, "compadd -- $("+askModels+")")
	}
	switch {
	case len(v.words) > 0 && v.files:
		parts = append(parts, "compadd "+strings.Join(v.words, " "), "_files")
	case len(v.words) > 0:
		return "(" + strings.Join(v.words, " ") + ")"
	case v.files:
		parts = append(parts, "_files")
	case v.folders:
		parts = append(parts, "_files -/")
	}
	switch len(parts) {
	case 0:
		return " "
	case 1:
		return parts[0]
	}
	return "{ " + strings.Join(parts, "; ") + " }"
}

func writeFish(w *strings.Builder, commands []completedCommand) {
	line := func(condition, rest string) {
		fmt.Fprintf(w, "complete -c %s -n %s %s\n", program, quoteShell(condition), rest)
	}
	fmt.Fprintf(w, "complete -c %s -f\n", program)
	for _, c := range commands {
		line("__fish_use_subcommand", fmt.Sprintf("-a %s -d %s", c.name, quoteShell(c.usage)))
	}
	line("__fish_use_subcommand", "-l help -s h -d 'show help'")
	line("__fish_use_subcommand", "-l version -s v -d 'print the version'")
	for _, c := range commands {
		inside := "__fish_seen_subcommand_from " + c.name
		if values := fishValues(c.argument); values != "" {
			line(inside, "-a "+quoteShell(values))
		}
		for _, f := range c.flags {
			var spec []string
			for _, name := range f.names {
				spec = append(spec, map[bool]string{true: "-l ", false: "-s "}[strings.HasPrefix(name, "--")]+strings.TrimLeft(name,
					"-"))
			}
			if !f.isSwitch {
				spec = append(spec, "-x")
			}
			if values := fishValues(f.can); values != "" {
				spec = append(spec, "-a "+quoteShell(values))
			}
			line(inside, strings.Join(append(spec, "-d", quoteShell(f.usage)), " "))
		}
	}
}

func fishValues(v completedValue) string {
	values := slices.Clone(v.words)
	if v.models {
		values = append(values, "("+askModels+")")
	}
	if v.files {
		values = append(values, "(__fish_complete_path)")
	}
	if v.folders {
		values = append(values, "(__fish_complete_directories)")
	}
	return strings.Join(values, " ")
}

// quoteShell quotes a text for bash, zsh and fish.
func quoteShell(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
