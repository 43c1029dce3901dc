// Attention of many rows. A threadgroup has 32, and takes tiles of 32 keys in f16 or 16 in f32, which it copies to
// threadgroup memory: each K and V row is loaded once for the 32 rows. Each of its four simdgroups has eight rows, with
// the queries in registers, and all columns, and exchanges nothing.

// A piece is 16 bytes of a row of the cache, Count numbers.
template <typename T> struct Piece;

template <> struct Piece<half> {
  static constexpr constant uint Count = 8;
  static float number(uint4 piece, uint i) { return as_type<half4>(i < 4 ? piece.xy : piece.zw)[i % 4]; }
};

template <> struct Piece<float> {
  static constexpr constant uint Count = 4;
  static float number(uint4 piece, uint i) { return as_type<float4>(piece)[i]; }
};

// A tile of keys or of values in threadgroup memory: 64 lines of eight pieces, 8 KiB, so that two threadgroups with both
// fit a core.
template <typename T> struct Tile {
  static constexpr constant uint Line = 8 * Piece<T>::Count; // numbers
  static constexpr constant uint Lines = max_dim / Line;     // of a row
  static constexpr constant uint Keys = 64 / Lines;
  static constexpr constant uint Pieces = Keys * Lines * 8;

  // Piece p of a line stands where bits of its row say, so that eight neighbouring lanes reach all banks, whether they
  // copy a line, or load for a fragment of keys four pieces of two rows, or for one of values two pieces of four rows.
  static uint slot(uint row, uint line, uint piece) { return (row * Lines + line) * 8 + (piece ^ row % 4 * 2); }
};

// What a thread copies of a tile: eight neighbours have the pieces of a line, and 128 threads lines of 16 rows.
template <typename T> struct Copy {
  device const T *rows; // of a KV head
  uint stride, end;     // from row `end` on there may be anything, and none of it is loaded
  uint row, piece;      // the first, within a tile
  uint4 pieces[4];

  Copy(device const T *cache, constant AttendArgs &args, uint kv_head, uint end_row, uint index) {
    rows = cache + kv_head * head_dim;
    stride = args.kv_heads * head_dim;
    end = end_row;
    row = index / 8;
    piece = index % 8;
  }

  // Loads from the tile that begins at `key`. Rows and columns outside are zeros.
  void load(uint key) {
#pragma unroll
    for (uint i = 0; i < 4; i++) {
      uint from = key + row + i / Tile<T>::Lines * 16;
      uint column = i % Tile<T>::Lines * Tile<T>::Line + piece * Piece<T>::Count;
      pieces[i] = uint4(0);
      if (from < end && column < head_dim) {
        pieces[i] = *(device const uint4 *)(rows + ulong(from) * stride + column);
      }
    }
  }

  void store(threadgroup uint4 *tile) const {
#pragma unroll
    for (uint i = 0; i < 4; i++) {
      uint line = i % Tile<T>::Lines;
      if (line * Tile<T>::Line < head_dim) {
        tile[Tile<T>::slot(row + i / Tile<T>::Lines * 16, line, piece)] = pieces[i];
      }
    }
  }
};

// Eight queries as fragments: column k of fragment f of a line is its number Count·k + f.
template <typename T>
void load_queries(thread simdgroup_float8x8 (&queries)[max_dim / 8], device const float *query, float scale,
                  FragmentPlace place) {
  constexpr uint Count = Piece<T>::Count;
#pragma unroll
  for (uint f = 0; f < max_dim / 8; f += 4) {
    uint at = f / Count * Tile<T>::Line + place.column * Count + f % Count;
    float4 low = at < head_dim ? *(device const float4 *)(query + at) : float4(0);
    float4 high = at + Count < head_dim ? *(device const float4 *)(query + at + Count) : float4(0);
#pragma unroll
    for (uint i = 0; i < 4; i++) {
      set_elements(queries[f + i], float2(low[i], high[i]) * scale);
    }
  }
}

// Multiplies eight queries with a tile of keys.
template <typename T>
void multiply_keys(thread float2 (&scores)[Tile<T>::Keys / 8], thread simdgroup_float8x8 (&queries)[max_dim / 8],
                   threadgroup const uint4 *keys, FragmentPlace place) {
  simdgroup_float8x8 s[Tile<T>::Keys / 8];
#pragma unroll
  for (uint j = 0; j < Tile<T>::Keys / 8; j++) {
    s[j] = make_filled_simdgroup_matrix<float, 8, 8>(0);
  }
#pragma unroll
  for (uint line = 0; line < Tile<T>::Lines; line++) {
    if (line * Tile<T>::Line >= head_dim) { // not in the loop's condition: the turns are a constant of the text
      continue;
    }
    simdgroup_barrier(mem_flags::mem_none); // keeps compilers from loading more at once than there are registers for
#pragma unroll
    for (uint j = 0; j < Tile<T>::Keys / 8; j++) {
      uint4 even = keys[Tile<T>::slot(j * 8 + place.column, line, place.row)];
      uint4 odd = keys[Tile<T>::slot(j * 8 + place.column + 1, line, place.row)];
#pragma unroll
      for (uint f = 0; f < Piece<T>::Count; f++) {
        simdgroup_float8x8 b;
        set_elements(b, float2(Piece<T>::number(even, f), Piece<T>::number(odd, f)));
        simdgroup_multiply_accumulate(s[j], queries[line * Piece<T>::Count + f], b, s[j]);
      }
    }
  }
#pragma unroll
  for (uint j = 0; j < Tile<T>::Keys / 8; j++) {
    scores[j] = elements(s[j]);
  }
}

// Adds the products of weights and a tile of values to the sums. Half a line of columns is a block: column k of its
// fragment f is column k·Count/2 + f.
template <typename T>
void add_values(thread simdgroup_float8x8 (&sums)[Tile<T>::Lines * 2][Piece<T>::Count / 2],
                thread float2 (&p)[Tile<T>::Keys / 8], threadgroup const uint4 *values, FragmentPlace place) {
  constexpr uint Fragments = Piece<T>::Count / 2;
#pragma unroll
  for (uint block = 0; block < Tile<T>::Lines * 2; block++) {
    if (block * Tile<T>::Line / 2 >= head_dim) {
      continue;
    }
    simdgroup_barrier(mem_flags::mem_none);
#pragma unroll
    for (uint j = 0; j < Tile<T>::Keys / 8; j++) {
      uint4 v = values[Tile<T>::slot(j * 8 + place.row, block / 2, block % 2 * 4 + place.column / 2)];
      simdgroup_float8x8 a, b;
      set_elements(a, p[j]);
#pragma unroll
      for (uint f = 0; f < Fragments; f++) {
        set_elements(b, float2(Piece<T>::number(v, f), Piece<T>::number(v, Fragments + f)));
        simdgroup_multiply_accumulate(sums[block][f], a, b, sums[block][f]);
      }
    }
  }
}

template <typename T>
[[max_total_threads_per_threadgroup(128)]] [[kernel]] void
prefill_attend(constant AttendArgs &args [[buffer(0)]], device const float *q [[buffer(1)]],
               device const T *keys [[buffer(2)]], device const T *values [[buffer(3)]],
               device float *out [[buffer(4)]], device float *partials [[buffer(5)]],
               device float2 *stats [[buffer(6)]], uint3 at [[threadgroup_position_in_grid]],
               uint3 grid [[threadgroups_per_grid]], uint simdgroup [[simdgroup_index_in_threadgroup]],
               uint lane [[thread_index_in_simdgroup]]) {
  constexpr uint Blocks = Tile<T>::Lines * 2, Fragments = Piece<T>::Count / 2; // of a row's sums
  threadgroup uint4 key_tile[Tile<T>::Pieces], value_tile[Tile<T>::Pieces];

  const uint kv_head = at.y, share = args.heads / args.kv_heads, rows = args.n * share;
  const uint tile = (grid.x - 1 - at.x) * 32; // those that see the most keys start first
  const uint first = tile + simdgroup * 8;
  const FragmentPlace place = fragment_place(lane);
  const uint row = first + place.row; // of the lane

  // Keys before these are seen by a row of the threadgroup, of the simdgroup, by the lane's row.
  const uint begin = at.z * args.chunk;
  const uint end = min(begin + args.chunk, args.pos + (min(tile + 32, rows) - 1) / share + 1);
  const uint seen = first < rows ? min(end, args.pos + (min(first + 8, rows) - 1) / share + 1) : 0;
  const uint visible = min(end, args.pos + row / share + 1);

  simdgroup_float8x8 queries[max_dim / 8];
  load_queries<T>(queries, q + query_row(args, kv_head, min(row, rows - 1)) * head_dim, args.scale, place);
  Softmax softmax = {masked, 0};
  simdgroup_float8x8 sums[Blocks][Fragments];
#pragma unroll
  for (uint block = 0; block < Blocks; block++) {
#pragma unroll
    for (uint f = 0; f < Fragments; f++) {
      sums[block][f] = make_filled_simdgroup_matrix<float, 8, 8>(0);
    }
  }

  // The values are on their way from device memory while keys are multiplied, and the next keys while values are.
  Copy<T> k(keys, args, kv_head, end, simdgroup * 32 + lane), v(values, args, kv_head, end, simdgroup * 32 + lane);
  k.load(begin);
  k.store(key_tile);
  for (uint key = begin; key < end; key += Tile<T>::Keys) {
    threadgroup_barrier(mem_flags::mem_threadgroup); // the keys are there, and the last values have been read
    v.load(key);
    float2 p[Tile<T>::Keys / 8];
    if (key < seen) {
      multiply_keys<T>(p, queries, key_tile, place);
      float shrink = softmax.weigh(p, key, visible, place);
#pragma unroll
      for (uint block = 0; block < Blocks; block++) {
#pragma unroll
        for (uint f = 0; f < Fragments; f++) {
          set_elements(sums[block][f], elements(sums[block][f]) * shrink);
        }
      }
    }
    v.store(value_tile);
    threadgroup_barrier(mem_flags::mem_threadgroup); // the values are there, and the keys have been read
    k.load(key + Tile<T>::Keys);
    if (key < seen) {
      add_values<T>(sums, p, value_tile, place);
    }
    k.store(key_tile);
  }

  softmax.finish();
  if (row >= rows) {
    return;
  }
  Result result(args, out, partials, stats, query_row(args, kv_head, row), at.z, softmax, place.column == 0);
#pragma unroll
  for (uint block = 0; block < Blocks; block++) {
    result.write(sums[block], block * Tile<T>::Line / 2 + place.column * Fragments);
  }
}

template [[host_name("prefill_attend_f16")]] [[kernel]] decltype(prefill_attend<half>) prefill_attend<half>;
template [[host_name("prefill_attend_f32")]] [[kernel]] decltype(prefill_attend<float>) prefill_attend<float>;
