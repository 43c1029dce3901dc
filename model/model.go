package model

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu"
	"github.com/glm4-metal/glm4-metal/internal/chatformat"
	"github.com/glm4-metal/glm4-metal/internal/decoder"
	"github.com/glm4-metal/glm4-metal/internal/device"
	"github.com/glm4-metal/glm4-metal/loader"
)

// Model is a checkpoint on a device, with the [Text] that belongs to it; [Load] makes it. Its methods may be called
// from several goroutines.
type Model struct {
	text       *Text
	name       string
	config     loader.Config
	checkpoint *loader.Checkpoint
	device     backend.Device
	shared     bool          // the device outlives the model
	store      backend.Store // of the weights
	inPlace    bool          // the device reads mapped files
	why        string        // this device
	weights    *decoder.Weights
	kvFormat   backend.Format
	context    int // most tokens of a session
	chunk      int // most tokens of one prefill step
	memory     Memory
	loadTime   time.Duration

	vocab int // ids below are real tokens, the head's rows from here on are padding
	stops map[int32]bool

	// holds one while a step runs, since the scratch is shared: who waits to send gets it in order, and who has just had
	// it is the last
	turn    chan struct{}
	scratch *decoder.Scratch
	closed  atomic.Bool
}

// newModel puts the checkpoint on a device. On success it owns the checkpoint.
func newModel(c *loader.Checkpoint, o loadOptions) (*Model, error) {
	m := &Model{
		text:       &Text{}, // until it is read
		config:     c.Config,
		checkpoint: c,
		vocab:      c.Config.Vocab,
		stops:      map[int32]bool{},
		turn:       make(chan struct{}, 1),
		context:    c.Config.MaxPositions,
		chunk:      cmp.Or(o.chunk, DefaultPrefillChunk),
	}
	for _, id := range c.Config.EOS {
		m.stops[id] = true
	}
	if o.maxContext > m.context {
		return nil, &OptionError{"context", o.maxContext, fmt.Sprintf("at most %d, which %s was made for", m.context, c.Dir)}
	}
	if o.maxContext != FittingContext {
		m.context = cmp.Or(o.maxContext, m.context)
	}
	m.chunk = min(m.chunk, m.context)
	if m.kvFormat = kvFormat(o.kvBits); o.kvBits == 0 {
		embed, err := c.Matrix("model.embed_tokens")
		if err != nil {
			return nil, err
		}
		if !embed.Quantized() && embed.DType == loader.F32 {
			m.kvFormat = backend.F32
		}
	}

	open := o.open
	if open == nil {
		open = func() (d backend.Device, err error) {
			d, m.why, err = device.Open(o.backend)
			return d, err
		}
	}
	var err error
	if m.device, m.shared = o.shared, o.shared != nil; !m.shared {
		if m.device, err = open(); err != nil {
			return nil, err
		}
	}
	err = m.fill(o)
	if errors.Is(err, backend.ErrUnsupported) && o.open == nil && !m.shared && (o.backend == "" || o.backend == "auto") {
		m.release()
		m.device, m.why = cpu.Open(), fmt.Sprintf("Metal cannot run this checkpoint: %v", err)
		err = m.fill(o)
	}
	if err != nil {
		return nil, errors.Join(c.Explain(err), m.release())
	}
	return m, nil
}

// fill puts the weights and the scratch on the device.
func (m *Model) fill(o loadOptions) (err error) {
	d := m.device.Info()
	m.memory = EstimateMemory(m.config, m.checkpoint.Bytes(), m.context, m.chunk, m.kvFormat.Bits())
	if o.maxContext == FittingContext {
		token := attention(m.config).TokenBytes(m.config.Layers, m.kvFormat)
		m.context = m.memory.fitting(d, m.config.MaxPositions, token)
		m.memory.KV = attention(m.config).CacheBytes(m.config.Layers, m.context, m.kvFormat)
	}
	if err = m.memory.check(d); err != nil {
		return err
	}
	all, err := matrices(m.checkpoint)
	if err != nil {
		return err
	}
	if m.device.Info().Backend == "cpu" {
		if err = m.checkpoint.OnlyCPU(); err != nil {
			return err
		}
	}
	m.store = m.device.Map(m.checkpoint.Mapped(), all)
	if m.weights, err = bind(m.store, m.checkpoint, o.placed); err != nil {
		return err
	}
	inPlace, copied := inPlaceFor(m.device, m.checkpoint, all)
	m.inPlace = len(inPlace) > 0
	for _, region := range copied {
		m.checkpoint.Evict(region) // and what the system has read around each tensor
	}
	if m.scratch, err = m.weights.NewScratch(m.device, m.chunk); err != nil {
		return err
	}
	// takes no memory yet, but may be refused
	cache, err := m.device.NewCache(m.config.Layers, attention(m.config), m.kvFormat)
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
	return backend.Attention{Heads: c.Heads, KVHeads: c.KVHeads, HeadDim: c.HeadDim, RotaryDims: c.RotaryDims,
		RopeTheta: c.RopeTheta}
}

// fewTokens are those of short prompts, for which a device may have ops of other kinds than for long ones.
const fewTokens = 16

// prepare has the device make what the first steps need: a prompt, short or as long as a step may be, and tokens of an
// answer, at the begin and at the end of the context. wait returns when that is there.
func (m *Model) prepare(ctx context.Context) (wait func()) {
	d, ok := m.device.(backend.Preparer)
	if !ok {
		return func() {}
	}
	cache, err := m.device.NewCache(m.config.Layers, attention(m.config), m.kvFormat)
	if err != nil {
		return func() {} // fill has made one
	}
	defer cache.Close()
	spans := []backend.Span{{Pos: 0, N: 1}, {Pos: m.context - 1, N: 1}, {Pos: 0, N: m.chunk}}
	for n := 2; n < min(fewTokens, m.chunk); n++ {
		spans = append(spans, backend.Span{Pos: 0, N: n})
	}
	return d.Prepare(ctx, func(s backend.Stream) {
		x := m.scratch
		for _, at := range spans {
			m.weights.Forward(s, x, cache, x.Tokens, at, x.Y, 1)
			s.Sample(x.Tokens, 0, x.Y, backend.Sampling{Temperature: 1, Seed: 1, Valid: m.vocab})
		}
	})
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
		return fmt.Errorf("%s: the tokenizer has %d tokens, the model a vocabulary of %d; they do not belong together",
			m.checkpoint.Dir, size, m.vocab)
	}
	m.text, m.vocab = text, size
	for _, name := range family.Ends { // a config may list one of them only
		if id, ok := text.tokenizer.Special(name); ok {
			m.stops[id] = true
		}
	}
	return nil
}

// checkPrompt refuses ids that the embedding does not have, and those behind the first pos tokens that leave no room
// for some more.
func (m *Model) checkPrompt(pos int, ids []int32, room int) error {
	for i, id := range ids {
		if id < 0 || int(id) >= m.config.Vocab {
			return fmt.Errorf("token %d at place %d is outside the vocabulary of %d", id, i, m.config.Vocab)
		}
	}
	if n := pos + len(ids); n+room > m.context {
		return &ContextError{n, m.context, m.config.MaxPositions}
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
	if m.closed.Load() {
		m.leave()
		return ErrClosed
	}
	return nil
}

func (m *Model) leave() { <-m.turn }

// Text is the checkpoint's tokenizer and chat format, which can be used beyond the model's Close.
func (m *Model) Text() *Text { return m.text }

// Close frees the device's memory and unmaps the files. It waits for a step that runs; generations that go on then, and
// all later ones, end with [ErrClosed]. Sessions and chats should be closed before. Closing twice is no error.
func (m *Model) Close() error {
	if m.take(context.Background()) != nil {
		return nil
	}
	defer m.leave()
	m.closed.Store(true)
	return errors.Join(m.release(), m.checkpoint.Close())
}

// Info describes a loaded model.
type Info struct {
	Name     string        // the folder, the name of the hub that Load was given, or the demo's name
	Config   loader.Config // of the network
	Backend  string        // "cpu" or "metal"
	Device   string        // what the system calls the GPU or the CPU
	Why      string        // the backend was chosen: "asked for", or what "auto" found
	Context  int           // most tokens of a session
	Chunk    int           // most tokens of a prompt in one step
	KVBits   int           // width of a number in the KV cache
	KVBytes  int           // KV cache of one token, in bytes
	Memory   Memory        // with a full context
	Warning  string        // what a person should know before waiting for it or trusting it, "" when there is nothing
	LoadTime time.Duration // that Load took
	Chat     string        // name of the chat format, "" when there is none; Text.ChatFormat says why
}

// Info gives what is known about the model.
func (m *Model) Info() Info {
	d := m.device.Info()
	i := Info{
		Name: m.name, Config: m.config, Backend: d.Backend, Device: d.Device, Why: m.why, Context: m.context,
		Chunk: m.chunk, KVBits: m.kvFormat.Bits(),
		KVBytes: int(attention(m.config).TokenBytes(m.config.Layers, m.kvFormat)), Memory: m.memory, LoadTime: m.loadTime,
	}
	warnings := m.checkpoint.Notes()
	if w := m.memory.warning(d); w != "" {
		warnings = append(warnings, w)
	}
	i.Warning = strings.Join(warnings, "; ")
	i.Chat, _ = m.text.ChatFormat()
	return i
}
