package loader

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// maxTemplate bounds the files that a template may be in.
const maxTemplate = 64 << 20

// ChatTemplate returns a checkpoint's Jinja chat template: chat_template.jinja, or else the chat_template of tokenizer_config.json,
// of a list of named ones that called "default". It returns "" when there is none. name stands for the folder in errors.
func ChatTemplate(fsys fs.FS, name string) (string, error) {
	const jinja, config = "chat_template.jinja", "tokenizer_config.json"
	text, err := textfile.ReadFS(fsys, name, jinja, maxTemplate)
	if err == nil {
		return string(text), nil
	}
	if !textfile.Absent(err) {
		return "", err
	}
	data, err := textfile.ReadFS(fsys, name, config, maxTemplate)
	if textfile.Absent(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	f, err := parseFields(name+"/"+config, data)
	if err != nil {
		return "", err
	}
	if !f.has("chat_template") {
		return "", nil
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
	return "", fmt.Errorf("%s: chat_template has no template called default, only %s", f.file, clip(strings.Join(names, ", ")))
}
