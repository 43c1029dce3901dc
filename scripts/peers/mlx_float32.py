"""Runs mlx_lm.benchmark, with its own options, on MLX's CPU device in float32.

MLX has no vector code for bf16 on these CPUs: on x86 its 4-bit products take 13 times as long in bf16 as in float32, 48
times as long in float16. So scales, biases, norms and with them the activations are turned into float32.
"""

import mlx.core as mx

mx.set_default_device(mx.cpu)  # before mlx_lm.generate makes its stream

from mlx_lm import benchmark

load = benchmark.load


def load_float32(*args, **kwargs):
    model, *rest = load(*args, **kwargs)
    model.set_dtype(mx.float32)
    return model, *rest


benchmark.load = load_float32
benchmark.main()
