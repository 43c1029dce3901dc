// The float versions that the functions of metal_math are made of. precise_float has the C library's accuracy, which is
// within the bounds of the MSL specification (8.1); fast_float follows its formulas for fast math (8.2), so that errors
// of the size to be expected on a GPU show: pow(x, y) is exp2(y * log2(x)), sin and cos reduce their argument in float.
#pragma once
#include "vector.h"

// Some releases of libgcc lack the conversion that clang calls for bfloat.
extern "C" __attribute__((used, weak)) inline __bf16 __truncsfbf2(float f) {
  unsigned u = __builtin_bit_cast(unsigned, f);
  unsigned short r = __builtin_isnan(f) ? u >> 16 | 0x40 : (u + 0x7fff + (u >> 16 & 1)) >> 16;
  return __builtin_bit_cast(__bf16, r);
}

namespace metal_sim {
namespace precise_float {
#define MSL_C1(name) inline float name(float x) { return __builtin_##name##f(x); }
#define MSL_C2(name) inline float name(float x, float y) { return __builtin_##name##f(x, y); }
MSL_C1(acos) MSL_C1(acosh) MSL_C1(asin) MSL_C1(asinh) MSL_C1(atan) MSL_C1(atanh) MSL_C1(ceil) MSL_C1(cos) MSL_C1(cosh)
MSL_C1(exp) MSL_C1(exp2) MSL_C1(fabs) MSL_C1(floor) MSL_C1(log) MSL_C1(log10) MSL_C1(log2) MSL_C1(rint) MSL_C1(round)
MSL_C1(sin) MSL_C1(sinh) MSL_C1(sqrt) MSL_C1(tan) MSL_C1(tanh) MSL_C1(trunc)
MSL_C2(atan2) MSL_C2(copysign) MSL_C2(fdim) MSL_C2(fmax) MSL_C2(fmin) MSL_C2(fmod) MSL_C2(pow)
#undef MSL_C1
#undef MSL_C2
inline float abs(float x) { return __builtin_fabsf(x); }
inline float max(float x, float y) { return __builtin_fmaxf(x, y); }
inline float min(float x, float y) { return __builtin_fminf(x, y); }
inline float divide(float x, float y) { return x / y; }
inline float powr(float x, float y) { return x < 0 ? __builtin_nanf("") : __builtin_powf(x, y); }
inline float exp10(float x) { return float(__builtin_pow(10.0, double(x))); }
inline float rsqrt(float x) { return float(1.0 / __builtin_sqrt(double(x))); }
inline float fract(float x) { return __builtin_isinf(x) ? 0.0f : __builtin_fminf(x - __builtin_floorf(x), 0x1.fffffep-1f); }
inline double half_turns(float x) { return 3.14159265358979323846 * (double(x) - 2.0 * __builtin_rint(double(x) / 2.0)); }
inline float sinpi(float x) { return float(__builtin_sin(half_turns(x))); }
inline float cospi(float x) { return float(__builtin_cos(half_turns(x))); }
inline float tanpi(float x) { return float(__builtin_tan(half_turns(x))); }
inline float saturate(float x) { return __builtin_fminf(__builtin_fmaxf(x, 0.0f), 1.0f); }
inline float sign(float x) { return x > 0 ? 1.0f : x < 0 ? -1.0f : x == 0 ? x : 0.0f; }
inline float step(float edge, float x) { return x < edge ? 0.0f : 1.0f; }
inline float fma(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
inline float clamp(float x, float lo, float hi) { return __builtin_fminf(__builtin_fmaxf(x, lo), hi); }
inline float mix(float x, float y, float a) { return x + (y - x) * a; }
inline float smoothstep(float lo, float hi, float x) {
  float t = saturate((x - lo) / (hi - lo));
  return t * t * (3.0f - 2.0f * t);
}
inline float max3(float x, float y, float z) { return max(x, max(y, z)); }
inline float min3(float x, float y, float z) { return min(x, min(y, z)); }
inline float median3(float x, float y, float z) { return max(min(x, y), min(max(x, y), z)); }
inline float fmax3(float x, float y, float z) { return max3(x, y, z); }
inline float fmin3(float x, float y, float z) { return min3(x, y, z); }
inline float fmedian3(float x, float y, float z) { return median3(x, y, z); }
inline float ldexp(float x, int n) { return __builtin_ldexpf(x, n); }
} // namespace precise_float

namespace fast_float {
using namespace precise_float;
inline float exp(float x) { return __builtin_exp2f(x * 0x1.715476p+0f); }
inline float exp10(float x) { return __builtin_exp2f(x * 0x1.a934fp+1f); }
inline float log(float x) { return __builtin_log2f(x) * 0x1.62e43p-1f; }
inline float log10(float x) { return __builtin_log2f(x) * 0x1.344136p-2f; }
inline float pow(float x, float y) { return __builtin_exp2f(y * __builtin_log2f(x)); }
inline float powr(float x, float y) { return pow(x, y); }
inline float reduce(float x) { return x - 0x1.921fb6p+2f * __builtin_rintf(x * 0x1.45f306p-3f); }
inline float sin(float x) { return __builtin_sinf(reduce(x)); }
inline float cos(float x) { return __builtin_cosf(reduce(x)); }
inline float tan(float x) { return sin(x) / cos(x); }
inline float tanh(float x) {
  float t = exp(-2.0f * __builtin_fabsf(x));
  return __builtin_copysignf((1.0f - t) / (1.0f + t), x);
}
inline float sinh(float x) { return 0.5f * (exp(x) - exp(-x)); }
inline float cosh(float x) { return 0.5f * (exp(x) + exp(-x)); }
} // namespace fast_float
} // namespace metal_sim
