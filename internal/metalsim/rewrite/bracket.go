package rewrite

import (
	"slices"
	"strings"
)

func (p *parser) is(i int, s string) bool {
	return i >= 0 && i < len(p.tokens) && p.tokens[i].text == s && p.tokens[i].kind != text
}

func (p *parser) matchBrackets() {
	p.match = make([]int, len(p.tokens))
	p.balanced = true
	var open []int
	closes := map[string]string{")": "(", "]": "[", "}": "{"}
	for i := range p.tokens {
		p.match[i] = -1
		if p.tokens[i].kind != punctuation {
			continue
		}
		switch s := p.tokens[i].text; s {
		case "(", "[", "{":
			open = append(open, i)
		case ")", "]", "}":
			// An unclosed bracket is clang's to report; the ones around it still match.
			for len(open) > 0 && p.tokens[open[len(open)-1]].text != closes[s] {
				open = open[:len(open)-1]
				p.balanced = false
			}
			if len(open) == 0 {
				p.balanced = false
			} else {
				o := open[len(open)-1]
				open = open[:len(open)-1]
				p.match[o], p.match[i] = i, o
			}
		}
	}
	p.balanced = p.balanced && len(open) == 0
}

// skip gives the index after the bracket group that starts at i, or after the token.
func (p *parser) skip(i int) int {
	if p.match[i] > i {
		return p.match[i] + 1
	}
	return i + 1
}

// angle gives the index of the > that closes the < at i, or -1 when i opens no template argument list.
func (p *parser) angle(i, end int) int {
	depth := 0
	for j := i; j < end; {
		switch p.tokens[j].text {
		case "<":
			depth++
		case ">":
			depth--
			if depth == 0 {
				return j
			}
		case ";", "{", "}":
			return -1
		case "(", "[":
			j = p.skip(j)
			continue
		}
		j++
	}
	return -1
}

// angleBack gives the index of the < that the > at i closes.
func (p *parser) angleBack(i, start int) int {
	depth := 0
	for j := i; j >= start; j-- {
		switch p.tokens[j].text {
		case ">":
			depth++
		case "<":
			depth--
			if depth == 0 {
				return j
			}
		case ")", "]":
			if p.match[j] >= 0 {
				j = p.match[j]
			}
		}
	}
	return -1
}

// join gives the tokens [i, j) as text, with the spaces that keep them apart.
func (p *parser) join(i, j int) string {
	var b strings.Builder
	for k := i; k < j; k++ {
		s := p.tokens[k].exec
		if s == "" {
			continue
		}
		if b.Len() > 0 && !(p.tokens[k-1].kind == punctuation && strings.Contains("::<(", p.tokens[k-1].text)) &&
			!strings.Contains("::<>(),", p.tokens[k].text) {
			b.WriteByte(' ')
		}
		b.WriteString(s)
	}
	return b.String()
}

// find gives the first of the texts from i on, outside of brackets.
func (p *parser) find(i, end int, texts ...string) int {
	for i < end {
		if p.tokens[i].kind != text && slices.Contains(texts, p.tokens[i].text) {
			return i
		}
		i = p.skip(i)
	}
	return -1
}

// statementEnd gives the index after the ; that ends what starts at i.
func (p *parser) statementEnd(i, end int) int {
	if j := p.find(i, end, ";"); j >= 0 {
		return j + 1
	}
	return end
}

func (p *parser) arity(open, close int) int {
	if close == open+1 || close == open+2 && p.is(open+1, "void") {
		return 0
	}
	return len(p.split(open+1, close))
}

// split cuts [i, end) at its commas, outside of brackets and template arguments.
func (p *parser) split(i, end int) [][2]int {
	var parts [][2]int
	start := i
	for i < end {
		if p.is(i, "<") && i > 0 && p.tokens[i-1].kind == word {
			if close := p.angle(i, end); close > 0 {
				i = close + 1
				continue
			}
		}
		if p.is(i, ",") {
			parts = append(parts, [2]int{start, i})
			start = i + 1
		}
		i = p.skip(i)
	}
	return append(parts, [2]int{start, end})
}
