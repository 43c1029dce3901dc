// The structs at [[buffer(0)]] of the kernels, field by field those of args.go.

struct MatmulArgs {
  uint rows, cols; // of the matrix
  uint n;          // tokens: rows of x and y
};

struct QKVArgs {
  uint q_rows, kv_rows; // rows of the query matrix, and of the key and the value matrix
  uint cols;
  uint n;           // tokens
  uint pos;         // position of the first of them
  uint rotary_dims; // dimensions of a head that are rotated, from the first on
  uint bias;        // 1: there are biases
  uint first, end;  // the rows to compute, of queries, keys and values one below the other; multiples of 8
};

struct GateUpArgs {
  uint ffn;  // rows of the gate, and again of up behind them
  uint cols;
  uint n; // tokens
};

struct HeadArgs {
  uint rows, cols;
  uint valid;        // rows from here on are padding and are not picked
  uint pick;         // 0: only logits; 1: also the best pair of each threadgroup
  ulong key;         // of the Gumbel noise
  float temperature; // 0: no noise
};

struct AttendArgs {
  uint pos;      // position of the first query
  uint n;        // tokens
  uint heads, kv_heads;
  uint chunk;    // keys of a split, a multiple of 32
  uint splits;   // 1: the result goes to out; else that of split s goes, not yet divided by the sum of its weights, to
                 // partials[s][token][head][head_dim], and to stats[s][token][head][2] its largest score and that sum;
                 // the score is -FLT_MAX/2 where the split holds no key that the token sees, and the rest is to be
                 // ignored
  float scale;   // of the scores
};

struct CombineArgs {
  uint rows;   // tokens times heads
  uint splits;
};

struct AddNormArgs {
  uint width;
  uint post;      // 1: y is normed before it is added
  float post_eps, next_eps;
};

struct EmbedArgs {
  uint width;
  uint vocab;
  float eps;
};

struct ScanArgs {
  uint valid; // logits to look at
  float temperature;
  ulong key;
};

struct PickArgs {
  uint pairs;
  uint at;    // the place of the id
  uint valid; // logits to look at
};

struct ProbeArgs {
  uint turns;
  float one; // 1, which compilers are not to know
};
