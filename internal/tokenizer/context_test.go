package tokenizer

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// looks is a context that counts how often its error is asked for, and is cancelled from the last time on.
type looks struct {
	context.Context
	asked atomic.Int64
	last  int64 // 0 for never
}

func (l *looks) Err() error {
	if n := l.asked.Add(1); l.last > 0 && n >= l.last {
		return context.Canceled
	}
	return nil
}

func TestEncodeDoesNotLookAtItsContext(t *testing.T) {
	texts := megabytes()
	for name, text := range ordinaryText(t) {
		texts[name+" prose"] = text
	}
	type encode func(context.Context, []int32, string) ([]int32, error)
	for name, text := range texts {
		for how, encode := range map[string]encode{
			"plain": glm().AppendEncodeContext, "specials": glm().AppendEncodeWithSpecialsContext,
			"NFC": qwen().AppendEncodeContext,
		} {
			ctx := &looks{Context: t.Context()}
			_, err := encode(ctx, nil, text)
			require.NoError(t, err)
			require.Greater(t, ctx.asked.Load(), int64(len(text)>>16), "%s, %s", name, how)
			ctx = &looks{Context: t.Context(), last: ctx.asked.Load() / 2}
			_, err = encode(ctx, nil, text)
			require.ErrorIs(t, err, context.Canceled, "%s, %s", name, how)
			require.Equal(t, ctx.last, ctx.asked.Load(), "%s, %s: goes on", name, how)
		}
	}
}

func TestLoadDoesNotLookAtItsContext(t *testing.T) {
	var model bytes.Buffer
	for i := range 100_000 {
		fmt.Fprintf(&model, "%s %d\n", base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%05d", i)), i)
	}
	added := fmt.Sprintf(`[{"content": %q}]`, strings.Repeat("x", maxAddedText+1))
	for name, test := range map[string]struct {
		file string
		data []byte
	}{
		"tokenizer.json":  {jsonName, glmJSON()},
		"tokenizer.model": {tiktokenName, glmModel()},
		"no byte tokens":  {tiktokenName, model.Bytes()},
		"unknown field":   {jsonName, []byte(`{"x": [` + strings.Repeat("1,", 1<<22) + `1]`)},
		"long added":      {jsonName, smallJSON("added_tokens", added)},
		"added tokens":    {jsonName, smallJSON("added_tokens", "["+strings.Repeat(addedToken(300, "x")+",", 100_000)+"0]")},
	} {
		load := func(ctx context.Context) error {
			_, err := Load(ctx, fstest.MapFS{test.file: {Data: test.data}}, "DIR", glmControl)
			return err
		}
		ctx := &looks{Context: t.Context()}
		_ = load(ctx)
		asked := ctx.asked.Load()
		require.Greater(t, asked, int64(len(test.data)>>20), name)
		ctx = &looks{Context: t.Context(), last: asked/2 + 1}
		require.Equal(t, context.Canceled, load(ctx), name)
		require.LessOrEqual(t, ctx.asked.Load(), ctx.last+3, "%s: goes on", name)
	}
}

func addedToken(id int, content string) string {
	return fmt.Sprintf(`{"id":%d,"content":%q,"special":true}`, id, content)
}
