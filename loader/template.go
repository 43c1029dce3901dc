package loader

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// maxTemplate bounds the files that a template or the names of special tokens may be in.
const maxTemplate = 64 << 20

const tokenizerConfigName = "tokenizer_config.json"

// ChatTemplate returns a checkpoint's Jinja chat template: chat_template.jinja, or else
// additional_chat_templates/default.jinja, or else the chat_template of tokenizer_config.json, of a list of named ones
// that called "default". It returns "" when there is none. name stands for the folder in errors.
func ChatTemplate(fsys fs.FS, name string) (string, error) {
	for _, file := range []string{"chat_template.jinja", "additional_chat_templates/default.jinja"} {
		text, err := textfile.ReadFS(fsys, name, file, maxTemplate)
		if err == nil {
			return string(text), nil
		}
		if !textfile.Absent(err) {
			return "", err
		}
	}
	f, err := optionalFields(fsys, name, tokenizerConfigName)
	if err != nil || !f.has("chat_template") {
		return "", err
	}
	var one string
	if json.Unmarshal(f.values["chat_template"], &one) == nil {
		return one, nil
	}
	var named []struct{ Name, Template string }
	if json.Unmarshal(f.values["chat_template"], &named) != nil {
		f.fail("chat_template", "a string or a list of {name, template}")
		return "", f.err
	}
	var names []string
	for _, t := range named {
		if t.Name == "default" {
			return t.Template, nil
		}
		names = append(names, t.Name)
	}
	return "", fmt.Errorf("%s: chat_template has no template called default, only %s", f.file,
		clip(strings.Join(names, ", ")))
}

// SpecialTokens are the texts of the tokens that a chat template knows by name.
type SpecialTokens struct {
	// Named holds "bos_token", "eos_token" and so on.
	Named map[string]string
	// Additional is the list additional_special_tokens; nil if there is none.
	Additional []string
}

// namedTokens are transformers' PreTrainedTokenizerBase.SPECIAL_TOKENS_ATTRIBUTES. A checkpoint may have more, all
// called something_token.
var namedTokens = []string{"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}

// ReadSpecialTokens reads a checkpoint's special tokens as transformers does: from tokenizer_config.json, and from
// special_tokens_map.json where the former has no added_tokens_decoder. name stands for the folder in errors.
func ReadSpecialTokens(fsys fs.FS, name string) (SpecialTokens, error) {
	t := SpecialTokens{Named: map[string]string{}}
	config, err := optionalFields(fsys, name, tokenizerConfigName)
	if err != nil {
		return t, err
	}
	if err := t.add(config); err != nil || config.has("added_tokens_decoder") {
		return t, err
	}
	legacy, err := optionalFields(fsys, name, "special_tokens_map.json")
	if err != nil {
		return t, err
	}
	return t, t.add(legacy)
}

func (t *SpecialTokens) add(f *fields) error {
	for key, value := range f.values {
		if !strings.HasSuffix(key, "_token") || !f.has(key) {
			continue
		}
		text, ok := tokenText(value)
		if ok {
			t.Named[key] = text
		} else if slices.Contains(namedTokens, key) {
			f.fail(key, "a token's text, or an object with its content")
		}
	}
	const additional, extra = "additional_special_tokens", "extra_special_tokens"
	if f.has(additional) {
		t.Additional = []string{}
		var list []json.RawMessage
		if json.Unmarshal(f.values[additional], &list) != nil {
			f.fail(additional, "a list of tokens")
		}
		for _, value := range list {
			text, ok := tokenText(value)
			if !ok {
				f.fail(additional, "a list of tokens")
			}
			t.Additional = append(t.Additional, text)
		}
	}
	// A list of them has no names.
	var named map[string]json.RawMessage
	if f.has(extra) && json.Unmarshal(f.values[extra], &named) == nil {
		for key, value := range named {
			text, ok := tokenText(value)
			if !ok {
				f.fail(extra, "a list of tokens, or an object of them")
			}
			t.Named[key] = text
		}
	}
	return f.err
}

// tokenText is the text of a token, which is written as a string or as an object with content.
func tokenText(value json.RawMessage) (string, bool) {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text, true
	}
	var token struct{ Content *string }
	if json.Unmarshal(value, &token) != nil || token.Content == nil {
		return "", false
	}
	return *token.Content, true
}

// optionalFields reads a JSON object from a file; one that is missing is empty.
func optionalFields(fsys fs.FS, name, file string) (*fields, error) {
	data, err := textfile.ReadFS(fsys, name, file, maxTemplate)
	if textfile.Absent(err) {
		return &fields{file: name + "/" + file}, nil
	}
	if err != nil {
		return nil, err
	}
	return parseFields(name+"/"+file, data)
}
