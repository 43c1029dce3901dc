package model

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// idle serves prompts as a Pool does, one after the other, and computes nothing: a cache takes a byte a token.
type idle struct {
	idleSessions
	next   int32 // an id that has not been used yet
	closed int   // sessions
}

func (s *idle) ids(n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i], s.next = s.next, s.next+1
	}
	return ids
}

// serve gives what is found in a cache of a prompt, and the prompt with an answer of some tokens.
func (s *idle) serve(prompt []int32, answer int) (cached int, all []int32) {
	session := s.take(prompt, int64(len(prompt)))
	if session == nil {
		session = &Session{}
	}
	cached = commonPrefix(session.tokens, prompt)
	all = append(slices.Clone(prompt), s.ids(answer)...)
	session.tokens = slices.Clone(all)
	session.bytes.Store(max(session.bytes.Load(), int64(len(all))))
	s.closed += len(s.keep(session, len(prompt)))
	return cached, all
}

func newIdle(most int64) *idle { return &idle{idleSessions: idleSessions{most: most}} }

func TestAlternatingConversationsTakeEachOthersSessions(t *testing.T) {
	s := newIdle(1e6)
	system := s.ids(2000)
	talks := [][]int32{system, system, system}
	for round := range 6 {
		for i, before := range talks {
			var cached int
			cached, talks[i] = s.serve(append(slices.Clone(before), s.ids(100)...), 50)
			if round > 1 {
				require.Equal(t, len(before), cached, "conversation %d, round %d", i, round)
			}
		}
	}
	require.Len(t, s.sessions, 3)
}

func TestRequestsWithOneSystemTextComputeItAgain(t *testing.T) {
	s := newIdle(1e6)
	system := s.ids(2000)
	_, agent := s.serve(append(slices.Clone(system), s.ids(8000)...), 100)
	for i := range 20 {
		cached, _ := s.serve(append(slices.Clone(system), s.ids(100)...), 50)
		if i > 0 {
			require.Equal(t, len(system), cached, "request %d", i)
		}
	}
	require.Len(t, s.sessions, 2)
	cached, _ := s.serve(append(slices.Clone(agent), s.ids(10)...), 10)
	require.Equal(t, len(agent), cached, "the long conversation was lost for its beginning")
}

func TestEditInTheMiddleLosesTheConversation(t *testing.T) {
	s := newIdle(1e6)
	_, talk := s.serve(s.ids(8000), 100)
	cached, edited := s.serve(append(slices.Clone(talk[:6000]), s.ids(500)...), 100)
	require.Equal(t, 6000, cached, "what is left is more than what is lost")
	require.Len(t, s.sessions, 1)

	cached, _ = s.serve(append(slices.Clone(edited[:3000]), s.ids(500)...), 100)
	require.Zero(t, cached)
	require.Len(t, s.sessions, 2)
	cached, _ = s.serve(edited, 10)
	require.Equal(t, len(edited), cached)

	cached, _ = s.serve(talk, 10)
	require.Zero(t, cached, "it comes back, and the session of the edited one is not taken for it")
	cached, _ = s.serve(edited, 10)
	require.Equal(t, len(edited), cached)
}

// A reasoning model's prompts do not have the reasoning of earlier answers.
func TestAnswerThatThePromptLeavesOutMakesANewSession(t *testing.T) {
	s := newIdle(1e6)
	question := s.ids(500)
	s.serve(question, 3000)
	cached, _ := s.serve(append(slices.Clone(question), s.ids(60)...), 10)
	require.Equal(t, len(question), cached)
	require.Len(t, s.sessions, 1)

	// a long answer, of which another prompt has only the beginning of the question
	_, story := s.serve(s.ids(30), 4000)
	cached, _ = s.serve(append(slices.Clone(story[:20]), s.ids(10)...), 10)
	require.Zero(t, cached)
	cached, _ = s.serve(append(story, s.ids(10)...), 10)
	require.Equal(t, 4030, cached)
}

func TestIdleSessionsTakeMoreThanTheirBytes(t *testing.T) {
	s := newIdle(3000)
	var talks [][]int32
	for range 3 {
		_, talk := s.serve(s.ids(800), 100)
		talks = append(talks, talk)
	}
	cached, _ := s.serve(talks[0], 10)
	require.Equal(t, 900, cached)
	require.Len(t, s.sessions, 3)
	s.serve(s.ids(800), 100)
	require.Len(t, s.sessions, 3, "the least recently used one was taken")
	cached, _ = s.serve(talks[2], 10)
	require.Equal(t, 900, cached)
	cached, _ = s.serve(talks[0], 10)
	require.Equal(t, 900, cached)
	require.Zero(t, s.closed)

	s.serve(append(talks[0], s.ids(1100)...), 0)
	require.LessOrEqual(t, s.bytes(), s.most)
	require.Equal(t, 1, s.closed)
	require.Equal(t, 2000, s.sessions[len(s.sessions)-1].Len(), "the last one is the last to be closed")
	s.serve(s.ids(4000), 0)
	require.LessOrEqual(t, s.bytes(), s.most, "one that is larger than all is not kept")

	none := newIdle(-1)
	none.serve(none.ids(5), 1)
	require.Empty(t, none.sessions)
	require.Len(t, none.keep(&Session{}, 3), 1, "an empty session is kept")
}

func TestLostPromptsPileUp(t *testing.T) {
	s := newIdle(1e6)
	system := s.ids(50)
	for range 3 * mostLost {
		s.serve(append(slices.Clone(system), s.ids(3)...), 2)
	}
	require.Len(t, s.lost, mostLost)
	require.Len(t, s.sessions, 1)
}
