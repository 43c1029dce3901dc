//go:build linux && (amd64 || arm64)

package metalsim_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/metalsim"
)

// A refused source does not compile; its right twin, the source with the replacement made, does.
type refused struct {
	name, source string
	wrong, right string // what stands in place of @ in each
	want         string // the first line of the error
	more         string // what the error says too
}

var refusedSources = []refused{
	{name: "device pointer for a threadgroup parameter", source: `void f(threadgroup float *p) { p[0] = 1; }
kernel void k(device float *x [[buffer(0)]], threadgroup float *t [[threadgroup(0)]]) {
  f(@);
}`, wrong: "x", right: "t", want: "program_source:5:3: error: no matching function for call to 'f'",
		more: "cannot pass pointer to address space 'device' as a pointer to address space 'threadgroup' in 1st argument"},
	{name: "threadgroup pointer for a device variable",
		source: `kernel void k(device float *x [[buffer(0)]], threadgroup float *t [[threadgroup(0)]]) {
  device float *p = @;
  p[0] = 1;
}`, wrong: "t", right: "x + 1", want: "program_source:4:17: error: cannot initialize a variable of type 'device float *' with an lvalue of type 'threadgroup float *'"},
	{name: "device pointer for an unqualified parameter", source: `float f(@ float *p) { return p[0]; }
kernel void k(device float *x [[buffer(0)]]) {
  x[0] = f(x);
}`, wrong: "const", right: "const device", want: "program_source:5:10: error: no matching function for call to 'f'"},
	{name: "device reference for a thread reference", source: `void f(@ float &p) { p = 1; }
kernel void k(device float *x [[buffer(0)]]) {
  f(x[0]);
}`, wrong: "thread", right: "device", want: "program_source:5:3: error: no matching function for call to 'f'"},
	{name: "address space in a template's argument",
		source: `template <typename T> T f(const threadgroup T *p) { return *p; }
kernel void k(device float *x [[buffer(0)]]) {
  threadgroup float t[4];
  x[0] = f(@);
}`, wrong: "x", right: "t", want: "program_source:6:10: error: no matching function for call to 'f'"},
	{name: "address space inside a template", source: `void f(threadgroup float *p) { p[0] = 1; }
template <typename T> void g(device T *x, threadgroup T *t) {
  f(@);
}
kernel void k(device float *x [[buffer(0)]], threadgroup float *t [[threadgroup(0)]]) {
  g(x, t);
}`, wrong: "x", right: "t", want: "program_source:5:3: error: no matching function for call to 'f'"},
	{name: "cast from device to threadgroup",
		source: `kernel void k(device float *x [[buffer(0)]], threadgroup float *t [[threadgroup(0)]]) {
  x[0] = ((threadgroup uint *)@)[0];
}`, wrong: "x", right: "t", want: "program_source:4:11: error: C-style cast from 'device float *' to 'threadgroup uint *' converts between mismatching address spaces"},
	{name: "cast inside the construction of a vector", source: `float f(threadgroup float *p) { return p[0]; }
kernel void k(device float4 *x [[buffer(0)]], threadgroup float *t [[threadgroup(0)]]) {
  x[0] = float4(x[1].xy, f((device @ *)t), 0);
}`, wrong: "float", right: "float *)0 ? t : (threadgroup float", want: "program_source:5:28: error: C-style cast from 'threadgroup float *' to 'device float *' converts between mismatching address spaces"},
	{name: "write to constant memory", source: `struct Args { uint n; };
kernel void k(device uint *x [[buffer(0)]], constant Args &args [[buffer(1)]]) {
  @ = 3;
}`, wrong: "args.n", right: "x[0]", want: "program_source:5:10: error: read-only variable is not assignable"},
	{name: "write to constant data", source: `constant float table[2] = {1, 2};
kernel void k(device float *x [[buffer(0)]]) {
  @[0] = 3;
}`, wrong: "table", right: "x", want: "program_source:5:12: error: read-only variable is not assignable"},
	{name: "write through a pointer to const", source: `kernel void k(device @ float *x [[buffer(0)]]) {
  *x = 3;
}`, wrong: "const", right: "", want: "program_source:4:6: error: read-only variable is not assignable"},
	{name: "constant pointer for a device parameter", source: `float f(device const float *p) { return p[0]; }
kernel void k(device float *x [[buffer(0)]], constant float *c [[buffer(1)]]) {
  x[0] = f(@);
}`, wrong: "c", right: "x", want: "program_source:5:10: error: no matching function for call to 'f'"},
	{name: "unknown attribute", source: `kernel void k(device float *x [[buffer(0)]],
              uint i [[@]]) {
  x[i] = 1;
}`, wrong: "thread_position_in_the_grid", right: "thread_position_in_grid", want: "program_source:4:24: error: unknown attribute 'thread_position_in_the_grid' of parameter 'i'"},
	{name: "parameter without an attribute", source: `kernel void k(device float *x [[buffer(0)]],
              uint i @) {
  x[i] = 1;
}`, wrong: "", right: "[[thread_position_in_grid]]", want: "program_source:4:20: error: invalid type 'uint' for input declaration in a kernel function: parameter 'i' has no attribute such as [[buffer(0)]]"},
	{name: "type of a builtin", source: `kernel void k(device float *x [[buffer(0)]],
              @ i [[thread_position_in_grid]]) {
  x[i] = 1;
}`, wrong: "int", right: "ushort", want: "program_source:4:23: error: type 'int' is not valid for attribute 'thread_position_in_grid'"},
	{name: "vector for a scalar builtin", source: `kernel void k(device float *x [[buffer(0)]],
              @ i [[thread_index_in_simdgroup]]) {
  x[0] = 1;
}`, wrong: "uint3", right: "uint", want: "program_source:4:25: error: type 'uint3' is not valid for attribute 'thread_index_in_simdgroup': a scalar is"},
	{name: "dimensions that differ", source: `kernel void k(device float *x [[buffer(0)]],
              uint2 i [[thread_position_in_grid]],
              @ n [[threads_per_grid]]) {
  x[i.x] = 1;
}`, wrong: "uint3", right: "uint2", want: "program_source:5:25: error: attribute 'threads_per_grid' of 'n' has 3 components, but another position or size in the grid has 2"},
	{name: "duplicate index", source: `kernel void k(device float *x [[buffer(0)]],
              device float *y [[buffer(@)]]) {
  x[0] = y[0];
}`, wrong: "0", right: "1", want: "program_source:4:33: error: cannot reserve 'buffer' resource location at index 0: taken by 'x'"},
	{name: "index out of range", source: `kernel void k(device float *x [[buffer(@)]]) {
  x[0] = 1;
}`, wrong: "31", right: "30", want: "program_source:3:33: error: 'buffer' attribute parameter is out of bounds: must be between 0 and 30"},
	{name: "buffer by value", source: `kernel void k(device float *x [[buffer(0)]], @ n [[buffer(1)]]) {
  x[0] = n;
}`, wrong: "uint", right: "constant uint &", want: "program_source:3:55: error: type 'uint' is not valid for attribute 'buffer': a pointer or a reference is"},
	{name: "pointer without an address space", source: `kernel void k(@ float *x [[buffer(0)]]) {
  x[0] = 1;
}`, wrong: "", right: "device", want: "program_source:3:27: error: parameter 'x' needs an address space: device, constant or threadgroup"},
	{name: "double", source: `kernel void k(device float *x [[buffer(0)]]) {
  @ d = 1.0;
  x[0] = d;
}`, wrong: "double", right: "float", want: "program_source:4:3: error: 'double' is not supported in Metal"},
	{name: "recursion", source: `uint f(uint n) {
  return n == 0 ? 1 : n * @(n - 1);
}
kernel void k(device uint *x [[buffer(0)]]) {
  x[0] = f(3);
}`, wrong: "f", right: "uint", want: "program_source:4:27: error: recursive function calls are not supported in Metal"},
	{name: "recursion through another function", source: `uint g(uint n);
uint f(uint n) {
  return n == 0 ? 1 : g(n - 1);
}
uint g(uint n) {
  return n * @(n);
}
kernel void k(device uint *x [[buffer(0)]]) {
  x[0] = f(3);
}`, wrong: "f", right: "uint", want: "program_source:8:14: error: recursive function calls are not supported in Metal"},
	{name: "missing semicolon", source: `kernel void k(device float *x [[buffer(0)]]) {
  float a = 1@
  x[0] = a;
}`, wrong: "", right: ";", want: "program_source:4:14: error: expected ';' at end of declaration"},
	{name: "missing brace", source: `kernel void k(device float *x [[buffer(0)]]) {
  if (x[0] > 1) {
    x[0] = 1;
@
}`, wrong: "", right: "}", want: "program_source:7:2: error: expected '}'"},
	{name: "undeclared identifier", source: `kernel void k(device float *x [[buffer(0)]]) {
  x[0] = @;
}`, wrong: "y", right: "x[1]", want: "program_source:4:10: error: use of undeclared identifier 'y'"},
	{name: "a function of another library", source: `kernel void k(device float *x [[buffer(0)]]) {
  x[0] = @(x[1]);
}`, wrong: "std::abs", right: "abs", want: "program_source:4:10: error: use of undeclared identifier 'std'"},
	{name: "threadgroup variable outside of a kernel", source: `void f(device float *x) {
  @ float t[4];
  t[0] = 1;
  x[0] = t[0];
}
kernel void k(device float *x [[buffer(0)]]) {
  f(x);
}`, wrong: "threadgroup", right: "thread", want: "program_source:4:21: error: variable 't' in 'threadgroup' address space can only be declared in a kernel function"},
	{name: "variable of the program outside of constant memory", source: `@ float scale = 2;
kernel void k(device float *x [[buffer(0)]]) {
  x[0] *= scale;
}`, wrong: "", right: "constant", want: "program_source:3:8: error: program scope variable must reside in constant address space"},
	{name: "mixed types", source: `kernel void k(device half *x [[buffer(0)]]) {
  x[0] = max(x[1], @);
}`, wrong: "0.0f", right: "0.0h", want: "program_source:4:10: error: call to 'max' is ambiguous"},
	{name: "vectors of different types",
		source: `kernel void k(device float4 *x [[buffer(0)]], device half4 *y [[buffer(1)]]) {
  x[0] = x[1] + @;
}`, wrong: "y[0]", right: "float4(y[0])", want: "program_source:4:15: error: invalid operands to binary expression ('float4' and 'half4')"},
	{name: "swizzle with a component twice, written", source: `kernel void k(device float4 *x [[buffer(0)]]) {
  x[0].@ = x[1].xy;
}`, wrong: "xx", right: "yx", want: "program_source:4:8: error: static assertion failed"},
	{name: "component that is not there", source: `kernel void k(device float2 *x [[buffer(0)]]) {
  x[0].x = x[1].@;
}`, wrong: "z", right: "y", want: "program_source:4:17: error: no member named 'z' in 'float2'"},
	{name: "too many components", source: `kernel void k(device float4 *x [[buffer(0)]]) {
  x[0] = float4(x[1].xyz, @);
}`, wrong: "x[1].xy", right: "x[1].x", want: "program_source:4:10: error: no matching constructor for initialization of 'float4'"},
	{name: "include", source: `#include <@>
kernel void k(device float *x [[buffer(0)]]) { x[0] = 1; }`, wrong: "vector", right: "metal_math", want: "program_source:3:10: error: 'vector' file not found"},
	{name: "lambda", source: `kernel void k(device float *x [[buffer(0)]]) {
  auto f = @(float a) { return a; }@;
  x[0] = f;
}`, wrong: "[]", right: "", want: "program_source:4:12: error: lambda expressions are not supported in Metal"},
	{name: "allocation", source: `kernel void k(device float *x [[buffer(0)]]) {
  thread float *p = @;
  x[0] = p[0];
}`, wrong: "new float", right: "nullptr", want: "program_source:4:21: error: 'new' is not supported in Metal"},
	{name: "virtual function", source: `struct S { @ float f() const { return 1; } };
kernel void k(device float *x [[buffer(0)]]) { S s; x[0] = s.f(); }`, wrong: "virtual", right: "", want: "program_source:3:12: error: virtual functions are not supported in Metal"},
	{name: "method of thread memory on device memory", source: `struct S { float a; float f() const @ { return a; } };
kernel void k(device S *s [[buffer(0)]], device float *x [[buffer(1)]]) {
  x[0] = s->f();
}`, wrong: "", right: "device", want: "program_source:5:10: error: cannot initialize object parameter of type 'const S' with an expression of type 'device S'"},
	{name: "host name that is taken", source: `template <typename T> kernel void k(device T *x [[buffer(0)]]) { x[0] = 1; }
template [[host_name("a")]] kernel void k<float>(device float *x [[buffer(0)]]);
template [[host_name("@")]] kernel void k<half>(device half *x [[buffer(0)]]);`, wrong: "a", right: "b", want: "program_source:5:1: error: host name 'a' is taken at line 4"},
	{name: "as_type of another size", source: `kernel void k(device float *x [[buffer(0)]]) {
  x[0] = as_type<float>(@);
}`, wrong: "ushort(1)", right: "1u", want: "program_source:4:10: error: static assertion failed"},
	{name: "error directive", source: `#if @
#error wrong
#endif
kernel void k(device float *x [[buffer(0)]]) { x[0] = 1; }`, wrong: "1", right: "0", want: "program_source:4:2: error: wrong"},
}

func TestWrongSourceCompiles(t *testing.T) {
	for _, c := range refusedSources {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := metalsim.Compile(header+strings.ReplaceAll(c.source, "@", c.wrong), metalsim.Options{})
			require.Error(t, err)
			first, _, _ := strings.Cut(err.Error(), "\n")
			require.True(t, strings.HasPrefix(first, c.want), "want %s\ngot %s", c.want, err)
			require.Contains(t, err.Error(), c.more)
			right := c.source
			if c.name == "lambda" {
				right = strings.Replace(right, "@(float a) { return a; }@", "1.0f", 1)
			}
			_, err = metalsim.Compile(header+strings.ReplaceAll(right, "@", c.right), metalsim.Options{})
			require.NoError(t, err)
		})
	}
}

// The errors of a source are all told, in the order of their lines, each with its line of the source.
func TestErrorsOutOfOrder(t *testing.T) {
	_, err := metalsim.Compile(`#include <metal_stdlib>
using namespace metal;
#define SET(p, v) p[0] = v
void f(threadgroup float *p) { p[0] = 1; }
kernel void k(device float *x [[buffer(0)]]) { // a comment
  float   y = z;   /* two */ f(x);
  SET(x, w);
	f(x);
}
`, metalsim.Options{})
	require.EqualError(t, err, `program_source:6:15: error: use of undeclared identifier 'z'
  float   y = z;   /* two */ f(x);
              ^
program_source:6:30: error: no matching function for call to 'f'
  float   y = z;   /* two */ f(x);
                             ^
program_source:4:6: note: candidate function not viable: cannot pass pointer to address space 'device' as a pointer to address space 'threadgroup' in 1st argument
void f(threadgroup float *p) { p[0] = 1; }
     ^
program_source:7:10: error: use of undeclared identifier 'w'
  SET(x, w);
         ^
program_source:8:2: error: no matching function for call to 'f'
	f(x);
	^
program_source:4:6: note: candidate function not viable: cannot pass pointer to address space 'device' as a pointer to address space 'threadgroup' in 1st argument
void f(threadgroup float *p) { p[0] = 1; }
     ^`)
}

// What Metal takes: address spaces that fit, structs copied between them, overloads by address space.
func TestRightAddressSpacesRefused(t *testing.T) {
	_, err := metalsim.Compile(header+`
struct Args { uint n; float4 v; packed_half3 h; };
struct Counter {
  uint n;
  Counter() = default;
  Counter(uint n) thread : n(n) {}
  uint get() const thread { return n; }
  uint get() const device { return n; }
  uint get() const constant { return n; }
};
template <typename T> struct pointee {};
template <typename T> struct pointee<device T *> { typedef T type; };
template <typename T> struct pointee<threadgroup T *> { typedef T type; };
float first(const device float *p) { return p[0]; }
float first(const threadgroup float *p) { return p[0]; }
float first(const thread float *p) { return p[0]; }
Args copy(Args a) { return a; }
constant float4 table[2] = {float4(1), float4(1, 2, 3, 4)};
constant constexpr float scale = 2.0;
template <typename T, int N> void fill(threadgroup T (&t)[N], T v) { for (int i = 0; i < N; i++) t[i] = v; }
kernel void k(device Args *x [[buffer(0)]], constant Args &a [[buffer(1)]], device float *y [[buffer(2)]],
              constant Counter *c [[buffer(3)]], device atomic_uint *n [[buffer(4)]]) {
  threadgroup float t[2][4];
  threadgroup Args ta;
  ta = a;
  x[0] = copy(x[1]);
  x[1] = copy(a);
  x[2] = ta;
  Args b = a, d = x[3];
  thread float4 &v = b.v;
  v.xy += d.v.zw * scale;
  const device Args &r = x[4];
  pointee<device float *>::type s = first(y) + first(&t[0][0]) + first(&s) + r.h.x;
  fill(t[1], 1.0f);
  int e;
  y[0] = frexp(s, e) + (float4(half4(table[1])) + (float4)half4(x[0].v)).w + y[c[0].get() + Counter(3).get()];
  uint expected = 3;
  atomic_compare_exchange_weak_explicit(n, &expected, 4u, memory_order_relaxed, memory_order_relaxed);
  auto p = y + 1;
  p[0] = as_type<float>(as_type<uint>(y[1])) + float(uint(y[2]) << 2 >> 1);
}`, metalsim.Options{})
	require.NoError(t, err)
}

// Metal is C++14 before its version 4, and a Go binary gets 2.4 unless it asks for another.
func TestNewerLanguageIsTaken(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{"template <int N> int f() { if constexpr (N > 1) return 1; else return 2; }", "error: constexpr if"},
		{"template <typename... T> int f(T... v) { return (v + ...); }", "error: pack fold expression"},
		{"template <auto N> int f() { return N; }", "error: non-type template parameters declared with 'auto'"},
		{"struct S { int a, b; }; int f(S s) { auto [a, b] = s; return a + b; }", "error: decomposition"},
		{"template <typename T> struct S { S(T v) {} }; void f() { S s(1); }", "error: class template argument"},
		{"namespace a::b { int f() { return 1; } }", "error: nested namespace"},
		{"int f(int a) { if (int b = a; b > 1) return b; return a; }", "error: if initialization"},
		{"void f() { static_assert(true); }", "error: 'static_assert' with no message"},
	} {
		for _, version := range []string{"", "2.4", "3.2"} {
			_, err := metalsim.Compile(header+c.source, metalsim.Options{LanguageVersion: version})
			require.ErrorContains(t, err, c.want, "%q", version)
		}
		_, err := metalsim.Compile(header+c.source, metalsim.Options{LanguageVersion: "4.0"})
		require.NoError(t, err)
	}
}

// A compiled source is kept, under all that it depends on.
func TestCompiledAgain(t *testing.T) {
	source := header + "kernel void k(device float *x [[buffer(0)]]) { x[0] = VALUE; }"
	compile := func(value string, fast bool) (string, os.FileInfo) {
		path, err := metalsim.Compile(source, metalsim.Options{FastMath: fast, Macros: map[string]string{"VALUE": value}})
		require.NoError(t, err)
		info, err := os.Stat(path)
		require.NoError(t, err)
		return path, info
	}
	path, info := compile("1", false)
	again, same := compile("1", false)
	require.Equal(t, path, again)
	require.True(t, os.SameFile(info, same))
	other, _ := compile("2", false)
	require.NotEqual(t, path, other)
	fast, _ := compile("1", true)
	require.NotEqual(t, path, fast)
	require.Equal(t, filepath.Dir(path), filepath.Dir(other))
}

func TestCompiledAtOnce(t *testing.T) {
	source := header + fmt.Sprintf("kernel void k(device float *x [[buffer(0)]]) { x[0] = %d; }", os.Getpid())
	var group sync.WaitGroup
	paths := make([]string, 4)
	for i := range paths {
		group.Go(func() { paths[i], _ = metalsim.Compile(source, metalsim.Options{}) })
	}
	group.Wait()
	require.NoError(t, os.Remove(paths[0]))
	for _, path := range paths {
		require.Equal(t, paths[0], path)
	}
}
