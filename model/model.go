package model

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu"
	"github.com/glm4-metal/glm4-metal/internal/backend/gpu"
	"github.com/glm4-metal/glm4-metal/internal/chatformat"
	"github.com/glm4-metal/glm4-metal/internal/decoder"
	"github.com/glm4-metal/glm4-metal/internal/demo"
	"github.com/glm4-metal/glm4-metal/loader"
)

// Model is a checkpoint on a device, with the [Text] that belongs to it. Its methods may be called from several
// goroutines.
type Model struct {
	*Text
	name       string
	config     loader.Config
	checkpoint *loader.Checkpoint
	device     backend.Device
	shared     bool          // the device outlives the model
	store      backend.Store // of the weights
	inPlace    bool          // the device reads the mapped files
	why        string        // this device
	weights    *decoder.Weights
	kvFormat   backend.Format
	context    int // most tokens of a session
	chunk      int // most tokens of one prefill step
	memory     Memory
	loadTime   time.Duration

	vocab int // ids below are real tokens, the head's rows from here on are padding
	stops map[int32]bool

	turn    chan struct{} // holds one while a step runs, since the scratch is shared
	scratch *decoder.Scratch
	closed  bool
}

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
// checkpoint, and the CPU elsewhere; [Info] says why.
func Backend(name string) LoadOption { return func(o *loadOptions) { o.backend = name } }

// MaxContext limits the tokens of a prompt and its answer together, below the checkpoint's own limit; 0 leaves that. An
// answer ends where it fills the context, and a prompt that leaves no room for an answer is a [ContextError].
func MaxContext(tokens int) LoadOption { return func(o *loadOptions) { o.maxContext = tokens } }

// KVBits sets the width of the numbers in the KV cache, 16 or 32; 0 chooses 32 for float32 checkpoints, 16 for others.
func KVBits(bits int) LoadOption { return func(o *loadOptions) { o.kvBits = bits } }

// PrefillChunk sets how many tokens of a prompt are computed in one step; 0 chooses 512.
func PrefillChunk(tokens int) LoadOption { return func(o *loadOptions) { o.chunk = tokens } }

// ChatTemplate replaces the checkpoint's chat template: a family ("glm-4-9b-chat", "glm-4-0414", "glm-z1-0414") or
// the path of a Jinja file.
func ChatTemplate(nameOrFile string) LoadOption {
	return func(o *loadOptions) { o.chatTemplate = nameOrFile }
}

// OnLoad is told how many bytes of the weights are placed on the device: before the first and after each of them, up to
// total, while Load runs and in its goroutine.
func OnLoad(f func(done, total int64)) LoadOption { return func(o *loadOptions) { o.onLoad = f } }

// Load opens a checkpoint: a folder with config.json, safetensors files and a tokenizer, or "" for the built-in demo.
// The weights stay mapped from their files until Close. Where one of them shrinks meanwhile, or its disk fails, what reads
// it ends with a [loader.FaultError]; in no other way may they change. ctx is looked at between the steps of loading and
// between the tensors.
func Load(ctx context.Context, name string, options ...LoadOption) (*Model, error) {
	var o loadOptions
	for _, option := range options {
		option(&o)
	}
	o.placed = func(done, total int64) error {
		if o.onLoad != nil {
			o.onLoad(done, total)
		}
		return ctx.Err()
	}
	start := time.Now()
	c, err := openCheckpoint(ctx, name)
	if err != nil {
		return nil, err
	}
	m, err := newModel(c, o)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	m.name = cmp.Or(name, demo.Name)
	if err = ctx.Err(); err == nil {
		err = m.attachText(ctx, o.chatTemplate)
	}
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	m.loadTime = time.Since(start)
	return m, nil
}

func openCheckpoint(ctx context.Context, name string) (*loader.Checkpoint, error) {
	if name == "" {
		return loader.OpenFS(ctx, demo.FS(), demo.Name)
	}
	return loader.Open(ctx, name)
}

// newModel puts the checkpoint on a device. On success it owns the checkpoint.
func newModel(c *loader.Checkpoint, o loadOptions) (*Model, error) {
	m := &Model{
		Text:       &Text{}, // until it is read
		config:     c.Config,
		checkpoint: c,
		vocab:      c.Config.Vocab,
		stops:      map[int32]bool{},
		turn:       make(chan struct{}, 1),
		context:    c.Config.MaxPositions,
		chunk:      cmp.Or(o.chunk, 512),
	}
	for _, id := range c.Config.EOS {
		m.stops[id] = true
	}
	switch {
	case o.maxContext < 0:
		return nil, fmt.Errorf("a context of %d tokens makes no sense; 0 takes the checkpoint's %d", o.maxContext, m.context)
	case m.chunk < 0:
		return nil, fmt.Errorf("a prefill chunk of %d tokens makes no sense; 0 takes the default", m.chunk)
	case o.maxContext > m.context:
		return nil, fmt.Errorf("a context of %d tokens is beyond the %d that %s was made for", o.maxContext, m.context, c.Dir)
	case o.maxContext > 0:
		m.context = o.maxContext
	}
	m.chunk = min(m.chunk, m.context)
	switch o.kvBits {
	case 0:
		embed, err := c.Matrix("model.embed_tokens")
		if err != nil {
			return nil, err
		}
		if m.kvFormat = backend.F16; !embed.Quantized() && embed.DType == loader.F32 {
			m.kvFormat = backend.F32
		}
	case 16:
		m.kvFormat = backend.F16
	case 32:
		m.kvFormat = backend.F32
	default:
		return nil, fmt.Errorf("a KV cache of %d bits is not supported; 16 and 32 are", o.kvBits)
	}

	open := o.open
	if open == nil {
		open = func() (d backend.Device, err error) {
			d, m.why, err = openDevice(o.backend)
			return d, err
		}
	}
	var err error
	if m.device, m.shared = o.shared, o.shared != nil; !m.shared {
		if m.device, err = open(); err != nil {
			return nil, err
		}
	}
	m.memory = estimate(c, m.context, m.chunk, m.kvFormat)
	err = m.fill(o)
	if errors.Is(err, backend.ErrUnsupported) && o.open == nil && !m.shared && (o.backend == "" || o.backend == "auto") {
		m.release()
		m.device, m.why = cpu.Open(), fmt.Sprintf("Metal cannot run this checkpoint: %v", err)
		err = m.fill(o)
	}
	if err != nil {
		return nil, errors.Join(c.Explain(err), m.release())
	}
	m.inPlace = m.device.Info().Paged || c.Aligned(gpu.Alignment)
	return m, nil
}

// fill puts the weights and the scratch on the device.
func (m *Model) fill(o loadOptions) (err error) {
	if err = m.memory.check(m.device.Info()); err != nil {
		return err
	}
	m.store = mapped(m.device, m.checkpoint)
	if m.weights, err = bind(m.store, m.checkpoint, o.placed); err != nil {
		return err
	}
	if m.scratch, err = m.weights.NewScratch(m.device, m.chunk); err != nil {
		return err
	}
	cache, err := m.device.NewCache(m.config.Layers, attention(m.config), m.kvFormat) // takes no memory yet, but may be refused
	if err != nil {
		return err
	}
	return cache.Close()
}

// release frees what the model has on the device, and the device unless it is shared.
func (m *Model) release() error {
	var errs []error
	if m.scratch != nil {
		errs = append(errs, m.scratch.Close())
	}
	if m.store != nil {
		errs = append(errs, m.store.Close())
	}
	if !m.shared {
		errs = append(errs, m.device.Close())
	}
	m.scratch, m.store = nil, nil
	return errors.Join(errs...)
}

// attention is the geometry that the cache and its ops need.
func attention(c loader.Config) backend.Attention {
	return backend.Attention{Heads: c.Heads, KVHeads: c.KVHeads, HeadDim: c.HeadDim, RotaryDims: c.RotaryDims, RopeTheta: c.RopeTheta}
}

// attachText reads the tokenizer and the chat format, and what they say of the vocabulary.
func (m *Model) attachText(ctx context.Context, chatTemplate string) error {
	family := chatformat.FamilyOf(m.config.ModelType)
	text, err := readText(ctx, m.checkpoint.FS(), m.checkpoint.Dir, chatTemplate, family)
	if err != nil {
		return err
	}
	size := text.tokenizer.Size()
	if size > m.vocab {
		return fmt.Errorf("%s: the tokenizer has %d tokens, the model a vocabulary of %d; they do not belong together", m.checkpoint.Dir, size, m.vocab)
	}
	m.Text, m.vocab = text, size
	for _, name := range family.Ends { // a config may list one of them only
		if id, ok := text.tokenizer.Special(name); ok {
			m.stops[id] = true
		}
	}
	return nil
}

// checkTokens refuses ids that the embedding does not have.
func (m *Model) checkTokens(ids []int32) error {
	for i, id := range ids {
		if id < 0 || int(id) >= m.config.Vocab {
			return fmt.Errorf("token %d at place %d is outside the vocabulary of %d", id, i, m.config.Vocab)
		}
	}
	return nil
}

// take waits for the turn to run a step, or for the end of ctx. After an error there is nothing to leave.
func (m *Model) take(ctx context.Context) error {
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if m.closed {
		m.leave()
		return ErrClosed
	}
	return nil
}

func (m *Model) leave() { <-m.turn }

// Close frees the device's memory and unmaps the files. It waits for a step that runs; sessions end with [ErrClosed].
func (m *Model) Close() error {
	if m.take(context.Background()) != nil {
		return nil
	}
	defer m.leave()
	m.closed = true
	return errors.Join(m.release(), m.checkpoint.Close())
}

// Info describes a loaded model.
type Info struct {
	Name     string
	Config   loader.Config
	Backend  string // "cpu" or "metal"
	Device   string
	Why      string // the backend was chosen: "asked for", or what "auto" found
	Context  int    // most tokens of a session
	KVBits   int    // width of a number in the KV cache
	KVBytes  int    // KV cache of one token, in bytes
	Memory   Memory // with a full context
	Warning  string // what a person should know before waiting for it or trusting it, "" when there is nothing
	LoadTime time.Duration
	Chat     string // name of the chat format, "" when there is none
}

// Info gives what is known about the model.
func (m *Model) Info() Info {
	d := m.device.Info()
	i := Info{
		Name: m.name, Config: m.config, Backend: d.Backend, Device: d.Device, Why: m.why, Context: m.context,
		KVBits: m.kvFormat.Bits(), KVBytes: int(attention(m.config).TokenBytes(m.config.Layers, m.kvFormat)),
		Memory: m.memory, LoadTime: m.loadTime,
	}
	warnings := m.checkpoint.Notes()
	if w := m.memory.warning(d); w != "" {
		warnings = append(warnings, w)
	}
	i.Warning = strings.Join(warnings, "; ")
	i.Chat, _ = m.ChatFormat()
	return i
}
