// metal_uniform.
#pragma once

namespace metal {
template <class T> using uniform = T;
template <class T> constexpr T make_uniform(T x) { return x; }
} // namespace metal
