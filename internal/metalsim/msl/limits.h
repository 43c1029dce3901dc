// metal_limits: numeric_limits.
#pragma once

namespace metal {

enum float_round_style { round_indeterminate = -1, round_toward_zero = 0, round_to_nearest = 1 };

template <class T> struct numeric_limits {
  static constexpr bool is_specialized = false;
};

namespace detail {
template <class T> struct integer_limits {
  static constexpr bool is_specialized = true, is_integer = true, is_exact = true, is_bounded = true;
  static constexpr bool is_signed = T(-1) < T(0), is_modulo = !is_signed;
  static constexpr bool has_infinity = false, has_quiet_NaN = false, has_signaling_NaN = false, is_iec559 = false;
  static constexpr int digits = int(sizeof(T) * 8) - is_signed, digits10 = digits * 301 / 1000, radix = 2;
  static constexpr T max() { return is_signed ? T((T(1) << (sizeof(T) * 8 - 2)) - 1 + (T(1) << (sizeof(T) * 8 - 2))) : T(~T(0)); }
  static constexpr T min() { return is_signed ? T(-max() - 1) : T(0); }
  static constexpr T lowest() { return min(); }
  static constexpr T epsilon() { return 0; }
  static constexpr T infinity() { return 0; }
  static constexpr T quiet_NaN() { return 0; }
};
} // namespace detail

#define MSL_LIMITS(T) template <> struct numeric_limits<T> : detail::integer_limits<T> {};
MSL_LIMITS(char)
MSL_LIMITS(signed char)
MSL_LIMITS(uchar)
MSL_LIMITS(short)
MSL_LIMITS(ushort)
MSL_LIMITS(int)
MSL_LIMITS(uint)
MSL_LIMITS(long)
MSL_LIMITS(ulong)
#undef MSL_LIMITS

template <> struct numeric_limits<bool> : detail::integer_limits<uchar> {
  static constexpr bool is_modulo = false;
  static constexpr int digits = 1, digits10 = 0;
  static constexpr bool max() { return true; }
  static constexpr bool min() { return false; }
  static constexpr bool lowest() { return false; }
};

#define MSL_LIMITS(T, DIG, MAX, MIN, EPS, DENORM, MAXE, MINE)                                                   \
  template <> struct numeric_limits<T> {                                                                        \
    static constexpr bool is_specialized = true, is_signed = true, is_integer = false, is_exact = false;        \
    static constexpr bool has_infinity = true, has_quiet_NaN = true, has_signaling_NaN = true, is_iec559 = true; \
    static constexpr bool is_bounded = true, is_modulo = false;                                                 \
    static constexpr int digits = DIG, digits10 = (DIG - 1) * 301 / 1000, max_digits10 = DIG * 301 / 1000 + 2;  \
    static constexpr int radix = 2, max_exponent = MAXE, min_exponent = MINE;                                   \
    static constexpr T max() { return T(MAX); }                                                                 \
    static constexpr T min() { return T(MIN); }                                                                 \
    static constexpr T lowest() { return T(-MAX); }                                                             \
    static constexpr T epsilon() { return T(EPS); }                                                             \
    static constexpr T round_error() { return T(0.5f); }                                                        \
    static constexpr T infinity() { return T(__builtin_inff()); }                                               \
    static constexpr T quiet_NaN() { return T(__builtin_nanf("")); }                                            \
    static constexpr T signaling_NaN() { return T(__builtin_nanf("")); }                                        \
    static constexpr T denorm_min() { return T(DENORM); }                                                       \
  };
MSL_LIMITS(float, 24, 0x1.fffffep127f, 0x1p-126f, 0x1p-23f, 0x1p-149f, 128, -125)
MSL_LIMITS(half, 11, 0x1.ffcp15f, 0x1p-14f, 0x1p-10f, 0x1p-24f, 16, -13)
#ifndef __OPENCL_CPP_VERSION__ // a class there, and not constexpr in each address space
MSL_LIMITS(bfloat, 8, 0x1.fep127f, 0x1p-126f, 0x1p-7f, 0x1p-133f, 128, -125)
#endif
#undef MSL_LIMITS

} // namespace metal
