// The swizzles of vec<T, N>: v.yx, v.rgb, v.wzyx, ..., to read and, without a repeated component, to write.
// Each is a property with a getter _g<components> and a setter _s<components>. A setter writes the components one by one:
// a neighbour may belong to another thread.
#pragma once

#define MSL_EACH_2(M, ...) M(x, r, 0, __VA_ARGS__) M(y, g, 1, __VA_ARGS__)
#define MSL_EACH_3(M, ...) MSL_EACH_2(M, __VA_ARGS__) M(z, b, 2, __VA_ARGS__)
#define MSL_EACH_4(M, ...) MSL_EACH_3(M, __VA_ARGS__) M(w, a, 3, __VA_ARGS__)
// A macro does not expand inside itself, so that each level needs its own.
#define MSL_EACH2_2(M, ...) M(x, r, 0, __VA_ARGS__) M(y, g, 1, __VA_ARGS__)
#define MSL_EACH2_3(M, ...) MSL_EACH2_2(M, __VA_ARGS__) M(z, b, 2, __VA_ARGS__)
#define MSL_EACH2_4(M, ...) MSL_EACH2_3(M, __VA_ARGS__) M(w, a, 3, __VA_ARGS__)
#define MSL_EACH3_2(M, ...) M(x, r, 0, __VA_ARGS__) M(y, g, 1, __VA_ARGS__)
#define MSL_EACH3_3(M, ...) MSL_EACH3_2(M, __VA_ARGS__) M(z, b, 2, __VA_ARGS__)
#define MSL_EACH3_4(M, ...) MSL_EACH3_3(M, __VA_ARGS__) M(w, a, 3, __VA_ARGS__)
#define MSL_EACH4_2(M, ...) M(x, r, 0, __VA_ARGS__) M(y, g, 1, __VA_ARGS__)
#define MSL_EACH4_3(M, ...) MSL_EACH4_2(M, __VA_ARGS__) M(z, b, 2, __VA_ARGS__)
#define MSL_EACH4_4(M, ...) MSL_EACH4_3(M, __VA_ARGS__) M(w, a, 3, __VA_ARGS__)

#define MSL_INLINE __attribute__((always_inline))

#define MSL_SWIZZLE2(y, g, j, x, r, i, ...)                                                            \
  MSL_INLINE vec<T, 2> _g##i##j() const { return vec<T, 2>::wrap(__builtin_shufflevector(d, d, i, j)); } \
  MSL_INLINE void _s##i##j(vec<T, 2> v) {                                                              \
    static_assert(distinct<T>(i, j), "vector is not assignable (contains duplicate components)");      \
    ((T *)&d)[i] = v.d[0], ((T *)&d)[j] = v.d[1];                                                                    \
  }                                                                                                    \
  __declspec(property(get = _g##i##j, put = _s##i##j)) vec<T, 2> x##y;                                 \
  __declspec(property(get = _g##i##j, put = _s##i##j)) vec<T, 2> r##g;

#define MSL_SWIZZLE3(z, b, k, y, g, j, x, r, i, ...)                                                          \
  MSL_INLINE vec<T, 3> _g##i##j##k() const { return vec<T, 3>::wrap(__builtin_shufflevector(d, d, i, j, k)); } \
  MSL_INLINE void _s##i##j##k(vec<T, 3> v) {                                                                  \
    static_assert(distinct<T>(i, j, k), "vector is not assignable (contains duplicate components)");          \
    ((T *)&d)[i] = v.d[0], ((T *)&d)[j] = v.d[1], ((T *)&d)[k] = v.d[2];                                                           \
  }                                                                                                           \
  __declspec(property(get = _g##i##j##k, put = _s##i##j##k)) vec<T, 3> x##y##z;                               \
  __declspec(property(get = _g##i##j##k, put = _s##i##j##k)) vec<T, 3> r##g##b;

#define MSL_SWIZZLE4(w, a, l, z, b, k, y, g, j, x, r, i, ...)                                                       \
  MSL_INLINE vec<T, 4> _g##i##j##k##l() const { return vec<T, 4>::wrap(__builtin_shufflevector(d, d, i, j, k, l)); } \
  MSL_INLINE void _s##i##j##k##l(vec<T, 4> v) {                                                                     \
    static_assert(distinct<T>(i, j, k, l), "vector is not assignable (contains duplicate components)");             \
    ((T *)&d)[i] = v.d[0], ((T *)&d)[j] = v.d[1], ((T *)&d)[k] = v.d[2], ((T *)&d)[l] = v.d[3];                                                 \
  }                                                                                                                 \
  __declspec(property(get = _g##i##j##k##l, put = _s##i##j##k##l)) vec<T, 4> x##y##z##w;                            \
  __declspec(property(get = _g##i##j##k##l, put = _s##i##j##k##l)) vec<T, 4> r##g##b##a;

#define MSL_S2_2(x, r, i, ...) MSL_EACH2_2(MSL_SWIZZLE2, x, r, i)
#define MSL_S2_3(x, r, i, ...) MSL_EACH2_3(MSL_SWIZZLE2, x, r, i)
#define MSL_S2_4(x, r, i, ...) MSL_EACH2_4(MSL_SWIZZLE2, x, r, i)
#define MSL_S3_2(x, r, i, ...) MSL_EACH2_2(MSL_S3B_2, x, r, i)
#define MSL_S3_3(x, r, i, ...) MSL_EACH2_3(MSL_S3B_3, x, r, i)
#define MSL_S3_4(x, r, i, ...) MSL_EACH2_4(MSL_S3B_4, x, r, i)
#define MSL_S3B_2(...) MSL_EACH3_2(MSL_SWIZZLE3, __VA_ARGS__)
#define MSL_S3B_3(...) MSL_EACH3_3(MSL_SWIZZLE3, __VA_ARGS__)
#define MSL_S3B_4(...) MSL_EACH3_4(MSL_SWIZZLE3, __VA_ARGS__)
#define MSL_S4_2(x, r, i, ...) MSL_EACH2_2(MSL_S4B_2, x, r, i)
#define MSL_S4_3(x, r, i, ...) MSL_EACH2_3(MSL_S4B_3, x, r, i)
#define MSL_S4_4(x, r, i, ...) MSL_EACH2_4(MSL_S4B_4, x, r, i)
#define MSL_S4B_2(...) MSL_EACH3_2(MSL_S4C_2, __VA_ARGS__)
#define MSL_S4B_3(...) MSL_EACH3_3(MSL_S4C_3, __VA_ARGS__)
#define MSL_S4B_4(...) MSL_EACH3_4(MSL_S4C_4, __VA_ARGS__)
#define MSL_S4C_2(...) MSL_EACH4_2(MSL_SWIZZLE4, __VA_ARGS__)
#define MSL_S4C_3(...) MSL_EACH4_3(MSL_SWIZZLE4, __VA_ARGS__)
#define MSL_S4C_4(...) MSL_EACH4_4(MSL_SWIZZLE4, __VA_ARGS__)

// All swizzles of a vector of n components.
#define MSL_SWIZZLES(n)       \
  MSL_EACH_##n(MSL_S2_##n, )   \
  MSL_EACH_##n(MSL_S3_##n, )   \
  MSL_EACH_##n(MSL_S4_##n, )
