// Package demo holds the embedded demo checkpoint: a very small GLM-4 that
// answers when no other model is named, so that the program can be tried, and
// tested end to end, without a download.
//
// It is a checkpoint like any other: model_type glm4, an MLX 4-bit safetensors
// file (affine, groups of 64), a byte-level BPE tokenizer with GLM-4's special
// tokens and the chat template of GLM-4-0414. Its head size, its rotary width
// and its 16 query heads a KV head are those of GLM-4-9B, so it runs through
// the same kernels. Its knowledge is the few sentences of
// testdata/dialogues.jsonl; scripts/demo makes all of it.
package demo

import (
	"embed"
	"io/fs"
)

// Name is what the demo model is called where a model's name is shown.
const Name = "glm4-metal-demo"

//go:embed checkpoint
var files embed.FS

// FS returns the checkpoint folder: config.json, model.safetensors,
// tokenizer.json and the small files beside them, at the root of the file
// system. It is read-only and safe for concurrent use; its files stay in the
// program's image, they are not copied to the heap until they are read.
func FS() fs.FS {
	checkpoint, err := fs.Sub(files, "checkpoint")
	if err != nil { // only for an invalid path, and this one is constant
		panic(err)
	}
	return checkpoint
}
