// Attention over the KV cache in one pass over the keys (flash attention: Dao et al. 2022, arXiv:2205.14135) with an
// online softmax (Milakov, Gimelshein 2018, arXiv:1805.02867). Scores, weights and sums are f32.
//
// The query heads that share a KV head are the rows of a matrix, token after token. A threadgroup computes a tile of 16
// or 32 rows and takes 32 keys at a time. In attend four simdgroups, a team, work on the same keys, so that each K and
// V row is loaded once for 16 rows: each multiplies eight keys with all queries, they exchange the scores, and each
// sums a quarter of the columns of V. In prefill_attend every simdgroup has eight rows and all columns, and exchanges
// nothing.

constant constexpr uint key_fragments = 4; // of a tile of 32 keys
constant constexpr uint max_dim = 128;
constant constexpr uint query_fragments = max_dim / 8;
constant constexpr float masked = -FLT_MAX / 2; // stands for the score of a key that a row does not see

// A fragment is an 8x8 matrix in the registers of a simdgroup, of which a lane holds two elements: in row `row` the
// columns `column` and the next. A product does not mind in which order the inner dimension is taken, nor does softmax
// mind the order of V's columns, so they are dealt out such that a lane loads eight numbers side by side.
struct Place {
  uint row, column;
};

inline Place place_of(uint lane) {
  return Place{lane / 16 * 4 + lane / 2 % 4, lane / 8 % 2 * 4 + lane % 2 * 2};
}

inline void set_elements(thread simdgroup_float8x8 &m, float2 pair) {
  m.thread_elements()[0] = pair[0];
  m.thread_elements()[1] = pair[1];
}

inline float2 elements(thread simdgroup_float8x8 &m) { return float2(m.thread_elements()[0], m.thread_elements()[1]); }

// Eight numbers.
template <typename T> struct Eight {
  vec<T, 4> four[2];
};

inline Eight<half> load_eight(device const half *from) {
  uint4 bits = *(device const uint4 *)from;
  return Eight<half>{{as_type<half4>(bits.xy), as_type<half4>(bits.zw)}};
}

inline Eight<float> load_eight(device const float *from) {
  return Eight<float>{{*(device const float4 *)from, *(device const float4 *)(from + 4)}};
}

template <typename T> inline Eight<T> zeros() { return Eight<T>{{vec<T, 4>(0), vec<T, 4>(0)}}; }

// The rows of a KV head in a cache. From row `end` on there may be anything, and none of it is loaded.
template <typename T> struct CacheRows {
  device const T *data;
  uint stride, end;

  // Eight columns, zeros outside.
  Eight<T> load(uint row, uint column) const {
    return row < end && column < head_dim ? load_eight(data + ulong(row) * stride + column) : zeros<T>();
  }
};

// The number of a tile's row among the rows [token][head] of all heads.
inline ulong query_row(constant AttendArgs &args, uint kv_head, uint row) {
  uint share = args.heads / args.kv_heads;
  return ulong(row / share) * args.heads + kv_head * share + row % share;
}

// Puts eight queries into threadgroup memory as fragments: column k of fragment f of 64 dimensions is dimension 8k + f.
inline void stage_query(threadgroup float2 *to, device const float *query, Place place, float scale) {
  for (uint block = 0; block * 64 < head_dim; block++) {
    uint at = block * 64 + place.column * 8;
    Eight<float> low = at < head_dim ? load_eight(query + at) : zeros<float>();
    Eight<float> high = at + 8 < head_dim ? load_eight(query + at + 8) : zeros<float>();
#pragma unroll
    for (uint f = 0; f < 8; f++) {
      to[(block * 8 + f) * 32] = float2(low.four[f / 4][f % 4], high.four[f / 4][f % 4]) * scale;
    }
  }
}

// Adds the products of queries and keys to s, from row `key` on.
template <typename T, uint Fragments, uint Keys>
void multiply_keys(thread simdgroup_float8x8 (&s)[Fragments][Keys], threadgroup const float2 *queries,
                   CacheRows<T> keys,
                   uint key, Place place) {
  for (uint block = 0; block * 64 < head_dim; block++) {
    Eight<T> k[Keys][2];
#pragma unroll
    for (uint j = 0; j < Keys; j++) {
      k[j][0] = keys.load(key + j * 8 + place.column, block * 64 + place.row * 8);
      k[j][1] = keys.load(key + j * 8 + place.column + 1, block * 64 + place.row * 8);
    }
#pragma unroll
    for (uint f = 0; f < 8; f++) {
      simdgroup_float8x8 a[Fragments], b;
#pragma unroll
      for (uint r = 0; r < Fragments; r++) {
        set_elements(a[r], queries[(r * query_fragments + block * 8 + f) * 32]);
      }
#pragma unroll
      for (uint j = 0; j < Keys; j++) {
        set_elements(b, float2(k[j][0].four[f / 4][f % 4], k[j][1].four[f / 4][f % 4]));
#pragma unroll
        for (uint r = 0; r < Fragments; r++) {
          simdgroup_multiply_accumulate(s[r][j], a[r], b, s[r][j]);
        }
      }
    }
  }
}

// The softmax of a row over the keys so far. As long as it has seen none, its sums mean nothing; they shrink to 0 when
// a score comes, and in `join` and attend_combine when the other has one.
struct Softmax {
  float top;   // largest score, or `masked`
  float total; // sum of exp(score - top), of those that the lane holds

  // Makes a tile's scores weights, and returns what older sums shrink by.
  float weigh(thread float2 (&p)[key_fragments], uint key, uint visible, Place place) {
    float high = top;
    const float none = masked; // in the address space of p, as both sides of a conditional are to be
#pragma unroll
    for (uint j = 0; j < key_fragments; j++) {
      uint at = key + j * 8 + place.column;
      p[j] = float2(at < visible ? p[j][0] : none, at + 1 < visible ? p[j][1] : none);
      high = max(high, max(p[j][0], p[j][1]));
    }
    high = max(high, simd_shuffle_xor(high, 1)); // over the lanes that hold the row
    high = max(high, simd_shuffle_xor(high, 8));
    float shrink = precise::exp(top - high);
    top = high;
    total *= shrink;
#pragma unroll
    for (uint j = 0; j < key_fragments; j++) {
      p[j] = precise::exp(p[j] - high);
      total += p[j][0] + p[j][1];
    }
    return shrink;
  }

  // Takes in another softmax, over other keys, and returns what the sums of this one and of the other shrink by.
  float2 join(float2 other) {
    float high = max(top, other[0]);
    float2 shrink = float2(precise::exp(top - high), precise::exp(other[0] - high));
    top = high;
    total = total * shrink[0] + other[1] * shrink[1];
    return shrink;
  }
};

// Adds the products of weights and values to the sums, from row `key` and column `column` on; v are the values of the
// first 32 columns. Column k of fragment f of 32 columns is column 4k + f.
template <typename T, uint Fragments, uint Blocks>
void add_values(thread simdgroup_float8x8 (&sums)[Fragments][Blocks * 4], thread float2 (&p)[Fragments][key_fragments],
                thread Eight<T> (&v)[key_fragments], CacheRows<T> values, uint key, uint column, Place place) {
#pragma unroll
  for (uint block = 0; block < Blocks; block++) {
    if (block * 32 >= head_dim) { // not in the loop's condition: the number of turns is a constant of the text
      continue;
    }
#pragma unroll
    for (uint j = 0; j < key_fragments; j++) {
      simdgroup_float8x8 a[Fragments], b;
#pragma unroll
      for (uint r = 0; r < Fragments; r++) {
        set_elements(a[r], p[r][j]);
      }
#pragma unroll
      for (uint f = 0; f < 4; f++) {
        set_elements(b, float2(v[j].four[0][f], v[j].four[1][f]));
#pragma unroll
        for (uint r = 0; r < Fragments; r++) {
          simdgroup_multiply_accumulate(sums[r][block * 4 + f], a[r], b, sums[r][block * 4 + f]);
        }
      }
      if (block + 1 < Blocks) {
        v[j] = values.load(key + j * 8 + place.row, column + (block + 1) * 32 + place.column * 4);
      }
    }
  }
}

// A threadgroup is Groups · Teams · Parts simdgroups: a group has Fragments · 8 rows, its teams take turns at the keys,
// and the parts of a team share them.
template <typename T, uint Groups, uint Fragments, uint Teams, uint Parts>
[[max_total_threads_per_threadgroup(Groups * Teams * Parts * 32)]] [[kernel]] void
attend(constant AttendArgs &args [[buffer(0)]], device const float *q [[buffer(1)]],
       device const T *keys [[buffer(2)]], device const T *values [[buffer(3)]],
       device float *out [[buffer(4)]], device float *partials [[buffer(5)]],
       device float2 *stats [[buffer(6)]], uint3 at [[threadgroup_position_in_grid]],
       uint3 grid [[threadgroups_per_grid]], uint simdgroup [[simdgroup_index_in_threadgroup]],
       uint lane [[thread_index_in_simdgroup]]) {
  constexpr uint Keys = key_fragments / Parts;     // fragments of a tile's keys that a simdgroup multiplies
  constexpr uint Blocks = max_dim / 32 / Parts;    // blocks of 32 columns that it sums
  constexpr uint Scores = Fragments * key_fragments * 32;
  constexpr uint Queries = Groups * Fragments * query_fragments * 32;

  // Fragments, a float2 a lane: the queries, and for each team the scores of two tiles, one of which is written while
  // the other may still be read.
  threadgroup float2 memory[2048];
  static_assert(Queries + (Parts > 1 ? Teams * 2 * Scores : 0) <= 2048, "16 KiB, so that two threadgroups fit a core");

  const uint part = simdgroup % Parts, team = simdgroup / Parts % Teams, group = simdgroup / (Parts * Teams);
  const uint kv_head = at.y, share = args.heads / args.kv_heads, rows = args.n * share;
  const uint tile = (grid.x - 1 - at.x) * Groups * Fragments * 8; // those that see the most keys start first
  const uint first = tile + group * Fragments * 8;
  const Place place = place_of(lane);

  if (simdgroup < Groups * Fragments) {
    uint row = min(tile + simdgroup * 8 + place.row, rows - 1);
    stage_query(memory + simdgroup * query_fragments * 32 + lane, q + query_row(args, kv_head, row) * head_dim, place,
                args.scale);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (first >= rows) {
    return;
  }

  const uint begin = at.z * args.chunk;
  const uint end = min(begin + args.chunk, args.pos + (min(first + Fragments * 8, rows) - 1) / share + 1);
  const CacheRows<T> k = {keys + kv_head * head_dim, args.kv_heads * head_dim, end};
  const CacheRows<T> v = {values + kv_head * head_dim, args.kv_heads * head_dim, end};

  uint visible[Fragments]; // keys before it are seen by the lane's row
  Softmax softmax[Fragments];
  simdgroup_float8x8 sums[Fragments][Blocks * 4];
#pragma unroll
  for (uint r = 0; r < Fragments; r++) {
    visible[r] = min(end, args.pos + (first + r * 8 + place.row) / share + 1);
    softmax[r] = Softmax{masked, 0};
#pragma unroll
    for (uint c = 0; c < Blocks * 4; c++) {
      sums[r][c] = make_filled_simdgroup_matrix<float, 8, 8>(0);
    }
  }

  uint turn = 0;
  for (uint base = begin; base < end; base += Teams * 32, turn ^= 1) {
    const uint key = base + team * 32;

    Eight<T> loaded[key_fragments]; // values that are under way while the scores are made
#pragma unroll
    for (uint j = 0; j < key_fragments; j++) {
      loaded[j] = v.load(key + j * 8 + place.row, part * Blocks * 32 + place.column * 4);
    }

    simdgroup_float8x8 s[Fragments][Keys];
#pragma unroll
    for (uint r = 0; r < Fragments; r++) {
#pragma unroll
      for (uint j = 0; j < Keys; j++) {
        s[r][j] = make_filled_simdgroup_matrix<float, 8, 8>(0);
      }
    }
    multiply_keys<T, Fragments, Keys>(s, memory + group * Fragments * query_fragments * 32 + lane, k,
                                      key + part * Keys * 8, place);

    threadgroup float2 *scores = memory + Queries + (team * 2 + turn) * Scores + lane;
    if (Parts > 1) {
#pragma unroll
      for (uint r = 0; r < Fragments; r++) {
        scores[(r * key_fragments + part) * 32] = elements(s[r][0]);
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    float2 p[Fragments][key_fragments];
#pragma unroll
    for (uint r = 0; r < Fragments; r++) {
#pragma unroll
      for (uint j = 0; j < key_fragments; j++) {
        p[r][j] = Parts > 1 ? scores[(r * key_fragments + j) * 32] : elements(s[r][j % Keys]);
      }
      float shrink = softmax[r].weigh(p[r], key, visible[r], place);
#pragma unroll
      for (uint c = 0; c < Blocks * 4; c++) {
        set_elements(sums[r][c], elements(sums[r][c]) * shrink);
      }
    }
    add_values<T, Fragments, Blocks>(sums, p, loaded, v, key, part * Blocks * 32, place);
  }

  // The teams come together in the first one.
  for (uint other = Teams - 1; other > 0; other--) {
    threadgroup float2 *theirs = memory + part * Fragments * (Blocks * 4 + 1) * 32 + lane;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (team == other) {
#pragma unroll
      for (uint r = 0; r < Fragments; r++) {
        *theirs = float2(softmax[r].top, softmax[r].total);
        theirs += 32;
#pragma unroll
        for (uint c = 0; c < Blocks * 4; c++, theirs += 32) {
          *theirs = elements(sums[r][c]);
        }
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (team == 0) {
#pragma unroll
      for (uint r = 0; r < Fragments; r++) {
        float2 shrink = softmax[r].join(*theirs);
        theirs += 32;
#pragma unroll
        for (uint c = 0; c < Blocks * 4; c++, theirs += 32) {
          set_elements(sums[r][c], elements(sums[r][c]) * shrink[0] + *theirs * shrink[1]);
        }
      }
    }
  }
  if (team > 0) {
    return;
  }

#pragma unroll
  for (uint r = 0; r < Fragments; r++) {
    float total = softmax[r].total;
    total += simd_shuffle_xor(total, 1);
    total += simd_shuffle_xor(total, 8);
    uint row = first + r * 8 + place.row;
    if (row >= rows) {
      continue;
    }
    ulong to_row = query_row(args, kv_head, row);
    device float *to = out + to_row * head_dim;
    if (args.splits > 1) {
      to_row += ulong(at.z) * args.n * args.heads;
      to = partials + to_row * head_dim;
      if (part == 0 && place.column == 0) {
        stats[to_row] = float2(softmax[r].top, total);
      }
      total = 1;
    }
#pragma unroll
    for (uint block = 0; block < Blocks; block++) {
      uint column = (part * Blocks + block) * 32 + place.column * 4;
      if (column < head_dim) {
        float4 low, high;
#pragma unroll
        for (uint f = 0; f < 4; f++) {
          float2 pair = elements(sums[r][block * 4 + f]) / total;
          low[f] = pair[0];
          high[f] = pair[1];
        }
        *(device float4 *)(to + column) = low;
        *(device float4 *)(to + column + 4) = high;
      }
    }
  }
}

template [[host_name("attend_f16")]] [[kernel]] decltype(attend<half, 1, 2, 2, 4>) attend<half, 1, 2, 2, 4>;
template [[host_name("attend_f32")]] [[kernel]] decltype(attend<float, 1, 2, 2, 4>) attend<float, 1, 2, 2, 4>;
template [[host_name("prefill_attend_f16")]] [[kernel]] decltype(attend<half, 4, 1, 1, 1>) attend<half, 4, 1, 1, 1>;
template [[host_name("prefill_attend_f32")]] [[kernel]] decltype(attend<float, 4, 1, 1, 1>) attend<float, 4, 1, 1, 1>;

// The splits of a row come together: each simdgroup takes every fourth, each lane four columns.
[[max_total_threads_per_threadgroup(128)]] [[kernel]] void
attend_combine(constant CombineArgs &args [[buffer(0)]], device const float *partials [[buffer(1)]],
               device const float2 *stats [[buffer(2)]], device float *out [[buffer(3)]],
               uint row [[threadgroup_position_in_grid]],
               uint simdgroup [[simdgroup_index_in_threadgroup]],
               uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float4 sums[4][32];
  threadgroup float totals[4];
  float top = masked;
  for (uint split = lane; split < args.splits; split += 32) {
    top = max(top, stats[ulong(split) * args.rows + row][0]);
  }
  top = simd_max(top);
  float4 sum = 0;
  float total = 0;
  for (uint split = simdgroup; split < args.splits; split += 4) {
    ulong at = ulong(split) * args.rows + row;
    float2 stat = stats[at];
    float weight = precise::exp(stat[0] - top);
    total += weight * stat[1];
    if (lane * 4 < head_dim) {
      sum += weight * *(device const float4 *)(partials + at * head_dim + lane * 4);
    }
  }
  sums[simdgroup][lane] = sum;
  totals[simdgroup] = total;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (simdgroup == 0 && lane * 4 < head_dim) {
    sum = sums[0][lane] + sums[1][lane] + sums[2][lane] + sums[3][lane];
    *(device float4 *)(out + ulong(row) * head_dim + lane * 4) = sum / (totals[0] + totals[1] + totals[2] + totals[3]);
  }
}
