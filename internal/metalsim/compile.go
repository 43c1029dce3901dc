package metalsim

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/glm4-metal/glm4-metal/internal/metalsim/rewrite"
)

// Options of Compile; the JSON is what newLibraryWithSource:options:error: sends of its MTLCompileOptions.
type Options struct {
	// with the instrumentation that checks and counts
	Counted         bool              `json:"-"`
	FastMath        bool              `json:"fast_math"`                  // unqualified functions are those of metal::fast
	LanguageVersion string            `json:"language_version,omitempty"` // such as "3.1", or "" for the default
	Macros          map[string]string `json:"macros,omitempty"`           // name to value
	// of the GPU: as the limits of [SetLimit]
	FlushHalf    bool `json:"flush_half,omitempty"`
	MatrixLayout int  `json:"matrix_layout,omitempty"`
}

// What Metal takes for a binary that Go linked, which says of itself that it is for macOS 12.
const defaultLanguageVersion = "2.4"

// One run of the compiler may take so long.
const compileLimit = 5 * time.Minute

//go:embed msl sim/sim.h
var headers embed.FS

// What compiles and what refuses: a source that an older version took may be refused now.
//
//go:embed compile.go diagnostic.go recursion.go
var judges embed.FS

// The parts of the standard library that a shader may include; each brings all macros.
var libraryHeaders = []string{
	"metal_stdlib", "metal_array", "metal_atomic", "metal_common", "metal_compute", "metal_config",
	"metal_extended_vector",
	"metal_geometric", "metal_integer", "metal_limits", "metal_logging", "metal_math", "metal_matrix", "metal_pack",
	"metal_packed_vector", "metal_quadgroup", "metal_relational", "metal_simdgroup", "metal_simdgroup_matrix",
	"metal_type_traits", "metal_types", "metal_uniform", "metal_utility", "metal_visible_function_table", "simd/simd.h",
}

// Float to integer saturates as GPUs do.
var execFlags = []string{
	"-std=c++17", "-O2", "-fPIC", "-Wno-everything", "-Werror=unknown-attributes", "-Wno-c++11-narrowing",
	"-fdeclspec", "-nostdinc++",
	"-fsigned-char", "-fwrapv", "-fno-strict-aliasing", "-fno-strict-float-cast-overflow", "-fno-math-errno",
	"-Xclang", "-ffloat16-excess-precision=none", "-Xclang", "-fbfloat16-excess-precision=none",
	"-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics", "-fno-stack-protector", "-fno-asynchronous-unwind-tables",
	"-fvisibility=hidden", "-fvisibility-inlines-hidden",
}

// arithmeticVariable is the environment variable that chooses how kernels compute: "plain" or "apple".
const arithmeticVariable = "GLM4_METALSIM_ARITHMETIC"

// appleArithmetic tells whether kernels compute as on Apple's GPUs.
func appleArithmetic() (bool, error) {
	switch value := os.Getenv(arithmeticVariable); value {
	case "", "plain":
		return false, nil
	case "apple":
		return true, nil
	default:
		return false, fmt.Errorf("%s is %q; it must be plain or apple", arithmeticVariable, value)
	}
}

// contraction is none in plain arithmetic, so that results are the same on every machine. Apple's compiler contracts a
// product and a sum of one expression.
var contraction = map[bool]string{false: "-ffp-contract=off", true: "-ffp-contract=on"}

// standard refuses what the C++ of a language version does not have: before Metal 4 that is C++14.
func standard(languageVersion string) []string {
	if languageVersion < "4" {
		return []string{"-Werror=pre-c++17-compat"}
	}
	return nil
}

var strictFlags = []string{
	"-x", "clcpp", "-cl-std=clc++2021", "-target", "spir64-unknown-unknown", "-fsyntax-only", "-w", "-nostdinc",
	"-cl-no-stdinc",
}

// The strict pass runs twice. With OpenCL's generic address space structs may be copied between address spaces, as in
// MSL; without it an unqualified pointer is one to thread memory, as in MSL.
var strictExtensions = []string{
	"-cl-ext=+all",
	"-cl-ext=+all,-__opencl_c_generic_address_space,-__opencl_c_device_enqueue,-__opencl_c_pipes",
}

var diagnosticFlags = []string{"-fno-caret-diagnostics", "-fno-color-diagnostics", "-ferror-limit=0", "-fno-elide-type"}

// Address spaces disappear from what runs; constant data is const.
const execKeywords = `#define device
#define thread
#define threadgroup
#define constant const
#define kernel
#define is_function_constant_defined(name) (_sim_defined_##name)
`

const endOfKeywords = `#undef device
#undef thread
#undef threadgroup
#undef constant
#undef kernel
`

const strictKeywords = `#define device __global
#define thread __private
#define threadgroup __local
#define constant __constant
#define kernel
#define is_function_constant_defined(name) (true)
`

// Compile compiles the text of a shader to a shared object that exports sim_module (see sim/sim.h) and returns its
// path, in the user's cache under a hash of all that it depends on. A source that Metal would refuse gives an error of
// lines like `program_source:12:5: error: use of undeclared identifier 'x'`. Several processes may compile at once.
func Compile(source string, o Options) (path string, err error) {
	t, err := shaderTools()
	if err != nil {
		return "", err
	}
	if !strings.Contains(source, "thread_elements") {
		o.MatrixLayout = 0 // which nothing else shows
	}
	apple, err := appleArithmetic()
	if err != nil {
		return "", err
	}
	flags := append(slices.Clone(execFlags), contraction[apple])
	if o.FastMath {
		flags = append(flags, "-DMSL_FAST_MATH")
	}
	if o.Counted {
		plugin, err := PassPlugin()
		if err != nil {
			return "", err
		}
		flags = append(flags, "-g", "-fpass-plugin="+plugin)
	}
	path = filepath.Join(t.cache, fmt.Sprintf("shader-%s.so", t.key(source, o.LanguageVersion,
		fmt.Sprint(slices.Sorted(maps.Keys(o.Macros)), o.Macros, flags, o.gpu()))))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	work, err := os.MkdirTemp(t.cache, "compile-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	c := compilation{tools: t, work: work, source: source, flags: flags, counted: o.Counted}
	c.apple, c.gpu = apple, o.gpu()
	c.standard = standard(cmp.Or(o.LanguageVersion, defaultLanguageVersion))
	built, err := c.run(o)
	if err != nil {
		return "", err
	}
	link := filepath.Join(work, "link.so")
	if err := os.Link(built, link); err != nil {
		return "", err
	}
	if err := os.Rename(link, path); err != nil {
		return "", err
	}
	return path, nil
}

// tools are what compilations share.
type tools struct {
	compiler string
	cache    string // directory
	include  string // directory with msl/ and sim/ below it
	machine  string // what the compiler and this machine's instructions are

	mutex       sync.Mutex
	precompiled map[string]string
}

var shaderTools = sync.OnceValues(func() (*tools, error) {
	compiler, err := lookCompiler()
	if err != nil {
		return nil, err
	}
	version, err := exec.Command(compiler, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("%s --version: %w", compiler, err)
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	t := &tools{compiler: compiler, cache: filepath.Join(user, "glm4-metal", "metalsim"), precompiled: map[string]string{}}
	t.machine = string(version) + runtime.GOARCH + processor()
	t.include = filepath.Join(t.cache, "headers-"+t.key())
	return t, t.writeHeaders()
})

// processor names the features of this machine, since code is compiled for it.
func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for _, line := range strings.Split(string(info), "\n") {
		if strings.HasPrefix(line, "flags") || strings.HasPrefix(line, "Features") {
			return line
		}
	}
	return ""
}

// key is a hash of the headers, the compiler, the machine, this code and the parts.
func (t *tools) key(parts ...string) string {
	hash := sha256.New()
	add := func(s []byte) {
		fmt.Fprintf(hash, "%d:", len(s))
		hash.Write(s)
	}
	add([]byte(t.machine))
	fs.WalkDir(headers, ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			data, _ := headers.ReadFile(name)
			add([]byte(name))
			add(data)
		}
		return err
	})
	add([]byte(rewrite.Fingerprint()))
	for _, name := range []string{"compile.go", "diagnostic.go", "recursion.go"} {
		data, _ := judges.ReadFile(name)
		add(data)
	}
	for _, p := range parts {
		add([]byte(p))
	}
	return hex.EncodeToString(hash.Sum(nil)[:12])
}

func (t *tools) writeHeaders() error {
	if _, err := os.Stat(t.include); err == nil {
		return nil
	}
	if err := os.MkdirAll(t.cache, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(t.cache, "headers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.CopyFS(work, headers); err != nil {
		return err
	}
	macros, err := headers.ReadFile("msl/macros.h")
	if err != nil {
		return err
	}
	for _, name := range libraryHeaders {
		file := filepath.Join(work, "macros", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, macros, 0o644); err != nil {
			return err
		}
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return err
	}
	if err := os.Rename(work, t.include); err != nil && !exists(t.include) {
		return err
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// machineFlags ask for the instructions of this machine, such as those that convert half, but not for x86's conversions
// to bfloat, which turn subnormals into zero.
func machineFlags() []string {
	if runtime.GOARCH == "arm64" {
		return []string{"-mcpu=native"}
	}
	return []string{"-march=native", "-mno-avx512bf16", "-mno-avxneconvert"}
}

// precompile returns the headers compiled under the flags, which saves most of a shader's time.
func (t *tools) precompile(flags []string) (string, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	key := strings.Join(flags, " ")
	if path, ok := t.precompiled[key]; ok {
		return path, nil
	}
	path := filepath.Join(t.cache, "headers-"+t.key(key)+".pch")
	if !exists(path) {
		work, err := os.MkdirTemp(t.cache, "precompile-")
		if err != nil {
			return "", err
		}
		defer os.RemoveAll(work)
		built := filepath.Join(work, "headers.pch")
		args := append(slices.Clone(flags), "-x", "c++-header", filepath.Join(t.include, "msl/metal_stdlib.h"), "-o", built)
		if out, err := exec.Command(t.compiler, args...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("compiling the headers of the Metal stand-in: %w\n%s", err, out)
		}
		if err := os.Rename(built, path); err != nil {
			return "", err
		}
	}
	t.precompiled[key] = path
	return path, nil
}

// A compilation is one shader on its way.
type compilation struct {
	*tools
	work, source string
	flags        []string
	standard     []string // flags of the text alone
	counted      bool
	apple        bool
	gpu          string // what its headers leave open
}

// gpu defines what the headers declare and a GPU decides.
func (o Options) gpu() string {
	return fmt.Sprintf("namespace metal_sim { const bool flush_half = %t; const unsigned matrix_layout = %d; }\n",
		o.FlushHalf, o.MatrixLayout)
}

// run compiles and returns the path of what was built, in the cache.
func (c *compilation) run(o Options) (string, error) {
	preprocessed, err := c.preprocess(o)
	if err != nil {
		return "", err
	}
	// Most languages differ in what a text does not ask for.
	path := filepath.Join(c.cache, fmt.Sprintf("text-%s.so", c.key(preprocessed, c.source,
		fmt.Sprint(c.standard, c.flags, c.gpu))))
	if exists(path) {
		return path, nil
	}
	r, err := rewrite.Rewrite(preprocessed)
	places := places{source: c.source, preprocessed: rows(preprocessed)}
	if err != nil {
		return "", places.rewriteErrors(err)
	}
	var strict [2][]diagnostic
	var passes sync.WaitGroup
	for i, extensions := range strictExtensions {
		passes.Go(func() { strict[i] = c.strict(r, places, extensions) })
	}
	built, found, err := c.build(r, places)
	passes.Wait()
	if all := merge(merge(strict[0], strict[1]), found); len(all) > 0 {
		return "", places.report(all)
	}
	if err != nil {
		return "", err
	}
	if r.MayRecurse {
		found, err := c.recursion(r, places)
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return "", places.report(merge(nil, found))
		}
	}
	return path, os.Rename(built, path)
}

// preprocess expands macros and conditions, with nothing defined but what Metal defines.
func (c *compilation) preprocess(o Options) (string, error) {
	major, minor, _ := strings.Cut(cmp.Or(o.LanguageVersion, defaultLanguageVersion), ".")
	args := []string{"-x", "c++", "-std=c++17", "-E", "-undef", "-nostdinc", "-isystem",
		filepath.Join(c.include, "macros"),
		"-D__METAL__=1", "-D__METAL_MACOS__=1", "-D__AIR64__=1", "-D__METAL_VERSION__=" + major + minor + "0"}
	if o.FastMath {
		args = append(args, "-D__FAST_MATH__=1")
	}
	for _, name := range slices.Sorted(maps.Keys(o.Macros)) {
		args = append(args, "-D"+name+"="+o.Macros[name])
	}
	args = append(append(args, diagnosticFlags...), "-")
	out, messages, err := c.clang("#line 1 \"program_source\"\n"+c.source, args...)
	places := places{source: c.source}
	if err != nil {
		if found := parseDiagnostics(messages, places.identity); len(found) > 0 {
			return "", places.report(found)
		}
		return "", fmt.Errorf("preprocessing the shader: %w\n%s", err, messages)
	}
	return out, nil
}

// clang runs the compiler on a text and returns both of its outputs.
func (c *compilation) clang(text string, args ...string) (out, messages string, err error) {
	limit, cancel := context.WithTimeoutCause(context.Background(), compileLimit,
		errors.New("the compiler takes longer than "+compileLimit.String()))
	defer cancel()
	cmd := exec.CommandContext(limit, c.compiler, args...)
	cmd.Dir = c.work
	cmd.Stdin = strings.NewReader(text)
	var o, m bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &m
	if err = cmd.Run(); limit.Err() != nil {
		err = context.Cause(limit)
	}
	return o.String(), m.String(), err
}

// strict checks the address spaces.
func (c *compilation) strict(r *rewrite.Result, p places, extensions string) []diagnostic {
	text := strictKeywords + "#line 1 \"program_source\"\n" + r.Strict
	args := append(slices.Clone(strictFlags), diagnosticFlags...)
	args = append(args, "-Xclang", extensions, "-include", filepath.Join(c.include, "msl/strict.h"), "-")
	_, messages, _ := c.clang(text, args...)
	found := parseDiagnostics(messages, func(line, column int) (int, int) {
		return p.original(line, r.StrictPosition(line, column))
	})
	return slices.DeleteFunc(found, func(d diagnostic) bool { return !d.aboutAddressSpaces() })
}

// execText is what runs, and its registration.
func (c *compilation) execText(r *rewrite.Result) string {
	text := c.gpu + fmt.Sprintf(
		"#define METAL_SIM_COUNTED %t\n#define METAL_SIM_FLUSH %t\n%s#line 1 \"program_source\"\n%s",
		c.counted, c.apple, execKeywords, r.Exec)
	if r.Registration == "" {
		return text // of a source with an open bracket
	}
	return text + endOfKeywords + r.Registration
}

// build compiles what runs.
func (c *compilation) build(r *rewrite.Result, p places) (string, []diagnostic, error) {
	flags := append(slices.Clone(c.flags), machineFlags()...)
	flags = append(flags, "-isystem", filepath.Join(c.include, "msl/std"))
	headers, err := c.precompile(flags)
	if err != nil {
		return "", nil, err
	}
	built := filepath.Join(c.work, "shader.so")
	args := slices.Concat(flags, c.standard, diagnosticFlags)
	args = append(args, "-include-pch", headers, "-shared", "-nostdlib++", "-Wl,-Bsymbolic", "-x", "c++", "-", "-o", built,
		"-lm")
	_, messages, err := c.clang(c.execText(r), args...)
	if err == nil {
		return built, nil, nil
	}
	found := parseDiagnostics(messages, func(line, column int) (int, int) {
		return p.original(line, r.ExecPosition(line, column))
	})
	if len(found) == 0 {
		err = fmt.Errorf("compiling the shader: %w\n%s", err, messages)
	} else {
		err = nil
	}
	return built, found, err
}
