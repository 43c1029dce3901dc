package loader

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func filesOf(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

// Where templates lie in the newer layouts, and behind byte order marks.
func TestChatTemplateIsTakenFromTheWrongPlace(t *testing.T) {
	const bom = "\ufeff"
	for _, c := range []struct {
		files map[string]string
		want  string
	}{
		{map[string]string{"tokenizer_config.json": bom + `{"chat_template": "c"}`}, "c"},
		{map[string]string{"tokenizer_config.json": `{"chat_template": "c"}`, "chat_template.jinja": bom + "j"}, "j"},
		{map[string]string{"tokenizer_config.json": `{"chat_template": "c"}`, "additional_chat_templates/rag.jinja": "r"},
			"c"},
		{map[string]string{"tokenizer_config.json": `{"chat_template": "c"}`, "additional_chat_templates/default.jinja": "a"},
			"a"},
		{map[string]string{"chat_template.jinja": "j", "additional_chat_templates/default.jinja": "a"}, "j"},
	} {
		got, err := ChatTemplate(filesOf(c.files), "dir")
		require.NoError(t, err)
		require.Equal(t, c.want, got, c.files)
	}
}

// As transformers' special_tokens_map has them, for the same files.
func TestSpecialTokenIsMissed(t *testing.T) {
	const config, legacy = "tokenizer_config.json", "special_tokens_map.json"
	for _, c := range []struct {
		files      map[string]string
		named      map[string]string
		additional []string
	}{
		{map[string]string{}, map[string]string{}, nil},
		{map[string]string{config: `{"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false}, "pad_token": null, "add_bos_token": true, "model_max_length": 5, "hash_token": 7}`},
			map[string]string{"bos_token": "<s>", "eos_token": "</s>"}, nil},
		{map[string]string{config: "\ufeff" +
			`{"unk_token": "u", "image_token": "i", "extra_special_tokens": {"audio_token": "a", "video_token": {"content": "v"}}, "additional_special_tokens": ["x", {"content": "y"}]}`},
			map[string]string{"unk_token": "u", "image_token": "i", "audio_token": "a", "video_token": "v"}, []string{"x", "y"}},
		{map[string]string{config: `{"extra_special_tokens": ["x"], "additional_special_tokens": []}`}, map[string]string{},
			[]string{}},
		{map[string]string{config: `{"bos_token": "<s>", "cls_token": "c"}`,
			legacy: `{"bos_token": {"content": "<b>"}, "mask_token": "m", "additional_special_tokens": ["x"]}`},
			map[string]string{"bos_token": "<b>", "cls_token": "c", "mask_token": "m"}, []string{"x"}},
		{map[string]string{config: `{"bos_token": "<s>", "added_tokens_decoder": {}}`, legacy: `{"bos_token": "<b>"}`},
			map[string]string{"bos_token": "<s>"}, nil},
		{map[string]string{legacy: `{"sep_token": "s"}`}, map[string]string{"sep_token": "s"}, nil},
	} {
		got, err := ReadSpecialTokens(filesOf(c.files), "dir")
		require.NoError(t, err, c.files)
		require.Equal(t, SpecialTokens{c.named, c.additional}, got, c.files)
	}
	for text, want := range map[string]string{
		`{"bos_token": 5}`: "dir/tokenizer_config.json: bos_token is 5; it must be a token's text, or " +
			"an object with its content",
		`{"additional_special_tokens": "x"}`: `dir/tokenizer_config.json: additional_special_tokens is "x"; it must be a list of tokens`,
		`{"additional_special_tokens": [{}]}`: "dir/tokenizer_config.json: additional_special_tokens is [{}]; it must be " +
			"a list of tokens",
		`{"extra_special_tokens": {"a": [1]}}`: `dir/tokenizer_config.json: extra_special_tokens is {"a":[1]}; it must be a list of tokens, or an object of them`,
	} {
		_, err := ReadSpecialTokens(filesOf(map[string]string{config: text}), "dir")
		require.EqualError(t, err, want)
	}
}
