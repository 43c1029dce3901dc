package server

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"

	"github.com/glm4-metal/glm4-metal/model"
)

// sampling are the fields of a request that say how to generate, under the names that OpenAI's API and, for what that
// does not have, mlx-lm's and llama.cpp's servers give them. Where one is missing or null, Options.Defaults holds.
type sampling struct {
	Temperature       *float64           `json:"temperature"`
	TopP              *float64           `json:"top_p"`
	TopK              *integer           `json:"top_k"`
	MinP              *float64           `json:"min_p"`
	Seed              *integer           `json:"seed"`
	RepetitionPenalty *float64           `json:"repetition_penalty"`
	PresencePenalty   *float64           `json:"presence_penalty"`
	FrequencyPenalty  *float64           `json:"frequency_penalty"`
	LogitBias         map[string]float64 `json:"logit_bias"`
	Stop              texts              `json:"stop"`
	MaxTokens         *integer           `json:"max_tokens"`
	IgnoreEOS         *bool              `json:"ignore_eos"`
}

// options are the defaults with what the request says. Values that no model could obey are errors.
func (q *sampling) options(defaults model.Options) (model.Options, error) {
	o := defaults
	set(&o.Temperature, q.Temperature)
	set(&o.TopP, q.TopP)
	setInt(&o.TopK, q.TopK)
	set(&o.MinP, q.MinP)
	set(&o.RepetitionPenalty, q.RepetitionPenalty)
	set(&o.PresencePenalty, q.PresencePenalty)
	set(&o.FrequencyPenalty, q.FrequencyPenalty)
	set(&o.IgnoreEOS, q.IgnoreEOS)
	if o.TopK == -1 { // vLLM's word for all
		o.TopK = 0
	}
	if q.Seed != nil {
		o.Seed = seed(int64(*q.Seed))
	}
	if q.Stop != nil {
		o.Stop = q.Stop
	}
	if q.MaxTokens != nil {
		if err := limitTokens(&o, "max_tokens", int(*q.MaxTokens)); err != nil {
			return o, err
		}
	}
	if len(q.LogitBias) > 0 {
		o.LogitBias = make(map[int32]float32, len(q.LogitBias))
	}
	for text, bias := range q.LogitBias {
		id, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return o, badRequest("logit_bias", "logit_bias has the key %q; it must be a token id", text)
		}
		if bias > math.MaxFloat32 { // -1e99 bans a token
			return o, badRequest("logit_bias", "logit_bias of %s is %g; it must be %g at most", text, bias, math.MaxFloat32)
		}
		o.LogitBias[int32(id)] = float32(bias)
	}
	return o, o.Check()
}

func set[T any](to *T, value *T) {
	if value != nil {
		*to = *value
	}
}

func setInt(to *int, value *integer) {
	if value != nil {
		*to = int(*value)
	}
}

// integer is a whole number, which clients without integers write as 4.0.
type integer int64

func (n *integer) UnmarshalJSON(data []byte) error {
	if v, err := strconv.ParseFloat(string(data), 64); err == nil && v == math.Trunc(v) && math.Abs(v) < 1<<53 {
		*n = integer(v)
		return nil
	}
	return json.Unmarshal(data, (*int64)(n)) // a larger one, or the error
}

// seed is a seed of the API, of which 0 is one as any other.
func seed(n int64) uint64 {
	if n == 0 {
		return 1 << 63
	}
	return uint64(n)
}

// limitTokens sets the most tokens of an answer, -1 for no limit.
func limitTokens(o *model.Options, field string, n int) error {
	switch {
	case n == -1:
		o.MaxTokens = 0
	case n < 1:
		return badRequest(field, "%s is %d; it must be 1 or more, or -1 for no limit", field, n)
	default:
		o.MaxTokens = n
	}
	return nil
}

// texts are a text, or an array of them.
type texts []string

func (t *texts) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte(`"`)) {
		*t = make(texts, 1)
		return json.Unmarshal(data, &(*t)[0])
	}
	if kind(data) != "an array" && !isNull(data) {
		return badRequest("stop", "stop is %s; it must be a string or an array of strings", kind(data))
	}
	return json.Unmarshal(data, (*[]string)(t))
}

// thoughts counts the tokens of an answer that are reasoning.
type thoughts struct{ tokens, pending int }

func (t *thoughts) add(e model.Event) {
	if e.Token != nil {
		t.pending++
	}
	switch {
	case e.Reasoning != "":
		t.tokens += t.pending
		t.pending = 0
	case e.Text != "" || e.Call != nil:
		t.pending = 0
	}
}
