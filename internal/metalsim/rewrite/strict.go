package rewrite

import (
	"regexp"
	"slices"
)

var vectorName = regexp.MustCompile(`^(packed_)?(bool|u?char|u?short|u?int|u?long|half|float|bfloat)[234](x[234])?$`)

// vectorForms gives constructions and casts of vectors the forms that the strict pass has for them: float4(a, b)
// becomes metal_make<float4>(a, b) and (float4)x becomes metal_cast<float4>{} ->* x. The same goes for template
// parameters and aliases, which may name a vector.
func (p *parser) vectorForms() {
	aliases := p.aliases()
	for i := 0; i < len(p.tokens); i++ {
		t := &p.tokens[i]
		if t.kind != word || t.strict != t.text {
			continue
		}
		stop := i + 1
		switch {
		case vectorName.MatchString(t.text) || aliases[t.text]:
		case t.text == "vec" && p.is(stop, "<"):
			close := p.angle(stop, len(p.tokens))
			if close < 0 {
				continue
			}
			stop = close + 1
		default:
			continue
		}
		start := i
		if p.is(i-1, "::") && p.is(i-2, "metal") {
			start = i - 2
		}
		switch {
		case p.is(stop, "(") && !p.is(stop+1, "*") && !p.is(stop+1, "&") && p.constructs(start):
			p.tokens[start].strict = "metal_make<" + p.tokens[start].strict
			p.tokens[stop-1].strict += ">"
		case p.is(stop, ")") && p.is(start-1, "(") && p.casts(start-1, stop):
			p.tokens[start-1].strict = "metal_cast<"
			p.tokens[stop].strict = ">{} ->*"
		}
	}
}

// aliases are the names of types that templates and type aliases introduce.
func (p *parser) aliases() map[string]bool {
	names := map[string]bool{}
	for i := range p.tokens {
		switch {
		case (p.is(i, "typename") || p.is(i, "class")) && (p.is(i-1, "<") || p.is(i-1, ",")) && i+1 < len(p.tokens) &&
			p.tokens[i+1].kind == word:
			if p.is(i+2, ",") || p.is(i+2, ">") || p.is(i+2, "=") {
				names[p.tokens[i+1].text] = true
			}
		case p.is(i, "using") && p.is(i+2, "="):
			names[p.tokens[i+1].text] = true
		case p.is(i, "typedef"):
			if end := p.find(i, len(p.tokens), ";"); end > i && p.tokens[end-1].kind == word {
				names[p.tokens[end-1].text] = true
			}
		}
	}
	return names
}

// constructs reports whether the type at i, with a parenthesis after it, stands in an expression.
func (p *parser) constructs(i int) bool {
	if i == 0 {
		return false
	}
	before := &p.tokens[i-1]
	if before.kind == word {
		return slices.Contains([]string{"return", "else", "case", "do"}, before.text)
	}
	return !slices.Contains([]string{".", "->", "::", "~"}, before.text)
}

// casts reports whether the parentheses at open and close make a cast.
func (p *parser) casts(open, close int) bool {
	if open == 0 || close+1 >= len(p.tokens) {
		return false
	}
	before, after := &p.tokens[open-1], &p.tokens[close+1]
	if before.kind == word && !slices.Contains([]string{"return", "else", "case"}, before.text) ||
		slices.Contains([]string{")", "]", ">"}, before.text) {
		return false
	}
	return after.kind == word || after.kind == number || slices.Contains([]string{"(", "-", "!", "~", "*", "&"},
		after.text) && after.kind == punctuation
}
