// The draw of an id: the largest score. Threadgroups look for the best of their ids and sample_pick for the best of
// those.

// SplitMix64's finaliser.
inline ulong splitmix(ulong z) {
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ul;
  z = (z ^ z >> 27) * 0x94D049BB133111EBul;
  return z ^ z >> 31;
}

// backend.Gumbel of an id: -ln(-ln u) of the u = (k + 0.5) / 2^24 that key, of backend.GumbelKey, has for it.
inline float gumbel(ulong key, uint id) {
  const float unit = 1.0f / (1 << 24);
  uint k = uint(splitmix(key + id * 0x9E3779B97F4A7C15ul) >> 40);
  float surprise; // -ln u
  if (k < 1 << 23) {
    surprise = -precise::log((float(k) + 0.5f) * unit);
  } else { // near 1 only 1 - u is a float, and -ln u = 2 atanh s of it
    float v = (float((1 << 24) - k) - 0.5f) * unit, s = v / (2 - v), series = 0;
    for (int n = 15; n > 0; n -= 2) {
      series = series * s * s + 1.0f / n;
    }
    surprise = 2 * s * series;
  }
  return -precise::log(surprise);
}

// A candidate for the id.
struct Pair {
  uint rank; // orders scores: as integers, because fast math knows no NaNs and infinities
  uint id;
};

// What loses to every id.
constant constexpr Pair no_pair = {0, 0xFFFFFFFF};

// The rank of NaN and +Inf is above all others, so that they are found.
constant constexpr uint infinite_rank = 0xFFFFFFFF;

// What is written in place of an id when all logits are equal; gpu knows it as well.
constant constexpr int all_equal = -2147483647 - 1;

// The pair of an id. Noise is added at a temperature above 0.
inline Pair score(float logit, uint id, float temperature, ulong key) {
  uint bits = as_type<uint>(logit);
  if (bits == 0x7F800000 || (bits & 0x7FFFFFFF) > 0x7F800000) {
    return {infinite_rank, id};
  }
  if (temperature > 0) {
    bits = as_type<uint>(logit / temperature + gumbel(key, id));
  }
  return {bits >> 31 ? -bits : bits | 0x80000000, id}; // -0 as 0
}

// The better of two; of equals the lower id.
inline Pair better(Pair a, Pair b) { return a.rank > b.rank || (a.rank == b.rank && a.id < b.id) ? a : b; }

// The best of a simdgroup, for all of its threads.
inline Pair simd_best(Pair mine) {
  uint rank = simd_max(mine.rank), id = no_pair.id;
  if (mine.rank == rank) {
    id = mine.id;
  }
  return {rank, simd_min(id)};
}

// The best pair of all threads of a threadgroup, right in its first simdgroup. partial holds one a simdgroup.
inline Pair threadgroup_best(Pair mine, threadgroup Pair *partial, uint lane, uint simdgroup, uint simdgroups) {
  mine = simd_best(mine);
  if (lane == 0) {
    partial[simdgroup] = mine;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  mine = no_pair;
  if (lane < simdgroups) {
    mine = partial[lane];
  }
  return simd_best(mine);
}
