package main

import (
	"os"
	"path/filepath"
	"strings"
)

// complete is what Tab does in the line editor. It completes the text of a command in front of the cursor, which is pos
// characters into the line.
func (r *repl) complete(line string, pos int) (head string, completions []string, tail string) {
	runes := []rune(line)
	before, tail := string(runes[:pos]), string(runes[pos:])
	name, argument, hasArgument := strings.Cut(before, " ")
	if !strings.HasPrefix(name, "/") {
		return before, nil, tail
	}
	for _, c := range slashCommands() {
		for _, n := range c.names {
			switch {
			case hasArgument && "/"+n == name && c.complete != nil:
				return name + " ", c.complete(r, argument), tail
			case !hasArgument && strings.HasPrefix("/"+n, name):
				if n = "/" + n; c.argument != "" {
					n += " "
				}
				completions = append(completions, n)
			}
		}
	}
	return "", completions, tail
}

// completePath gives the files and folders whose path begins with a text. Names that a terminal would obey are left
// out.
func completePath(_ *repl, text string) []string {
	dir, prefix := text[:strings.LastIndexByte(text, '/')+1], text[strings.LastIndexByte(text, '/')+1:]
	if text == "~" {
		return []string{"~/"}
	}
	where := expandHome(dir)
	if where == "" {
		where = "."
	}
	entries, err := os.ReadDir(where)
	if err != nil {
		return nil
	}
	var paths []string
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasPrefix(name, prefix) || visibleLine(name) != name || name[0] == '.' && prefix == "" {
			continue
		}
		if info, err := os.Stat(filepath.Join(where, name)); err == nil && info.IsDir() { // also behind a link
			name += "/"
		}
		paths = append(paths, dir+name)
	}
	return paths
}

// completeSetting completes what stands behind /set.
func (r *repl) completeSetting(argument string) []string {
	var completions []string
	name, value, hasValue := strings.Cut(argument, " ")
	for _, s := range r.settings() {
		switch {
		case !hasValue && strings.HasPrefix(s.name, name):
			completions = append(completions, s.name+" ")
		case hasValue && s.name == name:
			for _, v := range s.values {
				if strings.HasPrefix(v, value) {
					completions = append(completions, name+" "+v)
				}
			}
		}
	}
	return completions
}
