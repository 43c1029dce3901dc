package jsonmask

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// read steps over a text as far as it goes, and gives the number of bytes that did.
func read(text string) (s State, n int) {
	for n < len(text) {
		next, ok := s.Step(text[n])
		if !ok {
			return s, n
		}
		s, n = next, n+1
	}
	return s, n
}

func TestObjectIsRefused(t *testing.T) {
	for _, text := range []string{
		`{}`, " \t\r\n{ }", `{"a":1}`, `{"":-0.5e+10, "b" : [ ] , "c":[1,2E3,0,-1.25e-7],"d":{"e":{}}}`,
		`{"a":true,"b":false,"c":null,"d":[true,null]}`, `{"你":"好\n\"\\\/\b\f\r\tä\u00e4\uD83D\ude00é😀"}`,
		`{"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`,
		strings.Repeat(`{"a":[`, 100) + strings.Repeat("]}", 100), "{\"a\":\"\x7f\u0800\ud7ff\ue000\U00010000\U0010ffff\"}",
	} {
		s, n := read(text)
		require.Equal(t, len(text), n, text)
		require.True(t, s.Done(), text)
		require.Zero(t, s.Depth())
		for _, c := range []byte(" {}0") {
			_, ok := s.Step(c)
			require.False(t, ok, "nothing follows")
		}
	}
}

func TestWhatIsNoObjectPasses(t *testing.T) {
	for _, c := range []struct{ good, bad string }{
		{"", "["}, {"", "1"}, {"", "\v"}, {"{", ","}, {"{", "]"}, {`{"a"`, ","}, {`{"a":`, "}"}, {`{"a":1,`, "}"},
		{`{"a":[1,`, "]"}, {`{"a":[`, "}"}, {`{"a":0`, "1"}, {`{"a":-`, "}"}, {`{"a":1.`, "}"}, {`{"a":1.`, "e"},
		{`{"a":1e`, "}"}, {`{"a":1e+`, "-"}, {`{"a":`, "."}, {`{"a":`, "+"}, {`{"a":t`, "x"}, {`{"a":tru`, "}"},
		{`{"a":true`, "e"}, {`{"a":"\`, "x"}, {`{"a":"\u00`, "g"}, {`{"a":"`, "\n"}, {`{"a":"`, "\x80"}, {`{"a":"`, "\xc1"},
		{"{\"a\":\"\xe0", "\x9f"}, {"{\"a\":\"\xed", "\xa0"}, {"{\"a\":\"\xf0", "\x8f"}, {"{\"a\":\"\xf4", "\x90"},
		{`{"a":"`, "\xf5"}, {"{\"a\":\"\xc3", "\""}, {"{\"a\":\"\xf1\x80\x80", "a"}, {`{"a":[1`, "}"},
		{`{"a":{}`, "]"}, {`{"a" `, "b"}, {`{"a":nul`, "L"}, {`{"a":1e5`, "."}, {`{"a":1.5`, "."},
	} {
		_, n := read(c.good + c.bad)
		require.Equal(t, len(c.good), n, "%q", c.good+c.bad)
	}
}

// The containers of which there is one word each are at the 64th and 128th depth.
func TestDeepContainersAreMixedUp(t *testing.T) {
	opened, closing := "", ""
	for i := range 200 {
		if i%3 == 0 {
			opened, closing = opened+`{"a":`, "}"+closing
		} else {
			opened, closing = opened+"[", "]"+closing
		}
	}
	s, n := read(opened)
	require.Equal(t, len(opened), n)
	require.Equal(t, 200, s.Depth())
	require.Equal(t, closing, string(s.Completion(nil)))
	end, n := read(opened + closing)
	require.True(t, end.Done(), "up to %d", n)
}

func TestNumberBeyondFloat64IsNotExtreme(t *testing.T) {
	digits := strings.Repeat("9", 200)
	for text, want := range map[string]bool{
		`{"a":` + digits: false, `{"a":-` + digits + "." + digits + "e+99": false, `{"a":[0.` + digits + digits + ",12E-1": false,
		`{"a":1` + digits: true, `{"a":1` + digits + digits: true, `{"a":-1` + digits: true, `{"a":1e123`: true, `{"a":1e-001`: true,
		`{"a":"1e123`: false,
	} {
		s, n := read(text)
		require.Equal(t, len(text), n)
		require.Equal(t, want, s.Extreme(), text)
		if !want && !s.InString() {
			var value any
			require.NoError(t, json.Unmarshal(append([]byte(text), s.Completion(nil)...), &value))
		}
	}
}

func FuzzState(f *testing.F) {
	for _, text := range []string{`{"a": [1.5e-7, true, "\u00e4\n你😀", {}, null], "b": -0}`, `{"a":{"b":[[{"c":fals`, "{\"\xf4\x8f",
		`{"a":1.`, `{"a":1e`, `{"\ud8`, "{\"a\":\"\xe0\xa0\x80\xed\x9f\xbf\"}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, n := read(string(text))
		end := s.Completion(nil)
		require.Len(t, end, s.Missing())
		require.LessOrEqual(t, s.Missing()-s.Depth(), MaxLocal)
		whole := append(bytes.Clone(text[:n]), end...)
		require.True(t, json.Valid(whole), "%q", whole)
		require.True(t, utf8.Valid(whole), "%q", whole)
		require.Equal(t, byte('{'), bytes.TrimLeft(whole, " \t\r\n")[0])
		for i, c := range end {
			require.False(t, s.Done())
			next, ok := s.Step(c)
			require.True(t, ok, "%q at %d", whole, n+i)
			require.Equal(t, string(end[i+1:]), string(next.Completion(nil)), "the shortest stays the shortest")
			s = next
		}
		require.True(t, s.Done())

		// Whatever object there is, is read.
		object := bytes.TrimRight(text, " \t\r\n")
		if json.Valid(object) && utf8.Valid(object) && bytes.HasPrefix(bytes.TrimLeft(object, " \t\r\n"), []byte("{")) {
			require.Equal(t, len(object), n, "%q", object)
		}
	})
}
