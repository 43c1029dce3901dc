package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestSignalsLeaveTheTerminalRaw(t *testing.T) {
	for s, status := range map[syscall.Signal]int{
		syscall.SIGTERM: statusInterrupted, syscall.SIGHUP: statusInterrupted, syscall.SIGQUIT: 2, syscall.SIGABRT: 2,
	} {
		for _, answering := range []bool{false, true} {
			c := startChat(t, "--ignore-eos")
			c.expect(prompt)
			if answering {
				c.send("Hello\r")
				c.expectAnswer()
			}
			require.NoError(t, c.cmd.Process.Signal(s))
			c.expectEnd(status)
		}
	}
}

// What no handler sees: the guard restores the terminal.
func TestCrashLeavesTheTerminalRaw(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSEGV} {
		c := startChat(t, "--ignore-eos")
		c.expect(prompt)
		c.send("Hello\r")
		c.expectAnswer()
		require.NoError(t, c.cmd.Process.Signal(s))
		c.expect(unbracketPastes)
		<-c.ended // also the guard
		tty, err := os.OpenFile(c.tty, os.O_RDWR|unix.O_NOCTTY, 0)
		require.NoError(t, err)
		defer tty.Close()
		mode, err := unix.IoctlGetTermios(int(tty.Fd()), getTermios)
		require.NoError(t, err)
		require.NotZero(t, mode.Lflag&unix.ECHO)
		require.NotZero(t, mode.Lflag&unix.ICANON)
	}
}

func TestWindowWithoutWidth(t *testing.T) {
	for _, columns := range []int{0, 1, 2, narrowColumns - 1, narrowColumns} {
		for range 3 { // one of several trials may fail
			c := startWindow(t, command(t, "chat", "--max-tokens", "3"), 24*min(columns, 1), columns)
			c.expect(prompt[:1])
			c.send("Hellx" + backspace + "o\r")
			c.expectAnswer()
			c.expect(prompt[:1])
			c.send(endOfFile)
			c.expectEnd(0)
		}
	}
}

func TestNarrowLineIsMistyped(t *testing.T) {
	c := startWindow(t, command(t, "chat", "--max-tokens", "3"), 0, 0)
	c.expect(prompt)
	c.send("xx\x15你坏" + arrowUp + backspace + "好" + endOfFile + "\r")
	c.expectAnswer()
	c.expect(prompt)
	s := c.save()
	require.Equal(t, "你好", s.Messages[0].Content)
	c.send("x" + interrupt)
	c.expect("press Ctrl-C again")
	c.expect(prompt)
	c.send(interrupt)
	c.expectEnd(statusInterrupted)
}

func TestWindowChangesWhileTyping(t *testing.T) {
	c := startChat(t, "--max-tokens", "3")
	c.expect(prompt)
	for i, columns := range []int{0, 80, 5, 30, 1, 0, 0, 200} {
		c.send("a")
		c.expect("a")
		c.resize(24, columns)
		if i == 0 {
			c.expect("\r\n" + prompt) // what had been typed is lost
		}
	}
	c.send("\x15Hello\r")
	c.expectAnswer()
	c.expect(prompt)
	require.Equal(t, "user assistant", c.save().roles())
	c.send(endOfFile)
	c.expectEnd(0)
}

func TestSuspendedChatKeepsTheTerminal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "modes")
	cmd := command(t)
	shell := exec.Command("sh", "-i")
	shell.Dir, shell.Env = cmd.Dir, append(cmd.Env, "PS1=shell: ", "ENV=")
	c := startConsole(t, shell)
	modes := func(when string) string {
		c.send("stty -g >" + file + when + "; echo wrote $?\r")
		c.expect("wrote 0")
		c.expect("shell: ")
		data, err := os.ReadFile(file + when)
		require.NoError(t, err)
		return string(data)
	}
	c.expect("shell: ")
	before := modes("before")
	c.send(binary + " chat --ignore-eos\r")
	c.expect("Ctrl-D leaves.")
	c.expect(prompt)
	for range 2 {
		c.send("Hel\x1a")
		c.expect(unbracketPastes)
		c.expect("shell: ")
		require.Equal(t, before, modes("suspended"))
		c.send("fg\r")
		c.expect(bracketPastes)
		c.expect("Hel") // the line is there again
		c.send("lo\r")
		c.expectAnswer()
		c.send("\x1a")
		c.expect("shell: ")
		require.Equal(t, before, modes("answering"))
		c.send("fg\r")
		c.expect("--ignore-eos\r\n")
		c.wait("more of the answer", func(output string) int { return min(len(output), 3) - 1 })
		c.send(interrupt)
		c.expect("[stopped")
		c.expect(prompt)
	}
	c.send("/exit\r")
	c.expect("shell: ")
	require.Equal(t, before, modes("after"))
}

// Where no shell can continue it, the program must not stop.
func TestCtrlZWithoutShell(t *testing.T) {
	c := startChat(t, "--max-tokens", "3")
	c.expect(prompt)
	c.send("Hel\x1alo\r")
	c.expectAnswer()
	c.expect(prompt)
	require.Equal(t, "Hello", c.save().Messages[0].Content)
	c.send(endOfFile)
	c.expectEnd(0)
}

func TestEscapesForADumbTerminal(t *testing.T) {
	for _, terminal := range []string{"TERM=dumb", "TERM="} {
		for _, args := range [][]string{
			{"chat", "--chat-template", "glm-z1-0414", "--max-tokens", "6"},
			{"generate", "--chat-template", "glm-z1-0414", "--max-tokens", "6", "--prompt", "Hello"},
		} {
			cmd := command(t, args...)
			cmd.Env = append(cmd.Env, terminal)
			c := startConsole(t, cmd)
			if args[0] == "chat" {
				c.expect(prompt)
				c.send("Hello\r")
				c.expect("</think>")
				c.expect(prompt)
				c.send(endOfFile)
			}
			c.expect("\n")
			<-c.ended
			require.Zero(t, cmd.ProcessState.ExitCode())
			require.NotContains(t, c.output, "\x1b")
			require.Contains(t, c.output, "<think>")
		}
	}
}

func TestColourAgainstTheWish(t *testing.T) {
	for _, wish := range []string{"", "1"} {
		cmd := command(t, "chat", "--chat-template", "glm-z1-0414", "--max-tokens", "6")
		cmd.Env = append(cmd.Env, "NO_COLOR="+wish)
		c := startConsole(t, cmd)
		c.expect(bracketPastes)
		c.send("Hello\r")
		c.expect("</think>")
		c.expect(prompt)
		c.send(endOfFile)
		c.expectEnd(0)
		require.Equal(t, wish == "", strings.Contains(c.output, dim))
		require.Equal(t, wish == "", strings.Contains(c.output, normal))
	}
}

// An answer of escapes, as the likeliest token by far.
func TestAnswerDrivesTheTerminal(t *testing.T) {
	ids, _, status := run(t, "\x1b]0;x\x07", "tokenize")
	require.Zero(t, status)
	escape := strings.Fields(ids)[0]
	args := []string{"generate", "--prompt", "Hello", "--logit-bias", escape + "=1000", "--max-tokens", "3"}
	piped, _, _ := run(t, "", args...)
	require.Equal(t, "\x1b\x1b\x1b\n", piped)
	c := startConsole(t, command(t, args...))
	c.expect(`\x1b\x1b\x1b`)
	<-c.ended
	require.NotContains(t, c.output, "\x1b")
}

func TestNamesAndTextsDriveTheTerminal(t *testing.T) {
	hostile := "\x1b]0;x\x07\u202e"
	dir := filepath.Join(t.TempDir(), hostile)
	require.NoError(t, os.CopyFS(dir, os.DirFS(demoFolder(t))))
	for _, test := range []struct {
		input string
		args  []string
	}{
		{"", []string{"show", dir}},
		{"", []string{"show", dir, "--tensors"}},
		{"", []string{"show", hostile}},
		{"", []string{hostile}},
		{"", []string{"generate", "--" + hostile}},
		{"", []string{"generate", "--prompt", "hi", "--max-tokens", "1", "--verbose", "--model", dir}},
		{"/system\n/save " + hostile + "\n/load " + hostile + "\n/stats\n/tools\n/" + hostile,
			[]string{"chat", dir, "--system-prompt", hostile}},
		{"/load " + hostile, []string{"chat"}},
		{"/set " + hostile, []string{"chat"}},
		{"/set reasoning " + hostile, []string{"chat"}},
	} {
		stdout, stderr, _ := run(t, test.input, test.args...)
		require.NotContains(t, stdout+stderr, "\x1b", test.args)
		require.NotContains(t, stdout+stderr, "\u202e", test.args)
		require.NotEmpty(t, stdout+stderr, test.args)
	}
}

func TestTabCompletes(t *testing.T) {
	cmd := command(t, "chat", "--max-tokens", "3")
	require.NoError(t, os.WriteFile(filepath.Join(cmd.Dir, "conversation one.json"), []byte(`{"messages": []}`), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(cmd.Dir, "con"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(cmd.Dir, "con\x1b"), nil, 0o600))
	c := startConsole(t, cmd)
	c.expect(prompt)
	c.send("/lo\tconv\t\r")
	c.expect("loaded 0 messages from conversation one.json")
	c.expect(prompt)
	c.send("/set reas\thi\t\r")
	c.expect("reasoning is hide now")
	c.expect(prompt)
	c.send("Hello\tyou\r") // no command: nothing to complete
	c.expectAnswer()
	c.expect(prompt)
	c.send(endOfFile)
	c.expectEnd(0)
}

func TestHistoryIsAPipe(t *testing.T) {
	cmd := command(t, "chat")
	dir := filepath.Join(cmd.Dir, program)
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, unix.Mkfifo(filepath.Join(dir, "history"), 0o600))
	c := startConsole(t, cmd)
	c.expect("[no history: ")
	c.expect(prompt)
	c.send(endOfFile)
	c.expectEnd(0)
}

func TestHistoryTypesEscapes(t *testing.T) {
	cmd := command(t, "chat", "--max-tokens", "1")
	file := filepath.Join(cmd.Dir, program, "history")
	require.NoError(t, os.Mkdir(filepath.Dir(file), 0o700))
	require.NoError(t, os.WriteFile(file, []byte("good line\n\x1b]0;title\x07\n\u202ebad\n"), 0o600))
	c := startConsole(t, cmd)
	c.expect(prompt)
	c.send(arrowUp)
	c.expect("good line")
	c.send("\x15" + endOfFile)
	c.expectEnd(0)
	require.NotContains(t, c.output, "\x1b]")
	require.NotContains(t, c.output, "\u202e")
}

func TestClosedStandardErrorLeavesTheTerminalRaw(t *testing.T) {
	cmd := command(t, "chat", "--max-tokens", "3")
	read, write, err := os.Pipe()
	require.NoError(t, err)
	cmd.Stderr = write
	c := startConsole(t, cmd)
	write.Close()
	c.expect(prompt)
	read.Close()
	c.send("/help\rHello\r")
	c.expectAnswer()
	c.send(endOfFile)
	select {
	case <-c.ended:
	case <-time.After(patience):
		require.FailNow(t, "the chat does not end")
	}
	require.Equal(t, c.before, c.after)
}
