package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/demo"
	"github.com/glm4-metal/glm4-metal/internal/hub"
	"github.com/glm4-metal/glm4-metal/internal/hub/hubtest"
)

func TestListMisleads(t *testing.T) {
	u := newHubUser(t)
	stdout, stderr, status := u.run("list")
	require.Zero(t, status)
	require.Empty(t, stdout)
	requireNamed(t, stderr, "there is no GLM checkpoint in "+u.home+"/hub; glm4-metal pull glm4:9b-4bit fetches one")
	stdout, _, _ = u.run("list", "--json")
	require.Equal(t, "[]\n", stdout)

	folder := u.pull()
	mine := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(mine, "part"), demo.FS()))
	require.NoError(t, os.Remove(filepath.Join(mine, "part", "model.safetensors")))
	old := filepath.Join(filepath.Dir(folder), strings.Repeat("2", 40))
	require.NoError(t, os.CopyFS(old, demo.FS()))
	require.NoError(t, os.Remove(filepath.Join(old, "tokenizer.json")))

	stdout, stderr, status = u.run("list", "--json", mine)
	require.Zero(t, status, stderr)
	var all []listed
	require.NoError(t, json.Unmarshal([]byte(stdout), &all))
	require.Len(t, all, 3)
	byName := map[string]listed{}
	for _, l := range all {
		byName[l.Name] = l
		require.Equal(t, "glm4", l.Family)
		require.Positive(t, l.Bits)
		require.NotNil(t, l.Used)
	}
	here := byName[hubShort]
	require.Equal(t, []string{"main"}, here.Revisions)
	require.Equal(t, hubName, here.Repository)
	require.Equal(t, folder, here.Folder)
	require.Equal(t, u.bytes(), here.Bytes)
	require.Empty(t, here.Problem)
	require.Contains(t, byName[hubName+"@"+strings.Repeat("2", 40)].Problem, "it lacks tokenizer.json; glm4-metal pull ")
	require.Contains(t, byName[filepath.Join(mine, "part")].Problem, "model.safetensors")

	stdout, _, _ = u.run("list", mine)
	require.Regexp(t, `\| name +\| +size \| bits \| family \| last used +\|\n`, stdout)
	require.Regexp(t, `\| glm4:9b-4bit +\| +\d+\.\d MB \|`, stdout)
	require.Contains(t, stdout, filepath.Join(mine, "part")+" cannot be used: ")
	require.NotContains(t, stdout, hubShort+" cannot be used")

	stdout, _, _ = u.run("list", "--known")
	for _, name := range hub.Names() {
		require.Contains(t, stdout, "| "+name+" ")
	}
	require.Equal(t, 1, strings.Count(stdout, "| yes "))
	stdout, _, _ = u.run("list", "--known", "--json")
	var known []listedName
	require.NoError(t, json.Unmarshal([]byte(stdout), &known))
	require.Len(t, known, len(hub.Names()))
}

// requireNamed is for a line that is no error.
func requireNamed(t *testing.T, stderr, want string) {
	require.Contains(t, stderr, want)
	require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
}

func TestListWrapsInANarrowTerminal(t *testing.T) {
	u := newHubUser(t)
	u.pull()
	c := startWindow(t, u.command("list"), 24, 50)
	<-c.ended
	require.Contains(t, c.output, "| family |")
	require.NotContains(t, c.output, "last used")
	c = startWindow(t, u.command("list"), 24, 12)
	<-c.ended
	require.Regexp(t, `size \|\r`, c.output)
	require.NotContains(t, c.output, "bits")
}

func TestRemovesUnasked(t *testing.T) {
	u := newHubUser(t)
	folder := u.pull()
	stdout, stderr, status := u.run("rm", hubShort)
	require.Equal(t, statusFailed, status)
	requireOneLine(t, stderr, "nobody can be asked whether to remove it; --yes does not ask")
	require.Empty(t, stdout)
	_, stderr, status = u.run("rm", "--yes", folder)
	require.Equal(t, statusFailed, status)
	requireOneLine(t, stderr, "delete it yourself")
	_, _, status = u.run("rm", "--yes", hubShort, "org/other")
	require.Equal(t, statusFailed, status)
	require.DirExists(t, folder, "one of the names is not there")

	for _, answer := range []string{"\r", "n\r", endOfFile, interrupt} {
		cmd := u.command("rm", hubShort)
		c := startConsole(t, cmd)
		c.expect("remove " + hubShort + ", " + gigabytes(u.bytes()) + "? [y/N] ")
		c.send(answer)
		<-c.ended
		want := map[bool]int{true: statusInterrupted}[answer == interrupt]
		require.Equal(t, want, cmd.ProcessState.ExitCode(), "%q", answer)
		require.DirExists(t, folder)
	}
	c := startConsole(t, u.command("rm", hubShort))
	c.expect("? [y/N] ")
	c.send("y\r")
	c.expect("removed " + hubShort + ": " + gigabytes(u.bytes()) + " are free again")
	<-c.ended
	require.NoDirExists(t, folder)

	u.pull()
	stdout, stderr, status = u.run("rm", "-y", "--json", hubShort, hubName)
	require.Zero(t, status, stderr)
	var r removed
	require.NoError(t, json.NewDecoder(bytes.NewReader([]byte(stdout))).Decode(&r))
	require.Equal(t, removed{hubName, []string{hubtest.Commit}, u.bytes()}, r)
	require.Equal(t, 1, strings.Count(stdout, "\n"), "one of two names of the same")
}
