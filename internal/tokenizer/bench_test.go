package tokenizer

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ordinaryText returns about 1 MB each of English, Chinese and code: sentences, and the source of this package.
func ordinaryText(t testing.TB) map[string]string {
	var texts map[string]string
	require.NoError(t, json.Unmarshal(gunzip("testdata/ordinary.json.gz"), &texts))
	sources, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, source := range sources {
		data, err := os.ReadFile(source)
		require.NoError(t, err)
		texts["code"] += string(data)
	}
	for name, text := range texts {
		texts[name] = strings.Repeat(text, 1<<20/len(text)+1)
	}
	return texts
}

func BenchmarkEncode(b *testing.B) {
	for name, text := range ordinaryText(b) {
		for tokName, tok := range map[string]*Tokenizer{"json": glm(), "tiktoken": tiktoken()} {
			b.Run(name+"/"+tokName, func(b *testing.B) {
				ids := tok.AppendEncode(nil, text)
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				for b.Loop() {
					ids = tok.AppendEncode(ids[:0], text)
				}
				b.ReportMetric(float64(len(text))/float64(len(ids)), "B/token")
			})
		}
	}
}

func BenchmarkSplit(b *testing.B) {
	for name, text := range ordinaryText(b) {
		b.Run(name, func(b *testing.B) {
			s := newSplitter(3)
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				for start := 0; start < len(text); {
					start = s.next(text, start)
				}
			}
		})
	}
}

func BenchmarkEncodeMegabyte(b *testing.B) {
	for name, text := range megabytes() {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				glm().Encode(text)
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	for name, data := range map[string][]byte{"tokenizer.json": glmJSON(), "tokenizer.model": glmModel()} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				mustLoad(name, data)
			}
		})
	}
}

// megabytes are texts that are one piece, or look like one, or are nothing but control tokens.
func megabytes() map[string]string {
	r := rand.New(rand.NewPCG(1, 2))
	random := func(alphabet string) string {
		runes := []rune(alphabet)
		var text strings.Builder
		for text.Len() < 1<<20 {
			text.WriteRune(runes[r.IntN(len(runes))])
		}
		return text.String()
	}
	repeated := func(part string) string { return strings.Repeat(part, 1<<20/len(part)) }
	var han strings.Builder
	for i := 0; han.Len() < 1<<20; i++ {
		han.WriteRune(rune(0x4E00 + i*7919%0x5000))
	}
	return map[string]string{
		"letter":      repeated("a"),
		"spaces":      repeated(" "),
		"lines":       repeated("\n"),
		"equals":      repeated("="),
		"digits":      repeated("7"),
		"apostrophes": repeated("'"),
		"marks":       repeated("\u0301"),
		"chinese":     han.String(),
		"hanzi":       repeated("的"),
		"english":     repeated("supercalifragilistic"),
		"two":         random("ab"),
		"word":        random("abcdefghijklmnopqrstuvwxyz"),
		"blank":       random(" \n\t"),
		"broken":      repeated("\x80\xff"),
		"control":     repeated("<|im_start|>"),
		"half":        repeated("<|im_st"),
	}
}

func BenchmarkEncodeWithSpecials(b *testing.B) {
	texts := megabytes()
	for _, name := range []string{"letter", "two", "control", "half"} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(texts[name])))
			for b.Loop() {
				glm().EncodeWithSpecials(texts[name])
			}
		})
	}
}

func TestMegabyteOfOnePieceIsSlow(t *testing.T) {
	for name, text := range megabytes() {
		for _, encode := range []func(string) []int32{glm().Encode, glm().EncodeWithSpecials} {
			start := time.Now()
			ids := encode(text)
			// About a tenth of a second; a quadratic merge takes minutes.
			require.Less(t, time.Since(start), 10*time.Second, name)
			require.True(t, text == string(glm().DecodeBytes(ids)), name)
		}
	}
}

func TestEncodeAllocates(t *testing.T) {
	for name, text := range ordinaryText(t) {
		tok := glm()
		ids := tok.AppendEncode(nil, text)
		allocs := testing.AllocsPerRun(3, func() { ids = tok.AppendEncode(ids[:0], text) })
		require.LessOrEqual(t, allocs, 2.0, name) // the pool may be emptied by a garbage collection
	}
}
