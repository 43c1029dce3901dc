// metal_math, metal_common and metal_relational for half and float, scalars and vectors: overloads rather than
// templates, so that a call with mixed types is as ambiguous as in Metal. Metal has none for bfloat, which converts to float.
#pragma once
#include "float_functions.h"

#ifdef MSL_FAST_MATH
#define MSL_DEFAULT metal_sim::fast_float
#else
#define MSL_DEFAULT metal_sim::precise_float
#endif

#define MSL_VECTORS_1(T, name, n)                                        \
  inline metal_sim::vec<T, n> name(metal_sim::vec<T, n> x) {              \
    metal_sim::vec<T, n> r;                                              \
    for (int i = 0; i < n; i++) r.d[i] = name(T(x.d[i]));                \
    return r;                                                            \
  }
#define MSL_VECTORS_2(T, name, n)                                                        \
  inline metal_sim::vec<T, n> name(metal_sim::vec<T, n> x, metal_sim::vec<T, n> y) {      \
    metal_sim::vec<T, n> r;                                                              \
    for (int i = 0; i < n; i++) r.d[i] = name(T(x.d[i]), T(y.d[i]));                     \
    return r;                                                                            \
  }
#define MSL_VECTORS_3(T, name, n)                                                                                \
  inline metal_sim::vec<T, n> name(metal_sim::vec<T, n> x, metal_sim::vec<T, n> y, metal_sim::vec<T, n> z) {      \
    metal_sim::vec<T, n> r;                                                                                      \
    for (int i = 0; i < n; i++) r.d[i] = name(T(x.d[i]), T(y.d[i]), T(z.d[i]));                                  \
    return r;                                                                                                    \
  }
#define MSL_ALL_VECTORS(M, T, name) M(T, name, 2) M(T, name, 3) M(T, name, 4)

#define MSL_FUNCTION_1(T, name, from)                              \
  inline T name(T x) { return T(from::name(float(x))); }           \
  MSL_ALL_VECTORS(MSL_VECTORS_1, T, name)
#define MSL_FUNCTION_2(T, name, from)                                              \
  inline T name(T x, T y) { return T(from::name(float(x), float(y))); }            \
  MSL_ALL_VECTORS(MSL_VECTORS_2, T, name)
#define MSL_FUNCTION_3(T, name, from)                                                          \
  inline T name(T x, T y, T z) { return T(from::name(float(x), float(y), float(z))); }         \
  MSL_ALL_VECTORS(MSL_VECTORS_3, T, name)

#define MSL_EACH_FUNCTION_1(M, ...)                                                                                   \
  M(__VA_ARGS__, abs) M(__VA_ARGS__, acos) M(__VA_ARGS__, acosh) M(__VA_ARGS__, asin) M(__VA_ARGS__, asinh)           \
  M(__VA_ARGS__, atan) M(__VA_ARGS__, atanh) M(__VA_ARGS__, ceil) M(__VA_ARGS__, cos) M(__VA_ARGS__, cosh)            \
  M(__VA_ARGS__, cospi) M(__VA_ARGS__, exp) M(__VA_ARGS__, exp10) M(__VA_ARGS__, exp2) M(__VA_ARGS__, fabs)           \
  M(__VA_ARGS__, floor) M(__VA_ARGS__, fract) M(__VA_ARGS__, log) M(__VA_ARGS__, log10) M(__VA_ARGS__, log2)          \
  M(__VA_ARGS__, rint) M(__VA_ARGS__, round) M(__VA_ARGS__, rsqrt) M(__VA_ARGS__, saturate) M(__VA_ARGS__, sign)      \
  M(__VA_ARGS__, sin) M(__VA_ARGS__, sinh) M(__VA_ARGS__, sinpi) M(__VA_ARGS__, sqrt) M(__VA_ARGS__, tan)             \
  M(__VA_ARGS__, tanh) M(__VA_ARGS__, tanpi) M(__VA_ARGS__, trunc)
#define MSL_EACH_FUNCTION_2(M, ...)                                                                                   \
  M(__VA_ARGS__, atan2) M(__VA_ARGS__, copysign) M(__VA_ARGS__, divide) M(__VA_ARGS__, fdim) M(__VA_ARGS__, fmax)     \
  M(__VA_ARGS__, fmin) M(__VA_ARGS__, fmod) M(__VA_ARGS__, max) M(__VA_ARGS__, min) M(__VA_ARGS__, pow)               \
  M(__VA_ARGS__, powr) M(__VA_ARGS__, step)
#define MSL_EACH_FUNCTION_3(M, ...)                                                                                   \
  M(__VA_ARGS__, clamp) M(__VA_ARGS__, fmax3) M(__VA_ARGS__, fmedian3) M(__VA_ARGS__, fmin3) M(__VA_ARGS__, max3)     \
  M(__VA_ARGS__, median3) M(__VA_ARGS__, min3) M(__VA_ARGS__, mix) M(__VA_ARGS__, smoothstep)

#define MSL_MAKE_1(from, T, name) MSL_FUNCTION_1(T, name, from)
#define MSL_MAKE_2(from, T, name) MSL_FUNCTION_2(T, name, from)
#define MSL_MAKE_3(from, T, name) MSL_FUNCTION_3(T, name, from)

// Functions with a parameter of another type, or with results through a reference.
#define MSL_OTHER_FUNCTIONS(from, T)                                                                \
  inline T ldexp(T x, int n) { return T(from::ldexp(float(x), n)); }                                \
  inline T frexp(T x, int &e) { return T(__builtin_frexpf(float(x), &e)); }                         \
  inline T modf(T x, T &whole) {                                                                    \
    whole = T(__builtin_truncf(float(x)));                                                          \
    return __builtin_isinf(float(x)) ? T(__builtin_copysignf(0.0f, float(x))) : x - whole;          \
  }                                                                                                 \
  inline T sincos(T x, T &c) {                                                                      \
    c = cos(x);                                                                                     \
    return sin(x);                                                                                  \
  }                                                                                                 \
  MSL_OTHER_VECTORS(T, 2)                                                                           \
  MSL_OTHER_VECTORS(T, 3)                                                                           \
  MSL_OTHER_VECTORS(T, 4)
#define MSL_OTHER_VECTORS(T, n)                                                                          \
  inline metal_sim::vec<T, n> ldexp(metal_sim::vec<T, n> x, metal_sim::vec<int, n> e) {                  \
    for (int i = 0; i < n; i++) x[i] = ldexp(x[i], e[i]);                                                \
    return x;                                                                                            \
  }                                                                                                      \
  inline metal_sim::vec<T, n> frexp(metal_sim::vec<T, n> x, metal_sim::vec<int, n> &e) {                 \
    for (int i = 0; i < n; i++) x[i] = frexp(x[i], e[i]);                                                \
    return x;                                                                                            \
  }                                                                                                      \
  inline metal_sim::vec<T, n> modf(metal_sim::vec<T, n> x, metal_sim::vec<T, n> &whole) {                \
    for (int i = 0; i < n; i++) x[i] = modf(x[i], whole[i]);                                             \
    return x;                                                                                            \
  }                                                                                                      \
  inline metal_sim::vec<T, n> sincos(metal_sim::vec<T, n> x, metal_sim::vec<T, n> &c) {                  \
    for (int i = 0; i < n; i++) x[i] = sincos(x[i], c[i]);                                               \
    return x;                                                                                            \
  }

#define MSL_FLOAT_MATH(from, T)                \
  MSL_EACH_FUNCTION_1(MSL_MAKE_1, from, T)     \
  MSL_EACH_FUNCTION_2(MSL_MAKE_2, from, T)     \
  MSL_EACH_FUNCTION_3(MSL_MAKE_3, from, T)     \
  MSL_OTHER_FUNCTIONS(from, T)

#define MSL_TEST(T, name, test)                                        \
  inline bool name(T x) { return test; }                               \
  MSL_TEST_VECTOR(T, name, 2)                                          \
  MSL_TEST_VECTOR(T, name, 3)                                          \
  MSL_TEST_VECTOR(T, name, 4)
#define MSL_TEST_VECTOR(T, name, n)                                    \
  inline metal_sim::vec<bool, n> name(metal_sim::vec<T, n> x) {        \
    metal_sim::vec<bool, n> r;                                         \
    for (int i = 0; i < n; i++) r[i] = name(x[i]);                     \
    return r;                                                          \
  }

// By the bits: clang 19 does not come back from folding a comparison of half constants for NaN.
#define MSL_TESTS(T, mantissa, Bits)                                                                 \
  MSL_TEST(T, isfinite, __builtin_isfinite(float(x)))                                                \
  MSL_TEST(T, isinf, Bits(__builtin_bit_cast(Bits, x) << 1) == Bits(Bits(~Bits(0)) << (mantissa + 1))) \
  MSL_TEST(T, isnan, Bits(__builtin_bit_cast(Bits, x) << 1) > Bits(Bits(~Bits(0)) << (mantissa + 1)))  \
  MSL_TEST(T, isnormal, isfinite(x) && Bits(__builtin_bit_cast(Bits, x) << 1) >> (mantissa + 1) != 0)      \
  MSL_TEST(T, signbit, __builtin_signbit(float(x)) != 0)                                             \
  inline bool isordered(T x, T y) { return !isnan(x) && !isnan(y); }                                 \
  inline bool isunordered(T x, T y) { return isnan(x) || isnan(y); }                                 \
  inline int ilogb(T x) { return __builtin_ilogbf(float(x)); }

namespace metal {

namespace precise {
MSL_FLOAT_MATH(metal_sim::precise_float, float)
MSL_FUNCTION_3(float, fma, metal_sim::precise_float)
} // namespace precise
namespace fast {
MSL_FLOAT_MATH(metal_sim::fast_float, float)
MSL_FUNCTION_3(float, fma, metal_sim::fast_float)
} // namespace fast

MSL_FLOAT_MATH(MSL_DEFAULT, float)
MSL_FLOAT_MATH(metal_sim::precise_float, half)
MSL_TESTS(float, 23, uint)
MSL_TESTS(half, 10, ushort)

// Rounded once. For half the sum in double is exact wherever its rounding could matter.
MSL_FUNCTION_3(float, fma, metal_sim::precise_float)
inline half fma(half x, half y, half z) { return half(double(x) * double(y) + double(z)); }
MSL_ALL_VECTORS(MSL_VECTORS_3, half, fma)

inline float nextafter(float x, float y) { return __builtin_nextafterf(x, y); }
// On the bits, in order of value: clang 19 does not come back from folding the comparisons of half constants.
MSL_INLINE int half_order(half x) {
  int u = __builtin_bit_cast(ushort, x), magnitude = u & 0x7FFF;
  return u & 0x8000 ? -magnitude : magnitude;
}
inline half nextafter(half x, half y) {
  int from = half_order(x), to = half_order(y);
  if (from > 0x7C00 || from < -0x7C00 || to > 0x7C00 || to < -0x7C00) return x + y; // NaN
  if (from == to) return y;
  from += from < to ? 1 : -1;
  return __builtin_bit_cast(half, ushort(from < 0 ? 0x8000 - from : from));
}

// select(a, b, c) is b where c holds.
#define MSL_SELECT_VECTOR(T, n)                                                                                       \
  inline metal_sim::vec<T, n> select(metal_sim::vec<T, n> a, metal_sim::vec<T, n> b, metal_sim::vec<bool, n> c) {      \
    for (int i = 0; i < n; i++) a.d[i] = c.d[i] ? b.d[i] : a.d[i];                                                    \
    return a;                                                                                                         \
  }
#define MSL_SELECT(T)                                           \
  inline T select(T a, T b, bool c) { return c ? b : a; }       \
  MSL_SELECT_VECTOR(T, 2)                                       \
  MSL_SELECT_VECTOR(T, 3)                                       \
  MSL_SELECT_VECTOR(T, 4)
MSL_EACH_NUMBER(MSL_SELECT)
MSL_SELECT(bool)

#define MSL_ANY_ALL(n)                                                                                 \
  inline bool any(metal_sim::vec<bool, n> x) { bool r = false; for (int i = 0; i < n; i++) r |= x[i]; return r; } \
  inline bool all(metal_sim::vec<bool, n> x) { bool r = true; for (int i = 0; i < n; i++) r &= x[i]; return r; }
inline bool any(bool x) { return x; }
inline bool all(bool x) { return x; }
MSL_ANY_ALL(2)
MSL_ANY_ALL(3)
MSL_ANY_ALL(4)

} // namespace metal
