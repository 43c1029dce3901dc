// Products of many tokens with a matrix: y[n][rows] = x[n][cols] · wᵀ.
//
// A threadgroup computes 64 tokens x 64 rows and goes through the columns in steps: it copies a step of x and of w to
// threadgroup memory as floats, so that a weight is dequantised once for 64 tokens, and multiplies them there. While it
// does, the next step is already on its way from device memory to registers. The four simdgroups take 32 tokens x 32
// rows each, as 4x4 matrices of 8x8: eight loads of such matrices serve sixteen products.

constant constexpr uint Tile = 64; // tokens, and rows, of a threadgroup
constant constexpr uint Step = 32; // columns; no group is shorter
constant constexpr uint Threads = 128;

// Threadgroup memory holds a step of 64 rows as matrices of 8x8, one after the other: a simdgroup loads one from 64
// floats in a row, which spreads over the banks without padding.
constant constexpr uint Block = 64;                       // floats of a matrix
constant constexpr uint BlockRow = Step / 8 * Block;      // of the matrices that hold eight rows
constant constexpr uint TileMemory = 2 * Tile * Step / 4; // float4s, for x and for w

// A piece is what a thread loads at once: up to 16 bytes of a row, Count weights, of which four gives number 4i and the
// next three as they are stored.
template <typename W> struct Piece;

template <> struct Piece<Q4> {
  typedef uint2 Stored;
  static constexpr constant uint Count = 16;
  static float4 four(Stored s, uint i) { return Q4::four(s[i / 2], i % 2); }
};

template <> struct Piece<Q8> {
  typedef uint4 Stored;
  static constexpr constant uint Count = 16;
  static float4 four(Stored s, uint i) { return Q8::four(s[i]); }
};

template <> struct Piece<W16> {
  typedef uint4 Stored;
  static constexpr constant uint Count = 8;
  static float4 four(Stored s, uint i) { return W16::four(s, i); }
};

template <> struct Piece<W32> {
  typedef uint4 Stored;
  static constexpr constant uint Count = 4;
  static float4 four(Stored s, uint) { return as_type<float4>(s); }
};

// A row of a matrix as a matrix of one row, or one without columns, which counts as zeros.
template <typename W> Matrix<W> only_row(Matrix<W> m, uint row, bool exists) {
  if (!exists) {
    m.cols = 0;
    return m;
  }
  m.data += ulong(row) * m.cols * W::Bits / 8;
  if (W::Quantised) {
    ulong scales = ulong(row) * (m.cols / group_size) * (scale_format == f32 ? 4 : 2);
    m.scales += scales;
    m.biases += scales;
  }
  return m;
}

// What a thread copies of 64 rows: the pieces of a row are those of neighbouring threads, so that a simdgroup's load
// takes whole rows of a step.
template <typename W> struct Copy {
  static constexpr constant uint Lanes = Step / Piece<W>::Count;  // threads for a row
  static constexpr constant uint Pieces = Tile * Lanes / Threads; // of a thread
  static constexpr constant uint Stride = Threads / Lanes;        // rows from piece to piece

  Matrix<W> rows[Pieces];
  typename Piece<W>::Stored stored[Pieces];
  float scale[Pieces], bias[Pieces];
  uint row, col; // of the first piece, within a step

  // source.row(i) gives row i of the tile.
  template <typename Source> void start(Source source, uint index) {
    row = index / Lanes;
    col = index % Lanes * Piece<W>::Count;
#pragma unroll
    for (uint p = 0; p < Pieces; p++) {
      rows[p] = source.row(row + p * Stride);
      scale[p] = bias[p] = 0;
    }
  }

  // Loads the step from column k on. Columns beyond the last are zeros.
  void load(uint k) {
#pragma unroll
    for (uint p = 0; p < Pieces; p++) {
      stored[p] = typename Piece<W>::Stored(0);
      if (k + col < rows[p].cols) {
        stored[p] = *(device const typename Piece<W>::Stored *)(rows[p].data + (k + col) * W::Bits / 8);
        if (W::Quantised && k % group_size == 0) {
          uint group = (k + col) / group_size;
          scale[p] = scale_at(rows[p].scales, group) * W::unit();
          bias[p] = scale_at(rows[p].biases, group);
        }
      }
    }
  }

  // Puts what was loaded into threadgroup memory.
  void store(threadgroup float *tile) const {
#pragma unroll
    for (uint p = 0; p < Pieces; p++) {
      uint r = row + p * Stride;
      threadgroup float *to = tile + r / 8 * BlockRow + r % 8 * 8;
#pragma unroll
      for (uint i = 0; i < Piece<W>::Count / 4; i++) {
        float4 four = Piece<W>::four(stored[p], i);
        uint c = col + 4 * i;
        *(threadgroup float4 *)(to + c / 8 * Block + c % 8) = W::Quantised ? four * scale[p] + bias[p] : four;
      }
    }
  }
};

// Rows of one matrix.
template <typename W> struct Rows {
  Matrix<W> matrix;
  uint first, end;
  Matrix<W> row(uint i) const { return only_row(matrix, first + i, first + i < end); }
};

// Where a thread stands: its threadgroup's tile of rows and tokens, its simdgroup's quarter of that, 32 tokens x 32
// rows, and in each of the quarter's matrices a token and two rows, as Apple's GPUs lay a matrix out over the lanes.
struct Place {
  uint tile;       // of rows
  uint tile_token; // the first of the tile
  uint simdgroup, lane;
  uint token, row; // the first of the quarter, row counted within the tile

  // Threadgroups that follow each other take the same rows for other tokens, while those are in the caches.
  Place(uint2 group, uint2 groups, uint simdgroup_index, uint lane_index) {
    uint n = group.y * groups.x + group.x;
    tile = n / groups.y;
    tile_token = n % groups.y * Tile;
    simdgroup = simdgroup_index;
    lane = lane_index;
    token = tile_token + simdgroup / 2 * 32;
    row = simdgroup % 2 * 32;
  }

  uint thread_index() const { return simdgroup * 32 + lane; }
  uint token_of(uint i) const { return token + 8 * i + lane / 16 * 4 + lane / 2 % 4; }
  uint row_of(uint j) const { return row + 8 * j + lane / 8 % 2 * 4 + lane % 2 * 2; }
};

// The products of a simdgroup, of eight tokens by eight rows each.
struct Sums {
  simdgroup_float8x8 at[4][4];

  float2 pair(uint i, uint j) {
    thread auto &two = at[i][j].thread_elements();
    return float2(two[0], two[1]);
  }

  void add(threadgroup const float *x, threadgroup const float *w) {
    for (uint k = 0; k < Step / 8; k++) {
      // Keeps compilers from loading the matrices of later columns early, for which there are no registers.
      simdgroup_barrier(mem_flags::mem_none);
      simdgroup_float8x8 xs[4], ws[4];
#pragma unroll
      for (uint i = 0; i < 4; i++) {
        simdgroup_load(xs[i], x + i * BlockRow + k * Block);
        simdgroup_load(ws[i], w + i * BlockRow + k * Block, 8, ulong2(0, 0), true);
      }
#pragma unroll
      for (uint i = 0; i < 4; i++) {
#pragma unroll
        for (uint j = 0; j < 4; j++) {
          simdgroup_multiply_accumulate(at[i][j], xs[i], ws[j], at[i][j]);
        }
      }
    }
  }

  // Computes the tile of x[n][cols] and the rows of source.
  template <typename W, typename Source>
  void multiply(device const float *x, uint n, uint cols, Source source, Place place, threadgroup float4 *tiles) {
    threadgroup float *x_tile = (threadgroup float *)tiles, *w_tile = x_tile + Tile * Step;
    threadgroup float *x_quarter = x_tile + (place.token - place.tile_token) / 8 * BlockRow;
    threadgroup float *w_quarter = w_tile + place.row / 8 * BlockRow;
#pragma unroll
    for (uint i = 0; i < 4; i++) {
#pragma unroll
      for (uint j = 0; j < 4; j++) {
        at[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0);
      }
    }
    Copy<W32> xs;
    Copy<W> ws;
    device const uchar *bytes = (device const uchar *)x;
    xs.start(Rows<W32>{{bytes, bytes, bytes, cols}, place.tile_token, n}, place.thread_index());
    ws.start(source, place.thread_index());
    xs.load(0);
    ws.load(0);
    for (uint k = 0; k < cols; k += Step) {
      threadgroup_barrier(mem_flags::mem_threadgroup); // the step before has been read
      xs.store(x_tile);
      ws.store(w_tile);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      xs.load(k + Step);
      ws.load(k + Step);
      if (place.token < n) {
        add(x_quarter, w_quarter);
      }
    }
  }
};

// Queries, keys and values.

template <typename W> struct QKVRows {
  Matrix<W> q, k, v;
  uint q_rows, kv_rows, first, end;
  Matrix<W> row(uint i) const {
    uint r = first + i;
    bool exists = r < end;
    Matrix<W> matrix = matrix_of(r, q, q_rows, k, kv_rows, v);
    return only_row(matrix, r, exists);
  }
};

template <typename W>
[[max_total_threads_per_threadgroup(128)]] [[kernel]] void
gemm_qkv(constant QKVArgs &args [[buffer(0)]], device const float *x [[buffer(1)]],
         device float *q [[buffer(2)]],
         device uchar *keys [[buffer(3)]], device uchar *values [[buffer(4)]],
         device const float2 *rope [[buffer(5)]], device const uchar *wq [[buffer(6)]],
         device const uchar *wq_scales [[buffer(7)]], device const uchar *wq_biases [[buffer(8)]],
         device const uchar *wk [[buffer(9)]], device const uchar *wk_scales [[buffer(10)]],
         device const uchar *wk_biases [[buffer(11)]], device const uchar *wv [[buffer(12)]],
         device const uchar *wv_scales [[buffer(13)]], device const uchar *wv_biases [[buffer(14)]],
         device const float *q_bias [[buffer(15)]], device const float *k_bias [[buffer(16)]],
         device const float *v_bias [[buffer(17)]], uint2 group [[threadgroup_position_in_grid]],
         uint2 groups [[threadgroups_per_grid]], uint simdgroup [[simdgroup_index_in_threadgroup]],
         uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float4 tiles[TileMemory];
  Place place(group, groups, simdgroup, lane);
  uint first = args.first + place.tile * Tile;
  QKVRows<W> source = {{wq, wq_scales, wq_biases, args.cols}, {wk, wk_scales, wk_biases, args.cols},
                       {wv, wv_scales, wv_biases, args.cols}, args.q_rows, args.kv_rows, first, args.end};
  Sums sums;
  sums.multiply<W>(x, args.n, args.cols, source, place, tiles);

  QKVResult result = {q, keys, values, rope, q_bias, k_bias, v_bias};
#pragma unroll
  for (uint i = 0; i < 4; i++) {
    uint t = place.token_of(i);
#pragma unroll
    for (uint j = 0; j < 4; j++) {
      uint row = first + place.row_of(j);
      if (t < args.n && row < args.end) {
        result.write(args, row, t, sums.pair(i, j));
      }
    }
  }
}

// Out and down.

// Writes the numbers of rows row and row + 1, as far as they exist.
inline void write_pair(device float *y, uint rows, uint n, uint row, uint t, float2 pair) {
  if (t >= n || row >= rows) {
    return;
  }
  y += ulong(t) * rows + row;
  if (row + 1 < rows) {
    *(device packed_float2 *)y = pair;
  } else {
    *y = pair.x;
  }
}

template <typename W>
[[max_total_threads_per_threadgroup(128)]] [[kernel]] void
gemm_out(constant MatmulArgs &args [[buffer(0)]], device const float *x [[buffer(1)]],
         device float *y [[buffer(2)]],
         device const uchar *w [[buffer(3)]], device const uchar *scales [[buffer(4)]],
         device const uchar *biases [[buffer(5)]], uint2 group [[threadgroup_position_in_grid]],
         uint2 groups [[threadgroups_per_grid]], uint simdgroup [[simdgroup_index_in_threadgroup]],
         uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float4 tiles[TileMemory];
  Place place(group, groups, simdgroup, lane);
  uint first = place.tile * Tile;
  Sums sums;
  sums.multiply<W>(x, args.n, args.cols, Rows<W>{{w, scales, biases, args.cols}, first, args.rows}, place, tiles);
#pragma unroll
  for (uint i = 0; i < 4; i++) {
#pragma unroll
    for (uint j = 0; j < 4; j++) {
      write_pair(y, args.rows, args.n, first + place.row_of(j), place.token_of(i), sums.pair(i, j));
    }
  }
}

// The gate, up, and SwiGLU.

// Eight rows of the gate and the same eight of up in turn, so that a lane has the products of both.
template <typename W> struct GateUpRows {
  Matrix<W> matrix;
  uint first, ffn;
  Matrix<W> row(uint i) const {
    uint r = first + i / 16 * 8 + i % 8;
    return only_row(matrix, i & 8 ? ffn + r : r, r < ffn);
  }
};

template <typename W>
[[max_total_threads_per_threadgroup(128)]] [[kernel]] void
gemm_gate_up(constant GateUpArgs &args [[buffer(0)]], device const float *x [[buffer(1)]],
             device float *act [[buffer(2)]], device const uchar *w [[buffer(3)]],
             device const uchar *scales [[buffer(4)]], device const uchar *biases [[buffer(5)]],
             uint2 group [[threadgroup_position_in_grid]], uint2 groups [[threadgroups_per_grid]],
             uint simdgroup [[simdgroup_index_in_threadgroup]],
             uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float4 tiles[TileMemory];
  Place place(group, groups, simdgroup, lane);
  uint first = place.tile * Tile / 2;
  Sums sums;
  sums.multiply<W>(x, args.n, args.cols, GateUpRows<W>{{w, scales, biases, args.cols}, first, args.ffn}, place, tiles);
#pragma unroll
  for (uint i = 0; i < 4; i++) {
#pragma unroll
    for (uint j = 0; j < 4; j += 2) {
      float2 gate = sums.pair(i, j), up = sums.pair(i, j + 1);
      uint row = place.row_of(j); // of the gate within the tile, where it has eight of sixteen
      write_pair(act, args.ffn, args.n, first + row / 16 * 8 + row % 8, place.token_of(i),
                 float2(silu(gate.x), silu(gate.y)) * up);
    }
  }
}

template [[host_name("gemm_qkv_q4")]] [[kernel]] decltype(gemm_qkv<Q4>) gemm_qkv<Q4>;
template [[host_name("gemm_qkv_q8")]] [[kernel]] decltype(gemm_qkv<Q8>) gemm_qkv<Q8>;
template [[host_name("gemm_qkv_w16")]] [[kernel]] decltype(gemm_qkv<W16>) gemm_qkv<W16>;
template [[host_name("gemm_qkv_w32")]] [[kernel]] decltype(gemm_qkv<W32>) gemm_qkv<W32>;
template [[host_name("gemm_out_q4")]] [[kernel]] decltype(gemm_out<Q4>) gemm_out<Q4>;
template [[host_name("gemm_out_q8")]] [[kernel]] decltype(gemm_out<Q8>) gemm_out<Q8>;
template [[host_name("gemm_out_w16")]] [[kernel]] decltype(gemm_out<W16>) gemm_out<W16>;
template [[host_name("gemm_out_w32")]] [[kernel]] decltype(gemm_out<W32>) gemm_out<W32>;
template [[host_name("gemm_gate_up_q4")]] [[kernel]] decltype(gemm_gate_up<Q4>) gemm_gate_up<Q4>;
template [[host_name("gemm_gate_up_q8")]] [[kernel]] decltype(gemm_gate_up<Q8>) gemm_gate_up<Q8>;
template [[host_name("gemm_gate_up_w16")]] [[kernel]] decltype(gemm_gate_up<W16>) gemm_gate_up<W16>;
template [[host_name("gemm_gate_up_w32")]] [[kernel]] decltype(gemm_gate_up<W32>) gemm_gate_up<W32>;
