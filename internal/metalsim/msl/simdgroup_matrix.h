// simdgroup_matrix<T, 8, 8>: sections 2.4 and 6.7 of the MSL specification. The 64 elements lie in the 32 lanes of a
// simdgroup, two side by side in each: lane l holds row 4·l[4] + 2·l[2] + l[1] and columns 4·l[3] + 2·l[0] and the next,
// l[i] being bit i of l. That is what Apple's GPUs do and kernels that fill thread_elements() rely on. In the layout 1,
// that of no GPU, lane l holds row l / 4 and columns 2·(l % 4) and the next.
//
// A product adds its eight terms to the element of C in f32, k ascending, and rounds to the type of D once.
#pragma once
#include "runtime.h"
#include "simd.h"
#include "vector.h"

namespace metal {

template <class T, int Cols, int Rows> struct simdgroup_matrix {
  static_assert(Cols == 8 && Rows == 8, "simdgroup_matrix must be 8x8");
  static_assert(__is_same(T, float) || __is_same(T, half) || __is_same(T, bfloat), "simdgroup_matrix needs float, half or bfloat");
  typedef T element_type;
  typedef metal_sim::vec<T, 2> storage_type;

  simdgroup_matrix() = default;
  // value on the diagonal, 0 elsewhere
  explicit simdgroup_matrix(T value);

  storage_type &thread_elements() { return elements; }
  const storage_type &thread_elements() const { return elements; }

private:
  storage_type elements;
};

typedef simdgroup_matrix<float, 8, 8> simdgroup_float8x8;
typedef simdgroup_matrix<half, 8, 8> simdgroup_half8x8;
typedef simdgroup_matrix<bfloat, 8, 8> simdgroup_bfloat8x8;

} // namespace metal

namespace metal_sim {

// The row and first column of a lane's elements.
struct MatrixPlace {
  unsigned row, column;
};

// Who compiles a shader says which.
extern const unsigned matrix_layout;

inline MatrixPlace matrix_place(unsigned lane) {
  if (matrix_layout) return {lane / 4, lane % 4 * 2};
  return {(lane >> 4 & 1) * 4 + (lane >> 1 & 3), (lane >> 3 & 1) * 4 + (lane & 1) * 2};
}

inline unsigned matrix_lane(unsigned row, unsigned column) {
  if (matrix_layout) return row * 4 + column / 2;
  return (row >> 2) << 4 | (column >> 2) << 3 | (row & 3) << 1 | (column >> 1 & 1);
}

template <class Lanes> void need_all_lanes(const Lanes &lanes) {
  if (lanes.active != 0xffffffff) rt->fail("simdgroup_matrix function without all 32 lanes of the simdgroup", lanes.site);
}

// Where all lanes meet before they load or store a matrix.
inline MatrixPlace meet(const char *op, sim::Site site) {
  auto lanes = exchange<32>(op, true, site);
  need_all_lanes(lanes);
  return matrix_place(lanes.lane);
}

struct MatrixOperands {
  float a[2], b[2];
};

// The two elements of a·b + c that the calling lane holds, in f32.
template <class A, class B> void multiply_add(const char *op, const metal::simdgroup_matrix<A, 8, 8> &a, const metal::simdgroup_matrix<B, 8, 8> &b, float sum[2], sim::Site site) {
  const auto &l = a.thread_elements();
  const auto &r = b.thread_elements();
  MatrixOperands mine = {{float(l[0]), float(l[1])}, {float(r[0]), float(r[1])}};
  auto lanes = exchange<32>(op, mine, site);
  need_all_lanes(lanes);
  MatrixPlace p = matrix_place(lanes.lane);
  for (unsigned k = 0; k < 8; k++) {
    float left = lanes[matrix_lane(p.row, k)].a[k & 1];
    const MatrixOperands &right = lanes[matrix_lane(k, p.column)];
    sum[0] += left * right.b[0];
    sum[1] += left * right.b[1];
  }
}

} // namespace metal_sim

namespace metal {

template <class T, int Cols, int Rows> simdgroup_matrix<T, Cols, Rows>::simdgroup_matrix(T value) {
  metal_sim::MatrixPlace p = metal_sim::matrix_place(metal_sim::lane_of(32));
  elements = storage_type(p.row == p.column ? value : T(0), p.row == p.column + 1 ? value : T(0));
}

template <class T, int Cols, int Rows = Cols> simdgroup_matrix<T, Cols, Rows> make_filled_simdgroup_matrix(T value) {
  simdgroup_matrix<T, Cols, Rows> m;
  m.thread_elements() = metal_sim::vec<T, 2>(value);
  return m;
}

template <class T, int Cols, int Rows = Cols> simdgroup_matrix<T, Cols, Rows> make_diagonal_simdgroup_matrix(T value) {
  return simdgroup_matrix<T, Cols, Rows>(value);
}

// Element (row, column) comes from source[(origin.y + row) * elements_per_row + origin.x + column], or with row and column
// exchanged when transposed.
template <class T>
void simdgroup_load(simdgroup_matrix<T, 8, 8> &m, const T *source, ulong elements_per_row = 8, metal_sim::vec<ulong, 2> origin = 0,
                    bool transpose = false, sim::Site at = metal_sim::here()) {
  metal_sim::MatrixPlace p = metal_sim::meet("simdgroup_load", at);
  source += origin[1] * elements_per_row + origin[0];
  if (transpose) {
    source += p.column * elements_per_row + p.row;
    m.thread_elements() = metal_sim::vec<T, 2>(source[0], source[elements_per_row]);
  } else {
    source += p.row * elements_per_row + p.column;
    m.thread_elements() = metal_sim::vec<T, 2>(source[0], source[1]);
  }
}

template <class T>
void simdgroup_store(const simdgroup_matrix<T, 8, 8> &m, T *to, ulong elements_per_row = 8, metal_sim::vec<ulong, 2> origin = 0,
                     bool transpose = false, sim::Site at = metal_sim::here()) {
  metal_sim::MatrixPlace p = metal_sim::meet("simdgroup_store", at);
  to += origin[1] * elements_per_row + origin[0];
  if (transpose) {
    to += p.column * elements_per_row + p.row;
    to[0] = m.thread_elements()[0];
    to[elements_per_row] = m.thread_elements()[1];
  } else {
    to += p.row * elements_per_row + p.column;
    to[0] = m.thread_elements()[0];
    to[1] = m.thread_elements()[1];
  }
}

template <class D, class A, class B>
void simdgroup_multiply(simdgroup_matrix<D, 8, 8> &d, const simdgroup_matrix<A, 8, 8> &a, const simdgroup_matrix<B, 8, 8> &b,
                        sim::Site at = metal_sim::here()) {
  float sum[2] = {0, 0};
  metal_sim::multiply_add("simdgroup_multiply", a, b, sum, at);
  d.thread_elements() = metal_sim::vec<D, 2>(D(sum[0]), D(sum[1]));
}

template <class D, class A, class B, class C>
void simdgroup_multiply_accumulate(simdgroup_matrix<D, 8, 8> &d, const simdgroup_matrix<A, 8, 8> &a, const simdgroup_matrix<B, 8, 8> &b,
                                   const simdgroup_matrix<C, 8, 8> &c, sim::Site at = metal_sim::here()) {
  float sum[2] = {float(c.thread_elements()[0]), float(c.thread_elements()[1])};
  metal_sim::multiply_add("simdgroup_multiply_accumulate", a, b, sum, at);
  d.thread_elements() = metal_sim::vec<D, 2>(D(sum[0]), D(sum[1]));
}

template <class T>
simdgroup_matrix<T, 8, 8> operator*(const simdgroup_matrix<T, 8, 8> &a, const simdgroup_matrix<T, 8, 8> &b) {
  simdgroup_matrix<T, 8, 8> d;
  simdgroup_multiply(d, a, b);
  return d;
}

} // namespace metal
