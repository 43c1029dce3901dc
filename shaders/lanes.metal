// Tells how simdgroup matrices lie in the registers: lane l writes the two elements that it holds of a matrix of 8x8
// whose elements are their own index, row by row. The attention and the GEMMs rely on where they are.
[[max_total_threads_per_threadgroup(32)]] [[kernel]] void
matrix_lanes(constant ProbeArgs &args [[buffer(0)]],
             device float *held [[buffer(1)]],
             uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float numbers[64];
#pragma unroll
  for (uint i = 0; i < 2; i++) {
    numbers[2 * lane + i] = args.one * float(2 * lane + i);
  }
  simdgroup_barrier(mem_flags::mem_threadgroup);
  simdgroup_float8x8 matrix;
  simdgroup_load(matrix, numbers);
  thread auto &two = matrix.thread_elements();
  held[2 * lane] = two[0];
  held[2 * lane + 1] = two[1];
}
