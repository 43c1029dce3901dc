package chatformat

import "slices"

// Family is what the models of one vocabulary share: their control tokens and what those mean. A new one is an entry of
// families; if its prompts have a renderer of their own, that is one of natives.
type Family struct {
	// ModelTypes are the values of model_type in config.json.
	ModelTypes []string
	// Control holds all control tokens in the order of their ids, which begin behind the ordinary tokens.
	Control []string
	// Prefix stands in front of every prompt.
	Prefix []string
	// Ends are the tokens that end an answer: the end of a text, or the name of the next speaker.
	Ends []string
	// Assistant opens an assistant's turn.
	Assistant string
}

var families = []*Family{
	{ // Source: tokenization_chatglm.py of glm-4-9b-chat.
		ModelTypes: []string{"glm4", "glm", "chatglm"},
		Control: []string{
			"<|endoftext|>", "[MASK]", maskToken, "[sMASK]", startToken, "<eop>", systemToken, userToken, assistantToken,
			observationToken, "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>",
		},
		Prefix:    []string{maskToken, startToken},
		Ends:      []string{"<|endoftext|>", userToken, observationToken},
		Assistant: assistantToken,
	},
}

// The tokens that GLM-4's prompts are made of.
const (
	maskToken        = "[gMASK]"
	startToken       = "<sop>"
	systemToken      = "<|system|>"
	userToken        = "<|user|>"
	assistantToken   = "<|assistant|>"
	observationToken = "<|observation|>"
)

// FamilyOf returns the family of a model_type; "", of a folder without a config.json, stands for GLM-4's. It returns
// nil for a type that it does not know.
func FamilyOf(modelType string) *Family {
	for _, f := range families {
		if modelType == "" || slices.Contains(f.ModelTypes, modelType) {
			return f
		}
	}
	return nil
}
