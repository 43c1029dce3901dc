// matrix<T, C, R>: C columns of R rows, m[c] a column; section 2.3 of the MSL specification.
#pragma once
#include "vector.h"

namespace metal_sim {

template <class T, int C, int R> struct matrix {
  vec<T, R> columns[C];

  matrix() = default;
  // s on the diagonal
  explicit matrix(T s) {
    for (int c = 0; c < C; c++)
      for (int r = 0; r < R; r++) columns[c][r] = c == r ? s : T(0);
  }
  template <class... A, class = metal::enable_if_t<sizeof...(A) == C - 1>>
  matrix(vec<T, R> first, A... rest) : columns{first, vec<T, R>(rest)...} {}
  template <class... A, class = metal::enable_if_t<sizeof...(A) == C * R - 1 && (metal::is_arithmetic<A>::value && ...)>, class = void>
  matrix(T first, A... rest) {
    T all[C * R] = {first, T(rest)...};
    for (int i = 0; i < C * R; i++) columns[i / R][i % R] = all[i];
  }
  template <class U> explicit matrix(const matrix<U, C, R> &m) {
    for (int c = 0; c < C; c++) columns[c] = vec<T, R>(m.columns[c]);
  }
  vec<T, R> &operator[](size_t c) { return columns[c]; }
  const vec<T, R> &operator[](size_t c) const { return columns[c]; }

  friend matrix operator+(matrix a, const matrix &b) { return a += b; }
  friend matrix operator-(matrix a, const matrix &b) { return a -= b; }
  friend matrix operator-(matrix a) {
    for (int c = 0; c < C; c++) a.columns[c] = -a.columns[c];
    return a;
  }
  friend matrix operator*(matrix a, T s) { return a *= s; }
  friend matrix operator*(T s, matrix a) { return a *= s; }
  friend vec<T, R> operator*(const matrix &m, vec<T, C> v) {
    vec<T, R> s = m.columns[0] * v[0];
    for (int c = 1; c < C; c++) s = s + m.columns[c] * v[c];
    return s;
  }
  friend vec<T, C> operator*(vec<T, R> v, const matrix &m) {
    vec<T, C> r;
    for (int c = 0; c < C; c++) {
      T s = v[0] * m.columns[c][0];
      for (int i = 1; i < R; i++) s = s + v[i] * m.columns[c][i];
      r[c] = s;
    }
    return r;
  }
  template <int K> friend matrix<T, K, R> operator*(const matrix &a, const matrix<T, K, C> &b) {
    matrix<T, K, R> m;
    for (int k = 0; k < K; k++) m.columns[k] = a * b.columns[k];
    return m;
  }
  matrix &operator+=(const matrix &b) {
    for (int c = 0; c < C; c++) columns[c] = columns[c] + b.columns[c];
    return *this;
  }
  matrix &operator-=(const matrix &b) {
    for (int c = 0; c < C; c++) columns[c] = columns[c] - b.columns[c];
    return *this;
  }
  matrix &operator*=(T s) {
    for (int c = 0; c < C; c++) columns[c] = columns[c] * s;
    return *this;
  }
  friend bool operator==(const matrix &a, const matrix &b) {
    for (int c = 0; c < C; c++)
      for (int r = 0; r < R; r++)
        if (a.columns[c][r] != b.columns[c][r]) return false;
    return true;
  }
  friend bool operator!=(const matrix &a, const matrix &b) { return !(a == b); }
};

} // namespace metal_sim

namespace metal {
using metal_sim::matrix;

template <class T, int C, int R> matrix<T, R, C> transpose(const matrix<T, C, R> &m) {
  matrix<T, R, C> t;
  for (int c = 0; c < C; c++)
    for (int r = 0; r < R; r++) t.columns[r][c] = m.columns[c][r];
  return t;
}
template <class T> T determinant(const matrix<T, 2, 2> &m) { return m[0][0] * m[1][1] - m[1][0] * m[0][1]; }
template <class T> T determinant(const matrix<T, 3, 3> &m) {
  return m[0][0] * (m[1][1] * m[2][2] - m[2][1] * m[1][2]) - m[1][0] * (m[0][1] * m[2][2] - m[2][1] * m[0][2]) +
         m[2][0] * (m[0][1] * m[1][2] - m[1][1] * m[0][2]);
}
template <class T> T determinant(const matrix<T, 4, 4> &m) {
  T sum = T(0);
  for (int c = 0; c < 4; c++) {
    matrix<T, 3, 3> minor;
    for (int i = 0, k = 0; i < 4; i++)
      if (i != c) minor[k++] = metal_sim::vec<T, 3>(m[i][1], m[i][2], m[i][3]);
    T term = m[c][0] * determinant(minor);
    sum = c % 2 ? sum - term : sum + term;
  }
  return sum;
}
} // namespace metal

#define MSL_MATRIX(T, c, r)                          \
  typedef metal_sim::matrix<T, c, r> T##c##x##r;     \
  namespace metal {                                  \
  using ::T##c##x##r;                                \
  }
#define MSL_MATRICES(T)                                                                                          \
  MSL_MATRIX(T, 2, 2) MSL_MATRIX(T, 2, 3) MSL_MATRIX(T, 2, 4) MSL_MATRIX(T, 3, 2) MSL_MATRIX(T, 3, 3)            \
  MSL_MATRIX(T, 3, 4) MSL_MATRIX(T, 4, 2) MSL_MATRIX(T, 4, 3) MSL_MATRIX(T, 4, 4)
MSL_MATRICES(float)
MSL_MATRICES(half)
#undef MSL_MATRIX
#undef MSL_MATRICES
