// vec<T, N> for N = 2, 3, 4 with size and alignment of section 2.2 of the MSL specification, and the packed vectors.
#pragma once
#include "scalar.h"
#include "type_traits.h"
#include "swizzle.h"

// Outside namespace metal, so that metal's functions are found only where the program says metal:: or using namespace metal.
namespace metal_sim {

template <class T, int N> struct vec;
template <class T, int N> struct packed_vec;

// A vector of bool has a byte each; clang's would have a bit.
template <class T> struct lane { typedef T type; };
template <> struct lane<bool> { typedef unsigned char type; };
template <class T, int N> using native = typename lane<T>::type __attribute__((ext_vector_type(N)));

template <class T> constexpr bool distinct(int i, int j, int k = -1, int l = -2) {
  return i != j && i != k && i != l && j != k && j != l && k != l;
}

// How many components an argument of a constructor brings.
template <class A> struct components { static constexpr int value = metal::is_arithmetic<A>::value || __is_enum(A) ? 1 : 99; };
template <class T, int N> struct components<vec<T, N>> { static constexpr int value = N; };
template <class T, int N> struct components<packed_vec<T, N>> { static constexpr int value = N; };

template <class T> constexpr MSL_INLINE typename lane<T>::type component(T s) { return s; }

template <class To, class From, int N> MSL_INLINE native<To, N> convert(native<From, N> v) {
  if constexpr (__is_same(To, From)) {
    return v;
  } else if constexpr (__is_same(To, bool) || (__is_integral(To) && !__is_integral(From))) {
    native<To, N> r; // one by one: saturating, as scalars are
    for (int i = 0; i < N; i++) r[i] = To(From(v[i]));
    return r;
  } else {
    return __builtin_convertvector(v, __typeof__(native<To, N>));
  }
}

// Operators, as friends: a scalar or a packed operand is converted first.
template <class T, int N> struct comparisons {
  typedef vec<T, N> V;
  typedef vec<bool, N> B;
#define MSL_COMPARE(op) \
  friend MSL_INLINE B operator op(V a, V b) { return B::wrap(__builtin_convertvector((a.d op b.d) & 1, __typeof__(native<bool, N>))); }
  MSL_COMPARE(==)
  MSL_COMPARE(!=)
  MSL_COMPARE(<)
  MSL_COMPARE(<=)
  MSL_COMPARE(>)
  MSL_COMPARE(>=)
#undef MSL_COMPARE
};

template <class T, int N> struct float_operators : comparisons<T, N> {
  typedef vec<T, N> V;
#define MSL_BINARY(op)                                                            \
  friend MSL_INLINE V operator op(V a, V b) { return V::wrap(a.d op b.d); }        \
  friend MSL_INLINE V &operator op##=(V &a, V b) { a.d = a.d op b.d; return a; }   \
  friend MSL_INLINE packed_vec<T, N> &operator op##=(packed_vec<T, N> &a, V b) { return a = V(a) op b; }
  MSL_BINARY(+)
  MSL_BINARY(-)
  MSL_BINARY(*)
  MSL_BINARY(/)
  friend MSL_INLINE V operator-(V a) { return V::wrap(-a.d); }
  friend MSL_INLINE V operator+(V a) { return a; }
  friend MSL_INLINE V &operator++(V &a) { return a = a + V(T(1)); }
  friend MSL_INLINE V &operator--(V &a) { return a = a - V(T(1)); }
  friend MSL_INLINE V operator++(V &a, int) { V old = a; a = a + V(T(1)); return old; }
  friend MSL_INLINE V operator--(V &a, int) { V old = a; a = a - V(T(1)); return old; }
  friend MSL_INLINE vec<bool, N> operator!(V a) { return a == V(T(0)); }
  friend MSL_INLINE vec<bool, N> operator&&(V a, V b) { return (a != V(T(0))) & (b != V(T(0))); }
  friend MSL_INLINE vec<bool, N> operator||(V a, V b) { return (a != V(T(0))) | (b != V(T(0))); }
};

template <class T, int N> struct integer_operators : float_operators<T, N> {
  typedef vec<T, N> V;
  MSL_BINARY(%)
  MSL_BINARY(&)
  MSL_BINARY(|)
  MSL_BINARY(^)
  friend MSL_INLINE V operator~(V a) { return V::wrap(~a.d); }
  // The amount is taken modulo the width.
  friend MSL_INLINE V operator<<(V a, V b) { return V::wrap(a.d << (b.d & T(sizeof(T) * 8 - 1))); }
  friend MSL_INLINE V operator>>(V a, V b) { return V::wrap(a.d >> (b.d & T(sizeof(T) * 8 - 1))); }
  friend MSL_INLINE V &operator<<=(V &a, V b) { return a = a << b; }
  friend MSL_INLINE V &operator>>=(V &a, V b) { return a = a >> b; }
#undef MSL_BINARY
};

template <int N> struct bool_operators {
  typedef vec<bool, N> V;
#define MSL_BINARY(op, native_op) \
  friend MSL_INLINE V operator op(V a, V b) { return V::wrap(a.d native_op b.d); }
  MSL_BINARY(&, &)
  MSL_BINARY(|, |)
  MSL_BINARY(^, ^)
  MSL_BINARY(&&, &)
  MSL_BINARY(||, |)
  MSL_BINARY(!=, ^)
#undef MSL_BINARY
  friend MSL_INLINE V operator==(V a, V b) { return V::wrap((a.d ^ b.d) ^ (unsigned char)1); }
  friend MSL_INLINE V operator!(V a) { return V::wrap(a.d ^ (unsigned char)1); }
  friend MSL_INLINE V &operator&=(V &a, V b) { return a = a & b; }
  friend MSL_INLINE V &operator|=(V &a, V b) { return a = a | b; }
  friend MSL_INLINE V &operator^=(V &a, V b) { return a = a ^ b; }
};

template <class T, int N> struct operators_of {
  typedef metal::conditional_t<__is_integral(T), integer_operators<T, N>, float_operators<T, N>> type;
};
template <int N> struct operators_of<bool, N> { typedef bool_operators<N> type; };
template <class T, int N> using operators = typename operators_of<T, N>::type;

// Puts the components of a constructor's arguments one after another.
template <int I, class D> constexpr MSL_INLINE void fill(D &) {}
template <int I, class D, class A, class... R> constexpr MSL_INLINE void fill(D &d, A a, R... rest);
template <int I, class D, class U, int M, class... R> constexpr MSL_INLINE void fill(D &d, vec<U, M> a, R... rest);
template <int I, class D, class U, int M, class... R> constexpr MSL_INLINE void fill(D &d, packed_vec<U, M> a, R... rest);

#define MSL_COMPONENT(x, r, i, which) MSL_COMPONENT_##which(x, r)
#define MSL_COMPONENT_x(x, r) T x;
#define MSL_COMPONENT_r(x, r) T r;
#define MSL_VECTOR(n)                                                                                          \
  template <class T> struct vec<T, n> : operators<T, n> {                                                      \
    union {                                                                                                    \
      native<T, n> d;                                                                                          \
      struct { MSL_EACH_##n(MSL_COMPONENT, x) };                                                               \
      struct { MSL_EACH_##n(MSL_COMPONENT, r) };                                                               \
    };                                                                                                         \
    typedef T element;                                                                                         \
    static constexpr int length = n;                                                                           \
    vec() = default;                                                                                           \
    constexpr MSL_INLINE vec(T s) : d(component<T>(s)) {}                                                      \
    template <class U> explicit MSL_INLINE vec(vec<U, n> v) : d(convert<T, U, n>(v.d)) {}                      \
    MSL_INLINE vec(const packed_vec<T, n> &v) {                                                                \
      for (int i = 0; i < n; i++) d[i] = v.e[i];                                                               \
    }                                                                                                          \
    template <class U> explicit MSL_INLINE vec(packed_vec<U, n> v) : vec(vec<U, n>(v)) {}                      \
    template <class A, class B, class... R,                                                                    \
              class = metal::enable_if_t<components<A>::value + components<B>::value + (0 + ... + components<R>::value) == n>> \
    constexpr MSL_INLINE vec(A a, B b, R... rest) : d{} {                                                      \
      set(a, b, rest...);                                                                                      \
    }                                                                                                          \
    static MSL_INLINE vec wrap(native<T, n> d) {                                                               \
      vec v;                                                                                                   \
      v.d = d;                                                                                                 \
      return v;                                                                                                \
    }                                                                                                          \
    template <class I, class = metal::enable_if_t<__is_integral(I) || __is_enum(I)>> MSL_INLINE T &operator[](I i) { return ((T *)&d)[i]; } \
    template <class I, class = metal::enable_if_t<__is_integral(I) || __is_enum(I)>> MSL_INLINE const T &operator[](I i) const { return ((const T *)&d)[i]; } \
    template <class... A> constexpr MSL_INLINE void set(A... a) {                                              \
      if constexpr (sizeof...(A) == n)                                                                         \
        d = native<T, n>{component<T>(T(a))...};                                                               \
      else                                                                                                     \
        fill<0>(d, a...);                                                                                      \
    }                                                                                                          \
    MSL_SWIZZLES(n)                                                                                            \
  };
MSL_VECTOR(2)
MSL_VECTOR(3)
MSL_VECTOR(4)
#undef MSL_VECTOR

template <class D> struct native_lane;
template <class T, int N> struct native_lane<T __attribute__((ext_vector_type(N)))> { typedef T type; };

template <int I, class D, class A, class... R> constexpr MSL_INLINE void fill(D &d, A a, R... rest) {
  d[I] = typename native_lane<D>::type(a);
  fill<I + 1>(d, rest...);
}
template <int I, class D, class U, int M, class... R> constexpr MSL_INLINE void fill(D &d, vec<U, M> a, R... rest) {
  for (int i = 0; i < M; i++) d[I + i] = typename native_lane<D>::type(U(a.d[i]));
  fill<I + M>(d, rest...);
}
template <int I, class D, class U, int M, class... R> constexpr MSL_INLINE void fill(D &d, packed_vec<U, M> a, R... rest) {
  fill<I>(d, vec<U, M>(a), rest...);
}

// A packed vector has the alignment of its component. Its swizzles go by component.
#undef MSL_SWIZZLE2
#undef MSL_SWIZZLE3
#undef MSL_SWIZZLE4
#define MSL_SWIZZLE2(y, g, j, x, r, i, ...)                                                          \
  MSL_INLINE vec<T, 2> _g##i##j() const { return vec<T, 2>(e[i], e[j]); }                            \
  MSL_INLINE void _s##i##j(vec<T, 2> v) {                                                            \
    static_assert(distinct<T>(i, j), "vector is not assignable (contains duplicate components)");    \
    e[i] = v.d[0], e[j] = v.d[1];                                                                    \
  }                                                                                                  \
  __declspec(property(get = _g##i##j, put = _s##i##j)) vec<T, 2> x##y;                               \
  __declspec(property(get = _g##i##j, put = _s##i##j)) vec<T, 2> r##g;
#define MSL_SWIZZLE3(z, b, k, y, g, j, x, r, i, ...)                                                 \
  MSL_INLINE vec<T, 3> _g##i##j##k() const { return vec<T, 3>(e[i], e[j], e[k]); }                   \
  MSL_INLINE void _s##i##j##k(vec<T, 3> v) {                                                         \
    static_assert(distinct<T>(i, j, k), "vector is not assignable (contains duplicate components)"); \
    e[i] = v.d[0], e[j] = v.d[1], e[k] = v.d[2];                                                     \
  }                                                                                                  \
  __declspec(property(get = _g##i##j##k, put = _s##i##j##k)) vec<T, 3> x##y##z;                      \
  __declspec(property(get = _g##i##j##k, put = _s##i##j##k)) vec<T, 3> r##g##b;
#define MSL_SWIZZLE4(w, a, l, z, b, k, y, g, j, x, r, i, ...)                                           \
  MSL_INLINE vec<T, 4> _g##i##j##k##l() const { return vec<T, 4>(e[i], e[j], e[k], e[l]); }             \
  MSL_INLINE void _s##i##j##k##l(vec<T, 4> v) {                                                         \
    static_assert(distinct<T>(i, j, k, l), "vector is not assignable (contains duplicate components)"); \
    e[i] = v.d[0], e[j] = v.d[1], e[k] = v.d[2], e[l] = v.d[3];                                         \
  }                                                                                                     \
  __declspec(property(get = _g##i##j##k##l, put = _s##i##j##k##l)) vec<T, 4> x##y##z##w;                \
  __declspec(property(get = _g##i##j##k##l, put = _s##i##j##k##l)) vec<T, 4> r##g##b##a;

template <class T, int N> struct packed_components;
#define MSL_PACKED(n)                              \
  template <class T> struct packed_components<T, n> { \
    union {                                        \
      T e[n];                                      \
      struct { MSL_EACH_##n(MSL_COMPONENT, x) };   \
      struct { MSL_EACH_##n(MSL_COMPONENT, r) };   \
    };                                             \
    MSL_SWIZZLES(n)                                \
  };
MSL_PACKED(2)
MSL_PACKED(3)
MSL_PACKED(4)
#undef MSL_PACKED

template <class T, int N> struct packed_vec : operators<T, N>, packed_components<T, N> {
  using packed_components<T, N>::e;
  packed_vec() = default;
  MSL_INLINE packed_vec(T s) { for (int i = 0; i < N; i++) e[i] = s; }
  MSL_INLINE packed_vec(vec<T, N> v) { for (int i = 0; i < N; i++) e[i] = v.d[i]; }
  template <class U> explicit MSL_INLINE packed_vec(vec<U, N> v) : packed_vec(vec<T, N>(v)) {}
  template <class U> explicit MSL_INLINE packed_vec(packed_vec<U, N> v) : packed_vec(vec<T, N>(vec<U, N>(v))) {}
  template <class A, class B, class... R,
            class = metal::enable_if_t<components<A>::value + components<B>::value + (0 + ... + components<R>::value) == N>>
  MSL_INLINE packed_vec(A a, B b, R... rest) : packed_vec(vec<T, N>(a, b, rest...)) {}
  MSL_INLINE T &operator[](size_t i) { return e[i]; }
  MSL_INLINE const T &operator[](size_t i) const { return e[i]; }
};

} // namespace metal_sim

namespace metal {
using metal_sim::vec;
} // namespace metal

#define MSL_NAMES(T)                     \
  typedef metal_sim::vec<T, 2> T##2;     \
  typedef metal_sim::vec<T, 3> T##3;     \
  typedef metal_sim::vec<T, 4> T##4;     \
  namespace metal {                      \
  using ::T##2;                          \
  using ::T##3;                          \
  using ::T##4;                          \
  }
#define MSL_PACKED_NAMES(T)                              \
  typedef metal_sim::packed_vec<T, 2> packed_##T##2;     \
  typedef metal_sim::packed_vec<T, 3> packed_##T##3;     \
  typedef metal_sim::packed_vec<T, 4> packed_##T##4;
#define MSL_EACH_NUMBER(M) M(char) M(uchar) M(short) M(ushort) M(int) M(uint) M(long) M(ulong) M(half) M(float) M(bfloat)
MSL_NAMES(bool)
MSL_EACH_NUMBER(MSL_NAMES)
MSL_EACH_NUMBER(MSL_PACKED_NAMES)
#undef MSL_NAMES
#undef MSL_PACKED_NAMES
