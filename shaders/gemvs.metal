// Products of a matrix with a few tokens: y[n][rows] = x[n][cols] · wᵀ. Each weight is read and decoded once for all of
// them.
//
// As in gemv.metal a simdgroup computes eight rows, here four in each half of its lanes. Of each of its four rows a
// lane takes eight columns in every 128, decodes them, and multiplies them with all tokens. Each lane of a quad, whose
// columns are of one group, loads scale and bias of one of the four rows.

// The products of eight rows with T tokens, spread over a simdgroup. Tokens from n on stand for the last one; their
// results are not written.
template <typename W, uint T> struct Products {
  Matrix<W> w;
  device const float4 *x;
  uint n, lane;
  uint words[4];  // the first words of the rows
  uint groups;    // the first group of the row whose scales the lane loads for its quad
  float4 sums[T]; // of the four rows

  Products(Matrix<W> matrix, EightRows rows, device const float *tokens, uint count, uint lane_index) {
    w = matrix;
    x = (device const float4 *)tokens;
    n = count;
    lane = lane_index;
    uint first = lane / 16 * 4;
#pragma unroll
    for (uint i = 0; i < 4; i++) {
      words[i] = rows.at(first + i) * (w.cols / 8);
    }
    groups = W::Quantised ? rows.at(first + lane % 4) * (w.cols / group_size) : 0;
#pragma unroll
    for (uint t = 0; t < T; t++) {
      sums[t] = 0;
    }
  }

  // Adds the eight columns of a word.
  void add(uint word) {
    typename W::Word stored[4];
#pragma unroll
    for (uint i = 0; i < 4; i++) {
      stored[i] = W::word(w.data, words[i] + word);
    }
    float2 own = 0; // scale and bias
    if (W::Quantised) {
      uint group = groups + word / (group_size / 8);
      own = {scale_at(w.scales, group) * W::unit(), scale_at(w.biases, group)};
    }
#pragma unroll
    for (uint h = 0; h < 2; h++) {
      float4 weights[4];
#pragma unroll
      for (uint i = 0; i < 4; i++) {
        weights[i] = W::four(stored[i], h);
        if (W::Quantised) {
          float2 affine = quad_broadcast(own, i);
          weights[i] = weights[i] * affine.x + affine.y;
        }
      }
#pragma unroll
      for (uint t = 0; t < T; t++) {
        float4 four = x[min(t, n - 1) * (w.cols / 4) + 2 * word + h];
#pragma unroll
        for (uint i = 0; i < 4; i++) {
#pragma unroll
          for (uint j = 0; j < 4; j++) {
            sums[t][i] += four[j] * weights[i][j];
          }
        }
      }
    }
  }

  // Computes everything.
  void multiply() {
    for (uint word = lane % 16; word < w.cols / 8; word += 16) { // a quad whole or not at all where there are scales
      add(word);
    }
  }

  // The product of token 4i + lane / 4 % 4 and the row at place_of(lane).
  float product(uint i) {
    thread const float4 *v = sums + 4 * i;
    float4 a = share_sums<8>(v[0], v[2], lane), b = share_sums<8>(v[1], v[3], lane);
    a = share_sums<4>(a, b, lane);
    float2 two = share_sums<2>(a.xy, a.zw, lane);
    return share_sums<1>(two.x, two.y, lane);
  }
};

// The place among the eight rows of the one whose products a lane has: lanes l and l ^ 1 have neighbours, l and l ^ 16
// rows of the first and the second four.
inline uint place_of(uint lane) { return lane / 16 * 4 + lane % 4; }

template <typename W, uint T>
[[kernel]] void gemvs_qkv(constant QKVArgs &args [[buffer(0)]],
                          device const float *x [[buffer(1)]],
                          device float *q [[buffer(2)]],
                          device uchar *keys [[buffer(3)]],
                          device uchar *values [[buffer(4)]],
                          device const float2 *rope [[buffer(5)]],
                          device const uchar *wq [[buffer(6)]],
                          device const uchar *wq_scales [[buffer(7)]],
                          device const uchar *wq_biases [[buffer(8)]],
                          device const uchar *wk [[buffer(9)]],
                          device const uchar *wk_scales [[buffer(10)]],
                          device const uchar *wk_biases [[buffer(11)]],
                          device const uchar *wv [[buffer(12)]],
                          device const uchar *wv_scales [[buffer(13)]],
                          device const uchar *wv_biases [[buffer(14)]],
                          device const float *q_bias [[buffer(15)]],
                          device const float *k_bias [[buffer(16)]],
                          device const float *v_bias [[buffer(17)]],
                          uint group [[threadgroup_position_in_grid]],
                          uint simdgroup [[simdgroup_index_in_threadgroup]],
                          uint lane [[thread_index_in_simdgroup]]) {
  uint first = args.first + (group * simdgroups + simdgroup) * 8;
  if (first >= args.end) {
    return;
  }
  uint row = first; // all eight are of one matrix: the rows of each are a multiple of 8
  Matrix<W> w = matrix_of(row, Matrix<W>{wq, wq_scales, wq_biases, args.cols}, args.q_rows,
                          Matrix<W>{wk, wk_scales, wk_biases, args.cols}, args.kv_rows,
                          Matrix<W>{wv, wv_scales, wv_biases, args.cols});
  Products<W, T> products(w, {row, ~0u, 8, 0}, x, args.n, lane);
  products.multiply();
  QKVResult result = {q, keys, values, rope, q_bias, k_bias, v_bias};
#pragma unroll
  for (uint i = 0; i < T / 4; i++) {
    float mine = products.product(i), other = simd_shuffle_xor(mine, 1);
    uint t = 4 * i + lane / 4 % 4;
    if (lane % 2 == 0 && t < args.n) {
      result.write(args, first + place_of(lane), t, float2(mine, other));
    }
  }
}

template <typename W, uint T>
[[kernel]] void gemvs_out(constant MatmulArgs &args [[buffer(0)]],
                          device const float *x [[buffer(1)]],
                          device float *y [[buffer(2)]],
                          device const uchar *w [[buffer(3)]],
                          device const uchar *scales [[buffer(4)]],
                          device const uchar *biases [[buffer(5)]],
                          uint group [[threadgroup_position_in_grid]],
                          uint simdgroup [[simdgroup_index_in_threadgroup]],
                          uint lane [[thread_index_in_simdgroup]]) {
  uint first = (group * simdgroups + simdgroup) * 8;
  if (first >= args.rows) {
    return;
  }
  EightRows rows = {first, args.rows, 8, 0};
  Products<W, T> products(Matrix<W>{w, scales, biases, args.cols}, rows, x, args.n, lane);
  products.multiply();
  uint row = rows.at(place_of(lane));
#pragma unroll
  for (uint i = 0; i < T / 4; i++) {
    float product = products.product(i);
    uint t = 4 * i + lane / 4 % 4;
    if (rows.owns(place_of(lane)) && t < args.n) {
      y[t * args.rows + row] = product;
    }
  }
}

template <typename W, uint T>
[[kernel]] void gemvs_gate_up(constant GateUpArgs &args [[buffer(0)]],
                              device const float *x [[buffer(1)]],
                              device float *act [[buffer(2)]],
                              device const uchar *w [[buffer(3)]],
                              device const uchar *scales [[buffer(4)]],
                              device const uchar *biases [[buffer(5)]],
                              uint group [[threadgroup_position_in_grid]],
                              uint simdgroup [[simdgroup_index_in_threadgroup]],
                              uint lane [[thread_index_in_simdgroup]]) {
  uint first = (group * simdgroups + simdgroup) * 4;
  if (first >= args.ffn) {
    return;
  }
  EightRows rows = {first, args.ffn, 4, args.ffn};
  Products<W, T> products(Matrix<W>{w, scales, biases, args.cols}, rows, x, args.n, lane);
  products.multiply();
  uint row = rows.at(place_of(lane));
#pragma unroll
  for (uint i = 0; i < T / 4; i++) {
    float mine = products.product(i), other = simd_shuffle_xor(mine, 16);
    uint t = 4 * i + lane / 4 % 4;
    if (lane < 16 && rows.owns(place_of(lane)) && t < args.n) {
      act[t * args.ffn + row] = silu(mine) * other;
    }
  }
}

template [[host_name("gemv4_qkv_q4")]] [[kernel]] decltype(gemvs_qkv<Q4, 4>) gemvs_qkv<Q4, 4>;
template [[host_name("gemv4_qkv_q8")]] [[kernel]] decltype(gemvs_qkv<Q8, 4>) gemvs_qkv<Q8, 4>;
template [[host_name("gemv4_qkv_w16")]] [[kernel]] decltype(gemvs_qkv<W16, 4>) gemvs_qkv<W16, 4>;
template [[host_name("gemv4_qkv_w32")]] [[kernel]] decltype(gemvs_qkv<W32, 4>) gemvs_qkv<W32, 4>;
template [[host_name("gemv4_out_q4")]] [[kernel]] decltype(gemvs_out<Q4, 4>) gemvs_out<Q4, 4>;
template [[host_name("gemv4_out_q8")]] [[kernel]] decltype(gemvs_out<Q8, 4>) gemvs_out<Q8, 4>;
template [[host_name("gemv4_out_w16")]] [[kernel]] decltype(gemvs_out<W16, 4>) gemvs_out<W16, 4>;
template [[host_name("gemv4_out_w32")]] [[kernel]] decltype(gemvs_out<W32, 4>) gemvs_out<W32, 4>;
template [[host_name("gemv4_gate_up_q4")]] [[kernel]] decltype(gemvs_gate_up<Q4, 4>) gemvs_gate_up<Q4, 4>;
template [[host_name("gemv4_gate_up_q8")]] [[kernel]] decltype(gemvs_gate_up<Q8, 4>) gemvs_gate_up<Q8, 4>;
template [[host_name("gemv4_gate_up_w16")]] [[kernel]] decltype(gemvs_gate_up<W16, 4>) gemvs_gate_up<W16, 4>;
template [[host_name("gemv4_gate_up_w32")]] [[kernel]] decltype(gemvs_gate_up<W32, 4>) gemvs_gate_up<W32, 4>;
template [[host_name("gemv8_qkv_q4")]] [[kernel]] decltype(gemvs_qkv<Q4, 8>) gemvs_qkv<Q4, 8>;
template [[host_name("gemv8_qkv_q8")]] [[kernel]] decltype(gemvs_qkv<Q8, 8>) gemvs_qkv<Q8, 8>;
template [[host_name("gemv8_qkv_w16")]] [[kernel]] decltype(gemvs_qkv<W16, 8>) gemvs_qkv<W16, 8>;
template [[host_name("gemv8_qkv_w32")]] [[kernel]] decltype(gemvs_qkv<W32, 8>) gemvs_qkv<W32, 8>;
template [[host_name("gemv8_out_q4")]] [[kernel]] decltype(gemvs_out<Q4, 8>) gemvs_out<Q4, 8>;
template [[host_name("gemv8_out_q8")]] [[kernel]] decltype(gemvs_out<Q8, 8>) gemvs_out<Q8, 8>;
template [[host_name("gemv8_out_w16")]] [[kernel]] decltype(gemvs_out<W16, 8>) gemvs_out<W16, 8>;
template [[host_name("gemv8_out_w32")]] [[kernel]] decltype(gemvs_out<W32, 8>) gemvs_out<W32, 8>;
template [[host_name("gemv8_gate_up_q4")]] [[kernel]] decltype(gemvs_gate_up<Q4, 8>) gemvs_gate_up<Q4, 8>;
template [[host_name("gemv8_gate_up_q8")]] [[kernel]] decltype(gemvs_gate_up<Q8, 8>) gemvs_gate_up<Q8, 8>;
template [[host_name("gemv8_gate_up_w16")]] [[kernel]] decltype(gemvs_gate_up<W16, 8>) gemvs_gate_up<W16, 8>;
template [[host_name("gemv8_gate_up_w32")]] [[kernel]] decltype(gemvs_gate_up<W32, 8>) gemvs_gate_up<W32, 8>;
template [[host_name("gemv12_qkv_q4")]] [[kernel]] decltype(gemvs_qkv<Q4, 12>) gemvs_qkv<Q4, 12>;
template [[host_name("gemv12_qkv_q8")]] [[kernel]] decltype(gemvs_qkv<Q8, 12>) gemvs_qkv<Q8, 12>;
template [[host_name("gemv12_qkv_w16")]] [[kernel]] decltype(gemvs_qkv<W16, 12>) gemvs_qkv<W16, 12>;
template [[host_name("gemv12_qkv_w32")]] [[kernel]] decltype(gemvs_qkv<W32, 12>) gemvs_qkv<W32, 12>;
template [[host_name("gemv12_out_q4")]] [[kernel]] decltype(gemvs_out<Q4, 12>) gemvs_out<Q4, 12>;
template [[host_name("gemv12_out_q8")]] [[kernel]] decltype(gemvs_out<Q8, 12>) gemvs_out<Q8, 12>;
template [[host_name("gemv12_out_w16")]] [[kernel]] decltype(gemvs_out<W16, 12>) gemvs_out<W16, 12>;
template [[host_name("gemv12_out_w32")]] [[kernel]] decltype(gemvs_out<W32, 12>) gemvs_out<W32, 12>;
template [[host_name("gemv12_gate_up_q4")]] [[kernel]] decltype(gemvs_gate_up<Q4, 12>) gemvs_gate_up<Q4, 12>;
template [[host_name("gemv12_gate_up_q8")]] [[kernel]] decltype(gemvs_gate_up<Q8, 12>) gemvs_gate_up<Q8, 12>;
template [[host_name("gemv12_gate_up_w16")]] [[kernel]] decltype(gemvs_gate_up<W16, 12>) gemvs_gate_up<W16, 12>;
template [[host_name("gemv12_gate_up_w32")]] [[kernel]] decltype(gemvs_gate_up<W32, 12>) gemvs_gate_up<W32, 12>;
