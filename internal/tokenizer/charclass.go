package tokenizer

import (
	"sync"
	"unicode"
	"unicode/utf8"
)

// class is what the split pattern tells characters apart by.
type class uint8

const (
	other   class = iota // none of the below, and bytes that are no UTF-8
	letter               // \p{L}
	number               // \p{N}
	space                // \s without the two below
	newline              // \r and \n
)

// classTable gives the class of every code point, in pages of 256.
type classTable struct {
	ascii [utf8.RuneSelf]class
	page  [(unicode.MaxRune + 1) >> 8]uint8
	pages [][256]class
}

func (t *classTable) of(r rune) class { return t.pages[t.page[r>>8]][r&0xFF] }

// at returns the class and the length of the character at text[i].
func (t *classTable) at(text string, i int) (class, int) {
	c := text[i]
	if c < utf8.RuneSelf {
		return t.ascii[c], 1
	}
	if isIdeograph(text, i) {
		return letter, 3
	}
	r, size := utf8.DecodeRuneInString(text[i:])
	if r == utf8.RuneError && size == 1 {
		return other, 1
	}
	return t.of(r), size
}

// isIdeograph recognises U+5000 to U+9FFF, which are all letters, by their bytes.
func isIdeograph(text string, i int) bool {
	return i+2 < len(text) && text[i]-0xE5 <= 0xE9-0xE5 && text[i+1]&0xC0 == 0x80 && text[i+2]&0xC0 == 0x80
}

// unicode16 holds the letters and numbers that Unicode 15.1 and 16.0 added. The tokenizers library (0.23, Oniguruma)
// has the tables of 16.0, package unicode those of 15.0. Nothing else differs for these classes.
var unicode16 = []struct {
	first, last rune
	class       class
}{
	{0x1C89, 0x1C8A, letter}, {0xA7CB, 0xA7CD, letter}, {0xA7DA, 0xA7DC, letter}, {0x105C0, 0x105F3, letter},
	{0x10D40, 0x10D49, number}, {0x10D4A, 0x10D65, letter}, {0x10D6F, 0x10D85, letter}, {0x10EC2, 0x10EC4, letter},
	{0x11380, 0x11389, letter}, {0x1138B, 0x1138B, letter}, {0x1138E, 0x1138E, letter}, {0x11390, 0x113B5, letter},
	{0x113B7, 0x113B7, letter}, {0x113D1, 0x113D1, letter}, {0x113D3, 0x113D3, letter}, {0x116D0, 0x116E3, number},
	{0x11BC0, 0x11BE0, letter}, {0x11BF0, 0x11BF9, number}, {0x13460, 0x143FA, letter}, {0x16100, 0x1611D, letter},
	{0x16130, 0x16139, number}, {0x16D40, 0x16D6C, letter}, {0x16D70, 0x16D79, number}, {0x18CFF, 0x18CFF, letter},
	{0x1CCF0, 0x1CCF9, number}, {0x1E5D0, 0x1E5ED, letter}, {0x1E5F0, 0x1E5F0, letter}, {0x1E5F1, 0x1E5FA, number},
	{0x2EBF0, 0x2EE5D, letter},
}

var classes = sync.OnceValue(func() *classTable {
	flat := make([]class, unicode.MaxRune+1)
	fill := func(first, last, stride rune, c class) {
		for r := first; r <= last; r += stride {
			flat[r] = c
		}
	}
	for _, set := range []struct {
		table *unicode.RangeTable
		class class
	}{{unicode.L, letter}, {unicode.N, number}, {unicode.White_Space, space}} {
		for _, r := range set.table.R16 {
			fill(rune(r.Lo), rune(r.Hi), rune(r.Stride), set.class)
		}
		for _, r := range set.table.R32 {
			fill(rune(r.Lo), rune(r.Hi), rune(r.Stride), set.class)
		}
	}
	for _, r := range unicode16 {
		fill(r.first, r.last, 1, r.class)
	}
	flat['\r'], flat['\n'] = newline, newline

	table := &classTable{}
	copy(table.ascii[:], flat)
	seen := map[[256]class]uint8{}
	for i := range table.page {
		page := [256]class(flat[i<<8:])
		n, ok := seen[page]
		if !ok {
			n = uint8(len(table.pages))
			seen[page] = n
			table.pages = append(table.pages, page)
		}
		table.page[i] = n
	}
	return table
})
