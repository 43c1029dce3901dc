package rewrite

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const example = `# 1 "program_source"
constant int n [[function_constant(0)]];
constant bool some = n > 2 && is_function_constant_defined(n);
struct S { float a; S(float a) thread : a(a) {} float get() const device { return a; } float get() const constant { return a; } };
template <typename T, int N = 4, void (*f)(device T *) = nullptr>
[[kernel, max_total_threads_per_threadgroup(N * 32)]] void k(device T *x [[buffer(0)]], constant S &s,
    device T *y [[buffer(2), function_constant(some)]], uint i [[thread_position_in_grid]]) {
  threadgroup T t[N][2], u;
#pragma unroll
  for (int j = 0; j < N; j++) t[j][0] = (vec<T, 4>)T(1.5);
  x[i] = float4(t[0][1], u, 1.0h, 0x1p3).x + 2;
}
template [[host_name("k4")]] kernel void k<float, 4>(device float *x [[buffer(0)]], constant S &s, device float *y [[buffer(2)]], uint i [[thread_position_in_grid]]);
`

// A line of the output holds what the line of the source holds, and its columns lead back.
func TestLineOrColumnMoved(t *testing.T) {
	r, err := Rewrite(example)
	require.NoError(t, err)
	require.Equal(t, []string{"k4"}, r.Kernels)
	source, exec, strict := strings.Split(example, "\n")[1:], strings.Split(r.Exec, "\n"), strings.Split(r.Strict, "\n")
	const row = 9 // x[i] = ..., line 10 with the marker left out
	require.Contains(t, source[row], "x[i]")
	for _, c := range []struct {
		text     string
		position func(line, column int) int
	}{{exec[row], r.ExecPosition}, {strict[row], r.StrictPosition}} {
		at := strings.Index(c.text, "+ 2") + 1
		require.Positive(t, at, c.text)
		require.Equal(t, strings.Index(source[row], "+ 2")+1, c.position(row+1, at))
	}
	require.Contains(t, exec[6], "metal_sim::threadgroup_variable<&k<T, N, f>, 1, T>::get()")
	require.Contains(t, exec[9], "1.0f16, 0x1p3f")
	require.Contains(t, exec[8], "T(1.5f)")
	require.Contains(t, strict[8], "metal_cast<vec<T, 4>>{} ->*metal_make<T>(1.5f)")
	require.Equal(t, 1, strings.Count(exec[2], "get"), "one of two methods that differ in their address space: %s",
		exec[2])
	require.Contains(t, r.Registration,
		`{sim::Argument::buffer, sim::Space::constant, sim::Builtin::none, 1, 5, "s", "constant S &", nullptr}`)
}

// Whatever comes out of the preprocessor, the rewriter answers, and its errors are at lines of the source.
func FuzzRewriterPanics(f *testing.F) {
	f.Add(example)
	for _, s := range []string{"kernel void k(", "template <", "template [[host_name(\"a\")]] kernel f<>;", "[[", "[[]]",
		"kernel void k([[buffer(0)]]) {}", "{{)}(", "operator",
		"struct {", "struct S { S() : a{", "constant int a [[function_constant(0)]] = 1", "void f() { threadgroup",
		"kernel void k() { threadgroup T a[; }", "\"", "# 5 \"x\"", "1.e+", "namespace a { using b",
		"template <typename... T> kernel void k(device float *x [[buffer(1)]], T... a) { threadgroup float y; }", "(float4)",
		"f() { f(); }", "typedef", "threadgroup float x [[", "kernel void", "[[kernel]]", "alignas", "a<b<c>>d(",
		"constant"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		_, err := Rewrite(source)
		for _, e := range all(err) {
			var at Error
			require.True(t, errors.As(e, &at), "%v", e)
			require.Positive(t, at.Column)
		}
	})
}

func all(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}
