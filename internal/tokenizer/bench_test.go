package tokenizer

import (
	"encoding/json"
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

// megabytes are texts that are one piece, or look like one.
func megabytes() map[string]string {
	var han strings.Builder
	for i := 0; han.Len() < 1<<20; i++ {
		han.WriteRune(rune(0x4E00 + i*7919%0x5000))
	}
	return map[string]string{
		"letter":  strings.Repeat("a", 1<<20),
		"spaces":  strings.Repeat(" ", 1<<20),
		"lines":   strings.Repeat("\n", 1<<20),
		"marks":   strings.Repeat("=", 1<<20),
		"chinese": han.String(),
		"hanzi":   strings.Repeat("的", 1<<20/3),
		"english": strings.Repeat("supercalifragilistic", 1<<20/20),
		"broken":  strings.Repeat("\x80\xff", 1<<19),
	}
}

func TestMegabyteOfOnePieceIsSlow(t *testing.T) {
	for name, text := range megabytes() {
		start := time.Now()
		ids := glm().Encode(text)
		// About a third of a second; a quadratic merge takes minutes.
		require.Less(t, time.Since(start), 10*time.Second, name)
		require.Equal(t, text, string(glm().DecodeBytes(ids)), name)
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
