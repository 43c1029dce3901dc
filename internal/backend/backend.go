// Package backend is the contract between the orchestration in model and the devices that compute: the ops of one
// GLM-4 step and the matrix formats that they take.
//
// A [Device] places weights, activations and KV caches in its memory. A [Stream] takes the ops of a step in order;
// they are cut where a GPU needs a barrier, so one op is one dispatch on Metal and one function on the CPU. A step
// is the same list of ops for prefill (n tokens) and decode (n = 1):
//
//	Embed, then per layer QKV, Attend, Out, AddNorm, GateUp, Down, AddNorm, then Head and Sample.
//
// Precision: activations, norms, scores, softmax and accumulators are float32. A quantised weight is exactly
// scale·q + bias in the checkpoint's own scale and bias values.
package backend

import (
	"context"
	"errors"
	"fmt"
)

// Format is how the numbers of a matrix or a KV cache are stored.
type Format uint8

// The formats. Q4 and Q8 are MLX's affine quantisation: unsigned 4- or 8-bit integers packed into little-endian
// uint32s, lowest bits first, with one scale and one bias for each group of consecutive columns.
const (
	F32 Format = iota
	F16
	BF16
	Q4
	Q8
)

var formats = [...]struct {
	name string
	bits int
}{F32: {"f32", 32}, F16: {"f16", 16}, BF16: {"bf16", 16}, Q4: {"q4", 4}, Q8: {"q8", 8}}

func (f Format) String() string {
	if int(f) < len(formats) {
		return formats[f].name
	}
	return fmt.Sprintf("format %d", uint8(f))
}

// Bits is the width of one stored number, scales and biases not counted; 0 if there is no such format.
func (f Format) Bits() int {
	if int(f) < len(formats) {
		return formats[f].bits
	}
	return 0
}

// Quantised tells whether the numbers need scales and biases.
func (f Format) Quantised() bool { return f == Q4 || f == Q8 }

// ErrUnsupported is wrapped by the errors of a device about a model that another device may take. It is an
// errors.ErrUnsupported that reads well within them.
var ErrUnsupported error = unsupported{}

type unsupported struct{}

func (unsupported) Error() string { return "not supported" }

func (unsupported) Is(target error) bool { return target == errors.ErrUnsupported }

// ErrStopped is the error of a step that [Stream.Stop] ended.
var ErrStopped = errors.New("the step was stopped")

// MatrixData is a weight matrix of shape [Rows, Cols], row-major, in the bytes of the checkpoint. A device may read
// the slices in place for as long as the store is open that the matrix is placed in, so their memory must outlive it.
type MatrixData struct {
	Name       string // for error messages
	Rows, Cols int
	Format     Format
	Data       []byte // Rows·Cols·Bits/8 bytes

	// For Q4 and Q8: Scales and Biases are [Rows, Cols/GroupSize] in ScaleFormat (F32, F16 or BF16).
	GroupSize      int
	Scales, Biases []byte
	ScaleFormat    Format

	// Copied, where it is not nil, is called with each of the slices that the device has copied and reads no more.
	Copied func(part []byte)
}

// Check tells whether the sizes of the slices agree with the shape, so that a device can index without doubt.
func (m *MatrixData) Check() error {
	if m.Rows <= 0 || m.Cols <= 0 {
		return fmt.Errorf("matrix %s: shape [%d, %d] must be positive", m.Name, m.Rows, m.Cols)
	}
	if m.Format.Bits() == 0 {
		return fmt.Errorf("matrix %s: %v, expected f32, f16, bf16, q4 or q8", m.Name, m.Format)
	}
	if want := m.Rows * m.Cols * m.Format.Bits() / 8; len(m.Data) != want {
		return fmt.Errorf("matrix %s: %d bytes of %v for shape [%d, %d], expected %d",
			m.Name, len(m.Data), m.Format, m.Rows, m.Cols, want)
	}
	if !m.Format.Quantised() {
		return nil
	}
	switch m.GroupSize {
	case 32, 64, 128:
	default:
		return fmt.Errorf("matrix %s: group size %d, expected 32, 64 or 128", m.Name, m.GroupSize)
	}
	if m.Cols%m.GroupSize != 0 {
		return fmt.Errorf("matrix %s: %d columns are no multiple of the group size %d", m.Name, m.Cols, m.GroupSize)
	}
	if m.ScaleFormat.Bits() < 16 {
		return fmt.Errorf("matrix %s: scales in %v, expected f32, f16 or bf16", m.Name, m.ScaleFormat)
	}
	want := m.Rows * (m.Cols / m.GroupSize) * m.ScaleFormat.Bits() / 8
	if len(m.Scales) != want || len(m.Biases) != want {
		return fmt.Errorf("matrix %s: %d bytes of scales and %d of biases, expected %d each",
			m.Name, len(m.Scales), len(m.Biases), want)
	}
	return nil
}

// Bytes is the memory that the matrix takes.
func (m *MatrixData) Bytes() int64 { return int64(len(m.Data) + len(m.Scales) + len(m.Biases)) }

// Attention is the geometry of the attention, equal in every layer.
type Attention struct {
	Heads, KVHeads int     // Heads is a multiple of KVHeads
	HeadDim        int     // elements of one head
	RotaryDims     int     // the first RotaryDims of a head are rotated, in interleaved pairs (0,1), (2,3), ...
	RopeTheta      float64 // base of the rotary angles: pos·theta^(-2i/RotaryDims)
}

// CacheStep is how many tokens a [Cache] grows by.
const CacheStep = 256

// TokenBytes is what the keys and values of one token take in some layers.
func (a Attention) TokenBytes(layers int, f Format) int64 {
	return int64(layers) * 2 * int64(a.KVHeads) * int64(a.HeadDim) * int64(f.Bits()) / 8
}

// CacheBytes is what a [Cache] with room for some tokens takes, which it has in whole steps of [CacheStep].
func (a Attention) CacheBytes(layers, tokens int, f Format) int64 {
	return int64((tokens+CacheStep-1)/CacheStep*CacheStep) * a.TokenBytes(layers, f)
}

// CheckCache tells whether a device can make a cache of a geometry and a format at all.
func CheckCache(layers int, a Attention, f Format) error {
	if f != F32 && f != F16 {
		return fmt.Errorf("a KV cache in %v: %w; the formats are f32 and f16", f, ErrUnsupported)
	}
	if layers <= 0 || a.HeadDim <= 0 || a.KVHeads <= 0 || a.Heads <= 0 || a.Heads%a.KVHeads != 0 ||
		a.RotaryDims < 0 || a.RotaryDims > a.HeadDim || a.RotaryDims%2 != 0 {
		return fmt.Errorf("impossible attention geometry %+v with %d layers", a, layers)
	}
	return nil
}

// Info says what a device is.
type Info struct {
	Backend string // "cpu" or "metal"
	Device  string // the name that the system gives it
	Memory  int64  // bytes that a model may use on it, 0 when unknown
	Paged   bool   // mapped weights need not fit: the system pages them in and out

	MemoryLimit string // what sets Memory below the machine's, such as a cgroup; "" when nothing does
	Room        int64  // bytes that the process may allocate beside what is mapped already; 0 when it has no limit
	RoomLimit   string // the limit that leaves Room
	Async       bool   // Submit returns before the step has run, so the next one can be prepared meanwhile
}

// A Store takes weights into a device's memory.
type Store interface {
	NewMatrix(MatrixData) (Matrix, error)
	NewVector([]float32) (Vector, error) // copied
	// Close waits for what runs and frees the weights, which no op may use any more, submitted or not.
	Close() error
}

// A Device owns memory and runs streams. Its methods may be called from several goroutines; a Stream, and what it
// reads and writes, belongs to one at a time.
//
// Models may share a device: each closes what it has made there, and who opened the device closes it after all of them.
type Device interface {
	// Store is for weights that live as long as the device. Its Close frees everything that the device still holds.
	Store
	Info() Info
	// Map makes the store of one checkpoint: it announces the memory that its matrices will be made from, such as
	// mapped files, and the matrices. A region begins on a page of 16 KiB and has the rest of its last one to itself.
	// Where it can no longer be read, because its file has shrunk or its disk fails, NewMatrix or the step ends with an
	// Error of package fault.
	Map(regions [][]byte, matrices []MatrixData) Store
	NewBuffer(n int) (Buffer, error) // n float32s, zero
	NewTokens(n int) (Tokens, error) // n ids, zero
	NewCache(layers int, a Attention, f Format) (Cache, error)
	NewStream() (Stream, error)
	// NewProbe makes a probe that reads some bytes of memory, which it takes for itself, rounded up. The caller closes
	// it, also after the device.
	NewProbe(bytes int64) (Probe, error)
}

// A Preparer is a device that makes something for each kind of op before it can run the first one.
type Preparer interface {
	// Prepare begins to make what the ops need that f records, and does not run them, so their operands need not be as
	// long as they say, nor the cache. wait returns when that is done, or soon after the end of ctx. What cannot be made
	// is the error of the step that needs it.
	Prepare(ctx context.Context, f func(Stream)) (wait func())
}

// A Matrix is a weight matrix in a device's memory.
type Matrix interface{ Shape() (rows, cols int) }

// A Vector is a norm weight or a bias in a device's memory.
type Vector interface{ Len() int }

// A Buffer holds activations, float32, in memory that the host can read after [Stream.Wait].
type Buffer interface {
	Floats() []float32
	Close() error
}

// Tokens holds ids in memory that the host may write before [Stream.Submit] and read after [Stream.Wait].
type Tokens interface {
	IDs() []int32
	Close() error
}

// A Cache holds the keys and values of one session, for all layers. Keys are stored after rotation.
type Cache interface {
	Shape() (layers int, a Attention)
	// Grow makes room for at least n tokens, in whole steps of CacheStep, and keeps what is there. It is called between
	// a Submit and the next op.
	Grow(n int) error
	Cap() int     // tokens that fit
	Bytes() int64 // of keys and values: Attention.CacheBytes
	Close() error
}

// Norm is an RMS norm: x·weight / sqrt(mean(x²) + Eps).
type Norm struct {
	Weight Vector
	Eps    float32
}

// Span is the part of the context that a step computes: N tokens from position Pos on.
type Span struct{ Pos, N int }

// QKV are the projections of one layer; all three biases are nil where the checkpoint has none.
type QKV struct {
	Q, K, V             Matrix
	QBias, KBias, VBias Vector
}

// A Stream takes the ops of one step. An op returns nothing: the first error, which may be that of wrong operands
// ([Checked]), is kept and returned by Submit or Wait, and the ops after it do nothing. All matrices are [out, in]; n
// counts tokens, rows of a buffer are tokens.
//
// Stop alone may be called from another goroutine than the stream's.
type Stream interface {
	// Embed writes h[n, hidden] = rows of embed, and xn = norm(h).
	Embed(h, xn Buffer, ids Tokens, n int, embed Matrix, norm Norm)
	// QKV writes q[n, heads·dim] and the layer's keys and values at the span's positions into kv: product, bias, and
	// for queries and keys the rotation.
	QKV(q Buffer, kv Cache, layer int, xn Buffer, w *QKV, at Span)
	// Attend writes a[n, heads·dim] = softmax(q·kᵀ/√dim)·v over the positions up to each token's own.
	Attend(a, q Buffer, kv Cache, layer int, at Span)
	// Out writes y[n, hidden] = a·wᵀ.
	Out(y, a Buffer, w Matrix, n int)
	// AddNorm does h += post(y), or h += y when post is nil, and writes xn = next(h).
	AddNorm(h, xn, y Buffer, post *Norm, next Norm, n int)
	// GateUp writes act[n, ffn] = silu(gate)·up; the first half of w's rows is gate, the second is up.
	GateUp(act, xn Buffer, w Matrix, n int)
	// Down writes y[n, hidden] = act·wᵀ.
	Down(y, act Buffer, w Matrix, n int)
	// Head writes logits[rows, vocab] for the tokens first, ..., first+rows-1 of xn.
	Head(logits, xn Buffer, w Matrix, first, rows int)
	// Sample picks an id from the first row of logits and writes it to out[at]. Logits that are no distribution
	// are an error, [InfiniteLogit] or [ErrEqualLogits].
	Sample(out Tokens, at int, logits Buffer, s Sampling)
	// Mark calls f when all ops before it have run: in the stream's goroutine, from Mark itself, Submit or Wait. It is
	// not called after an error.
	Mark(f func())
	// OnPart sets what is told, between the parts of a product and, with 1, at its end, what share of it has been
	// computed: in the stream's goroutine, until OnPart(nil). A device that runs ops later than it takes them does not
	// call it.
	OnPart(f func(share float64))
	// Submit starts what was taken since the last Submit; of a long step it may wait for all but the end. Streams of
	// one device run in the order of their Submits.
	Submit() error
	// Wait returns when everything submitted has run, but for what the last `ahead` Submits started. After an error
	// nothing runs any more.
	Wait(ahead int) error
	// Stop ends the step as soon as the device can, within an op where that takes long: ops do nothing, and Submit and
	// Wait return [ErrStopped], until a Wait has returned it. What the step was to write is undefined, but for the keys
	// and values of earlier positions. A Stop between two steps ends the next one.
	Stop()
	Close() error
}
