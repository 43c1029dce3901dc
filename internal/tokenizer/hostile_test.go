package tokenizer

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Files as no trainer makes them, of some megabytes each. One that is read in a time that grows faster than its size
// takes minutes.
func TestHostileFileIsSlow(t *testing.T) {
	list := func(n int, element func(i int) string) string {
		elements := make([]string, n)
		for i := range elements {
			elements[i] = element(i)
		}
		return "[" + strings.Join(elements, ",") + "]"
	}
	lines := func(n int, token func(i int) []byte) []byte {
		var file bytes.Buffer
		file.WriteString(smallModel())
		for i := range n {
			fmt.Fprintf(&file, "%s %d\n", base64.StdEncoding.EncodeToString(token(i)), 256+len(smallMerges)+i)
		}
		return file.Bytes()
	}
	digits := strings.Repeat("7", 1_000_000)
	long := strings.Repeat("x", 1<<20)
	for name, test := range map[string]struct {
		file string
		data []byte
		err  string // "": none
	}{
		"many added tokens": {jsonName, smallJSON("post_processor", "null", "added_tokens",
			list(100_000, func(i int) string { return addedToken(265+i, fmt.Sprintf("<|%d|>", i)) })), ""},
		"prefixes of each other": {jsonName, smallJSON("post_processor", "null",
			"added_tokens", list(1500, func(i int) string { return addedToken(265+i, "<<"+strings.Repeat("a", i)) })), ""},
		"long added tokens": {jsonName, smallJSON("added_tokens", list(3, func(i int) string {
			return addedToken(265+i,
				long+fmt.Sprint(i))
		})),
			"the texts of the added tokens have more than 2097151 bytes together"},
		"long token": {jsonName, smallJSON("model.vocab."+long, "280"), ""},
		"long token with a bad id": {jsonName, smallJSON("model.vocab."+long, "-1"),
			"expected an integer of at least 0, found -1"},
		"long merge": {jsonName, smallJSON("model.merges", `["h e", "`+long+` e"]`),
			"which model.vocab does not have"},
		"long name of an option": {jsonName, smallJSON("model."+long, "1"), "unknown option"},
		"number as an id":        {jsonName, smallJSON("model.vocab.hell", digits), "expected an integer of at least 0"},
		"number as an added id": {jsonName, smallJSON("added_tokens.0.id", digits),
			"added_tokens: [0].id: expected an integer of at least 0"},
		"number as dropout":     {jsonName, smallJSON("model.dropout", digits), "dropout is 777"},
		"number in the decoder": {jsonName, smallJSON("decoder.type", digits), "bytes long; at most 65536 are supported"},
		"number in the prefix": {jsonName, smallJSON("post_processor.processors.1.special_tokens.<sop>.ids",
			"["+digits[:60_000]+"]"), "processors[1]: json: cannot unmarshal number 777"},
		"deep nesting": {jsonName, []byte(`{"model":` + strings.Repeat("[", 10_000_000)),
			"expected a value, found the end of the file"},
		"deep objects": {jsonName, []byte(strings.Repeat(`{"model":`, 1_000_000)),
			"expected a value, found the end of the file"},
		"deep post-processor": {jsonName,
			smallJSON("post_processor", strings.Repeat(`{"type":"Sequence","processors":[`, 50)+strings.Repeat("]}", 50)),
			"post_processor: processors[0]: type is \"Sequence\""},
		"many fields": {jsonName, []byte("{" + strings.Trim(list(1_000_000,
			func(i int) string { return fmt.Sprintf(`"%d":0`, i) }), "[") + "}"), "more than 1000 fields"},
		"many merges": {jsonName, smallJSON("model.merges", "["+strings.Repeat(`"h e",`, noRank)+`"h e"]`),
			"model.merges: more than 4194302"},
		"many tokens of one id": {jsonName, smallJSON("model.vocab", "{"+strings.Repeat(`"a":1,`, 1_000_000)+`"a":1}`),
			"duplicate id 1"},
		"long lines": {tiktokenName, lines(5000, func(i int) []byte {
			return fmt.Appendf(nil, "%0*d",
				maxTiktokenToken, i)
		}), ""},
		"every part is a token": {tiktokenName, lines(maxTiktokenToken-1,
			func(i int) []byte { return bytes.Repeat([]byte("a"), i+2) }), ""},
		"every part of many tokens": {tiktokenName, everyPart(20), "more than 4194304 pairs of tokens make up another"},
	} {
		start := time.Now()
		_, err := load(test.file, test.data)
		require.Less(t, time.Since(start), 20*time.Second, name)
		if test.err == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, test.err, name)
		require.Less(t, len(err.Error()), 1000, name)
	}
}

// everyPart is a tokenizer.model in which any two neighbouring parts of some long tokens are tokens.
func everyPart(n int) []byte {
	var file bytes.Buffer
	for b := range 256 {
		fmt.Fprintf(&file, "%s %d\n", base64.StdEncoding.EncodeToString([]byte{byte(b)}), b)
	}
	id := 256
	for b := range n * 2 {
		for length := 2; length <= maxTiktokenToken; length++ {
			fmt.Fprintf(&file, "%s %d\n", base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{byte(b)}, length)), id)
			id++
		}
	}
	return file.Bytes()
}

func TestFileIsTakenForAnother(t *testing.T) {
	const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
	dir := t.TempDir()
	write := func(name, data string) func() error {
		return func() error { return os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600) }
	}
	for name, test := range map[string]struct {
		make []func() error
		err  string // "": none
	}{
		"pointer":          {[]func() error{write(jsonName, pointer)}, "tokenizer.json: a Git LFS pointer"},
		"pointer to model": {[]func() error{write(tiktokenName, pointer)}, "tokenizer.model: a Git LFS pointer"},
		"byte order mark":  {[]func() error{write(jsonName, "\ufeff"+string(smallJSON()))}, ""},
		"mark of model":    {[]func() error{write(tiktokenName, "\ufeff"+smallModel())}, ""},
		"GBK": {[]func() error{write(jsonName, "{\"\xc4\xe3\": 1}")},
			"tokenizer.json: byte 0xc4 at offset 2 is not UTF-8"},
		"SentencePiece": {[]func() error{write(tiktokenName, "\n\x0e\n\x05<unk>\x15\x00\x00\x00\xff\x18\x02")},
			"tokenizer.model: a SentencePiece model, which is not supported"},
		"other bytes": {[]func() error{write(tiktokenName, "\xff\xfd\xfc")}, "tokenizer.model: byte 0xff at offset 0"},
		"FIFO": {[]func() error{func() error { return unix.Mkfifo(filepath.Join(dir, jsonName), 0o600) }},
			"tokenizer.json: a named pipe"},
		"FIFO as model": {[]func() error{func() error { return unix.Mkfifo(filepath.Join(dir, tiktokenName), 0o600) }},
			"tokenizer.model: a named pipe"},
		"folder": {[]func() error{func() error { return os.Mkdir(filepath.Join(dir, jsonName), 0o700) }},
			"tokenizer.json: a folder"},
		"link to nothing": {[]func() error{func() error { return os.Symlink("gone", filepath.Join(dir, jsonName)) },
			write(tiktokenName, smallModel())}, "tokenizer.json: a link to gone, which does not exist"},
		"model is no file": {[]func() error{func() error { return os.Symlink("gone", filepath.Join(dir, tiktokenName)) }},
			"tokenizer.model: a link to gone"},
		"broken beside one": {[]func() error{write(jsonName, "{"), write(tiktokenName, smallModel())},
			"tokenizer.json: expected a string, found the end of the file"},
	} {
		dir = t.TempDir()
		for _, make := range test.make {
			require.NoError(t, make(), name)
		}
		done := make(chan error, 1)
		go func() { _, err := Load(t.Context(), os.DirFS(dir), dir, glmControl); done <- err }()
		select {
		case err := <-done:
			if test.err == "" {
				require.NoError(t, err, name)
				continue
			}
			require.ErrorContains(t, err, dir+"/"+test.err, name)
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: still reading", name)
		}
	}
}
