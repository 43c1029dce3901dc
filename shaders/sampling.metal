// The first pass of sampling: the best pair of 16 logits a thread.
[[kernel]] void sample_scan(constant ScanArgs &args [[buffer(0)]],
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

// The second: the id of the best of all pairs, or -1 - id for an id whose logit is not a number. One threadgroup.
[[max_total_threads_per_threadgroup(1024)]] [[kernel]] void
sample_pick(constant PickArgs &args [[buffer(0)]],
            device const Pair *pairs [[buffer(1)]],
            device int *ids [[buffer(2)]],
            uint thread_index [[thread_index_in_threadgroup]],
            uint threads [[threads_per_threadgroup]],
            uint lane [[thread_index_in_simdgroup]],
            uint simdgroup [[simdgroup_index_in_threadgroup]]) {
  threadgroup Pair partial[32];
  Pair best = no_pair;
  for (uint i = thread_index; i < args.pairs; i += threads) {
    best = better(best, pairs[i]);
  }
  best = threadgroup_best(best, partial, lane, simdgroup, threads / 32);
  if (thread_index == 0) {
    ids[args.at] = best.rank == nan_rank ? -1 - int(best.id) : int(best.id);
  }
}
