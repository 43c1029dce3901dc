package model

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/chatformat"
	"github.com/glm4-metal/glm4-metal/internal/textfile"
	"github.com/glm4-metal/glm4-metal/internal/tokenizer"
	"github.com/glm4-metal/glm4-metal/loader"
)

// Text is how a checkpoint reads and writes: its tokenizer and its chat format, without any weights. It is safe for
// concurrent use. The zero Text has neither: what can give an error does, and the rest gives nothing.
type Text struct {
	name      string
	family    *chatformat.Family
	tokenizer *tokenizer.Tokenizer
	format    chatformat.Format // nil when there is none
	noFormat  error             // why
	callMasks callMasks
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
		return nil, fmt.Errorf("%s has no chat template; choose one of %s or a template file for it, or generate from "+
			"plain text", name, families)
	}
	return chatformat.Detect(ctx, text, tokens)
}

// ChatFormat names the chat format, a family's name or the file of [ChatTemplate], or says why there is none.
func (t *Text) ChatFormat() (string, error) {
	switch {
	case t.format != nil:
		return t.format.Name(), nil
	case t.noFormat != nil:
		return "", t.noFormat
	}
	return "", errNoTokenizer
}

// Prompt renders messages as the model's family wants them: the text, and its ids. With answer it ends where the
// assistant's answer begins. What looks like a control token inside a message is encoded as ordinary text, so that the
// ids are not those of [Text.EncodePrompt]. It fails where there is no chat format, as ChatFormat says, and on messages
// that the format cannot write, such as none at all or one of an unknown role. The error is the context's if that
// ended.
func (t *Text) Prompt(ctx context.Context, messages []Message, tools []Tool, answer bool) (text string, ids []int32,
	err error) {
	return t.prompt(ctx, messages, chatformat.Options{AddGenerationPrompt: answer, Tools: formatTools(tools)})
}

func (t *Text) prompt(ctx context.Context, messages []Message, o chatformat.Options) (text string, ids []int32,
	err error) {
	if _, err := t.ChatFormat(); err != nil {
		return "", nil, err
	}
	prompt, err := t.format.Render(ctx, formatMessages(messages), o)
	if err != nil {
		return "", nil, err
	}
	ids = []int32{}
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

// Encode gives the ids of a plain text, in which nothing is a control token, whatever it looks like. Nothing is put in
// front of it. It can be text that is no UTF-8. The error is the context's if that ended.
func (t *Text) Encode(ctx context.Context, text string) ([]int32, error) {
	return t.encode(ctx, nil, text, false)
}

// EncodeSpecial is Encode of a text in which control tokens, such as <|user|>, stand for what they name, as in
// transformers' tokenizer(text, add_special_tokens=False).
func (t *Text) EncodeSpecial(ctx context.Context, text string) ([]int32, error) {
	return t.encode(ctx, nil, text, true)
}

// EncodePrompt gives the ids that Session.Generate continues: those of Encode, or with special those of EncodeSpecial
// as with Options.ParseSpecial, behind the tokenizer's prefix, [gMASK]<sop>. That is left out where a text with control
// tokens begins with it. (mlx-lm's stream_generate leaves it out only if it is the one token bos_token, and doubles
// that of GLM-4, which has no bos_token.)
func (t *Text) EncodePrompt(ctx context.Context, text string, special bool) ([]int32, error) {
	if t.tokenizer == nil {
		return nil, errNoTokenizer
	}
	prefix := t.tokenizer.Prefix()
	ids, err := t.encode(ctx, prefix, text, special)
	if err != nil {
		return nil, err
	}
	if own := ids[len(prefix):]; special && len(own) >= len(prefix) && slices.Equal(own[:len(prefix)], prefix) {
		return own, nil
	}
	return ids, nil
}

func (t *Text) encode(ctx context.Context, ids []int32, text string, special bool) ([]int32, error) {
	var err error
	switch {
	case t.tokenizer == nil:
		return nil, errNoTokenizer
	case special:
		ids, err = t.tokenizer.AppendEncodeWithSpecialsContext(ctx, ids, text)
	default:
		ids, err = t.tokenizer.AppendEncodeContext(ctx, ids, text)
	}
	if err != nil {
		return nil, err
	}
	return ids, nil
}

// Decode gives the text of ids, control tokens as their names and unknown ids as nothing. Bytes that are no UTF-8, such
// as half a character, become U+FFFD.
func (t *Text) Decode(ids []int32) string {
	if t.tokenizer == nil {
		return ""
	}
	return t.tokenizer.Decode(ids)
}

// DecodeBytes is Decode without a look at UTF-8: the very bytes that the ids stand for.
func (t *Text) DecodeBytes(ids []int32) []byte {
	if t.tokenizer == nil {
		return nil
	}
	return t.tokenizer.DecodeBytes(ids)
}

// VocabSize is the number of tokens, whose ids begin at 0. The model's head may have more rows, loader.Config.Vocab,
// which are padding.
func (t *Text) VocabSize() int {
	if t.tokenizer == nil {
		return 0
	}
	return t.tokenizer.Size()
}

// Token gives a token's spelling as tokenizer.json has it, with Ġ for a space and the like for other bytes, and whether
// there is such an id.
func (t *Text) Token(id int32) (spelling string, ok bool) {
	if t.tokenizer == nil {
		return "", false
	}
	return t.tokenizer.Token(id)
}

// IsSpecial tells whether an id is a control token's.
func (t *Text) IsSpecial(id int32) bool { return t.tokenizer != nil && t.tokenizer.IsSpecial(id) }

// Special gives the id of a token that the tokenizer adds to the vocabulary, such as "<|user|>", and whether there is
// one.
func (t *Text) Special(name string) (id int32, ok bool) {
	if t.tokenizer == nil {
		return 0, false
	}
	return t.tokenizer.Special(name)
}
