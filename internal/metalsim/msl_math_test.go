//go:build linux && (amd64 || arm64)

package metalsim_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A function of metal_math against float64, with the bound of the MSL specification for the precise version (8.1) in
// ulps of the result; 0 is correctly rounded. The fast version has a bound of its own (8.2), in ulps or absolute.
type mathFunction struct {
	call     string // of x and y
	want     func(x, y float64) float64
	lo, hi   float64 // of x
	ylo, yhi float64
	ulps     float64
	fast     float64 // ulps, 0: as precise
	absolute float64 // of fast, instead of ulps
}

var mathFunctions = []mathFunction{
	{call: "acos(x)", want: one(math.Acos), lo: -1, hi: 1, ulps: 4},
	{call: "asin(x)", want: one(math.Asin), lo: -1, hi: 1, ulps: 4},
	{call: "atan(x)", want: one(math.Atan), lo: -100, hi: 100, ulps: 5},
	{call: "acosh(x)", want: one(math.Acosh), lo: 1, hi: 1000, ulps: 4},
	{call: "asinh(x)", want: one(math.Asinh), lo: -1000, hi: 1000, ulps: 4},
	{call: "atanh(x)", want: one(math.Atanh), lo: -0.99, hi: 0.99, ulps: 5},
	{call: "atan2(x, y)", want: math.Atan2, lo: -10, hi: 10, ylo: -10, yhi: 10, ulps: 6},
	{call: "ceil(x)", want: one(math.Ceil), lo: -100, hi: 100},
	{call: "floor(x)", want: one(math.Floor), lo: -100, hi: 100},
	{call: "trunc(x)", want: one(math.Trunc), lo: -100, hi: 100},
	{call: "round(x)", want: one(math.Round), lo: -100, hi: 100},
	{call: "rint(x)", want: one(math.RoundToEven), lo: -100, hi: 100},
	{call: "fract(x)", want: func(x, _ float64) float64 { return math.Min(x-math.Floor(x), 0x1.fffffep-1) }, lo: -100,
		hi: 100},
	{call: "abs(x)", want: one(math.Abs), lo: -100, hi: 100},
	{call: "fabs(x)", want: one(math.Abs), lo: -100, hi: 100},
	{call: "cos(x)", want: one(math.Cos), lo: -math.Pi, hi: math.Pi, ulps: 4, absolute: 1.0 / 8192},
	{call: "sin(x)", want: one(math.Sin), lo: -math.Pi, hi: math.Pi, ulps: 4, absolute: 1.0 / 8192},
	{call: "tan(x)", want: one(math.Tan), lo: -1.5, hi: 1.5, ulps: 6, absolute: 1.0 / 128},
	{call: "sin(x)", want: one(math.Sin), lo: -1e5, hi: 1e5, ulps: 4, absolute: 0.1},
	{call: "cosh(x)", want: one(math.Cosh), lo: -20, hi: 20, ulps: 4, fast: 50},
	{call: "sinh(x)", want: one(math.Sinh), lo: 1, hi: 20, ulps: 4, fast: 50},
	{call: "tanh(x)", want: one(math.Tanh), lo: -10, hi: 10, ulps: 5, absolute: 1e-5},
	{call: "cospi(x)", want: one(func(x float64) float64 { return math.Cos(math.Pi * math.Mod(x, 2)) }), lo: -10, hi: 10,
		ulps: 4},
	{call: "sinpi(x)", want: one(func(x float64) float64 { return math.Sin(math.Pi * math.Mod(x, 2)) }), lo: -10, hi: 10,
		ulps: 4},
	{call: "exp(x)", want: one(math.Exp), lo: -80, hi: 80, ulps: 4, fast: 163},
	{call: "exp2(x)", want: one(math.Exp2), lo: -120, hi: 120, ulps: 4},
	{call: "exp10(x)", want: one(func(x float64) float64 { return math.Pow(10, x) }), lo: -37, hi: 37, ulps: 4, fast: 163},
	{call: "log(x)", want: one(math.Log), lo: 2, hi: 1e6, ulps: 4, fast: 4},
	{call: "log2(x)", want: one(math.Log2), lo: 2, hi: 1e6, ulps: 4},
	{call: "log10(x)", want: one(math.Log10), lo: 2, hi: 1e6, ulps: 4, fast: 4},
	{call: "log(x)", want: one(math.Log), lo: 0.5, hi: 2, ulps: 4, absolute: 0x1p-21},
	{call: "sqrt(x)", want: one(math.Sqrt), lo: 0, hi: 1e6},
	{call: "rsqrt(x)", want: one(func(x float64) float64 { return 1 / math.Sqrt(x) }), lo: 1e-3, hi: 1e6, ulps: 2},
	{call: "pow(x, y)", want: math.Pow, lo: 0.1, hi: 10, ylo: -8, yhi: 8, ulps: 16, fast: 64},
	{call: "powr(x, y)", want: math.Pow, lo: 0.1, hi: 10, ylo: -8, yhi: 8, ulps: 16, fast: 64},
	{call: "fmod(x, y)", want: math.Mod, lo: -100, hi: 100, ylo: 0.1, yhi: 10},
	{call: "fma(x, y, x)", want: func(x, y float64) float64 { return math.FMA(x, y, x) }, lo: -100, hi: 100, ylo: -10,
		yhi: 10},
	{call: "copysign(x, y)", want: math.Copysign, lo: -100, hi: 100, ylo: -1, yhi: 1},
	{call: "fdim(x, y)", want: math.Dim, lo: -100, hi: 100, ylo: -100, yhi: 100},
	{call: "max(x, y)", want: math.Max, lo: -100, hi: 100, ylo: -100, yhi: 100},
	{call: "fmin(x, y)", want: math.Min, lo: -100, hi: 100, ylo: -100, yhi: 100},
	{call: "divide(x, y)", want: func(x, y float64) float64 { return x / y }, lo: -100, hi: 100, ylo: 1, yhi: 100},
	{call: "clamp(x, -1.0f, y)", want: func(x, y float64) float64 { return min(max(x, -1), y) }, lo: -100, hi: 100, ylo: 0,
		yhi: 10},
	{call: "saturate(x)", want: func(x, _ float64) float64 { return min(max(x, 0), 1) }, lo: -2, hi: 2},
	{call: "sign(x)", want: func(x, _ float64) float64 { return math.Copysign(1, x) }, lo: -2, hi: 2},
	{call: "step(x, y)", want: func(x, y float64) float64 {
		if y < x {
			return 0
		}
		return 1
	}, lo: -2, hi: 2, ylo: -2, yhi: 2},
	{call: "ldexp(x, int(y))", want: func(x, y float64) float64 { return math.Ldexp(x, int(y)) }, lo: -2, hi: 2, ylo: -20,
		yhi: 20},
	{call: "max3(x, y, 1.0f)", want: func(x, y float64) float64 { return max(x, y, 1) }, lo: -2, hi: 2, ylo: -2, yhi: 2},
	{call: "median3(x, y, 1.0f)", want: func(x, y float64) float64 { return max(min(x, y), min(max(x, y), 1)) }, lo: -2,
		hi: 2, ylo: -2, yhi: 2},
}

func one(f func(float64) float64) func(x, y float64) float64 {
	return func(x, _ float64) float64 { return f(x) }
}

// ulp is the distance of floats at v.
func ulp(v float64) float64 {
	_, e := math.Frexp(v)
	return math.Ldexp(1, max(e-24, -149))
}

// Each function in its precise, its fast and its default version, scalar and vector.
func TestMathFunctionOverItsBound(t *testing.T) {
	s := openStandIn(t)
	const samples = 500
	random := rand.New(rand.NewPCG(1, 2))
	x, y := make([]float32, samples*len(mathFunctions)), make([]float32, samples*len(mathFunctions))
	for i := range x {
		f := mathFunctions[i/samples]
		x[i] = float32(f.lo + (f.hi-f.lo)*random.Float64())
		y[i] = float32(f.ylo + (f.yhi-f.ylo)*random.Float64())
	}
	for _, space := range []string{"precise", "fast", "default fast", "default precise"} {
		var calls strings.Builder
		for i, f := range mathFunctions {
			call := f.call
			switch space {
			case "precise":
				call = "precise::" + call
			case "fast":
				call = "fast::" + call
			}
			vector := strings.NewReplacer("(x", "(float4(x, 1, 1, 1).yxzw", "int(y)", "int4(y)").Replace(call)
			fmt.Fprintf(&calls, "case %d: r[i] = %s; v[i] = (%s).y; break;\n", i, call, vector)
		}
		r, v := make([]float32, len(x)), make([]float32, len(x))
		run{source: `kernel void k(device const float *xs [[buffer(0)]], device const float *ys [[buffer(1)]], device float *r [[buffer(2)]],
                device float *v [[buffer(3)]], uint i [[thread_position_in_grid]]) {
  float x = xs[i], y = ys[i];
  switch (i / 500) {
  ` + calls.String() + `}
}`, threads: line(len(x)), group: line(100), precise: space == "default precise"}.on(t, s, x, y, r, v)
		isFast := strings.Contains(space, "fast")
		for i, f := range mathFunctions {
			worst := 0.0
			for k := i * samples; k < (i+1)*samples; k++ {
				want := f.want(float64(x[k]), float64(y[k]))
				if isFast && f.absolute > 0 {
					require.InDelta(t, want, r[k], f.absolute, "%s %s of %v, %v", space, f.call, x[k], y[k])
				} else {
					bound := f.ulps
					if isFast && f.fast > 0 {
						bound = f.fast
					}
					distance := math.Abs(want-float64(r[k])) / ulp(want)
					if bound == 0 {
						require.Equal(t, float32(want), r[k], "%s %s of %v, %v", space, f.call, x[k], y[k])
					} else {
						require.LessOrEqual(t, distance, bound, "%s %s of %v, %v", space, f.call, x[k], y[k])
					}
					worst = max(worst, distance)
				}
				require.Equal(t, r[k], v[k], "%s %s of %v, %v in a vector", space, f.call, x[k], y[k])
			}
			if isFast && f.fast > 0 {
				require.Greater(t, worst, 0.6, "fast %s is as good as the precise one", f.call)
			}
		}
	}
}

func TestMathSpecialValueWrong(t *testing.T) {
	s := openStandIn(t)
	words(t, s, `
  uint i = 0;
  #define B(v) y[i++] = as_type<uint>(float(v))
  B(max(NAN, 1.0f)); B(min(2.0f, NAN)); B(max(-0.0f, -INFINITY)); B(clamp(NAN, 0.0f, 1.0f)); B(saturate(-INFINITY));
  B(precise::exp(-INFINITY)); B(precise::exp(200.0f)); B(precise::log(0.0f)); B(precise::sqrt(-0.0f)); B(rsqrt(INFINITY));
  B(sign(-0.0f)); B(sign(NAN)); B(round(2.5f)); B(rint(2.5f)); B(round(-2.5f)); B(fract(-1e-9f)); B(precise::pow(0.0f, 0.0f));
  B(precise::powr(-1.0f, 2.0f) != precise::powr(-1.0f, 2.0f)); B(mix(1.0f, 5.0f, 0.25f)); B(smoothstep(0.0f, 4.0f, 1.0f)); B(fmod(-5.0f, 3.0f));
  B(exp(0.0h)); B(max(1.0h, 2.0h)); B(half(65504) * 2.0h); B(fmax3(1.0f, 3.0f, 2.0f)); B(nextafter(1.0f, 2.0f)); B(nextafter(0.0h, 1.0h));
  B(isnan(NAN)); B(isinf(-INFINITY)); B(isfinite(FLT_MAX)); B(isnormal(1e-40f)); B(isnormal(1.0f)); B(signbit(-0.0f)); B(isunordered(1.0f, NAN));
  B(isnan(half(NAN))); B(isinf(HALF_MAX)); B(isnormal(6e-8h)); B(ilogb(10.0f));
  int e; B(frexp(12.0f, e)); B(e); float w; B(modf(-3.75f, w)); B(w); float c; B(precise::sincos(0.0f, c)); B(c);
  B(numeric_limits<float>::max()); B(numeric_limits<half>::max()); B(numeric_limits<int>::min()); B(numeric_limits<half>::epsilon());
  B(numeric_limits<float>::infinity()); B(M_PI_F); B(1.0 / 3);`,
		bitsOf(1, 2, math.Copysign(0, -1), 0, 0,
			0, math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 0,
			math.Copysign(0, -1), 0, 3, 2, -3, 0x1.fffffep-1, 1,
			1, 2, 0.15625, -2,
			1, 2, math.Inf(1), 3, 0x1.000002p0, 0x1p-24,
			1, 1, 1, 0, 1, 1, 1,
			1, 0, 0, 3,
			0.75, 4, -0.75, -3, 0, 1,
			math.MaxFloat32, 65504, math.MinInt32, 0x1p-10,
			math.Inf(1), math.Pi, 1.0/3)...)
}

func bitsOf(values ...float64) []uint32 {
	b := make([]uint32, len(values))
	for i, v := range values {
		b[i] = math.Float32bits(float32(v))
	}
	return b
}

func TestGeometricFunctionWrong(t *testing.T) {
	s := openStandIn(t)
	floats(t, s, `
  float3 a(1, 2, 2), b(4, 5, 6);
  y[0] = dot(a, b); y[1] = length(a); y[2] = length_squared(b); y[3] = distance(a, float3(1, 5, 6)); y[4] = distance_squared(a, b);
  float3 c = cross(a, b); y[5] = c.x; y[6] = c.y; y[7] = c.z;
  float4 n = normalize(float4(0, 3, 0, 4)); y[8] = n.y * 5; y[9] = n.w * 5;
  float2 r = reflect(float2(1, -1), float2(0, 1)); y[10] = r.x; y[11] = r.y;
  y[12] = faceforward(a, b, a).x; y[13] = dot(half4(1, 2, 3, 4), half4(2048, 1, 1, 1));`,
		26, 3, 77, 5, 34, 2, 2, -3, 3, 4, 1, 1, -1, 2056)
}
