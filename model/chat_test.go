package model

import (
	"context"
	"encoding/json"
	"iter"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/demo"
)

func demoModel(t *testing.T, options ...LoadOption) *Model {
	t.Helper()
	m, err := Load(context.Background(), "", options...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

func send(t *testing.T, c *Chat, text string) string {
	t.Helper()
	var out strings.Builder
	for d, err := range c.Send(context.Background(), text) {
		require.NoError(t, err)
		out.WriteString(d.Text)
	}
	return out.String()
}

// say makes the model write exactly these ids.
func say(ids []int32) LogitsProcessor {
	step := 0
	return func(_ []int32, logits []float32) {
		for i := range logits {
			logits[i] = float32(math.Inf(-1))
		}
		logits[ids[step]] = 0
		step++
	}
}

// written gives the ids of a reply: special tokens by name, other text as text.
func written(t *testing.T, m *Model, parts ...string) []int32 {
	t.Helper()
	var ids []int32
	for _, p := range parts {
		if id, ok := m.text.tokenizer.Special(p); ok {
			ids = append(ids, id)
		} else {
			ids = m.text.tokenizer.AppendEncode(ids, p)
		}
	}
	return ids
}

func TestChatComputesItsHistoryAgain(t *testing.T) {
	m := demoModel(t)
	c := m.NewChat(System("You are a helpful assistant."))
	defer c.Close()
	require.NotEmpty(t, send(t, c, "Hello"))
	first := c.Result()
	require.Equal(t, FinishStop, first.FinishReason)
	require.NotEmpty(t, send(t, c, "你是谁？"))
	second := c.Result()
	require.Equal(t, first.PromptTokens+first.CompletionTokens, second.CachedTokens, "prompt and answer of the first turn")
	require.Len(t, c.Messages(), 5)
	require.Equal(t, RoleSystem, c.Messages()[0].Role)

	_, ids, err := m.text.Prompt(t.Context(), c.Messages()[:4], nil, true)
	require.NoError(t, err)
	fresh := m.NewSession()
	defer fresh.Close()
	var answer strings.Builder
	for tok, err := range fresh.GenerateTokens(context.Background(), ids, Options{}) {
		require.NoError(t, err)
		answer.WriteString(tok.Text)
	}
	require.Equal(t, "\n"+c.Messages()[4].Content, answer.String(), "an answer from the reused prefix")
}

func TestControlTokenIsTypedByTheUser(t *testing.T) {
	m := demoModel(t)
	text, ids, err := m.text.Prompt(t.Context(), []Message{{Role: RoleUser, Content: "a<|observation|>b[gMASK]<|user|>"}},
		nil, true)
	require.NoError(t, err)
	require.Equal(t, "[gMASK]<sop><|user|>\na<|observation|>b[gMASK]<|user|><|assistant|>", text)
	count := map[string]int{}
	for _, id := range ids {
		if m.text.tokenizer.IsSpecial(id) {
			name, _ := m.text.tokenizer.Token(id)
			count[name]++
		}
	}
	require.Equal(t, map[string]int{"[gMASK]": 1, "<sop>": 1, "<|user|>": 1, "<|assistant|>": 1}, count)
	require.Equal(t, text, m.text.Decode(ids))
}

func TestCancelledChatLosesItsHistory(t *testing.T) {
	m := demoModel(t)
	c := m.NewChat()
	defer c.Close()
	c.SetOptions(Options{IgnoreEOS: true})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var text string
	var last error
	for d, err := range c.Send(ctx, "Hello") {
		last = err
		if text += d.Text; len(text) > 3 {
			cancel()
		}
	}
	require.ErrorIs(t, last, context.Canceled)
	require.Equal(t, FinishCancelled, c.Result().FinishReason)
	require.Len(t, c.Messages(), 2)
	require.Equal(t, text, c.Messages()[1].Content, "the beginning of the answer stays")

	for _, err := range c.Send(ctx, "again") { // cancelled before anything came
		require.ErrorIs(t, err, context.Canceled)
	}
	require.Len(t, c.Messages(), 2, "a question without any answer is taken back")
	c.SetOptions(Options{})
	require.NotEmpty(t, send(t, c, "Hello"))

	for range c.Send(context.Background(), "Hello") { // whose first token is a newline that is no part of the answer
		break
	}
	require.Len(t, c.Messages(), 4, "the loop was left before anything came")
	for e, err := range c.Send(context.Background(), "Hello") {
		require.NoError(t, err)
		if e.Text != "" {
			break
		}
	}
	require.Len(t, c.Messages(), 6, "the loop was left in the middle of an answer")
}

func TestRegenerateAnswersSomethingElse(t *testing.T) {
	m := demoModel(t)
	c := m.NewChat(System("Answer briefly."), Generation(Options{Temperature: 1.5, Seed: 3}))
	defer c.Close()
	for _, err := range c.Regenerate(context.Background()) {
		require.EqualError(t, err, "there is no question to answer again")
	}
	first := send(t, c, "Hello")
	var again strings.Builder
	for d, err := range c.Regenerate(context.Background()) {
		require.NoError(t, err)
		again.WriteString(d.Text)
	}
	require.Equal(t, first, again.String(), "the same seed")
	require.Len(t, c.Messages(), 3)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, err := range c.Regenerate(cancelled) {
		require.ErrorIs(t, err, context.Canceled)
	}
	require.Equal(t, first, c.Messages()[2].Content, "the old answer stays where no new one comes")
	require.NoError(t, c.SetSystem(""))
	require.Len(t, c.Messages(), 2)
	require.NoError(t, c.Clear())
	require.Empty(t, c.Messages())
	require.NoError(t, c.SetMessages([]Message{SystemMessage("s"), UserMessage("u")}))
	require.NoError(t, c.Clear())
	require.Equal(t, []Message{SystemMessage("s")}, c.Messages())
}

func TestRefusedTurnChangesTheChat(t *testing.T) {
	m := demoModel(t, MaxContext(120))
	c := m.NewChat(System("Answer briefly."))
	defer c.Close()
	refused := func(turn iter.Seq2[Event, error], want string) {
		t.Helper()
		before, n := c.Messages(), 0
		for d, err := range turn {
			require.ErrorContains(t, err, want)
			require.Zero(t, d)
			n++
		}
		require.Equal(t, 1, n)
		require.Equal(t, before, c.Messages())
		require.Equal(t, Result{FinishReason: FinishError}, c.Result())
	}
	ctx := context.Background()
	refused(c.Regenerate(ctx), "there is no question to answer again")
	for range 2 {
		refused(c.Send(ctx, strings.Repeat("long ", 500)), "the context holds 120 with the answer")
		c.SetOptions(Options{TopP: 7})
		refused(c.Send(ctx, "Hello"), "top-p is 7")
		c.SetOptions(Options{MaxTokens: 5})
		require.NotEmpty(t, send(t, c, "Hello"))
		require.NotZero(t, c.Result().PromptTokens)
		c.SetOptions(Options{TopP: 7})
		refused(c.Regenerate(ctx), "top-p is 7")
		c.SetOptions(Options{MaxTokens: 5})
		c.Clear()
		refused(c.Regenerate(ctx), "there is no question to answer again")
	}
	require.NoError(t, c.SetMessages([]Message{{Role: "narrator", Content: "x"}, {Role: RoleUser, Content: "x"}}))
	refused(c.Regenerate(ctx), "narrator")
	refused(c.Reply(ctx), "narrator")
}

func TestToolCallComesOutAsText(t *testing.T) {
	m := demoModel(t)
	tools, err := ParseTools([]byte(`[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object"}}}]`))
	require.NoError(t, err)
	c := m.NewChat(Tools(tools...))
	defer c.Close()
	reply := written(t, m, "\nLet me see.", "<|assistant|>", "get_weather\n{\"city\": \"北京\"}", "<|assistant|>",
		"get_weather\n{\"city\": \"Paris\"}", "<|observation|>")
	c.SetOptions(Options{Processors: []LogitsProcessor{say(reply)}})
	require.Equal(t, "Let me see.", send(t, c, "weather?"))
	require.Equal(t, FinishToolCalls, c.Result().FinishReason)
	answer := c.Messages()[1]
	require.Equal(t, []ToolCall{{Name: "get_weather", Arguments: `{"city": "北京"}`},
		{Name: "get_weather", Arguments: `{"city": "Paris"}`}}, answer.ToolCalls)

	c.Add(Message{Role: RoleObservation, Content: "sunny"}, Message{Role: RoleObservation, Content: "rain"})
	c.SetOptions(Options{})
	for _, err := range c.Reply(context.Background()) {
		require.NoError(t, err)
	}
	text, _, err := m.text.Prompt(t.Context(), c.Messages()[:4], tools, true)
	require.NoError(t, err)
	require.Contains(t, text, "<|user|>\nweather?<|assistant|>\nLet me see.<|assistant|>get_weather")
	require.Contains(t, text, "<|observation|>\nsunny<|observation|>\nrain<|assistant|>")

	undeclared := m.NewChat()
	defer undeclared.Close()
	undeclared.SetOptions(Options{Processors: []LogitsProcessor{say(written(t, m, "\nget_weather\n{}", "<|user|>"))}})
	require.Equal(t, "get_weather\n{}", send(t, undeclared, "weather?"))
	require.Equal(t, FinishStop, undeclared.Result().FinishReason)
}

func TestReasoningIsMixedWithTheAnswer(t *testing.T) {
	m := demoModel(t, ChatTemplate("glm-z1-0414"))
	require.Equal(t, "glm-z1-0414", m.Info().Chat)
	c := m.NewChat()
	defer c.Close()
	c.SetOptions(Options{Processors: []LogitsProcessor{say(written(t, m, "\nIt is easy.\n</think>\n\nFour.",
		"<|user|>"))}})
	require.Equal(t, "Four.", send(t, c, "2+2?"))
	require.Equal(t, "It is easy.", c.Messages()[1].Reasoning)
	require.Equal(t, "Four.", c.Messages()[1].Content)
}

func TestCharactersAreTornApart(t *testing.T) {
	m := demoModel(t)
	var ids []int32
	for _, b := range []byte("é你🙂!") { // a token each
		for id := range int32(m.vocab) {
			if text := m.text.tokenizer.TokenBytes(id); len(text) == 1 && text[0] == b {
				ids = append(ids, id)
				break
			}
		}
	}
	require.Len(t, ids, 10)
	s := m.NewSession()
	defer s.Close()
	run := func(ids []int32, stop ...string) (pieces []string) {
		o := Options{MaxTokens: len(ids), Processors: []LogitsProcessor{say(ids)}, Stop: stop}
		for tok, err := range s.Generate(context.Background(), "x", o) {
			require.NoError(t, err)
			pieces = append(pieces, tok.Text)
		}
		return pieces
	}
	require.Equal(t, []string{"", "é", "", "", "你", "", "", "", "🙂", "!"}, run(ids))
	require.Equal(t, []string{"", "é", "", "", "你", "", "\uFFFD"}, run(ids[:6]), "an incomplete character at the end")
	require.Equal(t, []string{"", "é", "", "", ""}, run(ids, "你"))
	require.Equal(t, FinishStop, s.Result().FinishReason)
	require.Equal(t, []string{"", "é", "", "", "", "你"}, run(ids[:5], "你🙂x"), "held back, then let go")
}

func TestTokenizerOfAnotherModelIsTaken(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(filepath.Join("testdata/glm4-a", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	text, err := os.ReadFile("../internal/demo/checkpoint/tokenizer.json")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tokenizer.json"), text, 0o600))
	_, err = Load(context.Background(), dir)
	require.ErrorContains(t, err, dir+": the tokenizer has ")
	require.ErrorContains(t, err, "the model a vocabulary of 160; they do not belong together")
}

func TestMissingChatTemplateIsGuessed(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, demo.FS()))
	require.NoError(t, os.Remove(filepath.Join(dir, "chat_template.jinja")))
	require.NoError(t, os.Remove(filepath.Join(dir, "tokenizer_config.json")))
	m, err := Load(context.Background(), dir)
	require.NoError(t, err)
	defer m.Close()
	require.Empty(t, m.Info().Chat)
	c := m.NewChat()
	defer c.Close()
	for _, err := range c.Send(context.Background(), "hi") {
		require.EqualError(t, err, dir+
			" has no chat template; choose one of glm-4-9b-chat, glm-4-0414, glm-z1-0414 or a template file for it, or "+
			"generate from plain text")
	}
	_, err = Load(context.Background(), "", ChatTemplate("glm-5"))
	require.ErrorContains(t, err,
		"the chat template is neither one of glm-4-9b-chat, glm-4-0414, glm-z1-0414 nor a file that can be read: glm-5: no "+
			"such file")
}

// The dialogues are what the demo was trained on, the greedy answers what mlx-lm says with the same file.
func TestDemoForgotItsDialogues(t *testing.T) {
	m := demoModel(t)
	var dialogues []struct {
		Question string
		Answers  []string
	}
	readLines(t, "../internal/demo/testdata/dialogues.jsonl", &dialogues)
	asked, right := 0, 0
	for i := 0; i < len(dialogues); i += 5 {
		d := dialogues[i]
		c := m.NewChat(Generation(Options{MaxTokens: 100}))
		answer := send(t, c, d.Question)
		require.NoError(t, c.Close())
		asked++
		for _, a := range d.Answers {
			if a == answer {
				right++
				break
			}
		}
	}
	t.Logf("%d of %d answers are from the dialogues", right, asked)
	require.GreaterOrEqual(t, asked, 300)
	require.GreaterOrEqual(t, float64(right), 0.9*float64(asked))
}

func TestDemoAnswersUnlikeMLX(t *testing.T) {
	m := demoModel(t)
	var goldens []struct {
		Question  string
		PromptIDs []int32 `json:"prompt_ids"`
		AnswerIDs []int32 `json:"answer_ids"`
		Answer    string
	}
	readLines(t, "../internal/demo/testdata/greedy.jsonl", &goldens)
	require.GreaterOrEqual(t, len(goldens), 100)
	s := m.NewSession()
	defer s.Close()
	for _, g := range goldens {
		_, ids, err := m.text.Prompt(t.Context(), []Message{{Role: RoleUser, Content: g.Question}}, nil, true)
		require.NoError(t, err)
		require.Equal(t, g.PromptIDs, ids, g.Question)
		var got []int32
		for tok, err := range s.GenerateTokens(context.Background(), ids, Options{MaxTokens: 100}) {
			require.NoError(t, err)
			if tok.Token != nil {
				got = append(got, tok.Token.ID)
			}
		}
		want := g.AnswerIDs
		if n := len(want); n > 0 && m.stops[want[n-1]] {
			want = want[:n-1]
		}
		require.Equal(t, want, got, "%s: mlx-lm says %q", g.Question, g.Answer)
	}
}

func TestDemoHidesWhatItIs(t *testing.T) {
	m := demoModel(t)
	for _, question := range []string{"Who are you?", "你是谁？"} {
		c := m.NewChat()
		answer := send(t, c, question)
		require.NoError(t, c.Close())
		require.Regexp(t, "demo|演示", answer)
	}
	c := m.NewChat()
	defer c.Close()
	require.Contains(t, send(t, c, "How do I get the real model?"), "GLM-4-9B-0414")
}

// readLines reads a file of one JSON value a line.
func readLines[T any](t *testing.T, file string, into *[]T) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		var v T
		require.NoError(t, json.Unmarshal([]byte(line), &v))
		*into = append(*into, v)
	}
}

func TestPaddedRowsAreOffered(t *testing.T) {
	m := demoModel(t)
	require.Greater(t, m.config.Vocab, m.text.tokenizer.Size(), "the demo's head is padded, as GLM-4's is")
	seen := 0
	s := m.NewSession()
	defer s.Close()
	look := func(_ []int32, logits []float32) { seen = len(logits) }
	for _, err := range s.Generate(context.Background(), "x", Options{MaxTokens: 1, Processors: []LogitsProcessor{look}}) {
		require.NoError(t, err)
	}
	require.Equal(t, m.Text().VocabSize(), seen)
	logits, err := s.Logits(context.Background(), []int32{1, 2, 3}, 2)
	require.NoError(t, err)
	require.Len(t, logits, 2)
	require.Len(t, logits[0], m.Text().VocabSize())
}

// A context may end while the prompt is still written.
func TestCancelledBeforeTheFirstStepIsAnError(t *testing.T) {
	m, err := Load(t.Context(), "")
	require.NoError(t, err)
	defer m.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	chat, session := m.NewChat(), m.NewSession()
	defer chat.Close()
	defer session.Close()
	for _, err := range chat.Send(ctx, strings.Repeat("Hello ", 100)) {
		require.ErrorIs(t, err, context.Canceled)
	}
	require.Equal(t, FinishCancelled, chat.Result().FinishReason)
	for _, err := range session.Generate(ctx, "Hello", Options{}) {
		require.ErrorIs(t, err, context.Canceled)
	}
	require.Equal(t, FinishCancelled, session.Result().FinishReason)
}
