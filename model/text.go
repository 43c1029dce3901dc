package model

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/chatformat"
	"github.com/glm4-metal/glm4-metal/internal/demo"
	"github.com/glm4-metal/glm4-metal/internal/textfile"
	"github.com/glm4-metal/glm4-metal/internal/tokenizer"
	"github.com/glm4-metal/glm4-metal/loader"
)

// Text is how a checkpoint reads and writes: its tokenizer and its chat format, without any weights. It is safe for
// concurrent use.
type Text struct {
	name      string
	family    *chatformat.Family
	tokenizer *tokenizer.Tokenizer
	format    chatformat.Format // nil when there is none
	noFormat  error             // why
}

// OpenText reads the tokenizer and the chat template of a checkpoint's folder, "" for the built-in demo.
// chatTemplate is as in [ChatTemplate]; "" takes the checkpoint's own template, which may be missing, or one that cannot be
// used: ChatFormat says so. The error is the context's if that ended.
func OpenText(ctx context.Context, name, chatTemplate string) (*Text, error) {
	fsys := demo.FS()
	if name != "" {
		if err := loader.CheckFolder(name); err != nil {
			return nil, err
		}
		fsys = os.DirFS(name)
	}
	return readText(ctx, fsys, cmp.Or(name, demo.Name), chatTemplate, chatformat.FamilyOf(""))
}

func readText(ctx context.Context, fsys fs.FS, name, chatTemplate string, family *chatformat.Family) (*Text, error) {
	t, err := tokenizer.Load(ctx, fsys, name, tokenizer.Control{Tokens: family.Control, Prefix: family.Prefix})
	if err != nil {
		return nil, err
	}
	text := &Text{name: name, family: family, tokenizer: t}
	text.format, text.noFormat = chatFormat(ctx, fsys, name, chatTemplate, t.Specials())
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case chatTemplate != "" && text.noFormat != nil:
		return nil, text.noFormat
	}
	return text, nil
}

// chatFormat decides how to write prompts: as the override says, which is a family or a file, or else by the
// checkpoint's own template.
func chatFormat(ctx context.Context, fsys fs.FS, name, override string, special []string) (chatformat.Format, error) {
	if slices.Contains(chatformat.Names(), override) {
		return chatformat.ByName(override)
	}
	families := strings.Join(chatformat.Names(), ", ")
	named, err := loader.ReadSpecialTokens(fsys, name)
	if err != nil {
		return nil, err
	}
	tokens := chatformat.Tokens{Special: special, Named: named.Named, Additional: named.Additional}
	if override != "" {
		text, err := textfile.Read(override, chatformat.MaxTemplate)
		if err != nil {
			return nil, fmt.Errorf("the chat template is neither one of %s nor a file that can be read: %w", families, err)
		}
		return chatformat.FromTemplate(ctx, override, string(text), tokens)
	}
	text, err := loader.ChatTemplate(fsys, name)
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, fmt.Errorf("%s has no chat template; choose one of %s or a template file for it, or generate from plain text", name, families)
	}
	return chatformat.Detect(ctx, text, tokens)
}

// Tokenizer is the checkpoint's.
func (t *Text) Tokenizer() *tokenizer.Tokenizer { return t.tokenizer }

// ChatFormat names the chat format, or says why there is none.
func (t *Text) ChatFormat() (string, error) {
	if t.format == nil {
		return "", t.noFormat
	}
	return t.format.Name(), nil
}

// Prompt renders messages as the model's family wants them: the text, and its ids. With answer it ends where the
// assistant's answer begins. What looks like a control token inside a message is encoded as ordinary text. The error is the
// context's if that ended.
func (t *Text) Prompt(ctx context.Context, messages []Message, tools []Tool, answer bool) (string, []int32, error) {
	if t.format == nil {
		return "", nil, t.noFormat
	}
	prompt, err := t.format.Render(ctx, messages, chatformat.Options{AddGenerationPrompt: answer, Tools: tools})
	if err != nil {
		return "", nil, err
	}
	ids := []int32{}
	for _, s := range prompt {
		if !s.Special {
			if ids, err = t.tokenizer.AppendEncodeContext(ctx, ids, s.Text); err != nil {
				return "", nil, err
			}
			continue
		}
		id, ok := t.tokenizer.Special(s.Text)
		if !ok {
			return "", nil, fmt.Errorf("the chat template writes %s, which the tokenizer of %s does not have", s.Text, t.name)
		}
		ids = append(ids, id)
	}
	return prompt.String(), ids, nil
}

// Encode gives the ids of plain text behind the tokenizer's prefix ([gMASK]<sop>), as Session.Generate uses them.
func (t *Text) Encode(text string) []int32 {
	return t.tokenizer.AppendEncode(t.tokenizer.Prefix(), text)
}

// EncodeContext is Encode, ended by the context with the context's error.
func (t *Text) EncodeContext(ctx context.Context, text string) ([]int32, error) {
	return t.tokenizer.AppendEncodeContext(ctx, t.tokenizer.Prefix(), text)
}

// EncodePrompt gives the ids of a prompt in which control tokens, such as <|user|>, are recognised, as Session.Generate
// uses them with Options.ParseSpecial. The tokenizer's prefix is put in front, as transformers' tokenizer(text) does,
// unless the prompt begins with it: mlx-lm's stream_generate leaves it out then if the prefix is the one token bos_token,
// and doubles that of GLM-4, which has no bos_token. The error is the context's.
func (t *Text) EncodePrompt(ctx context.Context, text string) ([]int32, error) {
	prefix := t.tokenizer.Prefix()
	ids, err := t.tokenizer.AppendEncodeWithSpecialsContext(ctx, prefix, text)
	if err != nil {
		return nil, err
	}
	if own := ids[len(prefix):]; len(own) >= len(prefix) && slices.Equal(own[:len(prefix)], prefix) {
		return own, nil
	}
	return ids, nil
}

// Decode gives the text of ids, control tokens as their names.
func (t *Text) Decode(ids []int32) string { return t.tokenizer.Decode(ids) }
