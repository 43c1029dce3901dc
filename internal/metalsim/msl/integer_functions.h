// metal_integer.
#pragma once
#include "vector.h"
#include "limits.h"

namespace metal_sim {

// For 64-bit products.
template <class T> struct wide { typedef metal::conditional_t<metal::is_signed<T>::value, long, unsigned long> type; };
template <> struct wide<long> { typedef __int128 type; };
template <> struct wide<unsigned long> { typedef unsigned __int128 type; };

namespace integer {
template <class T> using U = metal::make_unsigned_t<T>;
template <class T> constexpr uint width = sizeof(T) * 8;

template <class T> T abs(T x) { return x < T(0) ? T(U<T>(0) - U<T>(x)) : x; }
template <class T> T absdiff(T x, T y) { return x > y ? T(U<T>(x) - U<T>(y)) : T(U<T>(y) - U<T>(x)); }
template <class T> T addsat(T x, T y) {
  T r;
  if (!__builtin_add_overflow(x, y, &r)) return r;
  return y < T(0) ? metal::numeric_limits<T>::min() : metal::numeric_limits<T>::max();
}
template <class T> T subsat(T x, T y) {
  T r;
  if (!__builtin_sub_overflow(x, y, &r)) return r;
  return metal::is_signed<T>::value && y < T(0) ? metal::numeric_limits<T>::max() : metal::numeric_limits<T>::min();
}
template <class T> T max(T x, T y) { return x < y ? y : x; }
template <class T> T min(T x, T y) { return y < x ? y : x; }
template <class T> T clamp(T x, T lo, T hi) { return min(max(x, lo), hi); }
template <class T> T max3(T x, T y, T z) { return max(x, max(y, z)); }
template <class T> T min3(T x, T y, T z) { return min(x, min(y, z)); }
template <class T> T median3(T x, T y, T z) { return max(min(x, y), min(max(x, y), z)); }
template <class T> T clz(T x) { return x == 0 ? T(width<T>) : T(__builtin_clzll(U<T>(x)) - (64 - width<T>)); }
template <class T> T ctz(T x) { return x == 0 ? T(width<T>) : T(__builtin_ctzll(U<T>(x))); }
template <class T> T popcount(T x) { return T(__builtin_popcountll(U<T>(x))); }
template <class T> T reverse_bits(T x) {
  U<T> r = 0;
  for (uint i = 0; i < width<T>; i++) r |= U<T>(U<T>(U<T>(x) >> i & 1) << (width<T> - 1 - i));
  return T(r);
}
template <class T> T rotate(T x, T by) {
  uint n = uint(U<T>(by)) & (width<T> - 1);
  return n == 0 ? x : T(U<T>(U<T>(x) << n) | U<T>(U<T>(x) >> (width<T> - n)));
}
template <class T> T hadd(T x, T y) { return T((typename wide<T>::type(x) + y) >> 1); }
template <class T> T rhadd(T x, T y) { return T((typename wide<T>::type(x) + y + 1) >> 1); }
template <class T> T mulhi(T x, T y) { return T(typename wide<T>::type(x) * y >> width<T>); }
template <class T> T madhi(T x, T y, T z) { return T(U<T>(mulhi(x, y)) + U<T>(z)); }
template <class T> T madsat(T x, T y, T z) {
  typename wide<T>::type r;
  if (__builtin_mul_overflow(typename wide<T>::type(x), typename wide<T>::type(y), &r) ||
      __builtin_add_overflow(r, typename wide<T>::type(z), &r))
    return (x < T(0)) != (y < T(0)) ? metal::numeric_limits<T>::min() : metal::numeric_limits<T>::max();
  if (r > typename wide<T>::type(metal::numeric_limits<T>::max())) return metal::numeric_limits<T>::max();
  if (r < typename wide<T>::type(metal::numeric_limits<T>::min())) return metal::numeric_limits<T>::min();
  return T(r);
}
// bits == 0 gives 0; offset + bits past the width is undefined in MSL.
template <class T> T extract_bits(T x, uint offset, uint bits) {
  if (bits == 0) return T(0);
  return T(T(U<T>(x) << (width<T> - bits - offset)) >> (width<T> - bits));
}
template <class T> T insert_bits(T base, T insert, uint offset, uint bits) {
  if (bits == 0) return base;
  U<T> mask = U<T>(U<T>(U<T>(~U<T>(0)) >> (width<T> - bits)) << offset);
  return T((U<T>(base) & U<T>(~mask)) | (U<T>(U<T>(insert) << offset) & mask));
}
} // namespace integer
} // namespace metal_sim

#define MSL_INT_VECTOR_1(T, name, n)                                                             \
  inline metal_sim::vec<T, n> name(metal_sim::vec<T, n> x) {                                      \
    for (int i = 0; i < n; i++) x.d[i] = name(T(x.d[i]));                                        \
    return x;                                                                                    \
  }
#define MSL_INT_VECTOR_2(T, name, n)                                                             \
  inline metal_sim::vec<T, n> name(metal_sim::vec<T, n> x, metal_sim::vec<T, n> y) {              \
    for (int i = 0; i < n; i++) x.d[i] = name(T(x.d[i]), T(y.d[i]));                             \
    return x;                                                                                    \
  }
#define MSL_INT_VECTOR_3(T, name, n)                                                                              \
  inline metal_sim::vec<T, n> name(metal_sim::vec<T, n> x, metal_sim::vec<T, n> y, metal_sim::vec<T, n> z) {       \
    for (int i = 0; i < n; i++) x.d[i] = name(T(x.d[i]), T(y.d[i]), T(z.d[i]));                                   \
    return x;                                                                                                     \
  }
#define MSL_INT_1(T, name)                                         \
  inline T name(T x) { return metal_sim::integer::name<T>(x); }    \
  MSL_INT_VECTOR_1(T, name, 2) MSL_INT_VECTOR_1(T, name, 3) MSL_INT_VECTOR_1(T, name, 4)
#define MSL_INT_2(T, name)                                                 \
  inline T name(T x, T y) { return metal_sim::integer::name<T>(x, y); }    \
  MSL_INT_VECTOR_2(T, name, 2) MSL_INT_VECTOR_2(T, name, 3) MSL_INT_VECTOR_2(T, name, 4)
#define MSL_INT_3(T, name)                                                         \
  inline T name(T x, T y, T z) { return metal_sim::integer::name<T>(x, y, z); }    \
  MSL_INT_VECTOR_3(T, name, 2) MSL_INT_VECTOR_3(T, name, 3) MSL_INT_VECTOR_3(T, name, 4)

#define MSL_BITS_VECTOR(T, n)                                                                                    \
  inline metal_sim::vec<T, n> extract_bits(metal_sim::vec<T, n> x, uint offset, uint bits) {                     \
    for (int i = 0; i < n; i++) x.d[i] = metal_sim::integer::extract_bits<T>(x.d[i], offset, bits);              \
    return x;                                                                                                    \
  }                                                                                                              \
  inline metal_sim::vec<T, n> insert_bits(metal_sim::vec<T, n> x, metal_sim::vec<T, n> y, uint offset, uint bits) { \
    for (int i = 0; i < n; i++) x.d[i] = metal_sim::integer::insert_bits<T>(x.d[i], y.d[i], offset, bits);       \
    return x;                                                                                                    \
  }

#define MSL_INTEGER(T)                                                                                         \
  MSL_INT_1(T, abs) MSL_INT_1(T, clz) MSL_INT_1(T, ctz) MSL_INT_1(T, popcount) MSL_INT_1(T, reverse_bits)      \
  MSL_INT_2(T, absdiff) MSL_INT_2(T, addsat) MSL_INT_2(T, subsat) MSL_INT_2(T, max) MSL_INT_2(T, min)          \
  MSL_INT_2(T, hadd) MSL_INT_2(T, rhadd) MSL_INT_2(T, mulhi) MSL_INT_2(T, rotate)                              \
  MSL_INT_3(T, clamp) MSL_INT_3(T, max3) MSL_INT_3(T, min3) MSL_INT_3(T, median3) MSL_INT_3(T, madhi)          \
  MSL_INT_3(T, madsat)                                                                                         \
  inline T extract_bits(T x, uint offset, uint bits) { return metal_sim::integer::extract_bits<T>(x, offset, bits); } \
  inline T insert_bits(T x, T y, uint offset, uint bits) { return metal_sim::integer::insert_bits<T>(x, y, offset, bits); } \
  MSL_BITS_VECTOR(T, 2) MSL_BITS_VECTOR(T, 3) MSL_BITS_VECTOR(T, 4)

namespace metal {
MSL_INTEGER(char)
MSL_INTEGER(uchar)
MSL_INTEGER(short)
MSL_INTEGER(ushort)
MSL_INTEGER(int)
MSL_INTEGER(uint)
MSL_INTEGER(long)
MSL_INTEGER(ulong)

// 24-bit products: the top eight bits of the operands are undefined in MSL and are taken as they are.
inline int mul24(int x, int y) { return int(uint(x) * uint(y)); }
inline uint mul24(uint x, uint y) { return x * y; }
inline int mad24(int x, int y, int z) { return int(uint(x) * uint(y) + uint(z)); }
inline uint mad24(uint x, uint y, uint z) { return x * y + z; }
} // namespace metal
