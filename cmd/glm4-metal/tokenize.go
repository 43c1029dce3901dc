package main

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/model"
)

func tokenizeCommand() *cli.Command {
	return &cli.Command{
		Name:      "tokenize",
		Usage:     "turn text into token ids and back",
		UsageText: program + " tokenize [options] [MODEL] [TEXT]",
		Description: aboutInput + `Nothing else is put in front of it.

Examples:
  glm4-metal tokenize "Why is the sky blue?"
  glm4-metal tokenize --json 你好
  glm4-metal tokenize --count < book.txt
  glm4-metal tokenize --special "<|user|>"
  glm4-metal tokenize --decode "$(glm4-metal tokenize 你好)"`,
		Flags: slices.Concat([]cli.Flag{modelFlag()}, promptFlags("tokenize this"), []cli.Flag{
			&cli.BoolFlag{Name: "special", Usage: "take <|user|> and the like in the text for control tokens"},
			&cli.BoolFlag{Name: "count", Usage: "print how many tokens there are"},
			&cli.StringFlag{Name: "decode", Usage: "print the text of these `IDS`, separated by spaces or commas"},
			&cli.BoolFlag{Name: "json", Usage: "print an array of {id, token, bytes} on one line"},
		}),
		Action: tokenize,
	}
}

// tokenJSON is one token. Token is spelled as tokenizer.json does, with Ġ for a space; Bytes are what it stands for.
type tokenJSON struct {
	ID      int32  `json:"id"`
	Token   string `json:"token"`
	Bytes   []int  `json:"bytes"`
	Special bool   `json:"special,omitempty"`
}

func tokenize(c *cli.Context) error {
	name, words, err := modelAndText(c)
	if err != nil {
		return err
	}
	var ids []int32
	var text string
	decode := c.IsSet("decode")
	if decode {
		for _, flag := range []string{"prompt", "file", "special"} {
			if c.IsSet(flag) {
				return usagef("%s and %s do not go together; leave one out", asTyped(c, "decode"), asTyped(c, flag))
			}
		}
		if len(words) > 0 {
			return usagef("unexpected argument %q beside %s; put several ids in quotes", words[0], asTyped(c, "decode"))
		}
		if ids, err = parseIDs(c.String("decode")); err != nil {
			return err
		}
	} else if text, err = inputText(c, words, false); err != nil {
		return err
	}
	t, err := model.OpenText(c.Context, name, "")
	if err != nil {
		return err
	}
	switch {
	case decode:
		for _, id := range ids {
			if _, ok := t.Token(id); !ok {
				return fmt.Errorf("--decode: there is no token with the id %d; the ids run from 0 to %d", id, t.VocabSize()-1)
			}
		}
	case c.Bool("special"):
		ids, err = t.EncodeSpecial(c.Context, text)
	default:
		ids, err = t.Encode(c.Context, text)
	}
	if err != nil {
		return err
	}
	switch {
	case c.Bool("count"):
		_, err = fmt.Println(len(ids))
	case c.Bool("json"):
		err = printJSON(tokensJSON(t, ids))
	case decode:
		err = printText(string(t.DecodeBytes(ids)) + "\n")
	default:
		err = printIDs(ids)
	}
	return err
}

func parseIDs(text string) ([]int32, error) {
	var ids []int32
	for _, field := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,\t\r\n[]", r) }) {
		id, err := strconv.ParseInt(field, 10, 32)
		if err != nil || id < 0 {
			return nil, usagef("--decode: %q is no token id; give numbers, separated by spaces or commas", field)
		}
		ids = append(ids, int32(id))
	}
	return ids, nil
}

func tokensJSON(t *model.Text, ids []int32) []tokenJSON {
	tokens := make([]tokenJSON, 0, len(ids))
	for _, id := range ids {
		token := tokenJSON{ID: id, Special: t.IsSpecial(id)}
		token.Token, _ = t.Token(id)
		for _, b := range t.DecodeBytes([]int32{id}) {
			token.Bytes = append(token.Bytes, int(b))
		}
		tokens = append(tokens, token)
	}
	return tokens
}

// printIDs writes ids on one line, separated by spaces.
func printIDs(ids []int32) error {
	out := bufio.NewWriter(os.Stdout)
	for i, id := range ids {
		if i > 0 {
			out.WriteByte(' ')
		}
		out.WriteString(strconv.Itoa(int(id)))
	}
	out.WriteByte('\n')
	return out.Flush()
}
