package server

import "net/http"

func (s *Server) chatCompletions(w http.ResponseWriter, r *http.Request) error { return nil }
func (s *Server) completions(w http.ResponseWriter, r *http.Request) error     { return nil }
func (s *Server) models(w http.ResponseWriter, r *http.Request) error          { return nil }
func (s *Server) oneModel(w http.ResponseWriter, r *http.Request) error        { return nil }
func (s *Server) tokenize(w http.ResponseWriter, r *http.Request) error        { return nil }
func (s *Server) detokenize(w http.ResponseWriter, r *http.Request) error      { return nil }
func (s *Server) health(w http.ResponseWriter, r *http.Request) error          { return nil }
