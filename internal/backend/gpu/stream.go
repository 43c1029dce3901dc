package gpu

import (
	"errors"
	"math"
	"sync/atomic"
	"unsafe"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// Bounds of what one dispatch binds.
const (
	maxBuffers = 18 // with the arguments
	maxArgs    = 48 // bytes
)

// dispatch is one written down, to be encoded at Submit.
type dispatch struct {
	pipeline *pipeline
	groups   metal.Size
	threads  int     // a threadgroup
	seconds  float64 // as watchdog.go thinks
	beside   bool    // it runs beside the one in front of it: see apart
	buffers  [maxBuffers]binding
	args     [maxArgs]byte
	argBytes uint8
	bound    uint8 // buffers bound, from [[buffer(1)]] on
}

// stream implements [backend.Ops].
type stream struct {
	d       *Device
	tuning  shaders.Tuning
	list    []dispatch // since the last Submit
	marks   []mark     // not reached yet
	encode  func() error
	err     error
	stopped atomic.Bool
	longest float64 // seconds of a command buffer

	onlyList bool // ops are written down to be looked at: pipelines need not be made

	head     pendingHead
	pairs    scratch // best logits of the threadgroups
	partial  scratch // of a split attention
	stats    scratch
	outgrown []metal.Buffer // scratch that only what is written down still uses

	running   []running
	submitted int
}

// inFlight is how many command buffers of a step are committed at a time: one runs and the next one is ready. The
// others can still be given up.
const inFlight = 2

// mark is a function that waits for the dispatches in front of it.
type mark struct {
	number, end int // as in running
	f           func()
}

// running is a command buffer that was committed.
type running struct {
	commands metal.CommandBuffer
	number   int     // of its Submit
	end      int     // dispatches of that, up to its last
	picked   *tokens // where its step writes an id, at place at
	at       int
}

// NewStream implements [backend.Device].
func (d *Device) NewStream() (backend.Stream, error) {
	s, err := d.newStream()
	if err != nil {
		return nil, err
	}
	return backend.Checked(s), nil
}

func (d *Device) newStream() (*stream, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errClosed
	}
	s := &stream{d: d, tuning: d.tuning, longest: longest}
	s.encode = s.encodeList // once, so that a step allocates nothing
	return s, nil
}

// add writes a dispatch down. work counts what the kernel's tile counts.
func add[Args any](s *stream, v variant, args Args, work [3]int, seconds float64, buffers ...binding) {
	if s.err != nil {
		return
	}
	p := s.d.kernels.of(v)
	if !s.onlyList {
		if s.err = s.d.kernels.ready(p); s.err != nil {
			return
		}
	}
	s.list = append(s.list, dispatch{
		pipeline: p, seconds: seconds, argBytes: uint8(unsafe.Sizeof(args)), bound: uint8(len(buffers))})
	d := &s.list[len(s.list)-1]
	copy(d.args[:], metal.Bytes(&args))
	copy(d.buffers[1:], buffers)
	g := p.variant.kernel.Groups(work)
	d.groups = metal.Size{Width: g[0], Height: g[1], Depth: g[2]}
	d.threads = p.threads
}

// apart says that the dispatches from the first on are parts of one result: each writes what no other of them reads or
// writes. Without it, each waits for all in front of it.
func (s *stream) apart(first int) {
	for i := first + 1; i < len(s.list); i++ {
		s.list[i].beside = true
	}
}

// narrow leaves the last dispatch no more threads than its rows, of some width, have work for.
func (s *stream) narrow(width int) {
	if s.err == nil {
		d := &s.list[len(s.list)-1]
		d.threads = min(d.pipeline.threads, d.pipeline.variant.kernel.ThreadsFor(width))
	}
}

// Mark implements [backend.Stream]. What is in the last command buffers of a step is called by Wait.
func (s *stream) Mark(f func()) {
	s.flushHead()
	if s.err == nil {
		s.marks = append(s.marks, mark{s.submitted + 1, len(s.list), f})
	}
}

// OnPart implements [backend.Stream]; nothing is told.
func (s *stream) OnPart(func(share float64)) {}

// reach calls the marks up to the end of a command buffer that has run.
func (s *stream) reach(r *running) {
	n := 0
	for ; n < len(s.marks) &&
		(s.marks[n].number < r.number || s.marks[n].number == r.number && s.marks[n].end <= r.end); n++ {
		s.marks[n].f()
	}
	s.marks = append(s.marks[:0], s.marks[n:]...)
}

// Stop implements [backend.Stream].
func (s *stream) Stop() { s.stopped.Store(true) }

// checkStop makes a Stop the stream's error.
func (s *stream) checkStop() error {
	if s.err == nil && s.stopped.Load() {
		s.err = backend.ErrStopped
	}
	return s.err
}

// Submit implements [backend.Stream]. It returns when all but the last command buffers have run.
func (s *stream) Submit() error {
	s.flushHead()
	if s.checkStop() == nil {
		s.d.residency.use()
		s.submitted++
		if err := s.d.metal.Do(s.encode); s.err == nil {
			s.err = problem(err)
		}
	}
	s.head.picked = nil
	s.forget()
	return s.err
}

// forget drops what was written down. What was encoded keeps its buffers itself.
func (s *stream) forget() {
	s.list = s.list[:0]
	for _, b := range s.outgrown {
		s.d.free(b)
	}
	s.outgrown = s.outgrown[:0]
}

// encodeList encodes and commits what was written down.
func (s *stream) encodeList() error {
	for begin := 0; begin < len(s.list); {
		if n := len(s.running) - inFlight; n >= 0 && s.running[n].number == s.submitted {
			if err := s.running[n].commands.Wait(); err != nil {
				return err
			}
			s.reach(&s.running[n])
		}
		if s.checkStop() != nil {
			return nil
		}
		end, seconds := begin+1, s.list[begin].seconds
		for end < len(s.list) && seconds+s.list[end].seconds <= s.longest {
			seconds += s.list[end].seconds
			end++
		}
		if err := s.encodeOne(begin, end); err != nil {
			return err
		}
		begin = end
	}
	if n := len(s.running); n > 0 && s.running[n-1].number == s.submitted {
		s.running[n-1].picked, s.running[n-1].at = s.head.picked, s.head.at
	}
	return nil
}

// encodeOne makes one command buffer of a part of the list. What is bound already is not bound again.
func (s *stream) encodeOne(begin, upTo int) error {
	commands, err := s.d.queue.NewCommandBuffer()
	if err != nil {
		return err
	}
	encoder, err := commands.ComputeEncoder(metal.Concurrent)
	if err != nil {
		commands.Release()
		return err
	}
	var pipeline *pipeline
	var buffers [maxBuffers]metal.Buffer
	var offsets [maxBuffers]int
	for i := begin; i < upTo; i++ {
		d := &s.list[i]
		if pipeline != d.pipeline {
			pipeline = d.pipeline
			encoder.SetPipeline(pipeline.ComputePipeline)
		}
		encoder.SetBytes(d.args[:d.argBytes], 0)
		first, end := 0, 0 // of the indices that change
		for j := 1; j <= int(d.bound); j++ {
			if b := d.buffers[j]; b.buffer != buffers[j] || b.offset != offsets[j] {
				buffers[j], offsets[j] = b.buffer, b.offset
				if end == 0 {
					first = j
				}
				end = j + 1
			}
		}
		if end > 0 {
			encoder.SetBuffers(buffers[first:end], offsets[first:end], first)
		}
		if i > begin && !d.beside {
			encoder.Barrier()
		}
		encoder.DispatchThreadgroups(d.groups, metal.Size{Width: d.threads, Height: 1, Depth: 1})
	}
	encoder.End()
	if err := s.d.gate.commit(commands); err != nil {
		commands.Release()
		return err
	}
	s.running = append(s.running, running{commands: commands, number: s.submitted, end: upTo})
	return nil
}

// Wait implements [backend.Stream]. After an error everything is waited for, so that nothing uses memory any more.
func (s *stream) Wait(ahead int) error {
	err := s.checkStop()
	s.err, s.head = nil, pendingHead{}
	if err != nil {
		s.forget()
		s.marks = s.marks[:0]
	}
	done := 0
	for ; done < len(s.running) && (err != nil || s.running[done].number <= s.submitted-ahead); done++ {
		r := &s.running[done]
		if e := problem(r.commands.Wait()); err == nil && e != nil {
			err = e
		}
		r.commands.Release()
		if err == nil {
			err = s.checkPick(r)
		}
		if err == nil {
			s.reach(r)
		}
	}
	s.running = append(s.running[:0], s.running[done:]...)
	if errors.Is(err, backend.ErrStopped) {
		s.stopped.Store(false)
	}
	return err
}

// allEqual stands for an id where all logits are equal.
const allEqual = math.MinInt32

// checkPick looks at the id that a step has written: a negative one tells that the logits are no distribution.
func (s *stream) checkPick(r *running) error {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	switch {
	case s.d.closed:
		return errClosed
	case r.picked == nil || r.picked.ids == nil || r.picked.ids[r.at] >= 0:
		return nil
	}
	if id := r.picked.ids[r.at]; id != allEqual {
		return backend.InfiniteLogit(int(-1 - id))
	}
	return backend.ErrEqualLogits
}

// Close implements [backend.Stream]; it waits for what runs.
func (s *stream) Close() error {
	err := s.Wait(0)
	for _, m := range []*scratch{&s.pairs, &s.partial, &s.stats} {
		s.d.free(m.buffer)
		*m = scratch{}
	}
	return err
}

// scratch is memory that grows with the ops that need it.
type scratch struct {
	buffer metal.Buffer
	bytes  int
}

// take gives at least some bytes, not zeroed.
func (m *scratch) take(s *stream, bytes int) binding {
	if bytes > m.bytes && s.err == nil {
		b, err := s.d.allocate(roundUp(bytes, 1<<16), metal.StorageShared)
		if err != nil {
			s.err = err
			return binding{}
		}
		if m.bytes > 0 {
			s.outgrown = append(s.outgrown, m.buffer)
		}
		m.buffer, m.bytes = b, roundUp(bytes, 1<<16)
	}
	return binding{m.buffer, 0}
}

// Owns implements [backend.Ops].
func (s *stream) Owns(object any) bool {
	switch o := object.(type) {
	case *buffer:
		return o.d == s.d
	case *tokens:
		return o.d == s.d
	case *vector:
		return o.d == s.d
	case *matrix:
		return o.d == s.d
	case *cache:
		return o.d == s.d
	}
	return false
}

// Fail implements [backend.Ops].
func (s *stream) Fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// floats binds a buffer from its row `first` of some width on.
func floats(b backend.Buffer, first, width int) binding {
	return binding{b.(*buffer).metal, 4 * first * width}
}

// numbers binds a norm weight or a bias.
func numbers(v backend.Vector) binding { return v.(*vector).binding }

// variant of a kernel for a matrix.
func (m *matrix) variant(f shaders.Family) variant {
	s := m.stored
	return variant{f[s.format], shaders.Constants{
		GroupSize: max(s.group, 32), ScaleFormat: s.scale, WeightFormat: s.format}}
}
