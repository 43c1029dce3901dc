package rewrite

var refused = map[string]string{
	"double":       "'double' is not supported in Metal",
	"new":          "'new' is not supported in Metal",
	"delete":       "'delete' is not supported in Metal",
	"virtual":      "virtual functions are not supported in Metal",
	"try":          "exceptions are not supported in Metal",
	"catch":        "exceptions are not supported in Metal",
	"throw":        "exceptions are not supported in Metal",
	"dynamic_cast": "'dynamic_cast' is not supported in Metal",
	"typeid":       "'typeid' is not supported in Metal",
	"goto":         "'goto' is not supported in Metal",
	"asm":          "'asm' is not supported in Metal",
	"thread_local": "'thread_local' is not supported in Metal",
	"std":          "use of undeclared identifier 'std'",
	"vertex":       "vertex functions are outside what this stand-in runs: kernels",
	"fragment":     "fragment functions are outside what this stand-in runs: kernels",
}

// forbidden refuses words that MSL does not have, and lambdas.
func (p *parser) forbidden() {
	for i := range p.tokens {
		t := &p.tokens[i]
		if t.kind == word {
			message, bad := refused[t.text]
			if !bad || t.text == "delete" && p.is(i-1, "=") || p.is(i-1, ".") || p.is(i-1, "->") || p.is(i-1, "::") {
				continue
			}
			if (t.text == "vertex" || t.text == "fragment") && !p.declarationStart(i) || t.text == "std" && !p.is(i+1, "::") {
				continue
			}
			p.fail(t, "%s", message)
		}
		if t.text == "[" && t.kind == punctuation && !p.is(i+1, "[") && !p.is(i-1, "[") && p.match[i] > 0 && i > 0 {
			before := &p.tokens[i-1]
			expression := before.kind == punctuation && before.text != ")" && before.text != "]" && before.text != ">" ||
				before.text == "return"
			after := p.match[i] + 1
			if expression && (p.is(after, "(") || p.is(after, "{")) {
				p.fail(t, "lambda expressions are not supported in Metal")
			}
		}
	}
}

func (p *parser) declarationStart(i int) bool {
	return i == 0 || p.is(i-1, ";") || p.is(i-1, "}") || p.is(i-1, "]") || p.is(i-1, ">")
}
