package tokenizer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// qwen3 is the tokenizer of Qwen3, 151,387 merges, in the form that scripts/goldens/tokenizer/vocabulary.py gives it.
type qwen3 struct {
	frame  map[string]any // tokenizer.json without vocab and merges
	tokens []string       // by id, without the added ones
	merges [][2]string
}

var readQwen3 = sync.OnceValue(func() qwen3 {
	lines := strings.Split(strings.TrimSuffix(string(gunzip("testdata/qwen3.txt.gz")), "\n"), "\n")
	var q qwen3
	if err := json.Unmarshal([]byte(lines[0]), &q.frame); err != nil {
		panic(err)
	}
	for _, r := range lines[1] {
		q.tokens = append(q.tokens, string(r))
	}
	for _, line := range lines[2:] {
		left, right, _ := strings.Cut(line, " ")
		q.merges = append(q.merges, [2]string{left, right})
		q.tokens = append(q.tokens, left+right)
	}
	return q
})

func gunzip(name string) []byte {
	file, err := os.Open(name)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		panic(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		panic(err)
	}
	return data
}

// qwenJSON is the tokenizer.json of Qwen3. change may alter it first.
func qwenJSON(change func(file, model map[string]any)) []byte {
	q := readQwen3()
	vocab := make(map[string]int, len(q.tokens))
	for id, token := range q.tokens {
		vocab[token] = id
	}
	var file map[string]any
	frame, _ := json.Marshal(q.frame)
	_ = json.Unmarshal(frame, &file)
	model := file["model"].(map[string]any)
	model["vocab"], model["merges"] = vocab, q.merges
	change(file, model)
	data, err := json.Marshal(file)
	if err != nil {
		panic(err)
	}
	return data
}

// useGLM gives the file GLM-4's split and takes the normalizer away.
func useGLM(file, _ map[string]any) {
	split := file["pre_tokenizer"].(map[string]any)["pretokenizers"].([]any)[0].(map[string]any)
	split["pattern"] = map[string]any{"Regex": glmPattern}
	file["normalizer"] = nil
}

var (
	glmJSON  = sync.OnceValue(func() []byte { return qwenJSON(useGLM) })
	glmModel = sync.OnceValue(func() []byte {
		var file bytes.Buffer
		for id, token := range readQwen3().tokens {
			text, _ := appendAlphabet(nil, []byte(token))
			fmt.Fprintf(&file, "%s %d\n", base64.StdEncoding.EncodeToString(text), id)
		}
		return file.Bytes()
	})
	glm  = sync.OnceValue(func() *Tokenizer { return mustLoad("tokenizer.json", glmJSON()) })
	qwen = sync.OnceValue(func() *Tokenizer {
		return mustLoad("tokenizer.json",
			qwenJSON(func(_, _ map[string]any) {}))
	})
	tiktoken = sync.OnceValue(func() *Tokenizer { return mustLoad("tokenizer.model", glmModel()) })
)

func load(name string, data []byte) (*Tokenizer, error) {
	return Load(context.Background(), fstest.MapFS{name: {Data: data}}, "DIR", glmControl)
}

func mustLoad(name string, data []byte) *Tokenizer {
	t, err := load(name, data)
	if err != nil {
		panic(err)
	}
	return t
}

// goldenLine is a line of scripts/goldens/tokenizer/goldens.py.
type goldenLine struct {
	Text   string             `json:"text"`
	IDs    map[string][]int32 `json:"ids"`
	Pieces map[string][]int   `json:"pieces"`
}

func readGoldens(t testing.TB, name string) []goldenLine {
	scanner := bufio.NewScanner(bytes.NewReader(gunzip(name)))
	scanner.Buffer(nil, 1<<24)
	require.True(t, scanner.Scan(), "line of versions")
	var lines []goldenLine
	for scanner.Scan() {
		var line goldenLine
		require.NoError(t, json.Unmarshal(scanner.Bytes(), &line))
		lines = append(lines, line)
	}
	require.NoError(t, scanner.Err())
	return lines
}

// ids returns the ids of a variant, or those of the variant that they are equal to.
func (l goldenLine) ids(names ...string) []int32 {
	for _, name := range names {
		if ids, ok := l.IDs[name]; ok {
			return ids
		}
	}
	return nil
}

func TestIDsDifferFromOracle(t *testing.T) {
	lines := readGoldens(t, "testdata/qwen3.jsonl.gz")
	require.Len(t, lines, 10000)
	for _, variant := range []struct {
		name      string
		tokenizer *Tokenizer
	}{{"glm", glm()}, {"qwen", qwen()}, {"tiktoken", tiktoken()}} {
		t.Run(variant.name, func(t *testing.T) { compareGoldens(t, lines, variant.tokenizer, variant.name) })
	}
}

func compareGoldens(t *testing.T, lines []goldenLine, tok *Tokenizer, name string) {
	wrong := 0
	check := func(text string, want, got []int32) {
		if len(want) == 0 && len(got) == 0 || fmt.Sprint(want) == fmt.Sprint(got) {
			return
		}
		if wrong++; wrong <= 5 {
			t.Errorf("%q\nwant %v\ngot  %v", text, want, got)
		}
	}
	for _, line := range lines {
		plain := line.ids(name, "glm")
		check(line.Text, plain, tok.Encode(line.Text))
		added, ok := line.IDs[name+"+added"]
		if !ok {
			added = plain
		}
		check(line.Text, added, tok.EncodeWithSpecials(line.Text))
	}
	if wrong > 0 {
		t.Errorf("%d of %d encodes differ", wrong, 2*len(lines))
	}
}

func TestPiecesDifferFromOracle(t *testing.T) {
	for _, line := range readGoldens(t, "testdata/qwen3.jsonl.gz") {
		for name, digits := range map[string]int{"glm": 3, "qwen": 1} {
			want, ok := line.Pieces[name]
			if !ok {
				want = line.Pieces["glm"]
			}
			var got []int
			for _, piece := range splitAll(newSplitter(digits), line.Text) {
				got = append(got, len(piece))
			}
			require.Equal(t, fmt.Sprint(want), fmt.Sprint(got), "%s: %q", name, line.Text)
		}
	}
}

func splitAll(s splitter, text string) (pieces []string) {
	for start := 0; start < len(text); {
		end := s.next(text, start)
		pieces = append(pieces, text[start:end])
		start = end
	}
	return pieces
}

func TestCharacterOfWrongClass(t *testing.T) {
	data, err := os.ReadFile("testdata/classes.txt")
	require.NoError(t, err)
	want := make([]class, 0x110000)
	for line := range strings.Lines(string(data)) {
		var name string
		var first, last rune
		if _, err := fmt.Sscanf(line, "%s %x %x", &name, &first, &last); err != nil {
			continue // the line of versions
		}
		for r := first; r <= last; r++ {
			want[r] = map[string]class{"L": letter, "N": number, "S": space}[name]
		}
	}
	want['\r'], want['\n'] = newline, newline
	for r := range rune(0x110000) {
		if r >= 0xD800 && r < 0xE000 {
			continue
		}
		got, size := classes().at(string(r), 0)
		require.Equal(t, want[r], got, "%U", r)
		require.Equal(t, len(string(r)), size, "%U", r)
	}
}

// goldenSHA256 is that of the tokenizer.json which a golden file is of.
func goldenSHA256(t *testing.T, name string) string {
	first, _, _ := bytes.Cut(gunzip(name), []byte("\n"))
	var header struct{ SHA256 string }
	require.NoError(t, json.Unmarshal(first, &header))
	return header.SHA256
}

func sha256Hex(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }
