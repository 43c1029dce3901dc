// What the strict pass sees of the standard library. The pass is OpenCL C++ and is asked about address spaces only: types
// and functions are loose, and an error about anything else is left to the pass that compiles what runs.
#pragma once

#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#pragma OPENCL EXTENSION __cl_clang_function_pointers : enable
#pragma OPENCL EXTENSION __cl_clang_variadic_functions : enable

// OpenCL's keywords and types that are plain names in MSL.
#define local _msl_local
#define global _msl_global
#define generic _msl_generic
#define pipe _msl_pipe
#define read_only _msl_read_only
#define write_only _msl_write_only
#define read_write _msl_read_write
#define atomic_int _msl_atomic_int
#define atomic_uint _msl_atomic_uint
#define atomic_float _msl_atomic_float
#define atomic_ulong _msl_atomic_ulong
#define atomic_bool _msl_atomic_bool

typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;
typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long int64_t;
typedef uchar uint8_t;
typedef ushort uint16_t;
typedef uint uint32_t;
typedef ulong uint64_t;

struct bfloat {
  ushort bits;
  bfloat() = default;
  template <class T> constexpr bfloat(T) : bits(0) {}
  constexpr operator float() const { return 0; }
};

// A construction and a cast, which ext_vector_type does not have in MSL's forms; the rewriter puts them in.
template <class T, class... A> T metal_make(A...);
template <class T> struct metal_cast {
  metal_cast operator-() const { return *this; }
  metal_cast operator+() const { return *this; }
};
template <class T, class A> T operator->*(metal_cast<T>, A);

template <class To, class From> To as_type(From);

namespace metal {
using ::as_type;
using ::int16_t;
using ::int32_t;
using ::int64_t;
using ::int8_t;
using ::ptrdiff_t;
using ::size_t;
using ::uint16_t;
using ::uint32_t;
using ::uint64_t;
using ::uint8_t;
} // namespace metal

#include "type_traits.h"
#include "limits.h"
#include "uniform.h"

namespace metal {
template <class T> struct remove_addrspace<__global T> { typedef T type; };
template <class T> struct remove_addrspace<__local T> { typedef T type; };
template <class T> struct remove_addrspace<__constant T> { typedef T type; };
template <class T> struct remove_addrspace<__private T> { typedef T type; };

template <class T, int N> using vec = T __attribute__((ext_vector_type(N)));

template <class T, int C, int R> struct matrix {
  vec<T, R> columns[C];
  matrix() = default;
  template <class... A> explicit matrix(A...);
  __private vec<T, R> &operator[](size_t) __private;
  const __private vec<T, R> &operator[](size_t) const __private;
  __global vec<T, R> &operator[](size_t) __global;
  const __global vec<T, R> &operator[](size_t) const __global;
  __local vec<T, R> &operator[](size_t) __local;
  const __local vec<T, R> &operator[](size_t) const __local;
  const __constant vec<T, R> &operator[](size_t) const __constant;
};
template <class T, class A, int C, int R> vec<T, R> operator*(matrix<T, C, R>, A);

template <class T, size_t N> struct array {
  T elements[N];
  __private T &operator[](size_t) __private;
  const __private T &operator[](size_t) const __private;
  __global T &operator[](size_t) __global;
  const __global T &operator[](size_t) const __global;
  __local T &operator[](size_t) __local;
  const __local T &operator[](size_t) const __local;
  const __constant T &operator[](size_t) const __constant;
};

template <class T> struct atomic { T value; };
template <class T> using _atomic = atomic<T>;
enum memory_order { memory_order_relaxed };

enum class mem_flags : unsigned { mem_none, mem_device, mem_threadgroup, mem_texture = 4 };
mem_flags operator|(mem_flags, mem_flags);
void threadgroup_barrier(mem_flags);
void simdgroup_barrier(mem_flags);

template <class T, int C, int R> struct simdgroup_matrix {
  vec<T, 2> elements;
  simdgroup_matrix() = default;
  explicit simdgroup_matrix(T);
  __private vec<T, 2> &thread_elements() __private;
  const __private vec<T, 2> &thread_elements() const __private;
};
typedef simdgroup_matrix<float, 8, 8> simdgroup_float8x8;
typedef simdgroup_matrix<half, 8, 8> simdgroup_half8x8;
typedef simdgroup_matrix<bfloat, 8, 8> simdgroup_bfloat8x8;
template <class T, int C, int R = C> simdgroup_matrix<T, C, R> make_filled_simdgroup_matrix(T);
template <class T, int C, int R = C> simdgroup_matrix<T, C, R> make_diagonal_simdgroup_matrix(T);
template <class M, class... A> void simdgroup_load(__private M &, A...);
template <class M, class... A> void simdgroup_store(M, A...);
template <class M, class... A> void simdgroup_multiply(__private M &, A...);
template <class M, class... A> void simdgroup_multiply_accumulate(__private M &, A...);

struct simd_vote {
  template <class T> explicit simd_vote(T);
  bool all() const;
  bool any() const;
  explicit operator ulong() const;
};

#define MSL_LOOSE(name) template <class T, class... A> T name(T, A...);
#define MSL_LOOSE_MATH(M)                                                                                              \
  M(abs) M(acos) M(acosh) M(asin) M(asinh) M(atan) M(atan2) M(atanh) M(ceil) M(clamp) M(copysign) M(cos) M(cosh)       \
  M(cospi) M(divide) M(exp) M(exp10) M(exp2) M(fabs) M(fdim) M(floor) M(fma) M(fmax) M(fmax3) M(fmedian3) M(fmin)      \
  M(fmin3) M(fmod) M(fract) M(ldexp) M(log) M(log10) M(log2) M(max) M(max3) M(median3) M(min) M(min3) M(mix) M(pow)    \
  M(powr) M(rint) M(round) M(rsqrt) M(saturate) M(sign) M(sin) M(sinh) M(sinpi) M(smoothstep) M(sqrt) M(step) M(tan)   \
  M(tanh) M(tanpi) M(trunc)
MSL_LOOSE_MATH(MSL_LOOSE)
namespace fast {
MSL_LOOSE_MATH(MSL_LOOSE)
}
namespace precise {
MSL_LOOSE_MATH(MSL_LOOSE)
}
MSL_LOOSE(select) MSL_LOOSE(absdiff) MSL_LOOSE(addsat) MSL_LOOSE(subsat) MSL_LOOSE(clz) MSL_LOOSE(ctz) MSL_LOOSE(popcount)
MSL_LOOSE(reverse_bits) MSL_LOOSE(rotate) MSL_LOOSE(extract_bits) MSL_LOOSE(insert_bits) MSL_LOOSE(mulhi) MSL_LOOSE(madhi)
MSL_LOOSE(mul24) MSL_LOOSE(mad24) MSL_LOOSE(madsat) MSL_LOOSE(hadd) MSL_LOOSE(rhadd) MSL_LOOSE(normalize) MSL_LOOSE(cross)
MSL_LOOSE(reflect) MSL_LOOSE(faceforward) MSL_LOOSE(nextafter) MSL_LOOSE(transpose)
#define MSL_LOOSE_GROUP(name)                                                                                            \
  MSL_LOOSE(name##_sum) MSL_LOOSE(name##_product) MSL_LOOSE(name##_min) MSL_LOOSE(name##_max) MSL_LOOSE(name##_and)      \
  MSL_LOOSE(name##_or) MSL_LOOSE(name##_xor) MSL_LOOSE(name##_broadcast) MSL_LOOSE(name##_broadcast_first)               \
  MSL_LOOSE(name##_shuffle) MSL_LOOSE(name##_shuffle_xor) MSL_LOOSE(name##_shuffle_up) MSL_LOOSE(name##_shuffle_down)    \
  MSL_LOOSE(name##_shuffle_rotate_up) MSL_LOOSE(name##_shuffle_rotate_down) MSL_LOOSE(name##_shuffle_and_fill_up)        \
  MSL_LOOSE(name##_shuffle_and_fill_down) MSL_LOOSE(name##_prefix_inclusive_sum) MSL_LOOSE(name##_prefix_exclusive_sum)  \
  MSL_LOOSE(name##_prefix_inclusive_product) MSL_LOOSE(name##_prefix_exclusive_product)                                  \
  simd_vote name##_ballot(bool);                                                                                         \
  simd_vote name##_active_threads_mask();                                                                                \
  bool name##_all(bool);                                                                                                 \
  bool name##_any(bool);                                                                                                 \
  bool name##_is_first();
MSL_LOOSE_GROUP(simd)
MSL_LOOSE_GROUP(quad)

#define MSL_LOOSE_BOOL(name) template <class T, class... A> bool name(T, A...);
MSL_LOOSE_BOOL(any) MSL_LOOSE_BOOL(all)
template <class T> T isnan(T);
template <class T> T isinf(T);
template <class T> T isfinite(T);
template <class T> T isnormal(T);
template <class T> T signbit(T);

template <class T, int N> T dot(vec<T, N>, vec<T, N>);
template <class T, int N> T length(vec<T, N>);
template <class T, int N> T length_squared(vec<T, N>);
template <class T, int N> T distance(vec<T, N>, vec<T, N>);
template <class T, int N> T distance_squared(vec<T, N>, vec<T, N>);

// Results come through references to thread memory.
template <class T, class E> T frexp(T, __private E &);
template <class T> T modf(T, __private T &);
template <class T> T sincos(T, __private T &);

#define MSL_LOOSE_ATOMIC(space)                                                                                             \
  template <class T> void atomic_store_explicit(volatile space atomic<T> *, T, memory_order);                               \
  template <class T, class V> void atomic_store_explicit(volatile space atomic<T> *, V, memory_order);                      \
  template <class T> T atomic_load_explicit(const volatile space atomic<T> *, memory_order);                                \
  template <class T, class V> T atomic_exchange_explicit(volatile space atomic<T> *, V, memory_order);                      \
  template <class T, class V>                                                                                               \
  bool atomic_compare_exchange_weak_explicit(volatile space atomic<T> *, __private T *, V, memory_order, memory_order);     \
  template <class T, class V> T atomic_fetch_add_explicit(volatile space atomic<T> *, V, memory_order);                     \
  template <class T, class V> T atomic_fetch_sub_explicit(volatile space atomic<T> *, V, memory_order);                     \
  template <class T, class V> T atomic_fetch_and_explicit(volatile space atomic<T> *, V, memory_order);                     \
  template <class T, class V> T atomic_fetch_or_explicit(volatile space atomic<T> *, V, memory_order);                      \
  template <class T, class V> T atomic_fetch_xor_explicit(volatile space atomic<T> *, V, memory_order);                     \
  template <class T, class V> T atomic_fetch_min_explicit(volatile space atomic<T> *, V, memory_order);                     \
  template <class T, class V> T atomic_fetch_max_explicit(volatile space atomic<T> *, V, memory_order);
MSL_LOOSE_ATOMIC(__global)
MSL_LOOSE_ATOMIC(__local)
} // namespace metal

typedef metal::atomic<int> atomic_int;
typedef metal::atomic<uint> atomic_uint;
typedef metal::atomic<float> atomic_float;
typedef metal::atomic<ulong> atomic_ulong;
typedef metal::atomic<bool> atomic_bool;

#define MSL_NAMES(T)                                          \
  typedef T T##2 __attribute__((ext_vector_type(2)));         \
  typedef T T##3 __attribute__((ext_vector_type(3)));         \
  typedef T T##4 __attribute__((ext_vector_type(4)));         \
  typedef T##2 packed_##T##2;                                 \
  typedef T##3 packed_##T##3;                                 \
  typedef T##4 packed_##T##4;                                 \
  namespace metal {                                           \
  using ::T##2;                                               \
  using ::T##3;                                               \
  using ::T##4;                                               \
  }
MSL_NAMES(char) MSL_NAMES(uchar) MSL_NAMES(short) MSL_NAMES(ushort) MSL_NAMES(int) MSL_NAMES(uint) MSL_NAMES(long)
MSL_NAMES(ulong) MSL_NAMES(half) MSL_NAMES(float)
typedef int bool2 __attribute__((ext_vector_type(2)));
typedef int bool3 __attribute__((ext_vector_type(3)));
typedef int bool4 __attribute__((ext_vector_type(4)));
typedef half bfloat2 __attribute__((ext_vector_type(2)));
typedef half bfloat3 __attribute__((ext_vector_type(3)));
typedef half bfloat4 __attribute__((ext_vector_type(4)));

#define MSL_MATRIX(T, c, r) typedef metal::matrix<T, c, r> T##c##x##r;
#define MSL_MATRICES(T)                                                                                \
  MSL_MATRIX(T, 2, 2) MSL_MATRIX(T, 2, 3) MSL_MATRIX(T, 2, 4) MSL_MATRIX(T, 3, 2) MSL_MATRIX(T, 3, 3)  \
  MSL_MATRIX(T, 3, 4) MSL_MATRIX(T, 4, 2) MSL_MATRIX(T, 4, 3) MSL_MATRIX(T, 4, 4)
MSL_MATRICES(float)
MSL_MATRICES(half)
