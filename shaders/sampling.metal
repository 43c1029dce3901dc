// The first pass of sampling: the best pair of 16 logits a thread.
[[max_total_threads_per_threadgroup(256)]] [[kernel]] void
sample_scan(constant ScanArgs &args [[buffer(0)]],
            device const float *logits [[buffer(1)]],
            device Pair *pairs [[buffer(2)]],
            uint group [[threadgroup_position_in_grid]],
            uint thread_index [[thread_index_in_threadgroup]],
            uint threads [[threads_per_threadgroup]],
            uint lane [[thread_index_in_simdgroup]],
            uint simdgroup [[simdgroup_index_in_threadgroup]]) {
  threadgroup Pair partial[32];
  Pair best = no_pair;
  for (uint i = 0; i < 16; i++) {
    uint id = (group * 16 + i) * threads + thread_index;
    if (id < args.valid) {
      best = better(best, score(logits[id], id, args.temperature, args.key));
    }
  }
  best = threadgroup_best(best, partial, lane, simdgroup, threads / 32);
  if (thread_index == 0) {
    pairs[group] = best;
  }
}

// The second: the id of the best of all pairs, or -1 - id for an id whose logit is NaN or +Inf, or all_equal. One
// threadgroup.
[[max_total_threads_per_threadgroup(1024)]] [[kernel]] void
sample_pick(constant PickArgs &args [[buffer(0)]],
            device const Pair *pairs [[buffer(1)]],
            device const float *logits [[buffer(2)]],
            device int *ids [[buffer(3)]],
            uint thread_index [[thread_index_in_threadgroup]],
            uint threads [[threads_per_threadgroup]],
            uint lane [[thread_index_in_simdgroup]],
            uint simdgroup [[simdgroup_index_in_threadgroup]]) {
  threadgroup Pair partial[32];
  threadgroup uint differ[32]; // of each simdgroup
  Pair best = no_pair;
  for (uint i = thread_index; i < args.pairs; i += threads) {
    best = better(best, pairs[i]);
  }
  // Each simdgroup looks for a logit unlike the first, and as a rule need not look far.
  bool found = args.valid == 1;
  for (uint begin = simdgroup * 32; begin < args.valid && !found; begin += threads) {
    uint i = begin + lane;
    found = simd_max(i < args.valid && logits[i] != logits[0] ? 1u : 0u) > 0;
  }
  if (lane == 0) {
    differ[simdgroup] = found;
  }
  best = threadgroup_best(best, partial, lane, simdgroup, threads / 32); // with a barrier
  found = simd_max(lane < threads / 32 ? differ[lane] : 0u) > 0;
  if (thread_index == 0) {
    ids[args.at] = best.rank == infinite_rank ? -1 - int(best.id) : found ? int(best.id) : all_equal;
  }
}
