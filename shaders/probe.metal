// What measures the limits of a GPU. Numbers are chosen so that the sums are exact and tell what was done.

// Adds up memory: a threadgroup reads turns·4 uint4s a thread. A simdgroup writes one sum.
[[kernel]] void probe_read(constant ProbeArgs &args [[buffer(0)]],
                           device const uint4 *memory [[buffer(1)]],
                           device uint *sums [[buffer(2)]],
                           uint group [[threadgroup_position_in_grid]],
                           uint thread_index [[thread_index_in_threadgroup]],
                           uint threads [[threads_per_threadgroup]],
                           uint lane [[thread_index_in_simdgroup]],
                           uint simdgroup [[simdgroup_index_in_threadgroup]]) {
  memory += ulong(group) * args.turns * 4 * threads + thread_index;
  uint4 sum = uint4(0);
  for (uint turn = 0; turn < args.turns; turn++) {
#pragma unroll
    for (uint i = 0; i < 4; i++) {
      sum += memory[(4 * turn + i) * threads];
    }
  }
  uint total = simd_sum(sum.x + sum.y + sum.z + sum.w);
  if (lane == 0) {
    sums[group * (threads / 32) + simdgroup] = total;
  }
}

// Copies memory: a threadgroup takes turns·4 uint4s a thread.
[[kernel]] void probe_copy(constant ProbeArgs &args [[buffer(0)]],
                           device const uint4 *from [[buffer(1)]],
                           device uint4 *to [[buffer(2)]],
                           uint group [[threadgroup_position_in_grid]],
                           uint thread_index [[thread_index_in_threadgroup]],
                           uint threads [[threads_per_threadgroup]]) {
  ulong first = ulong(group) * args.turns * 4 * threads + thread_index;
  from += first;
  to += first;
  for (uint turn = 0; turn < args.turns; turn++) {
#pragma unroll
    for (uint i = 0; i < 4; i++) {
      to[(4 * turn + i) * threads] = from[(4 * turn + i) * threads];
    }
  }
}

// Multiplies matrices as the GEMMs do, in registers: 16 products a turn. A thread writes the sum of its elements, which
// is turns·1600·one.
[[max_total_threads_per_threadgroup(128)]] [[kernel]] void
probe_matrices(constant ProbeArgs &args [[buffer(0)]],
               device float *sums [[buffer(1)]],
               uint thread_index [[thread_position_in_grid]]) {
  simdgroup_float8x8 a[4], b[4], products[4][4];
#pragma unroll
  for (uint i = 0; i < 4; i++) {
    a[i] = make_filled_simdgroup_matrix<float, 8, 8>(args.one * float(i + 1));
    b[i] = a[i];
#pragma unroll
    for (uint j = 0; j < 4; j++) {
      products[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0);
    }
  }
  for (uint turn = 0; turn < args.turns; turn++) {
#pragma unroll
    for (uint i = 0; i < 4; i++) {
#pragma unroll
      for (uint j = 0; j < 4; j++) {
        simdgroup_multiply_accumulate(products[i][j], a[i], b[j], products[i][j]);
      }
    }
  }
  float sum = 0;
#pragma unroll
  for (uint i = 0; i < 4; i++) {
#pragma unroll
    for (uint j = 0; j < 4; j++) {
      thread auto &two = products[i][j].thread_elements();
      sum += two[0] + two[1];
    }
  }
  sums[thread_index] = sum;
}

// Multiplies and adds numbers in registers: 128 a turn. A thread writes their sum, which is turns·800·one.
[[kernel]] void probe_floats(constant ProbeArgs &args [[buffer(0)]],
                             device float *sums [[buffer(1)]],
                             uint thread_index [[thread_position_in_grid]]) {
  float4 x = args.one * float4(1, 2, 3, 4), a = float4(0), b = a, c = a, d = a;
  for (uint turn = 0; turn < args.turns; turn++) {
#pragma unroll
    for (uint i = 0; i < 8; i++) {
      a = fma(float4(x.x), x, a);
      b = fma(float4(x.y), x, b);
      c = fma(float4(x.z), x, c);
      d = fma(float4(x.w), x, d);
    }
  }
  float4 sum = a + b + c + d;
  sums[thread_index] = sum.x + sum.y + sum.z + sum.w;
}

// Does next to nothing: each dispatch of a chain adds one to what the one before wrote.
[[kernel]] void probe_launch(constant ProbeArgs &args [[buffer(0)]],
                             device float *sums [[buffer(1)]],
                             uint thread_index [[thread_position_in_grid]]) {
  sums[thread_index] += args.one;
}
