"""Writes loader/testdata/dequantize.safetensors: what mlx.core makes of quantised matrices, for TestDequantizeIsBitIdenticalToMLX.

    python scripts/goldens/loader/dequantize.py loader/testdata/dequantize.safetensors

For bits 4 and 8, groups of 32, 64 and 128, and scales in f32, f16 and bf16 the file holds NAME.weight, NAME.scales and NAME.biases
from mx.quantize, and NAME.float32, which is mx.dequantize with the scales and biases cast to float32. That is the contract: the
checkpoint's own values, exact in float32. With bf16 or f16 scales mx.dequantize rounds the product and the sum to that type
and so loses up to half of the weights' last bits; this script checks that the two really differ.

Ran with the versions that it stores in the file's metadata, on the CPU.
"""

import platform
import sys

import mlx.core as mx
import numpy as np

mx.set_default_device(mx.cpu)
rng = np.random.default_rng(1)
out = {}
for dtype, name in ((mx.float32, "F32"), (mx.float16, "F16"), (mx.bfloat16, "BF16")):
    for bits in (4, 8):
        for group in (32, 64, 128):
            w = mx.array((rng.standard_normal((3, 256)) * 0.05).astype(np.float32)).astype(dtype)
            q, scales, biases = mx.quantize(w, group_size=group, bits=bits)
            exact = mx.dequantize(q, scales.astype(mx.float32), biases.astype(mx.float32), group_size=group, bits=bits)
            own = mx.dequantize(q, scales, biases, group_size=group, bits=bits).astype(mx.float32)
            assert bool(mx.any(exact != own)) == (dtype != mx.float32)
            key = f"{bits}.{group}.{name}"
            out |= {f"{key}.weight": q, f"{key}.scales": scales, f"{key}.biases": biases, f"{key}.float32": exact}
mx.save_safetensors(sys.argv[1], out, metadata={"mlx": mx.__version__, "numpy": np.__version__, "python": platform.python_version(), "machine": platform.machine()})
