// Products of a matrix with one token: y[rows] = w · x[cols]. The time is that of reading the weights once.
//
// A simdgroup computes eight rows. Of each of them a lane takes eight columns in every 256, so that a load of codes by
// a simdgroup is one line of memory, and what a lane loads of x serves eight rows. The four lanes of a quad have
// columns of one group: they add up their products before scale and bias are applied, each lane to two of the rows.

// Eight numbers of x that meet a word of each of some rows. What dot gives is to be multiplied by `scale`.
template <typename W> struct Eight {
  static float scale() { return 1; }
  static void prepare(thread float *x) {}
  static float dot(device const uchar *data, uint word, thread const float *x) {
    float w[8];
    W::load(data, word, w);
    float sum = x[0] * w[0];
#pragma unroll
    for (uint i = 1; i < 8; i++) {
      sum += x[i] * w[i];
    }
    return sum;
  }
};

// The bits of a half whose exponent is 0 are a number of 2^-24ths, so a code is a half without a conversion, and its
// product differs by that power of two alone. Where subnormal halves are not kept, codes are converted.
constant constexpr float half_unit = 1.0f / 16777216;

// Reads a code as a half, as the products do. It gives `turns` where subnormal halves are kept.
[[max_total_threads_per_threadgroup(32)]] [[kernel]] void
half_codes_kept(constant ProbeArgs &args [[buffer(0)]],
                device float *kept [[buffer(1)]],
                uint thread_index [[thread_position_in_grid]]) {
  kept[thread_index] = args.one / half_unit * float(as_type<half>(ushort(args.turns)));
}

// A code stays where it is in its word, which multiplies it by a power of 16; x is divided by it, once for all rows.
template <> struct Eight<Q4> {
  static float scale() { return half_codes ? 1 / half_unit : 1; }
  static void prepare(thread float *x) {
#pragma unroll
    for (uint i = 0; i < 8; i += 4) {
      x[i + 1] *= 1.0f / 16;
      if (half_codes) {
        x[i + 3] *= 1.0f / 16;
      } else {
        x[i + 2] *= 1.0f / 256;
        x[i + 3] *= 1.0f / 4096;
      }
    }
  }
  static float dot(device const uchar *data, uint word, thread const float *x) {
    uint codes = ((device const uint *)data)[word];
    if (half_codes) {
      half2 a = as_type<half2>(codes & 0x000F000F), b = as_type<half2>(codes & 0x00F000F0);
      half2 c = as_type<half2>(codes >> 8 & 0x000F000F), d = as_type<half2>(codes >> 8 & 0x00F000F0);
      float sum = x[0] * float(a.x);
      sum += x[1] * float(b.x);
      sum += x[2] * float(c.x);
      sum += x[3] * float(d.x);
      sum += x[4] * float(a.y);
      sum += x[5] * float(b.y);
      sum += x[6] * float(c.y);
      sum += x[7] * float(d.y);
      return sum;
    }
    ushort2 two = as_type<ushort2>(codes);
    float sum = x[0] * float(ushort(two.x & 0x000F));
    sum += x[1] * float(ushort(two.x & 0x00F0));
    sum += x[2] * float(ushort(two.x & 0x0F00));
    sum += x[3] * float(ushort(two.x & 0xF000));
    sum += x[4] * float(ushort(two.y & 0x000F));
    sum += x[5] * float(ushort(two.y & 0x00F0));
    sum += x[6] * float(ushort(two.y & 0x0F00));
    sum += x[7] * float(ushort(two.y & 0xF000));
    return sum;
  }
};

template <> struct Eight<Q8> {
  static float scale() { return half_codes ? 1 / half_unit : 1; }
  static void prepare(thread float *x) {}
  static float dot(device const uchar *data, uint word, thread const float *x) {
    float w[8];
    if (half_codes) {
      uint2 codes = ((device const uint2 *)data)[word];
#pragma unroll
      for (uint i = 0; i < 2; i++) {
        half2 even = as_type<half2>(codes[i] & 0x00FF00FF), odd = as_type<half2>(codes[i] >> 8 & 0x00FF00FF);
        w[4 * i] = even.x;
        w[4 * i + 1] = odd.x;
        w[4 * i + 2] = even.y;
        w[4 * i + 3] = odd.y;
      }
    } else {
      Q8::load(data, word, w);
    }
    float sum = x[0] * w[0];
#pragma unroll
    for (uint i = 1; i < 8; i++) {
      sum += x[i] * w[i];
    }
    return sum;
  }
};

// The products of eight rows with x, spread over a simdgroup.
template <typename W> struct Products {
  Matrix<W> w;
  device const float4 *x;
  uint lane;
  uint words[8];  // the first words of the rows
  uint groups[2]; // the first groups of the two rows whose scales the lane applies
  float4 sums[2]; // of the eight rows, where there are no scales
  float2 scaled;  // of the lane's two rows, where there are

  Products(Matrix<W> matrix, EightRows rows, device const float *vector, uint lane_index) {
    w = matrix;
    x = (device const float4 *)vector;
    lane = lane_index;
#pragma unroll
    for (uint i = 0; i < 8; i++) {
      words[i] = rows.at(i) * (w.cols / 8);
    }
#pragma unroll
    for (uint i = 0; i < 2; i++) {
      groups[i] = W::Quantised ? rows.at(lane % 4 * 2 + i) * (w.cols / group_size) : 0;
      sums[i] = 0;
    }
    scaled = 0;
  }

  // Adds the eight columns of a word.
  void add(uint word) {
    float4 a = x[2 * word], b = x[2 * word + 1], c = a + b;
    float eight[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
    Eight<W>::prepare(eight);
    float4 dots[2];
#pragma unroll
    for (uint i = 0; i < 8; i++) {
      dots[i / 4][i % 4] = Eight<W>::dot(w.data, words[i] + word, eight);
    }
    if (W::Quantised) {
      uint group = word / (group_size / 8);
      float2 scales = {scale_at(w.scales, groups[0] + group), scale_at(w.scales, groups[1] + group)};
      float2 biases = {scale_at(w.biases, groups[0] + group), scale_at(w.biases, groups[1] + group)};
      scaled += scales * Eight<W>::scale() * sum_in_quad(dots) + biases * quad_sum(c.x + c.y + (c.z + c.w));
    } else {
      sums[0] += dots[0];
      sums[1] += dots[1];
    }
  }

  // Of eight numbers gives lane i of a quad the sums over the quad of those at 2i and 2i + 1.
  float2 sum_in_quad(thread const float4 *v) {
    float4 four = share_sums<2>(v[0], v[1], lane);
    return share_sums<1>(four.xy, four.zw, lane);
  }

  // The whole product of one row.
  float result() {
    for (uint word = lane; word < w.cols / 8; word += 32) { // a quad whole or not at all where there are scales
      add(word);
    }
    float2 two = W::Quantised ? scaled : sum_in_quad(sums);
    float sum = share_sums<4>(two.x, two.y, lane);
    sum += simd_shuffle_xor(sum, 8);
    return sum + simd_shuffle_xor(sum, 16);
  }
};

// The place among the eight rows of the one whose product a lane has: lanes l and l ^ 4 have neighbours, l and l ^ 2
// rows of the first and the second four.
inline uint place_of(uint lane) { return lane % 4 * 2 + lane / 4 % 2; }

template <typename W>
[[kernel]] void gemv_qkv(constant QKVArgs &args [[buffer(0)]],
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
  float mine = Products<W>(w, {row, row + 8, row + 4, row + 8, 0}, x, lane).result();
  float other = simd_shuffle_xor(mine, 4);
  if (lane < 4) {
    QKVResult result = {q, keys, values, rope, q_bias, k_bias, v_bias};
    result.write(args, first + place_of(lane), 0, float2(mine, other));
  }
}

template <typename W>
[[kernel]] void gemv_out(constant MatmulArgs &args [[buffer(0)]],
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
  Matrix<W> matrix = {w, scales, biases, args.cols};
  EightRows rows = {first, args.rows, first + 4, args.rows, 0};
  float sum = Products<W>(matrix, rows, x, lane).result();
  if (lane < 8 && rows.owns(place_of(lane))) {
    y[rows.at(place_of(lane))] = sum;
  }
}

template <typename W>
[[kernel]] void gemv_gate_up(constant GateUpArgs &args [[buffer(0)]],
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
  Matrix<W> matrix = {w, scales, biases, args.cols};
  EightRows rows = {first, args.ffn, args.ffn + first, 2 * args.ffn, args.ffn};
  float mine = Products<W>(matrix, rows, x, lane).result();
  float other = simd_shuffle_xor(mine, 2);
  if (lane < 8 && place_of(lane) < 4 && rows.owns(place_of(lane))) {
    act[rows.at(place_of(lane))] = silu(mine) * other;
  }
}

template <typename W>
[[kernel]] void gemv_head(constant HeadArgs &args [[buffer(0)]],
                          device const float *x [[buffer(1)]],
                          device float *logits [[buffer(2)]],
                          device Pair *pairs [[buffer(3)]],
                          device const uchar *w [[buffer(4)]],
                          device const uchar *scales [[buffer(5)]],
                          device const uchar *biases [[buffer(6)]],
                          uint group [[threadgroup_position_in_grid]],
                          uint thread_index [[thread_index_in_threadgroup]],
                          uint simdgroup [[simdgroup_index_in_threadgroup]],
                          uint lane [[thread_index_in_simdgroup]]) {
  threadgroup Pair partial[32];
  uint first = (group * simdgroups + simdgroup) * 8;
  Pair best = no_pair;
  if (first < args.rows) {
    Matrix<W> matrix = {w, scales, biases, args.cols};
    EightRows rows = {first, args.rows, first + 4, args.rows, 0};
    float logit = Products<W>(matrix, rows, x, lane).result();
    uint row = rows.at(place_of(lane));
    if (lane < 8 && rows.owns(place_of(lane))) {
      logits[row] = logit;
      if (args.pick && row < args.valid) {
        best = score(logit, row, args.temperature, args.key);
      }
    }
  }
  if (args.pick) {
    best = threadgroup_best(best, partial, lane, simdgroup, simdgroups);
    if (thread_index == 0) {
      pairs[group] = best;
    }
  }
}

template [[host_name("gemv_qkv_q4")]] [[kernel]] decltype(gemv_qkv<Q4>) gemv_qkv<Q4>;
template [[host_name("gemv_qkv_q8")]] [[kernel]] decltype(gemv_qkv<Q8>) gemv_qkv<Q8>;
template [[host_name("gemv_qkv_w16")]] [[kernel]] decltype(gemv_qkv<W16>) gemv_qkv<W16>;
template [[host_name("gemv_qkv_w32")]] [[kernel]] decltype(gemv_qkv<W32>) gemv_qkv<W32>;
template [[host_name("gemv_out_q4")]] [[kernel]] decltype(gemv_out<Q4>) gemv_out<Q4>;
template [[host_name("gemv_out_q8")]] [[kernel]] decltype(gemv_out<Q8>) gemv_out<Q8>;
template [[host_name("gemv_out_w16")]] [[kernel]] decltype(gemv_out<W16>) gemv_out<W16>;
template [[host_name("gemv_out_w32")]] [[kernel]] decltype(gemv_out<W32>) gemv_out<W32>;
template [[host_name("gemv_gate_up_q4")]] [[kernel]] decltype(gemv_gate_up<Q4>) gemv_gate_up<Q4>;
template [[host_name("gemv_gate_up_q8")]] [[kernel]] decltype(gemv_gate_up<Q8>) gemv_gate_up<Q8>;
template [[host_name("gemv_gate_up_w16")]] [[kernel]] decltype(gemv_gate_up<W16>) gemv_gate_up<W16>;
template [[host_name("gemv_gate_up_w32")]] [[kernel]] decltype(gemv_gate_up<W32>) gemv_gate_up<W32>;
template [[host_name("gemv_head_q4")]] [[kernel]] decltype(gemv_head<Q4>) gemv_head<Q4>;
template [[host_name("gemv_head_q8")]] [[kernel]] decltype(gemv_head<Q8>) gemv_head<Q8>;
template [[host_name("gemv_head_w16")]] [[kernel]] decltype(gemv_head<W16>) gemv_head<W16>;
template [[host_name("gemv_head_w32")]] [[kernel]] decltype(gemv_head<W32>) gemv_head<W32>;
