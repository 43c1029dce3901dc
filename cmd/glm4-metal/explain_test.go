package main

import (
	"errors"
	"fmt"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/model"
)

func TestErrorDoesNotNameTheFlag(t *testing.T) {
	require.NoError(t, explain(nil))
	for _, test := range []struct {
		err  error
		want string
	}{
		{&model.OptionError{Option: "temperature", Value: -1, Want: "more"}, "--temp is -1; it must be more"},
		{fmt.Errorf("m: %w", &model.OptionError{Option: "stop text", Value: "x", Want: "y"}), "m: --stop is x; it must be y"},
		{&model.OptionError{Option: "context", Value: 9999, Want: "at most 512"},
			"--max-kv-size is 9999; it must be at most 512"},
		{&model.ContextError{Tokens: 20, Limit: 10, Max: 512},
			"the prompt has 20 tokens, the context holds 10 with the answer; shorten it or raise the limit (--max-kv-size), " +
				"up to the 512 that the checkpoint was made for"},
		{&model.ContextError{Tokens: 20, Limit: 10, Max: 15},
			"the prompt has 20 tokens, the context holds 10 with the answer; shorten it; the checkpoint was made for 15"},
		{errors.New("too large: take a smaller context, or fewer bits"),
			"too large: take a smaller context (--max-kv-size), or fewer bits"},
		{errors.New("too large: take a smaller context (--max-kv-size)"),
			"too large: take a smaller context (--max-kv-size)"},
		{errors.New("the chat template is neither one of a, b nor a file that can be read: no"),
			"the chat template is neither one of a, b nor a file that can be read (--chat-template): no"},
		{errors.New("m has no chat template; choose one of a, b or a template file for it, or generate from plain text"),
			"m has no chat template; choose one of a, b or a template file for it (--chat-template), or generate from plain " +
				"text (--raw)"},
		{errors.New("no kernel; use the CPU and report it"), "no kernel; use the CPU (--backend cpu) and report it"},
		{errors.New("out of memory: take a smaller context, or use the CPU"),
			"out of memory: take a smaller context (--max-kv-size), or use the CPU (--backend cpu)"},
		{&model.NotFoundError{Name: "a/b@c", Repository: "a/b", Cache: "/cache"},
			"a/b@c: there is no such folder, and it is not in /cache; to fetch it: glm4-metal pull a/b@c"},
		{fmt.Errorf("m: %w", &model.NotFoundError{Name: "a/b", Repository: "a/b", Cache: "/f", Missing: []string{"x", "y"}}),
			"m: a/b is not whole in /f: it lacks x, y; to fetch the rest: glm4-metal pull a/b"},
		{errors.New("something else"), "something else"},
	} {
		err := explain(test.err)
		require.EqualError(t, err, test.want)
		require.ErrorIs(t, err, test.err)
	}
	require.ErrorIs(t, explain(fmt.Errorf("a context of: %w", fs.ErrNotExist)), fs.ErrNotExist)
}

func TestLibraryNamesAFlag(t *testing.T) {
	flags := map[string]bool{}
	for _, command := range newApp().Commands {
		for _, f := range command.Flags {
			for _, name := range f.Names() {
				flags[name] = true
			}
		}
	}
	dashed, verb := regexp.MustCompile("--([a-z][a-z-]*)"), regexp.MustCompile(program+" (pull|list|rm|convert)")
	files := 0
	for _, dir := range []string{"model", "loader", "metal", "shaders", "bench", "internal"} {
		require.NoError(t, filepath.WalkDir(filepath.Join("../..", dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files++
			text, err := os.ReadFile(path)
			var s scanner.Scanner
			s.Init(token.NewFileSet().AddFile(path, -1, len(text)), text, nil, 0)
			for {
				_, kind, literal := s.Scan()
				if kind == token.EOF {
					return err
				}
				for _, found := range dashed.FindAllStringSubmatch(literal, -1) {
					require.False(t, kind == token.STRING && flags[found[1]], "%s: %s", path, literal)
				}
				require.False(t, kind == token.STRING && verb.MatchString(literal), "%s: %s", path, literal)
			}
		}))
	}
	require.Greater(t, files, 100)
}
