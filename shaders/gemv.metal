// Products of a matrix with one token: y[rows] = w · x[cols]. The time is that of reading the weights once.
//
// A simdgroup computes R rows, eight or four. Of each of them a lane takes a piece of 8 or 16 columns (`columns`) in every
// 32 pieces, so that a load of codes by a simdgroup is one or two lines of memory, and what a lane loads of x serves R
// rows. The four lanes of a quad have columns of one group: they add up their products before scale and bias are
// applied, each lane to R / 4 of the rows. Where there are few rows, the simdgroups of a threadgroup (`split`) compute
// the same and take turns at the columns.

// The product of eight numbers.
inline float dot8(thread const float *x, thread const float *w) {
  float sum = x[0] * w[0];
#pragma unroll
  for (uint i = 1; i < 8; i++) {
    sum += x[i] * w[i];
  }
  return sum;
}

// A piece of x that meets one of each of some rows: `prepare` changes four numbers of it first, and what dot gives is to
// be multiplied by the unit of W. Of weights without scales a piece is a word.
template <typename W> struct Piece {
  static float4 prepare(float4 x) { return x; }
  static float dot(device const uchar *data, uint piece, thread const float *x) {
    float w[8];
    W::load(data, piece, w);
    return dot8(x, w);
  }
};

// Reads a code as a half, as the products do. It gives `turns` where subnormal halves are kept.
[[max_total_threads_per_threadgroup(32)]] [[kernel]] void
half_codes_kept(constant ProbeArgs &args [[buffer(0)]],
                device float *kept [[buffer(1)]],
                uint thread_index [[thread_position_in_grid]]) {
  kept[thread_index] = args.one * half_steps * float(as_type<half>(ushort(args.turns)));
}

// A code stays where it is in its word, which multiplies it by a power of 16; x is divided by it, once for all rows.
template <> struct Piece<Q4> {
  static float4 prepare(float4 x) {
    x.y *= 1.0f / 16;
    if (half_codes) {
      x.w *= 1.0f / 16;
    } else {
      x.z *= 1.0f / 256;
      x.w *= 1.0f / 4096;
    }
    return x;
  }
  static float dot(device const uchar *data, uint piece, thread const float *x) {
    uint2 codes = 0;
    if (columns == 16) {
      codes = ((device const uint2 *)data)[piece];
    } else {
      codes.x = ((device const uint *)data)[piece];
    }
    float sum = dot(codes.x, x);
    if (columns == 16) {
      sum += dot(codes.y, x + 8);
    }
    return sum;
  }
  static float dot(uint codes, thread const float *x) {
    if (half_codes) {
      uint next = codes >> 8;
      float2 a = float2(as_type<half2>(codes & 0x000F000F)), b = float2(as_type<half2>(codes & 0x00F000F0));
      float2 c = float2(as_type<half2>(next & 0x000F000F)), d = float2(as_type<half2>(next & 0x00F000F0));
      float sum = x[0] * a.x;
      sum += x[1] * b.x;
      sum += x[2] * c.x;
      sum += x[3] * d.x;
      sum += x[4] * a.y;
      sum += x[5] * b.y;
      sum += x[6] * c.y;
      sum += x[7] * d.y;
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

template <> struct Piece<Q8> {
  static float4 prepare(float4 x) { return x; }
  static float dot(device const uchar *data, uint piece, thread const float *x) {
    uint4 codes = 0;
    if (columns == 16) {
      codes = ((device const uint4 *)data)[piece];
    } else {
      codes.xy = ((device const uint2 *)data)[piece];
    }
    float sum = dot(codes.xy, x);
    if (columns == 16) {
      sum += dot(codes.zw, x + 8);
    }
    return sum;
  }
  static float dot(uint2 codes, thread const float *x) {
    float w[8];
#pragma unroll
    for (uint i = 0; i < 8; i++) {
      w[i] = Q8::four(codes, i / 4)[i % 4];
    }
    return dot8(x, w);
  }
};

// What a lane of a quad has of R rows: lane i of it R / 4 of them, from the place R / 4 · i on.
template <uint R> struct Share {
  static constexpr constant uint Size = R / 4;
  static float sum_of_quads(thread const float *v, uint lane) {
    return R == 8 ? share_sums<4>(v[0], v[R / 8], lane) : v[0] + simd_shuffle_xor(v[0], 4);
  }

  // The place of the row whose product a lane has: lanes l and l ^ Neighbour have rows 2i and 2i + 1, and lanes l and
  // l ^ 2 rows of the first and the second half.
  static constexpr constant uint Neighbour = R == 8 ? 4 : 1;
  static uint place_of(uint lane) { return lane % 4 * Size + lane / 4 % Size; }
};

// The most simdgroups of a split.
constant constexpr uint most_split = 4;

// The products of R rows with x, spread over the simdgroups of a split.
template <typename W, uint R> struct Products {
  using Mine = Share<R>;
  Matrix<W> w;
  RowsOf<R> rows;
  device const float4 *x;
  uint lane;
  uint pieces;              // the first piece of the first row
  uint groups[Mine::Size];  // the first groups of the rows whose scales the lane applies
  float scaled[Mine::Size]; // the products of those rows
  float sums[R];            // of all rows, where there are no scales

  Products(Matrix<W> matrix, RowsOf<R> rows_of, device const float *vector, uint lane_index) {
    w = matrix;
    rows = rows_of;
    x = (device const float4 *)vector;
    lane = lane_index;
    pieces = rows.start() * (w.cols / columns);
#pragma unroll
    for (uint i = 0; i < R; i++) {
      sums[i] = 0;
    }
#pragma unroll
    for (uint i = 0; i < Mine::Size; i++) {
      groups[i] = W::Quantised ? rows.at(lane % 4 * Mine::Size + i) * (w.cols / group_size) : 0;
      scaled[i] = 0;
    }
  }

  // The product of a row's piece with numbers of x.
  float dot(uint place, uint piece, thread const float *numbers) const {
    return Piece<W>::dot(w.data, pieces + piece + rows.offset(place) * (w.cols / columns), numbers);
  }

  // Adds the columns of a piece.
  void add(uint piece) {
    float numbers[16];
    float4 total = 0;
#pragma unroll
    for (uint i = 0; i < 4; i++) {
      if (4 * i < columns) {
        float4 four = x[columns / 4 * piece + i];
        total = i == 0 ? four : total + four;
        four = Piece<W>::prepare(four);
#pragma unroll
        for (uint j = 0; j < 4; j++) {
          numbers[4 * i + j] = four[j];
        }
      }
    }
    if (W::Quantised) {
      float in_quad = quad_sum(total.x + total.y + (total.z + total.w));
#pragma unroll
      for (uint i = 0; i < Mine::Size; i++) { // in an order in which few sums are held at a time
        uint group = groups[i] + piece / (group_size / columns);
        float a = share_sums<2>(dot(i, piece, numbers), dot(i + R / 2, piece, numbers), lane);
        float b = share_sums<2>(dot(i + R / 4, piece, numbers), dot(i + R / 4 * 3, piece, numbers), lane);
        scaled[i] += scale_at(w.scales, group) * W::unit() * share_sums<1>(a, b, lane) +
                     scale_at(w.biases, group) * in_quad;
      }
    } else {
#pragma unroll
      for (uint i = 0; i < R; i++) {
        sums[i] += dot(i, piece, numbers);
      }
    }
  }

  // The product of one row, the one at place_of(lane), with every `step`th 32 pieces from `first` on.
  float result(uint first = 0, uint step = 1) {
    for (uint piece = 32 * first + lane; piece < w.cols / columns; piece += 32 * step) { // a quad whole or not at all
      add(piece);
    }
    if (!W::Quantised) {
#pragma unroll
      for (uint i = 0; i < Mine::Size; i++) {
        float a = share_sums<2>(sums[i], sums[i + R / 2], lane);
        float b = share_sums<2>(sums[i + R / 4], sums[i + R / 4 * 3], lane);
        scaled[i] = share_sums<1>(a, b, lane);
      }
    }
    float sum = Mine::sum_of_quads(scaled, lane);
    sum += simd_shuffle_xor(sum, 8);
    return sum + simd_shuffle_xor(sum, 16);
  }

  // The same, with all columns. Each simdgroup of a split, of which this is number `part`, takes its turns at them, and
  // gets the whole sum, in one order; `partial` has room for R numbers of each.
  float joined_result(uint part, threadgroup float *partial) {
    float sum = result(part, split);
    if (split > 1) {
      if (lane < R) {
        partial[R * part + lane] = sum;
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
      sum = partial[lane % R];
      for (uint i = 1; i < split; i++) {
        sum += partial[R * i + lane % R];
      }
    }
    return sum;
  }
};

template <typename W, uint R>
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
  threadgroup float partial[most_split * R];
  uint first = args.first + (group * simdgroups + simdgroup) / split * R, part = simdgroup % split;
  if (first >= args.end) { // of a split, for the whole threadgroup
    return;
  }
  uint row = first; // all R are of one matrix: the rows of each are a multiple of 8
  Matrix<W> w = matrix_of(row, Matrix<W>{wq, wq_scales, wq_biases, args.cols}, args.q_rows,
                          Matrix<W>{wk, wk_scales, wk_biases, args.cols}, args.kv_rows,
                          Matrix<W>{wv, wv_scales, wv_biases, args.cols});
  RowsOf<R> rows = {row, ~0u, R, 0};
  float mine = Products<W, R>(w, rows, x, lane).joined_result(part, partial);
  float other = simd_shuffle_xor(mine, Share<R>::Neighbour);
  uint place = Share<R>::place_of(lane);
  if (part == 0 && lane < R && place % 2 == 0) {
    QKVResult result = {q, keys, values, rope, q_bias, k_bias, v_bias};
    result.write(args, first + place, 0, float2(mine, other));
  }
}

template <typename W, uint R>
[[kernel]] void gemv_out(constant MatmulArgs &args [[buffer(0)]],
                         device const float *x [[buffer(1)]],
                         device float *y [[buffer(2)]],
                         device const uchar *w [[buffer(3)]],
                         device const uchar *scales [[buffer(4)]],
                         device const uchar *biases [[buffer(5)]],
                         uint group [[threadgroup_position_in_grid]],
                         uint simdgroup [[simdgroup_index_in_threadgroup]],
                         uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float partial[most_split * R];
  uint first = (group * simdgroups + simdgroup) / split * R, part = simdgroup % split;
  if (first >= args.rows) { // of a split, for the whole threadgroup
    return;
  }
  Matrix<W> matrix = {w, scales, biases, args.cols};
  RowsOf<R> rows = {first, args.rows, R, 0};
  float sum = Products<W, R>(matrix, rows, x, lane).joined_result(part, partial);
  uint place = Share<R>::place_of(lane);
  if (part == 0 && lane < R && rows.owns(place)) {
    y[rows.at(place)] = sum;
  }
}

template <typename W, uint R>
[[kernel]] void gemv_gate_up(constant GateUpArgs &args [[buffer(0)]],
                             device const float *x [[buffer(1)]],
                             device float *act [[buffer(2)]],
                             device const uchar *w [[buffer(3)]],
                             device const uchar *scales [[buffer(4)]],
                             device const uchar *biases [[buffer(5)]],
                             uint group [[threadgroup_position_in_grid]],
                             uint simdgroup [[simdgroup_index_in_threadgroup]],
                             uint lane [[thread_index_in_simdgroup]]) {
  uint first = (group * simdgroups + simdgroup) * (R / 2);
  if (first >= args.ffn) {
    return;
  }
  Matrix<W> matrix = {w, scales, biases, args.cols};
  RowsOf<R> rows = {first, args.ffn, R / 2, args.ffn};
  float mine = Products<W, R>(matrix, rows, x, lane).result();
  float other = simd_shuffle_xor(mine, 2);
  uint place = Share<R>::place_of(lane);
  if (lane < R && place < R / 2 && rows.owns(place)) {
    act[rows.at(place)] = silu(mine) * other;
  }
}

template <typename W, uint R>
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
  uint first = (group * simdgroups + simdgroup) * R;
  Pair best = no_pair;
  if (first < args.rows) {
    Matrix<W> matrix = {w, scales, biases, args.cols};
    RowsOf<R> rows = {first, args.rows, R, 0};
    float logit = Products<W, R>(matrix, rows, x, lane).result();
    uint place = Share<R>::place_of(lane), row = rows.at(place);
    if (lane < R && rows.owns(place)) {
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

template [[host_name("gemv_qkv_q4")]] [[kernel]] decltype(gemv_qkv<Q4, 8>) gemv_qkv<Q4, 8>;
template [[host_name("gemv_qkv_rows4_q4")]] [[kernel]] decltype(gemv_qkv<Q4, 4>) gemv_qkv<Q4, 4>;
template [[host_name("gemv_qkv_q8")]] [[kernel]] decltype(gemv_qkv<Q8, 8>) gemv_qkv<Q8, 8>;
template [[host_name("gemv_qkv_rows4_q8")]] [[kernel]] decltype(gemv_qkv<Q8, 4>) gemv_qkv<Q8, 4>;
template [[host_name("gemv_qkv_w16")]] [[kernel]] decltype(gemv_qkv<W16, 8>) gemv_qkv<W16, 8>;
template [[host_name("gemv_qkv_w32")]] [[kernel]] decltype(gemv_qkv<W32, 8>) gemv_qkv<W32, 8>;
template [[host_name("gemv_out_q4")]] [[kernel]] decltype(gemv_out<Q4, 8>) gemv_out<Q4, 8>;
template [[host_name("gemv_out_rows4_q4")]] [[kernel]] decltype(gemv_out<Q4, 4>) gemv_out<Q4, 4>;
template [[host_name("gemv_out_q8")]] [[kernel]] decltype(gemv_out<Q8, 8>) gemv_out<Q8, 8>;
template [[host_name("gemv_out_rows4_q8")]] [[kernel]] decltype(gemv_out<Q8, 4>) gemv_out<Q8, 4>;
template [[host_name("gemv_out_w16")]] [[kernel]] decltype(gemv_out<W16, 8>) gemv_out<W16, 8>;
template [[host_name("gemv_out_w32")]] [[kernel]] decltype(gemv_out<W32, 8>) gemv_out<W32, 8>;
template [[host_name("gemv_gate_up_q4")]] [[kernel]] decltype(gemv_gate_up<Q4, 8>) gemv_gate_up<Q4, 8>;
template [[host_name("gemv_gate_up_rows4_q4")]] [[kernel]] decltype(gemv_gate_up<Q4, 4>) gemv_gate_up<Q4, 4>;
template [[host_name("gemv_gate_up_q8")]] [[kernel]] decltype(gemv_gate_up<Q8, 8>) gemv_gate_up<Q8, 8>;
template [[host_name("gemv_gate_up_rows4_q8")]] [[kernel]] decltype(gemv_gate_up<Q8, 4>) gemv_gate_up<Q8, 4>;
template [[host_name("gemv_gate_up_w16")]] [[kernel]] decltype(gemv_gate_up<W16, 8>) gemv_gate_up<W16, 8>;
template [[host_name("gemv_gate_up_w32")]] [[kernel]] decltype(gemv_gate_up<W32, 8>) gemv_gate_up<W32, 8>;
template [[host_name("gemv_head_q4")]] [[kernel]] decltype(gemv_head<Q4, 8>) gemv_head<Q4, 8>;
template [[host_name("gemv_head_rows4_q4")]] [[kernel]] decltype(gemv_head<Q4, 4>) gemv_head<Q4, 4>;
template [[host_name("gemv_head_q8")]] [[kernel]] decltype(gemv_head<Q8, 8>) gemv_head<Q8, 8>;
template [[host_name("gemv_head_rows4_q8")]] [[kernel]] decltype(gemv_head<Q8, 4>) gemv_head<Q8, 4>;
template [[host_name("gemv_head_w16")]] [[kernel]] decltype(gemv_head<W16, 8>) gemv_head<W16, 8>;
template [[host_name("gemv_head_w32")]] [[kernel]] decltype(gemv_head<W32, 8>) gemv_head<W32, 8>;
