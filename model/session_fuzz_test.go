package model

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// operations reads a fuzzer's bytes as decisions.
type operations struct{ data []byte }

func (o *operations) next(n int) int {
	if len(o.data) == 0 || n <= 0 {
		return 0
	}
	b := int(o.data[0])
	o.data = o.data[1:]
	if n > 256 && len(o.data) > 0 {
		b, o.data = b<<8|int(o.data[0]), o.data[1:]
	}
	return b % n
}

func (o *operations) ids(n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(o.next(160))
	}
	return ids
}

// nextLogits are the bits of the logits behind a session's tokens, of which the last is computed again.
func nextLogits(t *testing.T, s *Session) (bits []uint32) {
	t.Helper()
	last := s.Tokens()[s.Len()-1:]
	s.Truncate(s.Len() - 1)
	logits, err := s.Logits(context.Background(), last, 1)
	require.NoError(t, err)
	for _, l := range logits[0] {
		bits = append(bits, math.Float32bits(l))
	}
	return bits
}

// A session behind any operations is one that was given its tokens at once.
func FuzzSession(f *testing.F) {
	f.Setenv("GLM4_CPU", "plain")
	for _, seed := range []string{
		"\x00\x00\x20abcdefghijklmnopqrstuvwxyzabcdefg\x00\x05\x00",
		"\x01\x00\x05abcdef\x03\x04\x00\x03\x02xyz\x01",
		"\x00\x00\x09abcdefghij\x00\x03\x01\x01\x07\x06klmnopq\x04\x04\x01\x05\x03\x01rs\x00",
		"\x00\x00\x59" + strings.Repeat("0123456789", 9) + "\x00\x07\x00\x01\x50\x30" + strings.Repeat("abcdefg", 7) +
			"\x05\x02\x00\x02\x00\x03\x01",
		"\x00\x00\x05abcdef\x00\x02\x00\x04\x03\x03\x04vwxyz\x02\x02\x06\x02\x01\x05",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ops := &operations{data[:min(len(data), 200)]}
		told := make(chan struct{})
		m := tiny(t, loadOptions{chunk: 64, maxContext: 400}.stopping(told))
		s := m.NewSession()
		defer s.Close()
		var prompt []int32
		for range 12 {
			if len(ops.data) == 0 {
				break
			}
			op := ops.next(6)
			switch op {
			case 0, 1: // a prompt that goes on from some of what is there, to its end or cancelled somewhere
				kept := ops.next(s.Len() + 1)
				prompt = slices.Concat(s.Tokens()[:kept], ops.ids(1+ops.next(90)))
				fallthrough
			case 2: // the last prompt again
				if len(prompt) == 0 || len(prompt) >= 380 {
					continue
				}
				ctx, cancel := context.WithCancel(context.Background())
				at, events := ops.next(40), 0
				event := func() {
					if events++; op == 1 && events == at {
						cancel()
						<-told
					}
				}
				o := Options{MaxTokens: 1 + ops.next(8), IgnoreEOS: true, OnPrefill: func(int, int) { event() }}
				if ops.next(2) == 1 {
					o.Logprobs = true // the host samples
				}
				for _, err := range s.GenerateTokens(ctx, prompt, o) {
					if err == nil {
						event()
					} else {
						require.Equal(t, context.Canceled, err)
					}
				}
				n := min(s.Len(), len(prompt))
				require.True(t, slices.Equal(prompt[:n], s.Tokens()[:n]))
				cancel()
			case 3:
				if ids := ops.ids(1 + ops.next(70)); s.Len()+len(ids) <= 400 {
					_, err := s.Logits(context.Background(), ids, ops.next(len(ids)))
					require.NoError(t, err)
				}
			case 4:
				s.Truncate(ops.next(s.Len() + 2))
			case 5:
				if s.Len() > 0 {
					nextLogits(t, s)
				}
			}
		}
		if s.Len() == 0 {
			return
		}
		fresh := m.NewSession()
		defer fresh.Close()
		_, err := fresh.Logits(context.Background(), s.Tokens(), 0)
		require.NoError(t, err)
		require.Equal(t, nextLogits(t, fresh), nextLogits(t, s))
		if tokens := s.Tokens(); len(tokens) < 390 {
			last := m.NewSession()
			defer last.Close()
			o := Options{MaxTokens: 3, IgnoreEOS: true, Temperature: 1, Seed: 1}
			require.Equal(t, collect(t, last, tokens, o), collect(t, s, tokens, o))
		}
	})
}

// A chat behind any operations answers as one that was given its messages at once, and a turn that failed leaves them
// as they were.
func FuzzChat(f *testing.F) {
	for _, seed := range []string{
		"\x00\x01\x00\x00\x02\x00\x01\x00",
		"\x00\x02\x03\x01\x00\x00\x02\x01\x04\x01\x05\x00\x03\x00\x00",
		"\x01\x00\x00\x01\x05\x01\x03\x01\x02\x02\x02\x01\x01\x00\x04\x00\x00\x00\x00\x00",
		"\x03\x02\x06\x00\x01\x00\x01\x06\x01\x02\x01\x07\x00\x02\x05",
	} {
		f.Add([]byte(seed))
	}
	m, err := Load(context.Background(), "")
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, m.Close()) })
	texts := []string{"Hello", "你是谁？", "<|user|>", "What can you do?", ""}
	f.Fuzz(func(t *testing.T, data []byte) {
		ops := &operations{data[:min(len(data), 60)]}
		options := Options{MaxTokens: 5}
		c := m.NewChat(Generation(options))
		defer c.Close()
		for range 10 {
			if len(ops.data) == 0 {
				break
			}
			before := append([]Message{}, c.Messages()...)
			op, text := ops.next(7), texts[ops.next(len(texts))]
			switch op {
			case 0, 1, 2, 3:
				ctx, cancel := context.WithCancel(context.Background())
				at, events := ops.next(12), 0
				event := func() {
					if events++; op%2 == 1 && events >= at {
						cancel()
					}
				}
				o := options
				o.OnPrefill = func(int, int) { event() }
				if op == 1 && at == 11 {
					o.TopK = -1 // refused
				}
				c.SetOptions(o)
				answer := c.Send(ctx, text)
				kept := append(slices.Clone(before), Message{Role: RoleUser, Content: text})
				if op > 1 {
					answer, kept = c.Regenerate(ctx), before
					for len(kept) > 0 && kept[len(kept)-1].Role == RoleAssistant {
						kept = kept[:len(kept)-1]
					}
				}
				var said Message
				var failed error
				for d, err := range answer {
					if failed = err; err == nil {
						said.Add(d)
					}
					event()
				}
				cancel()
				c.SetOptions(options)
				said.Role = RoleAssistant
				if failed != nil && said.Content == "" {
					require.Equal(t, before, append([]Message{}, c.Messages()...))
					require.NotEqual(t, FinishStop, c.Result().FinishReason)
				} else {
					require.Equal(t, append(slices.Clone(kept), said), c.Messages())
				}
			case 4:
				c.SetSystem(text)
			case 5:
				c.Clear()
			case 6:
				c.Add(Message{Role: RoleUser, Content: text}, Message{Role: RoleAssistant, Content: "Yes."})
			}
		}
		fresh := m.NewChat(Generation(options))
		defer fresh.Close()
		fresh.SetMessages(c.Messages())
		require.Equal(t, send(t, fresh, "Hello"), send(t, c, "Hello"))
		require.Equal(t, fresh.Messages(), c.Messages())
	})
}
