package tokenizer

import "unicode/utf8"

// The split patterns of GLM-4, and of Qwen with single digits, as tokenizer.json spells them.
// Source: tokenization_chatglm.py of the GLM-4 checkpoints, tokenizer.json of Qwen3.
const (
	glmPattern  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	qwenPattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// splitter cuts text into the pieces that glmPattern matches, in which BPE then works. The pieces cover the whole text.
type splitter struct {
	classes *classTable
	digits  int // the most numbers in a piece
}

func newSplitter(digits int) splitter { return splitter{classes(), digits} }

// next returns the end of the piece that starts at start.
func (s splitter) next(text string, start int) int {
	first, size := s.classes.at(text, start)
	second := start + size
	switch first {
	case letter: // \p{L}+
		return s.letters(text, second)
	case number: // \p{N}{1,3}
		return s.numbers(text, second)
	case other:
		if text[start] == '\'' {
			if end := contraction(text, second); end > 0 {
				return end
			}
		}
		if second < len(text) {
			if c, size := s.classes.at(text, second); c == letter { // [^\r\n\p{L}\p{N}]\p{L}+
				return s.letters(text, second+size)
			}
		}
		return s.others(text, second) // [^\s\p{L}\p{N}]+[\r\n]*
	case space:
		if second < len(text) {
			c, size := s.classes.at(text, second)
			if c == letter { // [^\r\n\p{L}\p{N}]\p{L}+
				return s.letters(text, second+size)
			}
			if c == other && text[start] == ' ' { // " "[^\s\p{L}\p{N}]+[\r\n]*
				return s.others(text, second+size)
			}
		}
	}
	return s.spaces(text, start)
}

// contraction matches (?i:s|t|re|ve|m|ll|d) after an apostrophe and returns its end, 0 when there is none.
func contraction(text string, i int) int {
	if i >= len(text) {
		return 0
	}
	var after byte
	switch text[i] | 0x20 {
	case 's', 't', 'm', 'd':
		return i + 1
	case 'r', 'v':
		after = 'e'
	case 'l':
		after = 'l'
	}
	switch {
	case i+1 >= len(text):
		return 0
	case after != 0 && text[i+1]|0x20 == after:
		return i + 2
	case text[i:i+2] == "ſ": // long s, which is an s when case is ignored
		return i + 2
	}
	return 0
}

// letters returns the end of the letters at i, if any.
func (s splitter) letters(text string, i int) int {
	for i < len(text) {
		if c := text[i]; c < utf8.RuneSelf {
			if s.classes.ascii[c] != letter {
				return i
			}
			i++
			continue
		}
		c, size := s.classes.at(text, i)
		if c != letter {
			return i
		}
		i += size
	}
	return i
}

// numbers returns the end of the numbers at i, the first of the piece being before it.
func (s splitter) numbers(text string, i int) int {
	for n := 1; n < s.digits && i < len(text); n++ {
		c, size := s.classes.at(text, i)
		if c != number {
			break
		}
		i += size
	}
	return i
}

// others returns the end of punctuation and the like at i, and of the line ends behind it.
func (s splitter) others(text string, i int) int {
	for i < len(text) {
		c, size := s.classes.at(text, i)
		if c != other {
			break
		}
		i += size
	}
	for i < len(text) && (text[i] == '\r' || text[i] == '\n') {
		i++
	}
	return i
}

// spaces returns the end of a piece of white space: all up to the last line end (\s*[\r\n]+), or else all but the
// last character, which is left to what follows (\s+(?!\S)), or else the only one (\s+).
func (s splitter) spaces(text string, start int) int {
	lineEnd, last, i := 0, start, start
	for i < len(text) {
		c, size := s.classes.at(text, i)
		if c != space && c != newline {
			break
		}
		last = i
		i += size
		if c == newline {
			lineEnd = i
		}
	}
	switch {
	case lineEnd > 0:
		return lineEnd
	case i == len(text) || last == start:
		return i
	}
	return last
}
