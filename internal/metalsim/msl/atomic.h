// metal_atomic: sequentially consistent on the host, which is more than memory_order_relaxed promises.
#pragma once
#include "vector.h"

namespace metal {

enum memory_order : int { memory_order_relaxed = __ATOMIC_RELAXED };

template <class T> struct atomic {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8 || __is_same(T, bool), "atomic<T> needs int, uint, bool, float or ulong");
  T value;
  atomic() = default;
  atomic(const atomic &) = default;
};
template <class T> using _atomic = atomic<T>;

namespace detail {
template <class T> struct identity { typedef T type; };
template <class T> using value_of = typename identity<T>::type;

// Of an integer type, or float by compare and exchange.
template <class T, class F> T update(T *p, F f) {
  T old, now;
  __atomic_load(p, &old, __ATOMIC_SEQ_CST);
  do now = f(old);
  while (!__atomic_compare_exchange(p, &old, &now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
  return old;
}
} // namespace detail

template <class T> void atomic_store_explicit(volatile atomic<T> *p, detail::value_of<T> v, memory_order) {
  __atomic_store((T *)&p->value, &v, __ATOMIC_SEQ_CST);
}
template <class T> T atomic_load_explicit(const volatile atomic<T> *p, memory_order) {
  T v;
  __atomic_load((T *)&p->value, &v, __ATOMIC_SEQ_CST);
  return v;
}
template <class T> T atomic_exchange_explicit(volatile atomic<T> *p, detail::value_of<T> v, memory_order) {
  T old;
  __atomic_exchange((T *)&p->value, &v, &old, __ATOMIC_SEQ_CST);
  return old;
}
template <class T>
bool atomic_compare_exchange_weak_explicit(volatile atomic<T> *p, detail::value_of<T> *expected, detail::value_of<T> desired, memory_order, memory_order) {
  return __atomic_compare_exchange((T *)&p->value, expected, &desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
template <class T> T atomic_fetch_add_explicit(volatile atomic<T> *p, detail::value_of<T> v, memory_order) {
  return detail::update((T *)&p->value, [=](T old) { return T(old + v); });
}
template <class T> T atomic_fetch_sub_explicit(volatile atomic<T> *p, detail::value_of<T> v, memory_order) {
  return detail::update((T *)&p->value, [=](T old) { return T(old - v); });
}
#define MSL_FETCH(name, result)                                                                                          \
  template <class T> T atomic_fetch_##name##_explicit(volatile atomic<T> *p, detail::value_of<T> v, memory_order) {       \
    static_assert(__is_integral(T), "atomic_fetch_" #name "_explicit needs an integer");                                 \
    return detail::update((T *)&p->value, [=](T old) { return T(result); });                                             \
  }
MSL_FETCH(and, old & v)
MSL_FETCH(or, old | v)
MSL_FETCH(xor, old ^ v)
MSL_FETCH(min, old < v ? old : v)
MSL_FETCH(max, old < v ? v : old)
#undef MSL_FETCH

} // namespace metal

typedef metal::atomic<int> atomic_int;
typedef metal::atomic<uint> atomic_uint;
typedef metal::atomic<bool> atomic_bool;
typedef metal::atomic<float> atomic_float;
typedef metal::atomic<ulong> atomic_ulong;
namespace metal {
using ::atomic_bool;
using ::atomic_float;
using ::atomic_int;
using ::atomic_uint;
using ::atomic_ulong;
} // namespace metal
