package tokenizer

import "unicode/utf8"

// byteToRune is the byte-level alphabet: a printable character for each byte, so that tokens can be written as text.
// Bytes that are printable in Latin-1 stand for themselves, the other 68 are U+0100 and up, in order.
// Source: bytes_to_unicode of https://github.com/openai/gpt-2/blob/master/src/encoder.py
var byteToRune = func() (table [256]rune) {
	next := rune(0x100)
	for b := range rune(256) {
		if b >= '!' && b <= '~' || b >= 0xA1 && b != 0xAD {
			table[b] = b
			continue
		}
		table[b] = next
		next++
	}
	return table
}()

// runeToByte is the way back; -1 marks characters outside the alphabet.
var runeToByte = func() (table [0x144]int16) {
	for i := range table {
		table[i] = -1
	}
	for b, r := range byteToRune {
		table[r] = int16(b)
	}
	return table
}()

// appendAlphabet appends the bytes that a byte-level spelling stands for.
// It reports false, and appends nothing, when a character is outside the alphabet.
func appendAlphabet(dst, text []byte) ([]byte, bool) {
	start := len(dst)
	for i := 0; i < len(text); {
		r, size := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(text[i:])
		}
		if int(r) >= len(runeToByte) || runeToByte[r] < 0 {
			return dst[:start], false
		}
		dst = append(dst, byte(runeToByte[r]))
		i += size
	}
	return dst, true
}
