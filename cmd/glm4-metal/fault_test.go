package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/demo"
)

func TestShrunkWeightsLoseTheChatAndTheTerminal(t *testing.T) {
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "chat.json")
	require.NoError(t, os.CopyFS(dir, demo.FS()))
	c := startChat(t, dir, "--no-history", "--max-tokens", "3")
	c.expect(prompt)
	c.send("/save " + file + "\r")
	c.expect("saved 0 messages")
	c.expect(prompt)
	c.send("Hello\r")
	c.expectAnswer()
	c.expect(prompt)
	require.NoError(t, os.Truncate(filepath.Join(dir, "model.safetensors"), 0))
	c.send("More\r")
	c.expect("saved 2 messages")
	c.expectEnd(statusFailed)
	c.expect(filepath.Join(dir, "model.safetensors") + ": the file has shrunk from ")
	require.Equal(t, "user assistant", saved(t, file).roles())
}
