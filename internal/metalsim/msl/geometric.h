// metal_geometric. Sums run from the first component to the last.
#pragma once
#include "math_functions.h"

namespace metal {
#define MSL_GEOMETRIC(T, n)                                                                                     \
  inline T dot(metal_sim::vec<T, n> x, metal_sim::vec<T, n> y) {                                                 \
    T s = x[0] * y[0];                                                                                          \
    for (int i = 1; i < n; i++) s = s + x[i] * y[i];                                                            \
    return s;                                                                                                   \
  }                                                                                                             \
  inline T length_squared(metal_sim::vec<T, n> x) { return dot(x, x); }                                         \
  inline T length(metal_sim::vec<T, n> x) { return sqrt(dot(x, x)); }                                           \
  inline T distance_squared(metal_sim::vec<T, n> x, metal_sim::vec<T, n> y) { return length_squared(x - y); }   \
  inline T distance(metal_sim::vec<T, n> x, metal_sim::vec<T, n> y) { return length(x - y); }                   \
  inline metal_sim::vec<T, n> normalize(metal_sim::vec<T, n> x) { return x * rsqrt(dot(x, x)); }                \
  inline metal_sim::vec<T, n> faceforward(metal_sim::vec<T, n> normal, metal_sim::vec<T, n> i, metal_sim::vec<T, n> reference) { \
    return dot(reference, i) < T(0) ? normal : -normal;                                                         \
  }                                                                                                             \
  inline metal_sim::vec<T, n> reflect(metal_sim::vec<T, n> i, metal_sim::vec<T, n> normal) {                    \
    return i - T(2) * dot(normal, i) * normal;                                                                  \
  }
#define MSL_EACH_GEOMETRIC(T) \
  MSL_GEOMETRIC(T, 2)         \
  MSL_GEOMETRIC(T, 3)         \
  MSL_GEOMETRIC(T, 4)         \
  inline metal_sim::vec<T, 3> cross(metal_sim::vec<T, 3> x, metal_sim::vec<T, 3> y) { return x.yzx * y.zxy - x.zxy * y.yzx; }
MSL_EACH_GEOMETRIC(float)
MSL_EACH_GEOMETRIC(half)
#undef MSL_GEOMETRIC
#undef MSL_EACH_GEOMETRIC
} // namespace metal
