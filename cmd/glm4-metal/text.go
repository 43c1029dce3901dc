package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/internal/chatformat"
	"github.com/glm4-metal/glm4-metal/internal/demo"
	"github.com/glm4-metal/glm4-metal/internal/tokenizer"
	"github.com/glm4-metal/glm4-metal/loader"
)

// inputText gives the text that a verb works on: the flag's, or else the arguments, or else standard input.
func inputText(c *cli.Context, flag string) (string, error) {
	switch text := c.String(flag); {
	case c.IsSet(flag) && c.NArg() > 0:
		return "", usagef("unexpected argument %q beside --%s; put a text of several words in quotes", c.Args().First(), flag)
	case c.IsSet(flag) && text != "-":
		return text, nil
	case c.NArg() > 0:
		return strings.Join(c.Args().Slice(), " "), nil
	case !c.IsSet(flag) && isTerminal(os.Stdin):
		return "", usagef("there is no text; give it with --%s TEXT, as an argument, or through a pipe", flag)
	}
	data, err := io.ReadAll(os.Stdin)
	if err != nil {
		return "", fmt.Errorf("standard input: %w", err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
}

// openTokenizer reads a checkpoint's tokenizer and nothing else.
func openTokenizer(name string) (*tokenizer.Tokenizer, error) {
	fsys := demo.FS()
	if name != "" {
		switch info, err := os.Stat(name); {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("%s: there is no such folder; give the path of a checkpoint, or none for the built-in demo", name)
		case err == nil && !info.IsDir():
			return nil, fmt.Errorf("%s: a file; give the folder that holds it", name)
		}
		fsys = os.DirFS(name)
	}
	t, err := tokenizer.Load(fsys)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cmp.Or(name, demo.Name), err)
	}
	return t, nil
}

// openCheckpoint maps a checkpoint's files; its weights are not touched.
func openCheckpoint(name string) (*loader.Checkpoint, error) {
	if name == "" {
		return loader.OpenFS(demo.FS(), demo.Name)
	}
	return loader.Open(name)
}

// chatFormat is how prompts are written: by the family or the Jinja file that override names, or else as the
// checkpoint's own template says. special are the tokenizer's control tokens.
func chatFormat(name, override string, special []string) (chatformat.Format, error) {
	tokens := chatformat.Tokens{Special: special}
	if slices.Contains(chatformat.Names(), override) {
		return chatformat.ByName(override)
	}
	if override != "" {
		text, err := os.ReadFile(override)
		if err != nil {
			return nil, fmt.Errorf("--chat-template is neither one of %s nor a file: %w", strings.Join(chatformat.Names(), ", "), err)
		}
		return chatformat.FromTemplate(override, string(text), tokens)
	}
	checkpoint, err := openCheckpoint(name)
	if err != nil {
		return nil, err
	}
	defer checkpoint.Close()
	text, err := checkpoint.ChatTemplate()
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, fmt.Errorf("%s has no chat template; name a family or a file with --chat-template", checkpoint.Dir)
	}
	return chatformat.Detect(text, tokens)
}
