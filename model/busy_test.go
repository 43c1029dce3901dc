package model

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRunningGenerationIsDisturbed(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		m := tiny(t, on)
		o := Options{MaxTokens: 6, IgnoreEOS: true}
		quiet := m.NewSession()
		defer quiet.Close()
		want := collect(t, quiet, randomIDs(20), o)

		s := m.NewSession()
		disturb := func() {
			require.Equal(t, ErrBusy, s.Truncate(3))
			require.Equal(t, ErrBusy, s.Close())
			_, err := s.Logits(t.Context(), randomIDs(3), 1)
			require.Equal(t, ErrBusy, err)
			n := 0
			for e, err := range s.GenerateTokens(t.Context(), randomIDs(3), Options{}) {
				require.Equal(t, ErrBusy, err)
				require.Zero(t, e)
				n++
			}
			require.Equal(t, 1, n)
		}
		var got []int32
		for e, err := range s.GenerateTokens(t.Context(), randomIDs(20), o) {
			require.NoError(t, err)
			got = append(got, e.Token.ID)
			disturb()
			var other sync.WaitGroup
			other.Go(disturb)
			other.Wait()
		}
		require.Equal(t, want, got)
		require.NoError(t, s.Truncate(3))
		require.Equal(t, 3, s.Len())
		require.NoError(t, s.Close())
		require.NoError(t, s.Close())
	})
}

func TestRunningAnswerIsDisturbed(t *testing.T) {
	m := demoModel(t)
	c := m.NewChat(System("Answer briefly."))
	want := send(t, c, "Hello")
	require.NoError(t, c.Clear())
	n := 0
	for _, err := range c.Send(t.Context(), "Hello") {
		require.NoError(t, err)
		before := c.Messages()
		require.Equal(t, []Message{SystemMessage("Answer briefly."), UserMessage("Hello")}, before)
		for e, err := range c.Send(t.Context(), "And then?") {
			require.Equal(t, ErrBusy, err)
			require.Zero(t, e)
			n++
		}
		for _, err := range c.Regenerate(t.Context()) {
			require.Equal(t, ErrBusy, err)
		}
		for _, err := range c.Reply(t.Context()) {
			require.Equal(t, ErrBusy, err)
		}
		require.Equal(t, ErrBusy, c.Add(ToolResult("x")))
		require.Equal(t, ErrBusy, c.SetMessages(nil))
		require.Equal(t, ErrBusy, c.SetSystem("x"))
		require.Equal(t, ErrBusy, c.Clear())
		require.Equal(t, ErrBusy, c.Close())
		require.Equal(t, ErrBusy, c.Session().Close())
		require.Equal(t, before, c.Messages())
	}
	require.Greater(t, n, 1)
	require.Equal(t, []Message{SystemMessage("Answer briefly."), UserMessage("Hello"), AssistantMessage(want)},
		c.Messages())
	require.Equal(t, FinishStop, c.Result().FinishReason)
	require.NoError(t, c.Close())
	for _, err := range c.Send(t.Context(), "Hello") {
		require.Equal(t, ErrClosed, err)
	}
	require.Len(t, c.Messages(), 3)
}

// A chat whose session is used directly meanwhile.
func TestAnswerTakesTheResultOfAnotherGeneration(t *testing.T) {
	m := demoModel(t)
	c := m.NewChat()
	defer c.Close()
	for range c.Session().Generate(t.Context(), "x", Options{MaxTokens: 2}) {
		for _, err := range c.Send(t.Context(), "Hello") {
			require.Equal(t, ErrBusy, err)
		}
		require.Equal(t, Result{FinishReason: FinishError}, c.Result())
		require.Empty(t, c.Messages())
	}
}

func TestModelClosesUnderAGeneration(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		m := tiny(t, on)
		s, later := m.NewSession(), m.NewSession()
		var last error
		n := 0
		for _, err := range s.GenerateTokens(context.Background(), randomIDs(20), Options{IgnoreEOS: true}) {
			if n++; n == 3 {
				require.NoError(t, m.Close())
			}
			last = err
		}
		require.Equal(t, ErrClosed, last)
		_, err := later.Logits(t.Context(), randomIDs(3), 1)
		require.Equal(t, ErrClosed, err)
		require.NoError(t, s.Close())
	})
}
