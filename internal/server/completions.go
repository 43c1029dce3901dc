package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/model"
)

// completionRequest is OpenAI's: https://platform.openai.com/docs/api-reference/completions/create.
type completionRequest struct {
	sampling
	constraints
	streaming
	Prompt   json.RawMessage `json:"prompt"`
	N        *integer        `json:"n"`
	Logprobs *integer        `json:"logprobs"`
	BestOf   *integer        `json:"best_of"`
	Echo     bool            `json:"echo"`
	Suffix   string          `json:"suffix"`
}

// completionTokens is how long a completion is where nothing is said, as OpenAI has it.
const completionTokens = 16

func (q *completionRequest) options(defaults model.Options) (o model.Options, err error) {
	if err := q.check(); err != nil {
		return o, err
	}
	if defaults.MaxTokens == 0 {
		defaults.MaxTokens = completionTokens
	}
	if o, err = q.sampling.options(defaults); err != nil {
		return o, err
	}
	if o.Logprobs = q.Logprobs != nil; o.Logprobs {
		o.TopLogprobs = int(*q.Logprobs)
		if *q.Logprobs < 0 || o.Check() != nil {
			return o, badRequest("logprobs", "logprobs is %d; it must lie between 0 and 20", *q.Logprobs)
		}
	}
	return o, nil
}

// check refuses what cannot be obeyed.
func (q *completionRequest) check() error {
	switch {
	case q.Echo:
		return unsupported("echo", "echo is not supported; put the prompt in front of the answer yourself")
	case q.Suffix != "":
		return unsupported("suffix", "suffix is not supported; the model was not trained to fill in")
	case q.BestOf != nil && (q.N == nil && *q.BestOf != 1 || q.N != nil && *q.BestOf != *q.N):
		return unsupported("best_of", "best_of is not supported; take n answers and choose")
	}
	return q.constraints.check()
}

// prompts reads a text, texts, ids or arrays of ids. In texts control tokens such as <|user|> are what they name.
func (q *completionRequest) prompts(r *http.Request, text *model.Text) ([][]int32, error) {
	var one string
	var many []json.RawMessage
	switch {
	case isNull(q.Prompt):
		return nil, badRequest("prompt", "prompt is missing")
	case json.Unmarshal(q.Prompt, &one) == nil:
		many = []json.RawMessage{q.Prompt}
	case json.Unmarshal(q.Prompt, &many) != nil:
		return nil, badRequest("prompt", "prompt is %s; it must be a text, ids or an array of either", kind(q.Prompt))
	case len(many) == 0 || len(many) > maxChoices && kind(many[0]) != "a number":
		return nil, badRequest("prompt", "prompt has %d entries; it must have 1 to %d", len(many), maxChoices)
	case kind(many[0]) == "a number":
		many = []json.RawMessage{q.Prompt}
	}
	var all [][]int32
	for i, data := range many {
		field := "prompt"
		if len(many) > 1 {
			field = fmt.Sprintf("prompt[%d]", i)
		}
		ids, err := promptIDs(r, text, field, data)
		if err != nil {
			return nil, err
		}
		all = append(all, ids)
	}
	return all, nil
}

func promptIDs(r *http.Request, text *model.Text, field string, data json.RawMessage) ([]int32, error) {
	if data[0] == '"' {
		var prompt string
		if err := json.Unmarshal(data, &prompt); err != nil {
			return nil, err
		}
		return text.EncodePrompt(r.Context(), prompt, true)
	}
	if ids, ok := readIDs(data); ok && len(ids) > 0 {
		return ids, checkIDs(text, field, ids)
	}
	return nil, badRequest(field, "%s must be a text, or ids of tokens, one at least", field)
}

// readIDs reads ids of tokens, of which none may be null.
func readIDs(data json.RawMessage) (ids []int32, ok bool) {
	var all []*int32
	if json.Unmarshal(data, &all) != nil || slices.Contains(all, nil) {
		return nil, false
	}
	for _, id := range all {
		ids = append(ids, *id)
	}
	return ids, true
}

// checkIDs refuses ids that no token has.
func checkIDs(text *model.Text, field string, ids []int32) error {
	for i, id := range ids {
		if _, ok := text.Token(id); !ok {
			return badRequest(field, "%s[%d] is %d; there is no token with this id, the last one is %d", field, i, id,
				text.VocabSize()-1)
		}
	}
	return nil
}

func (s *Server) completions(w http.ResponseWriter, r *http.Request) error {
	var q completionRequest
	if err := s.readJSON(w, r, &q); err != nil {
		return err
	}
	options, err := q.options(s.o.Defaults)
	if err != nil {
		return err
	}
	n, err := choiceCount(q.N)
	if err != nil {
		return err
	}
	pool, m, release, err := s.engine.use(r.Context())
	if err != nil {
		return err
	}
	defer release()
	prompts, err := q.prompts(r, m.Text())
	if err != nil {
		return err
	}
	if n*len(prompts) > maxChoices {
		return badRequest("n", "n answers to each of %d prompts are more than %d", len(prompts), maxChoices)
	}
	var requests []model.Request
	for _, ids := range prompts {
		requests = append(requests, several(model.Request{Prompt: ids, Options: options}, n)...)
	}
	all, err := submit(r, pool, requests)
	if err != nil {
		return err
	}
	defer all.close()
	c := &completionWriter{
		head: head{newID("cmpl-"), "text_completion", now(), s.o.Model, fingerprint}, text: m.Text(), n: n,
		logprobs: q.Logprobs != nil, usage: q.StreamOptions.IncludeUsage,
		choices: make([]completionChoice, len(requests)),
	}
	if q.Stream {
		return stream(w, r, all, c)
	}
	return whole(w, r, all, c)
}

// completionWriter writes completions.
type completionWriter struct {
	head     head
	text     *model.Text
	n        int // to each prompt
	logprobs bool
	usage    bool
	choices  []completionChoice
}

type completionChoice struct {
	content  strings.Builder
	logprobs completionLogprobs // that no chunk has had
	offset   int                // of the next token
	texts    frame
}

type completionChoiceJSON struct {
	Text         string              `json:"text"`
	Index        int                 `json:"index"`
	Logprobs     *completionLogprobs `json:"logprobs"`
	FinishReason *string             `json:"finish_reason"`
}

type completionJSON struct {
	head
	Choices []completionChoiceJSON `json:"choices"`
	Usage   json.RawMessage        `json:"usage,omitempty"`
}

func (c *completionWriter) add(i int, e model.Event) error {
	choice := &c.choices[i]
	choice.content.WriteString(e.Text)
	if c.logprobs && e.Token != nil {
		choice.offset = choice.logprobs.add(c.text, e.Token, choice.offset)
	}
	return nil
}

// choice is what has come of an answer, and its log probabilities that no chunk has had.
func (c *completionWriter) choice(i int, text string, r *model.Result) completionChoiceJSON {
	out := completionChoiceJSON{Text: text, Index: i}
	if r != nil {
		reason := string(r.FinishReason)
		out.FinishReason = &reason
	}
	if choice := &c.choices[i]; c.logprobs && len(choice.logprobs.Tokens) > 0 {
		taken := choice.logprobs
		out.Logprobs, choice.logprobs = &taken, completionLogprobs{}
	}
	return out
}

func (c *completionWriter) sum(results []model.Result) json.RawMessage {
	data, _ := json.Marshal(newUsage(results, c.n, 0)) // numbers only
	return data
}

func (c *completionWriter) whole(results []model.Result) any {
	out := completionJSON{head: c.head, Usage: c.sum(results)}
	for i := range c.choices {
		out.Choices = append(out.Choices, c.choice(i, c.choices[i].content.String(), &results[i]))
	}
	return out
}

func (c *completionWriter) chunk(choice completionChoiceJSON) completionJSON {
	out := completionJSON{head: c.head, Choices: []completionChoiceJSON{choice}}
	if c.usage {
		out.Usage = json.RawMessage("null")
	}
	return out
}

func (c *completionWriter) chunks(i int, e model.Event, send func(any) error) error {
	if e.Text == "" {
		return nil
	}
	chunk := func(text string) any { return c.chunk(c.choice(i, text, nil)) }
	if c.logprobs {
		return send(chunk(e.Text))
	}
	return send(c.choices[i].texts.event(e.Text, chunk))
}

func (c *completionWriter) end(results []model.Result, send func(any) error) error {
	for i := range c.choices {
		if err := send(c.chunk(c.choice(i, "", &results[i]))); err != nil {
			return err
		}
	}
	if !c.usage {
		return nil
	}
	return send(completionJSON{head: c.head, Choices: []completionChoiceJSON{}, Usage: c.sum(results)})
}
