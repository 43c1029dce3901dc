// What the attentions share: flash attention (Dao et al. 2022, arXiv:2205.14135) with an online softmax (Milakov,
// Gimelshein 2018, arXiv:1805.02867), one pass over the keys. Scores, weights and sums are f32.
//
// The query heads that share a KV head are the rows of a matrix, token after token.

constant constexpr uint max_dim = 128;
constant constexpr float masked = -FLT_MAX / 2; // stands for the score of a key that a row does not see

// A fragment is an 8x8 matrix in the registers of a simdgroup, of which a lane holds two elements: in row `row` the
// columns `column` and the next. A product does not mind in which order the inner dimension is taken, nor does softmax
// mind the order of V's columns, so they are dealt out such that a lane loads numbers side by side.
struct FragmentPlace {
  uint row, column;
};

inline FragmentPlace fragment_place(uint lane) {
  return FragmentPlace{lane / 16 * 4 + lane / 2 % 4, lane / 8 % 2 * 4 + lane % 2 * 2};
}

inline void set_elements(thread simdgroup_float8x8 &m, float2 pair) {
  m.thread_elements()[0] = pair[0];
  m.thread_elements()[1] = pair[1];
}

inline float2 elements(thread simdgroup_float8x8 &m) { return float2(m.thread_elements()[0], m.thread_elements()[1]); }

// The number of a row of a KV head among the rows [token][head] of all heads.
inline ulong query_row(constant AttendArgs &args, uint kv_head, uint row) {
  uint share = args.heads / args.kv_heads;
  return ulong(row / share) * args.heads + kv_head * share + row % share;
}

// The softmax of a row over the keys so far. As long as it has seen none, its sums mean nothing; they shrink to 0 when
// a score comes, and in `join` and attend_combine when the other has one.
struct Softmax {
  float top;   // largest score, or `masked`
  float total; // sum of exp(score - top), of those that the lane holds

  // Makes the scores of a tile of keys, which begins at `key`, weights, and returns what older sums shrink by.
  template <uint Fragments>
  float weigh(thread float2 (&p)[Fragments], uint key, uint visible, FragmentPlace place) {
    float high = top;
    const float none = masked; // in the address space of p, as both sides of a conditional are to be
#pragma unroll
    for (uint j = 0; j < Fragments; j++) {
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
    for (uint j = 0; j < Fragments; j++) {
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

  // Makes total that of all lanes that hold the row.
  void finish() {
    total += simd_shuffle_xor(total, 1);
    total += simd_shuffle_xor(total, 8);
  }
};

// Where a row's result goes: its sums divided by the total to out, or what a split has of them to partials and stats.
struct Result {
  device float *to;
  float divisor;

  // `row` counts all heads' rows; the lane that is told so writes the stats.
  Result(constant AttendArgs &args, device float *out, device float *partials, device float2 *stats, ulong row,
         uint split, Softmax softmax, bool writes_stats) {
    to = out + row * head_dim;
    divisor = softmax.total;
    if (args.splits > 1) {
      row += ulong(split) * args.n * args.heads;
      to = partials + row * head_dim;
      divisor = 1;
      if (writes_stats) {
        stats[row] = float2(softmax.top, softmax.total);
      }
    }
  }

  // Writes the lane's columns, from `column` on, of sums in which column k of fragment f is column Fragments·k + f.
  template <uint Fragments> void write(thread simdgroup_float8x8 (&sums)[Fragments], uint column) {
    if (column >= head_dim) {
      return;
    }
    float4 four[Fragments / 2];
#pragma unroll
    for (uint f = 0; f < Fragments; f++) {
      float2 pair = elements(sums[f]) / divisor;
      four[f / 4][f % 4] = pair[0];
      four[(Fragments + f) / 4][(Fragments + f) % 4] = pair[1];
    }
#pragma unroll
    for (uint i = 0; i < Fragments / 2; i++) {
      *(device float4 *)(to + column + 4 * i) = four[i];
    }
  }
};
