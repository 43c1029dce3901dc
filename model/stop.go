package model

import "strings"

// stopTexts finds the first of some texts in a stream, and holds back what may turn out to be the start of one.
type stopTexts struct {
	texts []string
	held  string
	found string // the text that has stopped it
}

// next takes more of the stream and gives what is certain to come before any stop text. After stopped the rest of
// the stream does not matter.
func (s *stopTexts) next(text string) (out string, stopped bool) {
	if len(s.texts) == 0 {
		return text, false
	}
	text = s.held + text
	s.held = ""
	first := -1
	for _, stop := range s.texts {
		if i := strings.Index(text, stop); i >= 0 && (first < 0 || i < first) {
			first, s.found = i, stop
		}
	}
	if first >= 0 {
		return text[:first], true
	}
	hold := 0
	for _, stop := range s.texts {
		for n := min(len(stop)-1, len(text)); n > hold; n-- {
			if strings.HasSuffix(text, stop[:n]) {
				hold = n
				break
			}
		}
	}
	s.held = text[len(text)-hold:]
	return text[:len(text)-hold], false
}
