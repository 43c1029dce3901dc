package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeEndVariable makes the program of a benchCommandLine say that it waits for the GPU.
const fakeEndVariable = "GLM4_METAL_FAKE_END"

func fakeEnd(most time.Duration) bool {
	fmt.Fprintf(os.Stderr, "[waits %v for the GPU]\n", most)
	return true
}

// endCommandLine is the program, which says that it waits for the GPU.
func endCommandLine(t *testing.T, args ...string) *exec.Cmd {
	c := benchCommandLine(t)
	c.Args = append([]string{c.Args[0]}, args...)
	c.Env = append(c.Env, fakeEndVariable+"=1")
	return c
}

const waited = "[waits 2s for the GPU]\n"

func TestProgramLeavesTheGPUAtWork(t *testing.T) {
	for _, test := range []struct {
		args   []string
		status int
	}{{[]string{"version"}, 0}, {[]string{"generate", "hi", "--temp", "warm"}, statusUsage},
		{[]string{"show", "missing"}, statusFailed}} {
		_, stderr, status := finish(t, endCommandLine(t, test.args...))
		require.Equal(t, test.status, status)
		require.True(t, strings.HasSuffix(stderr, waited), stderr)
	}
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE} {
		c := endCommandLine(t, "generate", "--prompt", "Hello", "--ignore-eos", "--max-tokens", "0")
		var stderr bytes.Buffer
		c.Stderr = &stderr
		out, err := c.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, c.Start())
		_, err = io.ReadFull(out, make([]byte, 8))
		require.NoError(t, err)
		if s == syscall.SIGPIPE {
			out.Close()
		} else {
			require.NoError(t, c.Process.Signal(s))
			io.Copy(io.Discard, out)
		}
		c.Wait()
		require.Equal(t, map[bool]int{true: statusFailed, false: statusInterrupted}[s == syscall.SIGPIPE],
			c.ProcessState.ExitCode(), s)
		require.Equal(t, waited, stderr.String(), s)
	}
}

// The second Ctrl-C leaves a verb that takes no notice of the first.
func TestSecondInterruptLeavesTheGPUAtWork(t *testing.T) {
	c := endCommandLine(t, "bench", "deaf")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	started, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, started)
		c.Wait()
		close(ended)
	}()
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(c.Dir, "deaf"))
		return err == nil
	}, patience, time.Millisecond)
	for {
		c.Process.Signal(os.Interrupt)
		select {
		case <-ended:
			require.Equal(t, statusInterrupted, c.ProcessState.ExitCode())
			require.True(t, strings.HasSuffix(stderr.String(), waited), stderr.String())
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestEndedChatLeavesTheGPUAtWork(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGHUP, os.Interrupt} {
		cmd := endCommandLine(t, "chat", "--ignore-eos", "--no-history")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		c := startConsole(t, cmd)
		c.expect(prompt)
		c.send("Hello\r")
		c.expectAnswer()
		if s == os.Interrupt {
			c.send(interrupt)
			c.expect(prompt)
			c.send(interrupt)
		} else {
			require.NoError(t, cmd.Process.Signal(s))
		}
		<-c.ended
		require.True(t, strings.HasSuffix(stderr.String(), waited), stderr.String())
	}
}

func TestWayOutPassesTheGPU(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var found []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, way := range []string{"os.Exit(", "log.Fatal", "syscall.Exit(", "unix.Exit("} {
			if !strings.HasSuffix(file, "_test.go") && bytes.Contains(text, []byte(way)) {
				found = append(found, file+": "+way)
			}
		}
	}
	require.Equal(t, []string{"terminal.go: os.Exit("}, found)
}
