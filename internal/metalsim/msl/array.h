// metal_array, and as_type.
#pragma once
#include "vector.h"

namespace metal {
template <class T, size_t N> struct array {
  typedef T value_type;
  T elements[N];
  constexpr T &operator[](size_t i) { return elements[i]; }
  constexpr const T &operator[](size_t i) const { return elements[i]; }
  constexpr size_t size() const { return N; }
  constexpr bool empty() const { return N == 0; }
  constexpr T *data() { return elements; }
  constexpr const T *data() const { return elements; }
  constexpr T &front() { return elements[0]; }
  constexpr T &back() { return elements[N - 1]; }
  constexpr T *begin() { return elements; }
  constexpr T *end() { return elements + N; }
  constexpr const T *begin() const { return elements; }
  constexpr const T *end() const { return elements + N; }
};
} // namespace metal

namespace metal_sim {
// Whether the GPU takes subnormal halves for zero; who compiles a shader says so.
extern const bool flush_half;

// The halves that a type is made of.
template <class T> struct Halves {
  static constexpr unsigned count = 0;
};
template <> struct Halves<half> {
  static constexpr unsigned count = 1;
};
template <int N> struct Halves<vec<half, N>> {
  static constexpr unsigned count = N;
};
} // namespace metal_sim

template <class To, class From> MSL_INLINE To as_type(From v) {
  static_assert(sizeof(To) == sizeof(From), "as_type needs types of the same size");
  if (metal_sim::Halves<To>::count > 0 && metal_sim::flush_half) {
    ushort bits[sizeof(From) / 2 + 1];
    __builtin_memcpy(bits, &v, sizeof v);
    for (unsigned i = 0; i < metal_sim::Halves<To>::count; i++)
      if (!(bits[i] & 0x7C00)) bits[i] &= 0x8000;
    __builtin_memcpy(&v, bits, sizeof v);
  }
  To r;
  __builtin_memcpy(&r, &v, sizeof r);
  return r;
}
namespace metal {
using ::as_type;
} // namespace metal
