"""Writes loader/testdata/quantize.safetensors: matrices, and what mx.quantize makes of them on the CPU.

    python scripts/goldens/quantize/make.py loader/testdata/quantize.safetensors

For each DTYPE of F32, F16 and BF16 the file holds DTYPE.input of rows that differ in kind (see rows), and for bits 4 and 8
and groups of 32, 64 and 128 DTYPE.BITS.GROUP.weight, .scales and .biases.

Made with mlx and numpy of the versions that are in the file's metadata.
"""

import platform
import sys

import mlx.core as mx
import numpy as np

COLUMNS = 256

mx.set_default_device(mx.cpu)
rng = np.random.default_rng(1)


def normal(deviation):
    return rng.standard_normal(COLUMNS) * deviation


def spread(low, high):
    """Random signs, exponents of two from low to high."""
    return rng.choice([-1, 1], COLUMNS) * 2.0 ** rng.uniform(low, high, COLUMNS)


def rows(largest, smallest):
    """largest is the greatest number of a type, smallest the least one above 0."""
    outlier, negative_outlier = normal(0.02), normal(0.02)
    outlier[::32], negative_outlier[::32] = 3, -3
    return [
        normal(0.02), normal(0.02), normal(1), normal(100),
        np.zeros(COLUMNS), np.full(COLUMNS, -0.0), rng.choice([0.0, -0.0], COLUMNS),
        np.full(COLUMNS, 0.7), np.full(COLUMNS, -0.7),
        np.abs(normal(0.02)) + 0.5, -np.abs(normal(0.02)) - 0.5, np.abs(normal(1)), -np.abs(normal(1)),
        # Halves between two steps of 4 and of 8 bits, and extremes that are equal.
        rng.integers(0, 31, COLUMNS) / 2, rng.integers(-15, 16, COLUMNS) / 2, rng.integers(-255, 256, COLUMNS) / 2,
        rng.choice([-1.0, 1.0], COLUMNS), rng.choice([-1.0, 0.0, 1.0], COLUMNS),
        outlier, negative_outlier,
        # Below and around 1e-7, the least step.
        normal(1e-7), normal(1e-6), spread(-27, -20), np.resize([1e-7, -1e-7, 7.4e-7, -7.6e-7], COLUMNS),
        # From denormal numbers to the largest ones, whose difference overflows in float32.
        rng.integers(-20, 21, COLUMNS) * smallest, np.full(COLUMNS, smallest),
        rng.choice([-largest, largest], COLUMNS), np.abs(rng.standard_normal(COLUMNS)).clip(0, 1) * largest,
        rng.uniform(-largest, largest, COLUMNS), rng.uniform(-largest / 4, largest / 2, COLUMNS),
        spread(-14, 15), spread(-24, 0),
    ]


out = {}
for name, dtype, largest, smallest in (
    ("F32", mx.float32, float(np.finfo(np.float32).max), 2.0**-149),
    ("F16", mx.float16, 65504.0, 2.0**-24),
    ("BF16", mx.bfloat16, float(np.finfo(np.float32).max) * (1 - 2.0**-8), 2.0**-133),
):
    w = mx.array(np.array(rows(largest, smallest)).astype(np.float32)).astype(dtype)
    assert bool(mx.all(mx.isfinite(w)))
    out[f"{name}.input"] = w
    for bits in (4, 8):
        for group in (32, 64, 128):
            parts = zip(("weight", "scales", "biases"), mx.quantize(w, group_size=group, bits=bits))
            out |= {f"{name}.{bits}.{group}.{part}": value for part, value in parts}
mx.save_safetensors(sys.argv[1], out, metadata={
    "mlx": mx.__version__, "numpy": np.__version__, "python": platform.python_version(), "machine": platform.machine(),
})
