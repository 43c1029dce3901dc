// What the products do with their results. Every product (gemv, gemvs, gemm) ends here.

// KV caches are [token][KV head][head_dim] in kv_format. What lies beyond f16 becomes the largest, never an infinity.
inline void store_kv(device uchar *cache, ulong i, float2 pair) {
  if (kv_format == f32) {
    *(device float2 *)(cache + i * 4) = pair;
  } else {
    *(device half2 *)(cache + i * 2) = half2(clamp(pair, -65504.0f, 65504.0f));
  }
}

// The buffers behind the three products of QKV.
struct QKVResult {
  device float *q; // [token][q_rows]
  device uchar *keys;
  device uchar *values;
  device const float2 *rope; // (cos, sin) at [position][rotary_dims / 2]
  device const float *q_bias;
  device const float *k_bias;
  device const float *v_bias;

  // Adds the biases to the products of rows row and row + 1 with token t, turns them if they are a rotated pair, and
  // writes them. Rows count through q, k and v in turn; row is even, as are q_rows, kv_rows, head_dim and rotary_dims.
  void write(constant QKVArgs &args, uint row, uint t, float2 pair) const {
    bool is_q = row < args.q_rows;
    if (!is_q) {
      row -= args.q_rows;
    }
    bool is_v = !is_q && row >= args.kv_rows;
    if (is_v) {
      row -= args.kv_rows;
    }
    if (args.bias) {
      // All three are read first: a struct of which a field is chosen at run time stays in memory.
      device const float *of_q = q_bias, *of_k = k_bias, *of_v = v_bias;
      device const float *bias = is_q ? of_q : is_v ? of_v : of_k;
      pair += float2(bias[row], bias[row + 1]);
    }
    uint pos = args.pos + t, dim = row % head_dim;
    if (!is_v && dim < args.rotary_dims) {
      float2 turn = rope[ulong(pos) * (args.rotary_dims / 2) + dim / 2];
      pair = float2(pair.x * turn.x - pair.y * turn.y, pair.y * turn.x + pair.x * turn.y);
    }
    if (is_q) {
      *(device float2 *)(q + ulong(t) * args.q_rows + row) = pair;
    } else {
      store_kv(is_v ? values : keys, ulong(pos) * args.kv_rows + row, pair);
    }
  }
};

// exp stays finite, so that fast math need not know infinities; beyond, the result is 0 anyway.
inline float silu(float x) { return x / (1 + precise::exp(min(-x, 87.0f))); }
