package server

import (
	"encoding/json"
	"net/http"

	"github.com/glm4-metal/glm4-metal/model"
)

type modelJSON struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
	Context int    `json:"context_length,omitempty"` // tokens of prompt and answer; unknown before the first load
}

// model is the only one that there is. Requests for any other are answered by it: clients have names of their own.
func (s *Server) model() modelJSON {
	return modelJSON{s.o.Model, "model", s.started.Unix(), "glm4-metal", s.engine.state().context}
}

func (s *Server) models(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, http.StatusOK, struct {
		Object string      `json:"object"`
		Data   []modelJSON `json:"data"`
	}{"list", []modelJSON{s.model()}})
}

func (s *Server) oneModel(w http.ResponseWriter, r *http.Request) error {
	if id := r.PathValue("id"); id != s.o.Model {
		return &apiError{http.StatusNotFound, invalidRequest, "model_not_found", "model",
			"there is no model " + id + " here, only " + s.o.Model}
	}
	return writeJSON(w, http.StatusOK, s.model())
}

// health is 503 while the model is loaded. One that is not loaded at all is no fault: the next request loads it.
func (s *Server) health(w http.ResponseWriter, r *http.Request) error {
	status, state := http.StatusOK, s.engine.state()
	out := struct {
		Status string `json:"status"`
		Model  string `json:"model"`
		Loaded bool   `json:"loaded"`
	}{"ok", s.o.Model, state.loaded}
	if state.loading {
		status, out.Status = http.StatusServiceUnavailable, "loading"
	}
	return writeJSON(w, status, out)
}

// tokenizeRequest is that of llama.cpp's server, with its defaults.
type tokenizeRequest struct {
	Content      *string `json:"content"`
	AddSpecial   bool    `json:"add_special"`   // [gMASK]<sop> in front
	ParseSpecial *bool   `json:"parse_special"` // <|user|> and the like are control tokens; nil: true
	WithPieces   bool    `json:"with_pieces"`
}

type pieceJSON struct {
	ID    int32 `json:"id"`
	Piece any   `json:"piece"` // a text, or bytes that are none
}

func (s *Server) tokenize(w http.ResponseWriter, r *http.Request) error {
	var q tokenizeRequest
	if err := s.readJSON(w, r, &q); err != nil {
		return err
	}
	if q.Content == nil {
		return badRequest("content", "content is missing; it must be a text")
	}
	_, m, release, err := s.engine.use(r.Context())
	if err != nil {
		return err
	}
	defer release()
	encode := m.Text().Encode
	special := q.ParseSpecial == nil || *q.ParseSpecial
	if special {
		encode = m.Text().EncodeSpecial
	}
	var ids []int32
	if q.AddSpecial {
		ids, err = m.Text().EncodePrompt(r.Context(), *q.Content, special)
	} else {
		ids, err = encode(r.Context(), *q.Content)
	}
	if err != nil {
		return err
	}
	tokens := make([]any, len(ids))
	for i, id := range ids {
		tokens[i] = id
		if q.WithPieces {
			tokens[i] = pieceJSON{id, piece(m.Text(), id)}
		}
	}
	return writeJSON(w, http.StatusOK, map[string]any{"tokens": tokens})
}

// piece is what a token stands for.
func piece(text *model.Text, id int32) any {
	data := text.DecodeBytes([]int32{id})
	if invalidUTF8(data) < 0 {
		return string(data)
	}
	bytes := make([]int, len(data))
	for i, b := range data {
		bytes[i] = int(b)
	}
	return bytes
}

func (s *Server) detokenize(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Tokens json.RawMessage `json:"tokens"`
	}
	if err := s.readJSON(w, r, &q); err != nil {
		return err
	}
	ids, ok := readIDs(q.Tokens)
	if isNull(q.Tokens) || !ok {
		return badRequest("tokens", "tokens must be an array of token ids")
	}
	_, m, release, err := s.engine.use(r.Context())
	if err != nil {
		return err
	}
	defer release()
	if err := checkIDs(m.Text(), "tokens", ids); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]string{"content": m.Text().Decode(ids)})
}
