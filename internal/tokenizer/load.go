package tokenizer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// Names of the files that Load looks for.
const (
	jsonName     = "tokenizer.json"
	tiktokenName = "tokenizer.model"
)

// maxFile bounds the bytes of a file. GLM-4's have 20 MB at most.
const maxFile = 256 << 20

// Load reads tokenizer.json, or tokenizer.model where there is none, from a checkpoint folder, whose place on disk, or
// name, is dir; control is for the latter file. Whatever these files ask for that this package does not do exactly as
// the original is an error. A context that is cancelled ends it within milliseconds, with the context's error.
func Load(ctx context.Context, fsys fs.FS, dir string, control Control) (*Tokenizer, error) {
	parseModel := func(ctx context.Context, data []byte) (*Tokenizer, error) {
		return parseTiktokenModel(ctx, data, control)
	}
	for _, file := range []struct {
		name  string
		parse func(context.Context, []byte) (*Tokenizer, error)
	}{{jsonName, parseTokenizerJSON}, {tiktokenName, parseModel}} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		data, err := readFile(fsys, dir, file.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		t, err := file.parse(ctx, data)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("%s/%s: %w", dir, file.name, err)
		}
		return t, nil
	}
	return nil, fmt.Errorf("%s: no tokenizer: the folder has neither %s nor %s; download one of them from the "+
		"checkpoint's page: %w", dir, jsonName, tiktokenName, fs.ErrNotExist)
}

// readFile reads one of the two files. Its error wraps fs.ErrNotExist only where there is nothing of that name.
func readFile(fsys fs.FS, dir, name string) ([]byte, error) {
	data, err := textfile.ReadFS(fsys, dir, name, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if target, linkErr := fs.ReadLink(fsys, name); linkErr == nil {
			return nil, fmt.Errorf("%s/%s: a link to %s, which does not exist; download the file again", dir, name, target)
		}
	case err != nil && name == tiktokenName && isSentencePiece(fsys, name):
		return nil, fmt.Errorf("%s/%s: a SentencePiece model, which is not supported; only tiktoken's text format is, with "+
			"a token in base64, a space and its rank in each line", dir, name)
	}
	return data, err
}

// isSentencePiece recognises a regular file that begins as protocol buffers of SentencePiece do: with field 1, a token
// of less than 128 bytes, in which field 1 comes first, its text. Source:
// https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
func isSentencePiece(fsys fs.FS, name string) bool {
	if info, err := fs.Stat(fsys, name); err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := fsys.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	var head [3]byte
	_, err = io.ReadFull(f, head[:])
	return err == nil && head[0] == 0x0A && head[1] < 0x80 && head[2] == 0x0A
}
