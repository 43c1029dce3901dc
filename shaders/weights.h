#include <metal_stdlib>
using namespace metal;

// What is fixed when a pipeline is made.
constant uint group_size [[function_constant(0)]];    // columns that share a scale and a bias: 32, 64 or 128
constant uint scale_format [[function_constant(1)]];  // of scales and biases: f32, f16 or bf16
constant uint weight_format [[function_constant(2)]]; // of W16: f16 or bf16
constant uint kv_format [[function_constant(3)]];     // of the KV cache: f32 or f16
constant uint head_dim [[function_constant(4)]];
constant uint simdgroups_given [[function_constant(5)]]; // simdgroups a threadgroup of the GEMV kernels
constant uint simdgroups = is_function_constant_defined(simdgroups_given) ? simdgroups_given : 2;
constant uint half_codes [[function_constant(6)]]; // 1 where subnormal halves keep their value: see gemv.metal
constant uint columns [[function_constant(7)]];    // that a lane of gemv takes of a row at a time: 8 or 16
constant uint split [[function_constant(8)]];      // simdgroups of gemv that share rows: 1, or all of a threadgroup

// The plain formats, numbered as in shaders.go.
constant constexpr uint f32 = 0;
constant constexpr uint f16 = 1;
constant constexpr uint bf16 = 2;

// bfloat needs macOS 14; as the upper half of a float it works everywhere.
inline float widen(ushort bits) { return as_type<float>(uint(bits) << 16); }
inline float2 widen(ushort2 bits) { return as_type<float2>(uint2(bits) << 16); }
inline float4 widen(ushort4 bits) { return as_type<float4>(uint4(bits) << 16); }

// Number i of a row of scales or biases.
inline float scale_at(device const uchar *scales, uint i) {
  if (scale_format == f32) {
    return ((device const float *)scales)[i];
  }
  ushort bits = ((device const ushort *)scales)[i];
  return scale_format == f16 ? float(as_type<half>(bits)) : widen(bits);
}

// The bits of a half whose exponent is 0 count 2^-24ths, so a code is a half without a conversion, and its product
// differs by that power of two alone. Where subnormal halves are not kept, codes are converted. Both halves of a word
// are widened at once: taken out one by one, the upper ones are shifted down first.
constant constexpr float half_steps = 16777216; // in 1

// A kind of weights is a struct with the width of a number (Bits), whether groups of columns have scales (Quantised),
// Word, eight numbers as they are stored, word, which loads one of a matrix, and four, which gives the first four of its
// numbers or the others, still without scale and bias and to be multiplied by unit, a power of two.
// Words are counted in 32 bits, as all other indices: the load then adds them to the address itself.
template <typename W> struct Kind {
  // The eight numbers of a word.
  static void load(device const uchar *data, uint word, thread float *w) {
    auto eight = W::word(data, word);
#pragma unroll
    for (uint i = 0; i < 8; i++) {
      w[i] = W::four(eight, i / 4)[i % 4];
    }
  }
};

// Q4 are 4-bit codes, eight in a uint32, lowest bits first.
struct Q4 : Kind<Q4> {
  static constexpr constant uint Bits = 4;
  static constexpr constant bool Quantised = true;
  typedef uint Word;
  static Word word(device const uchar *data, uint i) { return ((device const uint *)data)[i]; }
  static float unit() { return half_codes ? half_steps : 1; }
  static float4 four(Word codes, uint half_of) {
    ushort two = as_type<ushort2>(codes)[half_of];
    ushort4 four = ushort4(two & 15, two >> 4 & 15, two >> 8 & 15, two >> 12);
    return half_codes ? float4(as_type<half4>(four)) : float4(four);
  }
};

// Q8 are 8-bit codes.
struct Q8 : Kind<Q8> {
  static constexpr constant uint Bits = 8;
  static constexpr constant bool Quantised = true;
  typedef uint2 Word;
  static Word word(device const uchar *data, uint i) { return ((device const uint2 *)data)[i]; }
  static float unit() { return half_codes ? half_steps : 1; }
  static float4 four(uint codes) {
    if (half_codes) {
      float2 even = float2(as_type<half2>(codes & 0x00FF00FF)), odd = float2(as_type<half2>(codes >> 8 & 0x00FF00FF));
      return float4(even.x, odd.x, even.y, odd.y);
    }
    return float4(as_type<uchar4>(codes));
  }
  static float4 four(Word codes, uint half_of) { return four(codes[half_of]); }
};

// W16 are f16 or bf16 numbers, as weight_format says.
struct W16 : Kind<W16> {
  static constexpr constant uint Bits = 16;
  static constexpr constant bool Quantised = false;
  typedef uint4 Word;
  static Word word(device const uchar *data, uint i) { return ((device const uint4 *)data)[i]; }
  static float unit() { return 1; }
  static float4 four(Word numbers, uint half_of) {
    uint2 bits = half_of == 0 ? numbers.xy : numbers.zw;
    return weight_format == f16 ? float4(as_type<half4>(bits)) : widen(as_type<ushort4>(bits));
  }
};

// W32 are floats.
struct W32 : Kind<W32> {
  static constexpr constant uint Bits = 32;
  static constexpr constant bool Quantised = false;
  struct Word {
    float4 low, high;
  };
  static Word word(device const uchar *data, uint i) {
    device const float4 *numbers = (device const float4 *)data + 2 * i;
    return {numbers[0], numbers[1]};
  }
  static float unit() { return 1; }
  static float4 four(Word numbers, uint half_of) { return half_of == 0 ? numbers.low : numbers.high; }
};

// A matrix [rows][cols] of a kind W: row-major numbers and, when quantised, scales and biases [rows][cols /
// group_size].
template <typename W> struct Matrix {
  device const uchar *data;
  device const uchar *scales;
  device const uchar *biases;
  uint cols;

  // Eight weights from column col on, col a multiple of 8; a group holds all of them or none.
  void dequantise(uint row, uint col, thread float *w) const {
    W::load(data, row * (cols / 8) + col / 8, w);
    if (W::Quantised) {
      uint group = row * (cols / group_size) + col / group_size;
      float scale = scale_at(scales, group) * W::unit(), bias = scale_at(biases, group);
#pragma unroll
      for (uint i = 0; i < 8; i++) {
        w[i] = w[i] * scale + bias;
      }
    }
  }
};

// Of three matrices one below the other, the one that a row belongs to; row becomes the row in it.
template <typename W>
Matrix<W> matrix_of(thread uint &row, Matrix<W> a, uint a_rows, Matrix<W> b, uint b_rows, Matrix<W> c) {
  if (row < a_rows) {
    return a;
  }
  row -= a_rows;
  if (row < b_rows) {
    return b;
  }
  row -= b_rows;
  return c;
}

// The R rows of which a simdgroup of gemv or gemvs computes the products: a run of them from `first` on, of the first
// `rows` of a matrix, and where that is R / 2, another one `second` rows behind it. Where fewer are left, a run begins
// with rows that are another simdgroup's to write, so that a place is as far behind the first one in all simdgroups.
template <uint R> struct RowsOf {
  uint first, rows, run, second;

  // The row at place 0.
  uint start() const { return min(first, max(rows, run) - run); }

  // How far the row at a place is behind it.
  uint offset(uint place) const { return min(place % run, rows - 1) + place / run * second; }

  // The row at one of the places, which exists.
  uint at(uint place) const { return start() + offset(place); }

  // Whether its product is to be written.
  bool owns(uint place) const {
    uint row = start() + place % run;
    return row >= first && row < rows;
  }
};

using EightRows = RowsOf<8>;

// Adds up numbers over two lanes that differ in the bit Mask of their index: where it is 0 a lane gets the sums of low,
// where it is 1 those of high.
template <uint Mask, typename T> inline T share_sums(T low, T high, uint lane) {
  bool upper = lane & Mask;
  T keep = upper ? high : low, give = upper ? low : high;
  return keep + (Mask < 4 ? quad_shuffle_xor(give, Mask) : simd_shuffle_xor(give, Mask));
}
