package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGenerateWritesTheAnswerOnly(t *testing.T) {
	stdout, stderr, status := run(t, "", "generate", "--prompt", "你好", "--max-tokens", "8")
	require.Zero(t, status, stderr)
	require.Empty(t, stderr)
	require.NotEmpty(t, strings.TrimSpace(stdout))
	require.True(t, strings.HasSuffix(stdout, "\n"))

	for _, args := range [][]string{
		{"generate", "--prompt", "-", "--max-tokens", "8"},
		{"generate", "--max-tokens", "8"},
	} {
		piped, _, status := run(t, "你好\n", args...)
		require.Zero(t, status)
		require.Equal(t, stdout, piped, "a prompt from standard input")
	}
	argument, _, _ := run(t, "", "generate", "你好", "--max-tokens", "8")
	require.Equal(t, stdout, argument, "a prompt as argument")

	_, stderr, _ = run(t, "", "generate", "--prompt", "你好", "--max-tokens", "8", "--verbose")
	require.Contains(t, stderr, "model    glm4-metal-demo")
	require.Contains(t, stderr, "peak memory")
	require.Contains(t, stderr, "[the answer was cut after 8 tokens; --max-tokens allows more")
	_, stderr, _ = run(t, "", "generate", "--prompt", "你好", "--max-kv-size", "12", "--ignore-eos", "--verbose")
	require.Contains(t, stderr, "[the answer was cut because the context of 12 tokens is full]")
}

func TestGenerateJSON(t *testing.T) {
	plain, _, _ := run(t, "", "generate", "--prompt", "Hello", "--max-tokens", "6")
	stdout, stderr, status := run(t, "", "generate", "--prompt", "Hello", "--max-tokens", "6", "--json", "--logprobs", "3")
	require.Zero(t, status)
	require.Empty(t, stderr)
	require.Equal(t, 1, strings.Count(stdout, "\n"), "one line")

	var fields map[string]any
	require.NoError(t, json.Unmarshal([]byte(stdout), &fields))
	for _, key := range []string{"prompt_tps", "generation_tps", "ttft_ms", "load_ms", "peak_memory_bytes", "backend",
		"device", "model"} {
		require.NotZero(t, fields[key], key)
	}
	var g generation
	require.NoError(t, json.Unmarshal([]byte(stdout), &g))
	require.Equal(t, strings.TrimSpace(plain), strings.TrimSpace(g.Text))
	require.Contains(t, []string{"stop", "length"}, string(g.FinishReason))
	require.Len(t, g.Tokens, g.CompletionTokens)
	require.Len(t, g.Logprobs, g.CompletionTokens)
	for i, l := range g.Logprobs {
		require.Equal(t, g.Tokens[i], l.ID)
		require.Len(t, l.Top, 3)
		require.Equal(t, l.tokenLogprob, l.Top[0], "greedy takes the likeliest")
		require.Negative(t, l.Logprob)
	}
	require.Greater(t, g.PeakMemory, int64(1<<20))

	ids, _, _ := run(t, "", "template", "--prompt", "Hello", "--ids")
	require.Equal(t, len(strings.Fields(ids)), g.PromptTokens)
	raw, _, _ := run(t, "", "generate", "--prompt", "Hello", "--max-tokens", "1", "--json", "--raw")
	require.NoError(t, json.Unmarshal([]byte(raw), &g))
	require.Less(t, g.PromptTokens, len(strings.Fields(ids)), "the chat template is left out")
}

func TestControlTokensOfARawPromptAreText(t *testing.T) {
	tokens := func(args ...string) int {
		stdout, stderr, status := run(t, "", append([]string{"generate", "--json", "--max-tokens", "1"}, args...)...)
		require.Zero(t, status, stderr)
		var g generation
		require.NoError(t, json.Unmarshal([]byte(stdout), &g))
		return g.PromptTokens
	}
	prompt, _, _ := run(t, "", "template", "hi")
	prompt = strings.TrimSuffix(prompt, "\n")
	want := tokens("hi")
	require.Equal(t, want, tokens("--raw", "--prompt", prompt))
	require.Equal(t, want, tokens("--ignore-chat-template", strings.TrimPrefix(prompt, "[gMASK]<sop>")))
	require.Greater(t, tokens(prompt), want+10, "in a message they are text")
}

func TestSeedInJSONGivesAnotherAnswer(t *testing.T) {
	args := []string{"generate", "--prompt", "Hello", "--max-tokens", "24", "--temp", "3", "--ignore-eos", "--json"}
	var drawn, given, other generation
	for _, g := range []*generation{&drawn, &other} {
		stdout, stderr, status := run(t, "", args...)
		require.Zero(t, status, stderr)
		require.NoError(t, json.Unmarshal([]byte(stdout), g))
		require.Less(t, g.Seed, uint64(1)<<53, "a number that all readers of JSON can hold")
	}
	require.NotEqual(t, drawn.Seed, other.Seed)
	stdout, _, _ := run(t, "", append(args, "--seed", strconv.FormatUint(drawn.Seed, 10))...)
	require.NoError(t, json.Unmarshal([]byte(stdout), &given))
	require.Equal(t, drawn.Seed, given.Seed)
	require.Equal(t, drawn.Tokens, given.Tokens)
}

func TestInterruptedGenerateKeepsWhatCame(t *testing.T) {
	c := command(t, "generate", "--prompt", "Hello", "--ignore-eos", "--max-tokens", "0")
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	first := make([]byte, 8)
	_, err = io.ReadFull(out, first)
	require.NoError(t, err)
	require.NoError(t, c.Process.Signal(os.Interrupt))
	rest, err := io.ReadAll(out)
	require.NoError(t, err)
	require.Error(t, c.Wait())
	require.Equal(t, statusInterrupted, c.ProcessState.ExitCode())
	require.True(t, bytes.HasSuffix(rest, []byte("\n")), "the last line is finished")
}

func TestInterruptedGenerateStillPrintsJSON(t *testing.T) {
	c := command(t, "generate", "--prompt", "Hello", "--ignore-eos", "--max-tokens", "0", "--json", "--verbose")
	var stdout bytes.Buffer
	c.Stdout = &stdout
	loaded, err := c.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	in := bufio.NewReader(loaded)
	for { // the last thing that --verbose tells before the answer begins
		line, err := in.ReadString('\n')
		require.NoError(t, err)
		if strings.HasPrefix(line, "prompts") {
			break
		}
	}
	require.NoError(t, c.Process.Signal(os.Interrupt))
	require.Error(t, c.Wait())
	require.Equal(t, statusInterrupted, c.ProcessState.ExitCode())
	var g generation
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &g))
	require.Equal(t, "cancelled", string(g.FinishReason))
}
