package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/internal/hub"
	"github.com/glm4-metal/glm4-metal/internal/nearest"
	"github.com/glm4-metal/glm4-metal/internal/textfile"
	"github.com/glm4-metal/glm4-metal/model"
)

// placeholder is the word in backquotes in a flag's usage, which stands for its value and says what that is: a MODEL,
// a FILE, a FAMILY of chat formats (or a file), a TEXT, or one of the words between bars. "" for a switch.
func placeholder(f cli.Flag) string {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok || !d.TakesValue() {
		return ""
	}
	parts := strings.SplitN(d.GetUsage(), "`", 3)
	if len(parts) < 3 {
		return ""
	}
	return parts[1]
}

// findFlag gives the command's flag of this name or alias, nil if there is none.
func findFlag(command *cli.Command, name string) cli.Flag {
	for _, f := range command.Flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// dashed writes a flag's name as it is typed.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// arrange checks the flags and gives the command line as the flag parser wants it: flags before arguments, each under
// its first name, paths with the home folder written out.
func arrange(app *cli.App, args []string) ([]string, error) {
	app.Metadata = map[string]any{}
	if len(args) < 2 {
		return args, nil
	}
	command := app.Command(args[1])
	switch {
	case slices.Contains([]string{"-h", "-help", "--help"}, args[1]):
		return []string{args[0], "help"}, nil
	case command == nil && isFlag(args[1]) && !slices.Contains([]string{"-v", "-version", "--version"}, args[1]):
		return nil, unknownFlag(app, nil, args[1])
	case command == nil:
		return args, nil
	}
	var flags, rest []string
	for i := 2; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			rest = append(rest, args[i+1:]...)
			break
		}
		if !isFlag(arg) {
			rest = append(rest, arg)
			continue
		}
		typed, value, hasValue := strings.Cut(arg, "=")
		name := strings.TrimPrefix(strings.TrimPrefix(typed, "-"), "-")
		if name == "help" || name == "h" {
			return []string{args[0], "help", args[1]}, nil
		}
		f := findFlag(command, name)
		if f == nil {
			return nil, unknownFlag(app, command, typed)
		}
		var next []string
		if !hasValue {
			next = args[i+1:]
		}
		value, used, err := flagValue(command, f, typed, value, next)
		if err != nil {
			return nil, err
		}
		i += used
		app.Metadata[f.Names()[0]] = typed
		flags = append(flags, "--"+f.Names()[0]+"="+value)
	}
	return slices.Concat(args[:2], flags, []string{"--"}, rest), nil
}

func isFlag(arg string) bool { return len(arg) > 1 && arg[0] == '-' }

// flagValue checks a flag's value, which is the one behind its equals sign or, where it has none, the next argument. It
// gives the value and how many of the next arguments it took.
func flagValue(command *cli.Command, f cli.Flag, typed, value string, next []string) (string, int, error) {
	used := 0
	if _, isSwitch := f.(*cli.BoolFlag); isSwitch {
		if value == "" {
			value = "true"
		}
		if _, err := strconv.ParseBool(value); err != nil {
			return "", 0, usagef("%s is a switch and takes no value, found %q", typed, value)
		}
		if len(next) > 0 && (strings.EqualFold(next[0], "true") || strings.EqualFold(next[0], "false")) {
			return "", 0, usagef("%s is a switch: leave out the %s, or write %s=%s", typed, next[0], typed,
				strings.ToLower(next[0]))
		}
		return value, 0, nil
	}
	if next != nil {
		if len(next) == 0 {
			return "", 0, usagef("%s needs a value: %s %s", typed, typed, placeholder(f))
		}
		value, used = next[0], 1
		name, _, _ := strings.Cut(strings.TrimLeft(value, "-"), "=")
		if isFlag(value) && (name == "help" || name == "h" || findFlag(command, name) != nil) {
			return "", 0, usagef("%s needs a value, but %s follows; where that is the value, write %s=%s", typed, value, typed,
				value)
		}
	}
	switch placeholder(f) {
	case "MODEL", "FILE", "FAMILY":
		value = expandHome(value)
	case "TEXT":
		text, err := textfile.Decode(typed, []byte(value))
		if err != nil {
			return "", 0, usageError{err}
		}
		value = string(text)
	}
	if _, ok := f.(*cli.IntFlag); ok {
		n, err := parseInteger(value)
		if err != nil {
			return "", 0, usagef("%s is %q; %w", typed, value, err)
		}
		value = strconv.Itoa(n) // not 010, which the flag parser takes for 8
	}
	return value, used, nil
}

// asTyped is a flag as the user wrote it.
func asTyped(c *cli.Context, name string) string {
	if typed, ok := c.App.Metadata[name].(string); ok {
		return typed
	}
	return "--" + name
}

// noArgument refuses what a verb without arguments was given.
func noArgument(c *cli.Context) error {
	if c.NArg() > 0 {
		return usagef("unexpected argument %q: %s takes flags only; see %s --help", c.Args().First(), c.Command.Name,
			c.Command.HelpName)
	}
	return nil
}

// The rule for the model is the same in every verb: an argument names it, else --model, else the environment. The demo
// answers only where none of these is there; one that is empty is a mistake.

// modelName is the model of a verb whose one argument can be one; "" stands for the demo.
func modelName(c *cli.Context) (string, error) {
	switch c.NArg() {
	case 0:
		return modelFlagged(c)
	case 1:
		return modelArgument(c, c.Args().First())
	}
	return "", usagef("unexpected argument %q: %s takes one, a model; see %s --help", c.Args().Get(1),
		c.Command.Name, c.Command.HelpName)
}

// modelAndText divides the arguments of a verb that works on a text: the first may be a model, the others are the
// text. name "" stands for the demo.
func modelAndText(c *cli.Context) (name string, words []string, err error) {
	words = c.Args().Slice()
	folder, err := isModel(words)
	switch {
	case err != nil:
		return "", nil, err
	case folder:
		name, err = modelArgument(c, words[0])
		words = words[1:]
	default:
		name, err = modelFlagged(c)
	}
	if err == nil && name != "" {
		_, err = model.Find(name) // before a text is waited for
	}
	return name, words, err
}

func modelFlagged(c *cli.Context) (string, error) {
	if c.IsSet("model") {
		if c.String("model") == "" {
			return "", usagef("%s is empty; give it a model, or leave it out for the built-in demo",
				asTyped(c, "model"))
		}
		return c.String("model"), nil
	}
	name, isSet := os.LookupEnv(modelVariable)
	if isSet && name == "" {
		return "", usagef("%s is set in the environment, but empty; let it name a model, or unset it for the "+
			"built-in demo", modelVariable)
	}
	return expandHome(name), nil
}

func modelArgument(c *cli.Context, argument string) (string, error) {
	switch {
	case argument == "":
		return "", usagef("the argument is empty; give a model, or no argument for the built-in demo")
	case c.IsSet("model"):
		return "", usagef("two models are named, %q and %s %q; name one (a text that looks like a path goes behind --prompt)",
			argument, asTyped(c, "model"), c.String("model"))
	}
	return expandHome(argument), nil
}

// modelWord is a word that is a path from here, or a name such as mlx-community/GLM-4-9B-0414-4bit or org/name@v1.
var modelWord = regexp.MustCompile(`^[\w.-]+(/[\w.-]+)+(@[\w./-]+)?/?$`)

// isModel tells whether the first of these arguments is a model and no text. What could be either is a mistake.
func isModel(arguments []string) (bool, error) {
	if len(arguments) == 0 || arguments[0] == "" {
		return false, nil
	}
	for _, later := range arguments[1:] {
		if looksLikePath(later) && isFolder(later) {
			return false, usagef("the folder %s comes before the text, or behind --model; a text that looks like it goes "+
				"behind --prompt", later)
		}
	}
	argument := arguments[0]
	_, err := os.Stat(expandHome(argument))
	exists, isPath := err == nil, looksLikePath(argument)
	switch {
	case isFolder(argument) && !isPath:
		if _, err := os.Stat(filepath.Join(argument, "config.json")); err != nil {
			return false, usagef("%q is a folder without a config.json; name a checkpoint with --model, or give the text with "+
				"--prompt", argument)
		}
		return true, nil
	case exists && !isFolder(argument) && (isPath || len(arguments) == 1):
		return false, usagef("%q is a file; --file takes its text, --model a checkpoint, --prompt the words "+
			"themselves", argument)
	case isPath:
		return true, nil
	}
	return isHubModel(argument)
}

// isHubModel tells whether an argument that is no file's name is a short name, or in the cache of the hub.
func isHubModel(argument string) (bool, error) {
	if _, ok := knownModel(argument); ok {
		return true, nil
	}
	if strings.Contains(argument, ":") {
		if near := nearest.Name(strings.ToLower(argument), hub.Names()); near != "" {
			return false, usagef("%q is no model; did you mean %s; a text that looks like one goes behind --prompt", argument,
				near)
		}
	}
	if !modelWord.MatchString(argument) || !strings.ContainsFunc(argument, unicode.IsLetter) {
		return false, nil
	}
	_, err := model.Find(argument)
	var missing *model.NotFoundError
	switch {
	case err == nil, errors.As(err, &missing) && len(missing.Missing) > 0:
		return true, nil
	case missing != nil:
		return false, usagef("%q looks like a model, and there is no such folder, nor is it in the cache: %s pull %s "+
			"fetches it; a text goes behind --prompt", argument, program, argument)
	}
	return false, usagef("%q looks like a model, and there is no such folder; name a checkpoint with --model, or give "+
		"the text with --prompt", argument)
}

// looksLikePath tells whether a text can only be a path: one word from the root, the home folder or here.
func looksLikePath(text string) bool {
	if strings.ContainsFunc(text, unicode.IsSpace) {
		return false
	}
	for _, start := range []string{"/", "./", "../"} {
		if strings.HasPrefix(text, start) {
			return true
		}
	}
	return text == "." || text == ".." || text == "~" || strings.HasPrefix(text, "~") && strings.Contains(text, "/")
}

func isFolder(path string) bool {
	info, err := os.Stat(expandHome(path))
	return err == nil && info.IsDir()
}
