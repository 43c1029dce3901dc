//go:build linux && (amd64 || arm64)

package metalsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// Library returns the path of the shared library, which it builds when needed and loads, so that shaders find the
// compiler. The error says what to install when clang is missing.
func Library() (path string, err error) {
	l, err := load()
	if err != nil {
		return "", err
	}
	return l.path, nil
}

// The functions of sim/objc_control.cpp.
type library struct {
	path        string
	setCompiler func(callback uintptr)
	setOrder    func(order int32, seed uint64)
	setCounting func(on int32)
	setLimit    func(name string, value uint64) int32
	reset       func()
	counters    func(out *byte, size uint64) uint64
	residency   func(out *byte, size uint64) uint64
	leaks       func(out *byte, size uint64) uint64
	takeError   func(out *byte, size uint64) uint64
	signature   func(class, selector string, out *byte, size uint64) uint64
}

var load = sync.OnceValues(func() (*library, error) {
	path, err := buildLibrary()
	if err != nil {
		return nil, err
	}
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, fmt.Errorf("loading the Metal stand-in %s: %w", path, err)
	}
	l := &library{path: path}
	for name, function := range map[string]any{
		"sim_set_compiler": &l.setCompiler,
		"sim_set_order":    &l.setOrder,
		"sim_set_counting": &l.setCounting,
		"sim_set_limit":    &l.setLimit,
		"sim_reset":        &l.reset,
		"sim_counters":     &l.counters,
		"sim_residency":    &l.residency,
		"sim_leaks":        &l.leaks,
		"sim_take_error":   &l.takeError,
		"sim_signature":    &l.signature,
	} {
		address, err := purego.Dlsym(handle, name)
		if err != nil {
			return nil, fmt.Errorf("the Metal stand-in %s: %w", path, err)
		}
		purego.RegisterFunc(function, address)
	}
	l.setCompiler(purego.NewCallback(compileCallback))
	return l, nil
})

// compileCallback compiles for newLibraryWithSource:options:error:. Texts go out zero-terminated; an error's text is
// cut to its room.
func compileCallback(source, options *byte, counted uintptr, out *byte, outSize uintptr, message *byte,
	messageSize uintptr) uintptr {
	o := Options{Counted: counted != 0}
	err := json.Unmarshal([]byte(goString(options)), &o)
	var path string
	if err == nil {
		path, err = Compile(goString(source), o)
	}
	if err == nil && len(path) >= int(outSize) {
		err = fmt.Errorf("the path of the compiled shader is too long: %s", path)
	}
	if err != nil {
		putString(message, messageSize, err.Error())
		return 1
	}
	putString(out, outSize, path)
	return 0
}

func goString(text *byte) string {
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(text), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(text, n))
}

func putString(to *byte, size uintptr, text string) {
	room := unsafe.Slice(to, size)
	room[copy(room[:size-1], text)] = 0
}

// text calls a function that writes like snprintf, again when its text has grown in between.
func text(write func(out *byte, size uint64) uint64) string {
	room := make([]byte, 4096)
	for {
		n := write(&room[0], uint64(len(room)))
		if n < uint64(len(room)) {
			return string(room[:n])
		}
		room = make([]byte, n+4096)
	}
}

// SetOrder sets the order in which the threads of later dispatches run; the seed is that of [Shuffled].
func SetOrder(order Order, seed uint64) error {
	l, err := load()
	if err == nil {
		l.setOrder(int32(order), seed)
	}
	return err
}

// SetCounting turns the instrumentation of libraries on or off. It holds for functions made afterwards.
func SetCounting(on bool) error {
	l, err := load()
	if err == nil {
		var n int32
		if on {
			n = 1
		}
		l.setCounting(n)
	}
	return err
}

// SetLimit changes what the device allows, or makes it fail: maxBufferLength, recommendedMaxWorkingSetSize,
// maxThreadsPerThreadgroup, maxThreadgroupMemoryLength; family (1007 is MTLGPUFamilyApple7); nonUniformThreadgroups,
// residencySets and capture (0: the system has none); failAllocation (the n-th from now on fails); failResidencySet (1:
// none is made); deviceLost (1: every command buffer fails); emptyLibrary (1: libraries that are made have no
// functions), flushHalf (1: their kernels take subnormal halves that they make of bits for zero) and matrixLayout (1:
// they deal the elements of a simdgroup matrix to the lanes row by row); eventGrace (milliseconds without any progress
// until a wait counts as a deadlock); workers (OS threads of a dispatch, 0: one a core); compute (0: dispatches are
// judged and put on record, but not run). [Reset] restores the defaults.
func SetLimit(name string, value uint64) error {
	l, err := load()
	if err == nil && l.setLimit(name, value) == 0 {
		err = fmt.Errorf("the Metal stand-in has no limit called %q", name)
	}
	return err
}

// Reset forgets errors and counters, restores the limits, the ascending order and the build without counting, and takes
// the objects that live now out of the later reports of [Leaks].
func Reset() error {
	l, err := load()
	if err == nil {
		l.reset()
	}
	return err
}

// Counters returns the dispatches since the last [Reset], in the order in which they ran, the latest 16384 of them.
func Counters() ([]Dispatch, error) {
	l, err := load()
	if err != nil {
		return nil, err
	}
	var dispatches []Dispatch
	if err := json.Unmarshal([]byte(text(l.counters)), &dispatches); err != nil {
		return nil, fmt.Errorf("the counters of the Metal stand-in: %w", err)
	}
	return dispatches, nil
}

// Residency returns the residency sets that live, in no order.
func Residency() ([]ResidencySet, error) {
	l, err := load()
	if err != nil {
		return nil, err
	}
	var sets []ResidencySet
	if err := json.Unmarshal([]byte(text(l.residency)), &sets); err != nil {
		return nil, fmt.Errorf("the residency sets of the Metal stand-in: %w", err)
	}
	return sets, nil
}

// Leaks returns the objects that the program made since the last [Reset] and that still live.
func Leaks() ([]Leak, error) {
	l, err := load()
	if err != nil {
		return nil, err
	}
	var leaks []Leak
	for line := range strings.Lines(text(l.leaks)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 3 {
			return nil, fmt.Errorf("the leaks of the Metal stand-in: unexpected line %q", line)
		}
		count, err := strconv.Atoi(fields[2])
		if err != nil {
			return nil, fmt.Errorf("the leaks of the Metal stand-in: %w", err)
		}
		leaks = append(leaks, Leak{fields[0], fields[1], count})
	}
	return leaks, nil
}

// TakeError takes the oldest misuse of the API off the record. It is nil when there is none.
func TakeError() error {
	l, err := load()
	if err != nil {
		return err
	}
	room := make([]byte, 1<<16)
	n := l.takeError(&room[0], uint64(len(room)))
	if n == 0 {
		return nil
	}
	return errors.New(string(room[:min(n, uint64(len(room)-1))]))
}

// Signature returns the Objective-C type encoding of a method, such as "v@:@QQ" for setBuffer:offset:atIndex:, or ""
// when the class has none. A + before the class's name asks for a class method.
func Signature(class, selector string) (string, error) {
	l, err := load()
	if err != nil {
		return "", err
	}
	return text(func(out *byte, size uint64) uint64 { return l.signature(class, selector, out, size) }), nil
}
