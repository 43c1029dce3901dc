// Functions over the 32 lanes of a simdgroup and the 4 of a quad: sections 6.9.2 and 6.9.3 of the MSL specification.
//
// All live lanes must call the same function in the same place; lanes that have returned take no part. To read the value of
// a lane that takes no part is an error.
//
// Order of float results: a sum, product, minimum or maximum combines lane i with lane i + n/2, then the results with
// distance n/4, and so on (a butterfly); a prefix adds the lanes from the lowest up. Each step rounds to T.
#pragma once
#include "math_functions.h"
#include "runtime.h"
#include "vector.h"

namespace metal_sim {

// What the lanes of a group left, by lane.
template <class T, unsigned N> struct Lanes {
  const char *slots;
  uint32_t stride;
  uint64_t active;
  unsigned lane; // the caller's
  sim::Site site;

  bool has(unsigned i) const { return active >> i & 1; }
  const T &operator[](unsigned i) const { return *(const T *)(slots + i * stride); }
  T from(unsigned i) const {
    if (i >= N || !has(i)) missing();
    return (*this)[i];
  }
  [[noreturn]] void missing() const {
    rt->fail(N == 32 ? "simd function reads a lane that takes no part: it has returned, or there is none of that number"
                     : "quad function reads a lane that takes no part: it has returned, or there is none of that number",
             site);
    __builtin_unreachable();
  }
};

inline unsigned lane_of(unsigned n) {
  uint32_t v[3];
  rt->builtin(n == 32 ? sim::Builtin::thread_index_in_simdgroup : sim::Builtin::thread_index_in_quadgroup, v);
  return v[0];
}

template <unsigned N, class T> Lanes<T, N> exchange(const char *op, const T &value, sim::Site site) {
  Lanes<T, N> r;
  r.site = site;
  r.slots = (const char *)(N == 32 ? rt->simd_exchange : rt->quad_exchange)(op, &value, sizeof(T), &r.stride, &r.active, site);
  r.lane = lane_of(N);
  return r;
}

template <class T> T lower(T a, T b) { return metal::min(a, b); }
template <class T> T higher(T a, T b) { return metal::max(a, b); }
inline bfloat lower(bfloat a, bfloat b) { return bfloat(metal::min(float(a), float(b))); }
inline bfloat higher(bfloat a, bfloat b) { return bfloat(metal::max(float(a), float(b))); }

template <unsigned N, class T, class F> T reduce(const char *op, T value, F combine, sim::Site site) {
  auto lanes = exchange<N>(op, value, site);
  T r[N];
  if (lanes.active == (uint64_t(1) << N) - 1) {
    for (unsigned i = 0; i < N; i++) r[i] = lanes[i];
    for (unsigned n = N / 2; n; n /= 2)
      for (unsigned i = 0; i < n; i++) r[i] = combine(r[i], r[i + n]);
    return r[0];
  }
  bool has[N];
  for (unsigned i = 0; i < N; i++)
    if ((has[i] = lanes.has(i))) r[i] = lanes[i];
  for (unsigned n = N / 2; n; n /= 2)
    for (unsigned i = 0; i < n; i++) {
      if (!has[i + n]) continue;
      r[i] = has[i] ? combine(r[i], r[i + n]) : r[i + n];
      has[i] = true;
    }
  return r[0];
}

// Over the lanes below this one, and it too when inclusive.
template <unsigned N, class T, class F> T prefix(const char *op, T value, T start, bool inclusive, F combine, sim::Site site) {
  auto lanes = exchange<N>(op, value, site);
  T r = start;
  bool any = false;
  for (unsigned i = 0; i < lanes.lane + inclusive; i++) {
    if (!lanes.has(i)) continue;
    r = any ? combine(r, lanes[i]) : lanes[i];
    any = true;
  }
  return r;
}

template <class T> struct Filled {
  T data, filling;
};

template <unsigned N, class T> T fill_up(const char *op, T data, T filling, unsigned delta, unsigned modulo, sim::Site site) {
  auto lanes = exchange<N>(op, Filled<T>{data, filling}, site);
  unsigned base = lanes.lane / modulo * modulo, k = lanes.lane % modulo;
  return k >= delta ? lanes.from(base + k - delta).data : lanes.from(base + k + modulo - delta).filling;
}

template <unsigned N, class T> T fill_down(const char *op, T data, T filling, unsigned delta, unsigned modulo, sim::Site site) {
  auto lanes = exchange<N>(op, Filled<T>{data, filling}, site);
  unsigned base = lanes.lane / modulo * modulo, k = lanes.lane % modulo;
  return k + delta < modulo ? lanes.from(base + k + delta).data : lanes.from(base + k + delta - modulo).filling;
}

template <unsigned N> uint64_t ballot(const char *op, bool value, sim::Site site) {
  auto lanes = exchange<N>(op, value, site);
  uint64_t r = 0;
  for (unsigned i = 0; i < N; i++)
    if (lanes.has(i) && lanes[i]) r |= uint64_t(1) << i;
  return r;
}

template <unsigned N> uint64_t active(const char *op, sim::Site site) { return exchange<N>(op, true, site).active; }

} // namespace metal_sim

namespace metal {

#define MSL_HERE sim::Site at = metal_sim::here()

#define MSL_GROUP(group, N)                                                                                                \
  class group##_vote {                                                                                                     \
  public:                                                                                                                  \
    typedef unsigned long vote_t;                                                                                          \
    constexpr explicit group##_vote(vote_t v = 0) : v(v) {}                                                                \
    constexpr explicit operator vote_t() const { return v; }                                                               \
    constexpr bool all() const { return v == (vote_t(1) << N) - 1; }                                                       \
    constexpr bool any() const { return v != 0; }                                                                          \
                                                                                                                           \
  private:                                                                                                                 \
    vote_t v;                                                                                                              \
  };                                                                                                                       \
  inline group##_vote group##_ballot(bool e, MSL_HERE) { return group##_vote(metal_sim::ballot<N>(#group "_ballot", e, at)); } \
  inline group##_vote group##_active_threads_mask(MSL_HERE) {                                                              \
    return group##_vote(metal_sim::active<N>(#group "_active_threads_mask", at));                                          \
  }                                                                                                                        \
  inline bool group##_all(bool e, MSL_HERE) { return metal_sim::ballot<N>(#group "_all", !e, at) == 0; }                   \
  inline bool group##_any(bool e, MSL_HERE) { return metal_sim::ballot<N>(#group "_any", e, at) != 0; }                    \
  inline bool group##_is_first(MSL_HERE) {                                                                                 \
    return unsigned(__builtin_ctzl(metal_sim::active<N>(#group "_is_first", at))) == metal_sim::lane_of(N);                \
  }                                                                                                                        \
  MSL_REDUCE(group, N, sum, a + b)                                                                                         \
  MSL_REDUCE(group, N, product, a * b)                                                                                     \
  MSL_REDUCE(group, N, min, metal_sim::lower(a, b))                                                                        \
  MSL_REDUCE(group, N, max, metal_sim::higher(a, b))                                                                       \
  MSL_REDUCE(group, N, and, a & b)                                                                                         \
  MSL_REDUCE(group, N, or, a | b)                                                                                          \
  MSL_REDUCE(group, N, xor, a ^ b)                                                                                         \
  MSL_PREFIX(group, N, sum, 0, a + b)                                                                                      \
  MSL_PREFIX(group, N, product, 1, a * b)                                                                                  \
  template <class T> T group##_broadcast(T data, ushort lane, MSL_HERE) {                                                  \
    return metal_sim::exchange<N>(#group "_broadcast", data, at).from(lane);                                               \
  }                                                                                                                        \
  template <class T> T group##_broadcast_first(T data, MSL_HERE) {                                                         \
    auto lanes = metal_sim::exchange<N>(#group "_broadcast_first", data, at);                                              \
    return lanes[__builtin_ctzl(lanes.active)];                                                                            \
  }                                                                                                                        \
  template <class T> T group##_shuffle(T data, ushort lane, MSL_HERE) {                                                    \
    return metal_sim::exchange<N>(#group "_shuffle", data, at).from(lane);                                                 \
  }                                                                                                                        \
  template <class T> T group##_shuffle_xor(T data, ushort mask, MSL_HERE) {                                                \
    auto lanes = metal_sim::exchange<N>(#group "_shuffle_xor", data, at);                                                  \
    return lanes.from(lanes.lane ^ mask);                                                                                  \
  }                                                                                                                        \
  /* The lowest delta lanes keep their own value. */                                                                       \
  template <class T> T group##_shuffle_up(T data, ushort delta, MSL_HERE) {                                                \
    auto lanes = metal_sim::exchange<N>(#group "_shuffle_up", data, at);                                                   \
    return lanes.lane >= delta ? lanes.from(lanes.lane - delta) : data;                                                    \
  }                                                                                                                        \
  /* The highest delta lanes keep their own value. */                                                                      \
  template <class T> T group##_shuffle_down(T data, ushort delta, MSL_HERE) {                                              \
    auto lanes = metal_sim::exchange<N>(#group "_shuffle_down", data, at);                                                 \
    return lanes.lane + delta < N ? lanes.from(lanes.lane + delta) : data;                                                 \
  }                                                                                                                        \
  template <class T> T group##_shuffle_rotate_up(T data, ushort delta, MSL_HERE) {                                         \
    auto lanes = metal_sim::exchange<N>(#group "_shuffle_rotate_up", data, at);                                            \
    return lanes.from((lanes.lane - delta) % N);                                                                           \
  }                                                                                                                        \
  template <class T> T group##_shuffle_rotate_down(T data, ushort delta, MSL_HERE) {                                       \
    auto lanes = metal_sim::exchange<N>(#group "_shuffle_rotate_down", data, at);                                          \
    return lanes.from((lanes.lane + delta) % N);                                                                           \
  }                                                                                                                        \
  template <class T> T group##_shuffle_and_fill_up(T data, T filling, ushort delta, MSL_HERE) {                            \
    return metal_sim::fill_up<N>(#group "_shuffle_and_fill_up", data, filling, delta, N, at);                              \
  }                                                                                                                        \
  template <class T> T group##_shuffle_and_fill_up(T data, T filling, ushort delta, ushort modulo, MSL_HERE) {             \
    return metal_sim::fill_up<N>(#group "_shuffle_and_fill_up", data, filling, delta, modulo, at);                         \
  }                                                                                                                        \
  template <class T> T group##_shuffle_and_fill_down(T data, T filling, ushort delta, MSL_HERE) {                          \
    return metal_sim::fill_down<N>(#group "_shuffle_and_fill_down", data, filling, delta, N, at);                          \
  }                                                                                                                        \
  template <class T> T group##_shuffle_and_fill_down(T data, T filling, ushort delta, ushort modulo, MSL_HERE) {           \
    return metal_sim::fill_down<N>(#group "_shuffle_and_fill_down", data, filling, delta, modulo, at);                     \
  }

#define MSL_REDUCE(group, N, name, ...)                                                                                    \
  template <class T> T group##_##name(T data, MSL_HERE) {                                                                  \
    return metal_sim::reduce<N>(#group "_" #name, data, [](T a, T b) { return T(__VA_ARGS__); }, at);                      \
  }

#define MSL_PREFIX(group, N, name, start, ...)                                                                             \
  template <class T> T group##_prefix_inclusive_##name(T data, MSL_HERE) {                                                 \
    return metal_sim::prefix<N>(#group "_prefix_inclusive_" #name, data, T(start), true, [](T a, T b) { return T(__VA_ARGS__); }, at);  \
  }                                                                                                                        \
  template <class T> T group##_prefix_exclusive_##name(T data, MSL_HERE) {                                                 \
    return metal_sim::prefix<N>(#group "_prefix_exclusive_" #name, data, T(start), false, [](T a, T b) { return T(__VA_ARGS__); }, at); \
  }

MSL_GROUP(simd, 32)
MSL_GROUP(quad, 4)

// A fragment shader has helper threads, a kernel none.
inline bool simd_is_helper_thread() { return false; }

#undef MSL_GROUP
#undef MSL_REDUCE
#undef MSL_PREFIX
#undef MSL_HERE

} // namespace metal
