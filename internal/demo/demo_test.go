package demo

import (
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"
)

// The demo must have the shapes that the large model's kernels are written for.
func TestDemoUnlikeGLM4(t *testing.T) {
	text, err := fs.ReadFile(FS(), "config.json")
	require.NoError(t, err)
	var config struct {
		ModelType           string  `json:"model_type"`
		HeadDim             int     `json:"head_dim"`
		PartialRotaryFactor float64 `json:"partial_rotary_factor"`
		NumAttentionHeads   int     `json:"num_attention_heads"`
		NumKeyValueHeads    int     `json:"num_key_value_heads"`
		AttentionBias       bool    `json:"attention_bias"`
		TieWordEmbeddings   bool    `json:"tie_word_embeddings"`
		HiddenSize          int     `json:"hidden_size"`
		IntermediateSize    int     `json:"intermediate_size"`
		VocabSize           int     `json:"vocab_size"`
		EosTokenID          []int   `json:"eos_token_id"`
		Quantization        struct {
			GroupSize int `json:"group_size"`
			Bits      int `json:"bits"`
		} `json:"quantization"`
	}
	require.NoError(t, json.Unmarshal(text, &config))
	require.Equal(t, "glm4", config.ModelType)
	require.Equal(t, 128, config.HeadDim)
	require.Equal(t, 0.5, config.PartialRotaryFactor)
	require.Equal(t, 16, config.NumAttentionHeads/config.NumKeyValueHeads)
	require.True(t, config.AttentionBias)
	require.False(t, config.TieWordEmbeddings)
	require.Zero(t, config.HiddenSize%64)
	require.Zero(t, config.IntermediateSize%64)
	require.Equal(t, 64, config.Quantization.GroupSize)
	require.Equal(t, 4, config.Quantization.Bits)

	text, err = fs.ReadFile(FS(), "tokenizer.json")
	require.NoError(t, err)
	var tokenizer struct {
		AddedTokens []struct {
			ID      int    `json:"id"`
			Content string `json:"content"`
			Special bool   `json:"special"`
		} `json:"added_tokens"`
	}
	require.NoError(t, json.Unmarshal(text, &tokenizer))
	ids := map[string]int{}
	last := 0
	for _, token := range tokenizer.AddedTokens {
		require.True(t, token.Special, token.Content)
		ids[token.Content] = token.ID
		last = max(last, token.ID)
	}
	require.Equal(t, []int{ids["<|endoftext|>"], ids["<|user|>"], ids["<|observation|>"]}, config.EosTokenID)
	require.Greater(t, config.VocabSize, last+1, "the vocabulary needs rows that belong to no token")
}

func TestDemoTooLargeToEmbed(t *testing.T) {
	info, err := fs.Stat(FS(), "model.safetensors")
	require.NoError(t, err)
	require.Less(t, info.Size(), int64(8<<20))
	for _, name := range []string{"tokenizer_config.json", "chat_template.jinja", "generation_config.json", "NOTICE"} {
		_, err := fs.Stat(FS(), name)
		require.NoError(t, err)
	}
}
