package server

import (
	"container/list"
	"encoding/json"
	"sync"
)

// What is kept of responses, those that were used last.
const (
	maxResponses     = 1024
	maxResponseBytes = 64 << 20
)

// responseStore keeps responses, and the conversations up to them, in memory. The zero store is empty.
type responseStore struct {
	mu    sync.Mutex
	byID  map[string]*list.Element // of *storedResponse
	used  list.List                // the latest in front
	bytes int
}

type storedResponse struct {
	id           string
	data         json.RawMessage
	conversation turns // with the answer
	bytes        int
}

// add keeps a response that is whole.
func (s *responseStore) add(q *responsesRequest) error {
	data, err := q.response.encode()
	if err != nil {
		return err
	}
	v := &storedResponse{q.response.ID, data, q.conversation.clone(), len(data)}
	v.conversation.answer(q.response.Output)
	for _, m := range v.conversation.messages { // shared with earlier responses, which may go first
		v.bytes += len(m.Content) + len(m.Reasoning)
		for _, c := range m.ToolCalls {
			v.bytes += len(c.Name) + len(c.Arguments)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = map[string]*list.Element{}
	}
	s.byID[v.id] = s.used.PushFront(v)
	s.bytes += v.bytes
	for s.used.Len() > maxResponses || s.bytes > maxResponseBytes && s.used.Len() > 1 {
		s.drop(s.used.Back())
	}
	return nil
}

func (s *responseStore) drop(e *list.Element) {
	v := s.used.Remove(e).(*storedResponse)
	delete(s.byID, v.id)
	s.bytes -= v.bytes
}

func (s *responseStore) find(id string) (*storedResponse, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.byID[id]
	if !ok {
		return nil, false
	}
	s.used.MoveToFront(e)
	return e.Value.(*storedResponse), true
}

func (s *responseStore) get(id string) (json.RawMessage, bool) {
	v, ok := s.find(id)
	if !ok {
		return nil, false
	}
	return v.data, true
}

// history is the conversation up to a response, which the caller does not change.
func (s *responseStore) history(id string) (turns, bool) {
	v, ok := s.find(id)
	if !ok {
		return turns{}, false
	}
	return v.conversation, true
}

func (s *responseStore) remove(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.byID[id]
	if ok {
		s.drop(e)
	}
	return ok
}
