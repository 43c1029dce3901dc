package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/glm4-metal/glm4-metal/model"
)

// answers are those to one request of the API, which has several of them with n, or with several prompts.
type answers struct {
	all    []*model.Answer
	cancel context.CancelFunc // ends all of them
}

// submit gives all requests a place in the queue, or none.
func submit(r *http.Request, pool *model.Pool, requests []model.Request) (*answers, error) {
	ctx, cancel := context.WithCancel(r.Context())
	a := &answers{cancel: cancel}
	for _, request := range requests {
		answer, err := pool.Submit(ctx, request)
		if err != nil {
			a.close()
			return nil, err
		}
		a.all = append(a.all, answer)
	}
	return a, nil
}

func (a *answers) close() {
	a.cancel()
	for _, answer := range a.all {
		answer.Close()
	}
}

// errEnough ends an answer that has all that is wanted of it.
var errEnough = errors.New("enough")

// run gives the events of all answers to take, one at a time. An error of one, or of take, ends all, except for
// errEnough, which ends the answer at hand.
func (a *answers) run(take func(i int, e model.Event) error) error {
	if len(a.all) == 1 {
		return a.runOne(0, take)
	}
	var (
		group    sync.WaitGroup
		mu       sync.Mutex
		first    error
		panicked any // which would end the server in a goroutine of its own
	)
	for i := range a.all {
		group.Go(func() {
			var err error
			defer func() {
				p := recover()
				mu.Lock()
				defer mu.Unlock()
				if p != nil {
					panicked, err = fmt.Sprintf("%v\n%s", p, debug.Stack()), errEnough
				}
				if err != nil && first == nil {
					first = err
					a.cancel()
				}
			}()
			err = a.runOne(i, func(i int, e model.Event) error {
				mu.Lock()
				defer mu.Unlock()
				if first != nil {
					return first
				}
				return take(i, e)
			})
		})
	}
	group.Wait()
	if panicked != nil {
		panic(panicked)
	}
	return first
}

func (a *answers) runOne(i int, take func(int, model.Event) error) error {
	for e, err := range a.all[i].Events() {
		if err == nil {
			err = take(i, e)
		}
		switch {
		case errors.Is(err, errEnough):
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

// results are those of the answers, once run has ended.
func (a *answers) results(r *http.Request) []model.Result {
	var all []model.Result
	for _, answer := range a.all {
		all = append(all, answer.Result())
		note(r, answer.Result())
	}
	return all
}

// writer writes answers in an API's shape. Of an answer it gets all events.
type writer interface {
	add(i int, e model.Event) error                          // collects an event; errEnough ends the answer behind it
	chunks(i int, e model.Event, send func(any) error) error // writes what an event that was added brings to a stream
	end(results []model.Result, send func(any) error) error  // writes what ends a stream
	whole(results []model.Result) any
}

// stream writes answers as they come.
func stream(w http.ResponseWriter, r *http.Request, all *answers, c writer) error {
	events := newEventStream(w, nil)
	defer events.close()
	send := func(data any) error { return events.send("", data) }
	err := all.run(func(i int, e model.Event) error {
		enough := c.add(i, e)
		if err := c.chunks(i, e, send); err != nil {
			return err
		}
		return enough
	})
	results := all.results(r)
	if err == nil {
		err = c.end(results, send)
	}
	if err == nil {
		err = events.sendText("[DONE]")
	}
	if err == nil || events.closeUnbegun() {
		return err
	}
	e := explain(err)
	noteFailure(r, e)
	send(openAI(e))
	return nil
}

// whole writes answers when they are complete.
func whole(w http.ResponseWriter, r *http.Request, all *answers, c writer) error {
	err := all.run(c.add)
	results := all.results(r)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, c.whole(results))
}

// head is what all objects of an answer begin with.
type head struct {
	ID                string `json:"id"`
	Object            string `json:"object"`
	Created           int64  `json:"created"`
	Model             string `json:"model"`
	SystemFingerprint string `json:"system_fingerprint"`
}

// fingerprint is the server's system_fingerprint.
const fingerprint = "glm4-metal"

func now() int64 { return time.Now().Unix() }

// usage is OpenAI's count of tokens.
type usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
	PromptDetails    struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
	CompletionDetails struct {
		Reasoning int `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
}

// newUsage adds up answers, n to each prompt, which counts once.
func newUsage(results []model.Result, n, reasoning int) *usage {
	u := &usage{}
	for i, r := range results {
		if i%n == 0 {
			u.PromptTokens += r.PromptTokens
			u.PromptDetails.Cached += r.CachedTokens
		}
		u.CompletionTokens += r.CompletionTokens
	}
	u.TotalTokens = u.PromptTokens + u.CompletionTokens
	u.CompletionDetails.Reasoning = reasoning
	return u
}
