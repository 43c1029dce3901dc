#include <metal_stdlib>
using namespace metal;

// y = W x, W of 4-bit codes in groups of 64 with a scale and a bias each, as MLX stores it. A simdgroup computes four rows;
// each lane takes 16 columns of every 512. x is divided by powers of 16 once, so that the codes need no shift.
template <typename T>
kernel void gemv(device const uint *w [[buffer(0)]],
                 device const T *scales [[buffer(1)]],
                 device const T *biases [[buffer(2)]],
                 device const T *x [[buffer(3)]],
                 device T *y [[buffer(4)]],
                 constant int &in_size [[buffer(5)]],
                 constant int &out_size [[buffer(6)]],
                 uint3 group [[threadgroup_position_in_grid]],
                 uint simdgroup [[simdgroup_index_in_threadgroup]],
                 uint lane [[thread_index_in_simdgroup]]) {
  const int row_bytes = in_size / 2;
  const int row_groups = in_size / 64;
  const int first = group.x * 8 + simdgroup * 4;
  if (first >= out_size) {
    return;
  }
  const device uint8_t *codes = (const device uint8_t *)w + first * row_bytes + lane * 8;
  scales += first * row_groups + lane / 4;
  biases += first * row_groups + lane / 4;
  x += lane * 16;

  float result[4] = {0};
  for (int k = 0; k < in_size; k += 512) {
    float xs[16];
    float sum = 0;
    for (int i = 0; i < 16; i += 4) {
      sum += x[i] + x[i + 1] + x[i + 2] + x[i + 3];
      xs[i] = x[i];
      xs[i + 1] = x[i + 1] / 16.0f;
      xs[i + 2] = x[i + 2] / 256.0f;
      xs[i + 3] = x[i + 3] / 4096.0f;
    }
    for (int row = 0; row < 4; row++) {
      const device ushort *c = (const device ushort *)(codes + row * row_bytes);
      float dot = 0;
      for (int i = 0; i < 4; i++) {
        dot += xs[4 * i] * (c[i] & 0x000f) + xs[4 * i + 1] * (c[i] & 0x00f0) + xs[4 * i + 2] * (c[i] & 0x0f00) +
               xs[4 * i + 3] * (c[i] & 0xf000);
      }
      result[row] += scales[row * row_groups] * dot + sum * biases[row * row_groups];
    }
    codes += 256;
    scales += 8;
    biases += 8;
    x += 512;
  }
  for (int row = 0; row < 4; row++) {
    result[row] = simd_sum(result[row]);
    if (lane == 0) {
      y[first + row] = T(result[row]);
    }
  }
}

template [[host_name("gemv_float")]] kernel void gemv<float>(
    device const uint *, device const float *, device const float *, device const float *, device float *,
    constant int &, constant int &, uint3, uint, uint);
template [[host_name("gemv_half")]] kernel void gemv<half>(
    device const uint *, device const half *, device const half *, device const half *, device half *,
    constant int &, constant int &, uint3, uint, uint);
