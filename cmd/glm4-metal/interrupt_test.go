package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/model"
)

// rescued gives the conversations that were written for chats of a command's environment.
func rescued(t *testing.T, dir string) []conversationJSON {
	files, err := filepath.Glob(filepath.Join(dir, program, "unsaved-*.json"))
	require.NoError(t, err)
	var all []conversationJSON
	for _, file := range files {
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "others must not read it")
		all = append(all, saved(t, file))
	}
	return all
}

func TestSecondCtrlCLosesTheConversation(t *testing.T) {
	for _, keep := range []bool{true, false} {
		args := []string{"chat", "--ignore-eos"}
		if !keep {
			args = append(args, "--no-history")
		}
		cmd := command(t, args...)
		c := startConsole(t, cmd)
		c.expect(prompt)
		c.send("Hello\r")
		c.expectAnswer()
		c.send(interrupt)
		c.expect("[stopped; press Ctrl-C again or type /exit to leave" +
			map[bool]string{true: "]", false: "; the conversation is not kept]"}[keep])
		c.expect(prompt)
		c.send(interrupt)
		if keep {
			c.expect("[the conversation is in ")
		} else {
			c.expect("^C")
		}
		c.expectEnd(statusInterrupted)
		all := rescued(t, cmd.Dir)
		if !keep {
			require.Empty(t, all)
			continue
		}
		require.Len(t, all, 1)
		require.Equal(t, "user assistant", all[0].roles())
		require.Equal(t, "Hello", all[0].Messages[0].Content)
		require.NotEmpty(t, all[0].Messages[1].Content)
	}
}

func TestSignalLosesTheConversation(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM, syscall.SIGQUIT} {
		cmd := command(t, "chat", "--ignore-eos")
		c := startConsole(t, cmd)
		c.expect(prompt)
		c.send("Hello\r")
		c.expectAnswer()
		require.NoError(t, cmd.Process.Signal(s))
		<-c.ended
		all := rescued(t, cmd.Dir)
		require.Len(t, all, 1)
		require.Equal(t, "user assistant", all[0].roles())
	}
}

func TestClosedWindowLosesTheConversation(t *testing.T) {
	for range 3 { // SIGHUP and the end of the input race
		cmd := command(t, "chat", "--max-tokens", "3")
		master, name, err := openPTY()
		require.NoError(t, err)
		tty, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
		require.NoError(t, err)
		require.NoError(t, unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, windowSize(24, 80)))
		cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		require.NoError(t, cmd.Start())
		tty.Close()
		output, buf := "", make([]byte, 4096)
		for prompts := range 2 {
			for strings.Count(output, bracketPastes) <= prompts {
				n, err := master.Read(buf)
				require.NoError(t, err)
				output += string(buf[:n])
			}
			if prompts == 0 {
				_, err = master.WriteString("Hello\r")
				require.NoError(t, err)
			}
		}
		require.NoError(t, master.Close()) // which a read that waits would put off
		require.Error(t, cmd.Wait())
		require.Len(t, rescued(t, cmd.Dir), 1)
	}
}

// A conversation that a file has, one without a message, and one that is left by wish are nobody's loss.
func TestEveryConversationIsKept(t *testing.T) {
	for _, lines := range [][]string{
		{interrupt, interrupt}, {"Hello\r", "/save x.json\r", interrupt, interrupt}, {"Hello\r", endOfFile},
	} {
		cmd := command(t, "chat", "--max-tokens", "2", "--system-prompt", "s")
		c := startConsole(t, cmd)
		for _, line := range lines {
			c.expect(bracketPastes)
			c.expect(prompt)
			c.send(line)
		}
		<-c.ended
		require.Empty(t, rescued(t, cmd.Dir))
	}
}

func TestRescuedConversationsPileUp(t *testing.T) {
	dir := t.TempDir()
	for i := range rescuedConversations + 5 {
		name := time.Unix(int64(i), 0).UTC().Format("unsaved-20060102-150405.json")
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "history"), nil, 0o600))
	dropOldest(filepath.Join(dir, "unsaved-*.json"))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, rescuedConversations+1)
	require.Equal(t, "unsaved-19700101-000005.json", entries[1].Name())
}

// An answer that does not stop, as in a step that takes long.
func TestInterruptsWithoutAWord(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &repl{interactive: true}
	r.setCancel(cancel, nil)
	r.come(model.Event{Text: "half a li"})
	stderr := captured(t, &os.Stderr, func() {
		r.interrupt()
		require.Error(t, ctx.Err())
		time.Sleep(2 * sayStopping)
		r.interrupt()
	})
	require.Equal(t, "\n[stopping…]\n\n[still stopping; Ctrl-C once more leaves at once]\n", stderr)

	r.setCancel(cancel, nil)
	require.Empty(t, captured(t, &os.Stderr, func() {
		r.interrupt()
		r.setCancel(nil, nil) // it has stopped
		time.Sleep(2 * sayStopping)
	}))
}
