// The draw of an id: the largest score. Threadgroups look for the best of their ids and sample_pick for the best of those.

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

// The rank of what is not a number is above all others, so that it is found.
constant constexpr uint nan_rank = 0xFFFFFFFF;

// The pair of an id. Noise is added at a temperature above 0.
inline Pair score(float logit, uint id, float temperature, ulong key) {
  if ((as_type<uint>(logit) & 0x7FFFFFFF) > 0x7F800000) {
    return {nan_rank, id};
  }
  if (temperature > 0) {
    logit = logit / temperature + gumbel(key, id);
  }
  uint bits = as_type<uint>(logit);
  return {bits >> 31 ? -bits : bits | 0x80000000, id}; // -0 as 0
}

// The better of two; of equals the lower id.
inline Pair better(Pair a, Pair b) { return a.rank > b.rank || (a.rank == b.rank && a.id < b.id) ? a : b; }

// The best of a simdgroup, for all of its threads.
inline Pair simd_best(Pair mine) {
  uint rank = simd_max(mine.rank);
  return {rank, simd_min(mine.rank == rank ? mine.id : no_pair.id)};
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
