// What works on rows of activations or on logits rather than on matrices. Norms are x * weight / sqrt(mean(x^2) + eps).

// The sum of what all threads of a threadgroup give, for all of them. partial holds one number a simdgroup.
inline float total(float x, threadgroup float *partial, uint lane, uint simdgroup, uint simdgroups) {
  x = simd_sum(x);
  if (lane == 0) {
    partial[simdgroup] = x;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return simd_sum(lane < simdgroups ? partial[lane] : 0);
}

// The rows of a matrix that belong to ids, and the norm of them: a threadgroup a token.
template <typename W>
[[max_total_threads_per_threadgroup(256)]] [[kernel]] void
embed(constant EmbedArgs &args [[buffer(0)]],
      device const int *ids [[buffer(1)]],
      device float4 *h [[buffer(2)]],
      device float4 *xn [[buffer(3)]],
      device const uchar *w [[buffer(4)]],
      device const uchar *scales [[buffer(5)]],
      device const uchar *biases [[buffer(6)]],
      device const float4 *norm [[buffer(7)]],
      uint token [[threadgroup_position_in_grid]],
      uint thread_index [[thread_index_in_threadgroup]],
      uint threads [[threads_per_threadgroup]],
      uint lane [[thread_index_in_simdgroup]],
      uint simdgroup [[simdgroup_index_in_threadgroup]]) {
  threadgroup float partial[32];
  h += ulong(token) * (args.width / 4);
  xn += ulong(token) * (args.width / 4);
  uint id = uint(ids[token]);
  id = id < args.vocab ? id : 0; // what an unfinished step left there must not lead outside
  Matrix<W> matrix = {w, scales, biases, args.width};
  float squares = 0;
  for (uint i = thread_index; i < args.width / 8; i += threads) {
    float v[8];
    matrix.dequantise(id, 8 * i, v);
    float4 low = float4(v[0], v[1], v[2], v[3]), high = float4(v[4], v[5], v[6], v[7]);
    h[2 * i] = low;
    h[2 * i + 1] = high;
    squares += dot(low, low) + dot(high, high);
  }
  float scale = precise::rsqrt(total(squares, partial, lane, simdgroup, threads / 32) / args.width + args.eps);
  for (uint i = thread_index; i < args.width / 8; i += threads) {
    xn[2 * i] = norm[2 * i] * (h[2 * i] * scale);
    xn[2 * i + 1] = norm[2 * i + 1] * (h[2 * i + 1] * scale);
  }
}

template [[host_name("embed_q4")]] [[kernel]] decltype(embed<Q4>) embed<Q4>;
template [[host_name("embed_q8")]] [[kernel]] decltype(embed<Q8>) embed<Q8>;
template [[host_name("embed_w16")]] [[kernel]] decltype(embed<W16>) embed<W16>;
template [[host_name("embed_w32")]] [[kernel]] decltype(embed<W32>) embed<W32>;

// The residual sum h += y, or h += norm of y by post, and the norm of h by next: a threadgroup a token. A thread loads
// its first four numbers of everything at once and keeps them: a row of up to four times the threads is read but once.
[[max_total_threads_per_threadgroup(1024)]] [[kernel]] void
add_norm(constant AddNormArgs &args [[buffer(0)]],
         device float4 *h [[buffer(1)]],
         device float4 *xn [[buffer(2)]],
         device const float4 *y [[buffer(3)]],
         device const float4 *post [[buffer(4)]],
         device const float4 *next [[buffer(5)]],
         uint token [[threadgroup_position_in_grid]],
         uint thread_index [[thread_index_in_threadgroup]],
         uint threads [[threads_per_threadgroup]],
         uint lane [[thread_index_in_simdgroup]],
         uint simdgroup [[simdgroup_index_in_threadgroup]]) {
  threadgroup float post_partial[32], next_partial[32];
  uint width = args.width / 4, rest = thread_index + threads;
  h += ulong(token) * width;
  xn += ulong(token) * width;
  y += ulong(token) * width;
  float4 h0 = 0, y0 = 0, post0 = 1, next0 = 0;
  if (thread_index < width) {
    h0 = h[thread_index];
    y0 = y[thread_index];
    next0 = next[thread_index];
    if (args.post) {
      post0 = post[thread_index];
    }
  }
  float scale = 1;
  if (args.post) {
    float squares = dot(y0, y0);
    for (uint i = rest; i < width; i += threads) {
      squares += dot(y[i], y[i]);
    }
    scale = precise::rsqrt(total(squares, post_partial, lane, simdgroup, threads / 32) / args.width + args.post_eps);
  }
  h0 += post0 * (y0 * scale);
  float squares = dot(h0, h0);
  for (uint i = rest; i < width; i += threads) {
    float4 sum = h[i] + (args.post ? post[i] * (y[i] * scale) : y[i]);
    h[i] = sum;
    squares += dot(sum, sum);
  }
  scale = precise::rsqrt(total(squares, next_partial, lane, simdgroup, threads / 32) / args.width + args.next_eps);
  if (thread_index < width) {
    h[thread_index] = h0;
    xn[thread_index] = next0 * (h0 * scale);
  }
  for (uint i = rest; i < width; i += threads) {
    xn[i] = next[i] * (h[i] * scale);
  }
}
