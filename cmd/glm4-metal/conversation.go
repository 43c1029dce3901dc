package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
	"github.com/glm4-metal/glm4-metal/model"
)

// conversationJSON is a conversation as /save writes it.
type conversationJSON struct {
	Model    string        `json:"model"`
	System   string        `json:"system,omitempty"`
	Messages []messageJSON `json:"messages"` // without the system message
}

// saveConversation writes a conversation in whole or not at all; perm is the mode of a new file, before umask.
func saveConversation(file, modelName string, messages []model.Message, perm fs.FileMode) error {
	c := conversationJSON{Model: modelName}
	if len(messages) > 0 && messages[0].Role == model.RoleSystem {
		c.System, messages = messages[0].Content, messages[1:]
	}
	c.Messages = messagesJSON(messages)
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return textfile.Replace(file, append(data, '\n'), perm)
}

// loadConversation reads what saveConversation wrote. The system message comes first in messages, if there is one.
func loadConversation(file string) ([]model.Message, error) {
	data, err := textfile.Read(file, maxInput)
	if err != nil {
		return nil, err
	}
	messages, err := parseConversation(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return messages, nil
}

func parseConversation(data []byte) ([]model.Message, error) {
	var c struct {
		System   string
		Messages json.RawMessage
	}
	if err := json.Unmarshal(data, &c); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return nil, fmt.Errorf("%s: expected a %v, found a %s", strings.ToLower(wrong.Field), wrong.Type, wrong.Value)
		}
		return nil, fmt.Errorf("not a saved conversation: %w", err)
	}
	if c.Messages == nil {
		return nil, errors.New("messages: missing; a saved conversation has an array of messages there")
	}
	messages, err := parseMessages(c.Messages, "messages")
	if err != nil {
		return nil, err
	}
	for i, m := range messages {
		if m.Role == model.RoleSystem && (i > 0 || c.System != "") {
			return nil, fmt.Errorf("messages[%d].role: a system message can only be the first, or stand in \"system\"", i)
		}
	}
	if c.System != "" {
		messages = append([]model.Message{model.SystemMessage(c.System)}, messages...)
	}
	return messages, nil
}

// expandHome writes the home folder for a leading ~, as a shell does.
func expandHome(file string) string {
	if rest, ok := strings.CutPrefix(file, "~"); ok && (rest == "" || rest[0] == '/') {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	return file
}
