// Attention of few rows. A threadgroup has 16, and two teams of four simdgroups, which take turns at tiles of 32 keys.
// Each K and V row is loaded once for the 16 rows: a simdgroup of a team multiplies eight keys with all queries, they
// exchange the scores, and each sums a quarter of the columns of V.

constant constexpr uint Teams = 2;
constant constexpr uint Parts = 4;     // simdgroups of a team
constant constexpr uint Fragments = 2; // of eight rows
constant constexpr uint query_fragments = max_dim / 8;

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

// Puts eight queries into threadgroup memory as fragments: column k of fragment f of 64 dimensions is dimension 8k + f.
inline void stage_query(threadgroup float2 *to, device const float *query, FragmentPlace place, float scale) {
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

// Adds the products of queries and eight keys, from row `key` on, to s.
template <typename T>
void multiply_keys(thread simdgroup_float8x8 (&s)[Fragments], threadgroup const float2 *queries, CacheRows<T> keys,
                   uint key, FragmentPlace place) {
  for (uint block = 0; block * 64 < head_dim; block++) {
    Eight<T> even = keys.load(key + place.column, block * 64 + place.row * 8);
    Eight<T> odd = keys.load(key + place.column + 1, block * 64 + place.row * 8);
#pragma unroll
    for (uint f = 0; f < 8; f++) {
      simdgroup_float8x8 a, b;
      set_elements(b, float2(even.four[f / 4][f % 4], odd.four[f / 4][f % 4]));
#pragma unroll
      for (uint r = 0; r < Fragments; r++) {
        set_elements(a, queries[(r * query_fragments + block * 8 + f) * 32]);
        simdgroup_multiply_accumulate(s[r], a, b, s[r]);
      }
    }
  }
}

// Adds the products of weights and values to the sums of 32 columns. Column k of fragment f is column 4k + f.
template <typename T>
void add_values(thread simdgroup_float8x8 (&sums)[Fragments][4], thread float2 (&p)[Fragments][Parts],
                thread Eight<T> (&v)[Parts]) {
#pragma unroll
  for (uint j = 0; j < Parts; j++) {
#pragma unroll
    for (uint f = 0; f < 4; f++) {
      simdgroup_float8x8 a, b;
      set_elements(b, float2(v[j].four[0][f], v[j].four[1][f]));
#pragma unroll
      for (uint r = 0; r < Fragments; r++) {
        set_elements(a, p[r][j]);
        simdgroup_multiply_accumulate(sums[r][f], a, b, sums[r][f]);
      }
    }
  }
}

template <typename T>
[[max_total_threads_per_threadgroup(256)]] [[kernel]] void
attend(constant AttendArgs &args [[buffer(0)]], device const float *q [[buffer(1)]],
       device const T *keys [[buffer(2)]], device const T *values [[buffer(3)]],
       device float *out [[buffer(4)]], device float *partials [[buffer(5)]],
       device float2 *stats [[buffer(6)]], uint3 at [[threadgroup_position_in_grid]],
       uint3 grid [[threadgroups_per_grid]], uint simdgroup [[simdgroup_index_in_threadgroup]],
       uint lane [[thread_index_in_simdgroup]]) {
  constexpr uint Scores = Fragments * Parts * 32;
  constexpr uint Queries = Fragments * query_fragments * 32;

  // Fragments, a float2 a lane: the queries, and for each team the scores of two tiles, one of which is written while
  // the other may still be read.
  threadgroup float2 memory[2048];
  static_assert(Queries + Teams * 2 * Scores <= 2048, "16 KiB, so that two threadgroups fit a core");

  const uint part = simdgroup % Parts, team = simdgroup / Parts;
  const uint kv_head = at.y, share = args.heads / args.kv_heads, rows = args.n * share;
  const uint first = (grid.x - 1 - at.x) * Fragments * 8; // those that see the most keys start first
  const FragmentPlace place = fragment_place(lane);

  if (simdgroup < Fragments) {
    uint row = min(first + simdgroup * 8 + place.row, rows - 1);
    stage_query(memory + simdgroup * query_fragments * 32 + lane, q + query_row(args, kv_head, row) * head_dim, place,
                args.scale);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);

  const uint begin = at.z * args.chunk;
  const uint end = min(begin + args.chunk, args.pos + (min(first + Fragments * 8, rows) - 1) / share + 1);
  const CacheRows<T> k = {keys + kv_head * head_dim, args.kv_heads * head_dim, end};
  const CacheRows<T> v = {values + kv_head * head_dim, args.kv_heads * head_dim, end};

  uint visible[Fragments]; // keys before it are seen by the lane's row
  Softmax softmax[Fragments];
  simdgroup_float8x8 sums[Fragments][4];
#pragma unroll
  for (uint r = 0; r < Fragments; r++) {
    visible[r] = min(end, args.pos + (first + r * 8 + place.row) / share + 1);
    softmax[r] = Softmax{masked, 0};
#pragma unroll
    for (uint c = 0; c < 4; c++) {
      sums[r][c] = make_filled_simdgroup_matrix<float, 8, 8>(0);
    }
  }

  uint turn = 0;
  for (uint base = begin; base < end; base += Teams * Parts * 8, turn ^= 1) {
    const uint key = base + team * Parts * 8;

    Eight<T> loaded[Parts]; // values that are under way while the scores are made
#pragma unroll
    for (uint j = 0; j < Parts; j++) {
      loaded[j] = v.load(key + j * 8 + place.row, part * 32 + place.column * 4);
    }

    simdgroup_float8x8 s[Fragments];
#pragma unroll
    for (uint r = 0; r < Fragments; r++) {
      s[r] = make_filled_simdgroup_matrix<float, 8, 8>(0);
    }
    multiply_keys(s, memory + lane, k, key + part * 8, place);

    threadgroup float2 *scores = memory + Queries + (team * 2 + turn) * Scores + lane;
#pragma unroll
    for (uint r = 0; r < Fragments; r++) {
      scores[(r * Parts + part) * 32] = elements(s[r]);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    float2 p[Fragments][Parts];
#pragma unroll
    for (uint r = 0; r < Fragments; r++) {
#pragma unroll
      for (uint j = 0; j < Parts; j++) {
        p[r][j] = scores[(r * Parts + j) * 32];
      }
      float shrink = softmax[r].weigh(p[r], key, visible[r], place);
#pragma unroll
      for (uint c = 0; c < 4; c++) {
        set_elements(sums[r][c], elements(sums[r][c]) * shrink);
      }
    }
    add_values(sums, p, loaded);
  }

  // The teams come together in the first one.
  threadgroup float2 *theirs = memory + part * Fragments * 5 * 32 + lane;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (team == 1) {
#pragma unroll
    for (uint r = 0; r < Fragments; r++) {
      *theirs = float2(softmax[r].top, softmax[r].total);
      theirs += 32;
#pragma unroll
      for (uint c = 0; c < 4; c++, theirs += 32) {
        *theirs = elements(sums[r][c]);
      }
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (team == 1) {
    return;
  }
#pragma unroll
  for (uint r = 0; r < Fragments; r++) {
    float2 shrink = softmax[r].join(*theirs);
    theirs += 32;
#pragma unroll
    for (uint c = 0; c < 4; c++, theirs += 32) {
      set_elements(sums[r][c], elements(sums[r][c]) * shrink[0] + *theirs * shrink[1]);
    }
    softmax[r].finish();
    uint row = first + r * 8 + place.row;
    if (row < rows) {
      bool writes_stats = part == 0 && place.column == 0;
      Result result(args, out, partials, stats, query_row(args, kv_head, row), at.z, softmax[r], writes_stats);
      result.write(sums[r], part * 32 + place.column * 4);
    }
  }
}

template [[host_name("attend_f16")]] [[kernel]] decltype(attend<half>) attend<half>;
template [[host_name("attend_f32")]] [[kernel]] decltype(attend<float>) attend<float>;
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
