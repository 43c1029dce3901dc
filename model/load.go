package model

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/chatformat"
	"github.com/glm4-metal/glm4-metal/internal/demo"
	"github.com/glm4-metal/glm4-metal/loader"
)

// LoadOption changes how a model is loaded.
type LoadOption func(*loadOptions)

type loadOptions struct {
	backend      string
	maxContext   int
	kvBits       int
	chunk        int
	chatTemplate string
	onLoad       func(done, total int64)
	placed       func(done, total int64) error  // of Load
	open         func() (backend.Device, error) // instead of backend
	shared       backend.Device                 // instead of either: other models have it too, its owner closes it
}

// Backend chooses the device: "cpu", "metal", or "auto" (the default), which is Metal on a Mac whose GPU can run the
// checkpoint, and the CPU elsewhere; [Info] says why. With "metal", Load's error wraps metal.ErrUnavailable where there
// is none.
func Backend(name string) LoadOption { return func(o *loadOptions) { o.backend = name } }

// FittingContext has [MaxContext] take as many tokens as fit the device's memory beside the weights.
const FittingContext = math.MinInt

// MaxContext limits the tokens of a prompt and its answer together, below the checkpoint's own limit; 0 leaves that. An
// answer ends where it fills the context, and a prompt that leaves no room for an answer is a [ContextError].
func MaxContext(tokens int) LoadOption { return func(o *loadOptions) { o.maxContext = tokens } }

// KVBits sets the width of the numbers in the KV cache, 16 or 32; 0 chooses 32 for float32 checkpoints, 16 for others.
func KVBits(bits int) LoadOption { return func(o *loadOptions) { o.kvBits = bits } }

// PrefillChunk sets how many tokens of a prompt are computed in one step; 0 chooses [DefaultPrefillChunk].
func PrefillChunk(tokens int) LoadOption { return func(o *loadOptions) { o.chunk = tokens } }

// ChatTemplate replaces the checkpoint's chat template: a family ("glm-4-9b-chat", "glm-4-0414", "glm-z1-0414") or
// the path of a Jinja file. "" leaves the checkpoint's own.
func ChatTemplate(nameOrFile string) LoadOption {
	return func(o *loadOptions) { o.chatTemplate = nameOrFile }
}

// OnLoad is told how many bytes of the weights are placed on the device: before the first and after each of them, up to
// total, while Load runs and in its goroutine.
func OnLoad(f func(done, total int64)) LoadOption { return func(o *loadOptions) { o.onLoad = f } }

// CheckLoad gives an [*OptionError] for the first option that no checkpoint could obey, as Load would, without loading.
func CheckLoad(options ...LoadOption) error {
	o := readLoadOptions(options)
	return o.check()
}

func readLoadOptions(options []LoadOption) (o loadOptions) {
	for _, option := range options {
		option(&o)
	}
	return o
}

func (o *loadOptions) check() error {
	switch {
	case o.maxContext < 0 && o.maxContext != FittingContext:
		return &OptionError{"context", o.maxContext, "0 (the checkpoint's limit) or more"}
	case o.chunk < 0:
		return &OptionError{"prefill chunk", o.chunk, "0 (the default) or more"}
	case o.kvBits != 0 && o.kvBits != 16 && o.kvBits != 32:
		return &OptionError{"KV bits", o.kvBits, "16 or 32, or 0 to choose by the checkpoint"}
	}
	switch o.backend {
	case "", "auto", "metal", "cpu":
		return nil
	}
	return &OptionError{"backend", strconv.Quote(o.backend), "auto, metal or cpu"}
}

// Load puts a checkpoint on a device: a folder with config.json, safetensors files and a tokenizer, or a name that
// [Find] knows, or "" for the built-in demo. Nothing is fetched: [Pull] does that. The weights stay mapped from their
// files until Close. Where one of them shrinks meanwhile, or its disk fails, what reads it ends with a
// [*loader.FaultError]; in no other way may they change.
//
// ctx is looked at between the steps of loading and between the tensors; when it ends, its error is Load's. Others are
// an [*OptionError]; a [*NotFoundError]; one that wraps [fs.ErrNotExist] or [fs.ErrPermission] where the folder, one of
// its files or the chat template is missing or cannot be read; one that wraps [ErrUnsupported]; or, for what is wrong
// with the checkpoint and for too little memory, one that only its text tells.
func Load(ctx context.Context, name string, options ...LoadOption) (*Model, error) {
	o := readLoadOptions(options)
	o.placed = func(done, total int64) error {
		if o.onLoad != nil {
			o.onLoad(done, total)
		}
		return ctx.Err()
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	start := time.Now()
	c, err := OpenCheckpoint(ctx, name)
	if err != nil {
		return nil, err
	}
	m, err := newModel(c, o)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	m.name = c.Dir
	if name != "" && m.name != filepath.Clean(name) {
		m.name = name // of the hub, which says more than the folder of the cache
	}
	prepared := m.prepare(ctx)
	if err = ctx.Err(); err == nil {
		err = m.attachText(ctx, o.chatTemplate)
	}
	prepared()
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	m.loadTime = time.Since(start)
	return m, nil
}

// OpenCheckpoint opens the files that Load would load, to look at their tensors. The weights are not read. The caller
// closes it. Errors are those of Load, as far as they come from the files.
func OpenCheckpoint(ctx context.Context, name string) (*loader.Checkpoint, error) {
	if name == "" {
		return loader.OpenFS(ctx, demo.FS(), demo.Name)
	}
	folder, err := Find(name)
	if err != nil {
		return nil, err
	}
	return loader.Open(ctx, folder)
}

// OpenText reads the tokenizer and the chat template of what Load would load, and nothing else. chatTemplate is as in
// [ChatTemplate]; with "" the checkpoint's own template may be missing or unusable: Text.ChatFormat says so. Errors are
// those of Load, as far as they come from these files.
func OpenText(ctx context.Context, name, chatTemplate string) (*Text, error) {
	if name == "" {
		return readText(ctx, demo.FS(), demo.Name, chatTemplate, chatformat.FamilyOf(""))
	}
	folder, err := Find(name)
	if err != nil {
		return nil, err
	}
	return readText(ctx, os.DirFS(folder), folder, chatTemplate, chatformat.FamilyOf(""))
}
