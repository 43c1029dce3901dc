package model

import "slices"

// idleSessions are what a [Pool] keeps for later prompts. The rule by which they are given away is in its
// documentation.
type idleSessions struct {
	most     int64         // bytes of their caches
	sessions []idleSession // the least recently used first
	// prompts whose conversations have lost their session to another one, the latest last
	lost [][]int32
}

type idleSession struct {
	*Session
	opening int // tokens of its last prompt up to where the answer began
}

// mostLost bounds the prompts that are remembered.
const mostLost = 32

// goesOn tells whether a prompt that has n tokens in common with the session has all of its last prompt. Then only an
// answer is lost behind them, which the conversation has done without.
func (s *idleSession) goesOn(n int) bool { return n >= min(s.opening, len(s.tokens)) }

// take gives the session for a prompt, whose cache will take some bytes at least; nil stands for a new one.
func (s *idleSessions) take(prompt []int32, bytes int64) *Session {
	best, common, worth := -1, 0, 0
	for i := range s.sessions {
		k := &s.sessions[i]
		n := commonPrefix(k.tokens, prompt)
		gain := n
		if !k.goesOn(n) {
			gain -= len(k.tokens) - n
		}
		if gain >= 0 && (best < 0 || gain > worth) {
			best, common, worth = i, n, gain
		}
	}
	switch {
	case best >= 0 && s.sessions[best].goesOn(common):
	case best >= 0 && !s.comesBack(prompt, common):
		k := &s.sessions[best]
		s.lost = append(s.lost, slices.Clone(k.tokens[:min(k.opening, len(k.tokens))]))
		s.lost = s.lost[max(0, len(s.lost)-mostLost):]
	case len(s.sessions) > 0 && s.bytes()+bytes > s.most:
		best = 0
	default:
		return nil
	}
	taken := s.sessions[best].Session
	s.sessions = slices.Delete(s.sessions, best, best+1)
	return taken
}

// comesBack tells whether a prompt goes on from one that has lost its session, behind the first n tokens, and forgets
// that one.
func (s *idleSessions) comesBack(prompt []int32, n int) bool {
	before := len(s.lost)
	s.lost = slices.DeleteFunc(s.lost, func(lost []int32) bool {
		return len(lost) > n && commonPrefix(lost, prompt) == len(lost)
	})
	return len(s.lost) < before
}

// keep adds a session and gives those that are to be closed for it.
func (s *idleSessions) keep(session *Session, opening int) (closing []*Session) {
	if session.Len() == 0 {
		return []*Session{session}
	}
	s.sessions = append(s.sessions, idleSession{session, opening})
	for len(s.sessions) > 0 && s.bytes() > s.most {
		closing = append(closing, s.sessions[0].Session)
		s.sessions = slices.Delete(s.sessions, 0, 1)
	}
	return closing
}

// bytes is what the caches take.
func (s *idleSessions) bytes() (sum int64) {
	for _, k := range s.sessions {
		sum += k.CacheBytes()
	}
	return sum
}

// commonPrefix is the number of ids that two texts begin with alike.
func commonPrefix(a, b []int32) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}
