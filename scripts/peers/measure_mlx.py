"""Measures mlx-lm on MLX's CPU device and prints the figures as one line of JSON.

    python measure_mlx.py CHECKPOINT --prompt 8 --generate 4 [--dtype float32]

The prompt is one step from an empty cache, of which only the last token goes through the head; tokens are then
generated from an empty cache with mlx-lm's own loop, greedily, the first one not counted.

Scales, biases, norms and with them the activations are turned from bf16 into float32, because MLX has no vector code
for bf16 on these CPUs: on x86 its 4-bit products take 13 times as long in bf16, 48 times as long in float16
(--dtype bfloat16, float16). One core computes them, token by token, so that a second costs as many tokens of a prompt
as of a generation, and few of either are enough to measure.
"""

import argparse
import json
import random
import time
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx
from mlx_lm.generate import generate_step
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import load_model


def prefill(model, ids):
    hidden = model.model(mx.array([ids]), make_prompt_cache(model))
    mx.eval(model.lm_head(hidden[:, -1:]))


def generate(model, first, n):
    """Seconds that n tokens take after the first."""
    start = 0.0
    for i, _ in enumerate(generate_step(mx.array([first]), model, max_tokens=n + 1)):
        if i == 0:
            start = time.perf_counter()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--prompt", type=int, required=True)
    parser.add_argument("--generate", type=int, required=True)
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    args = parser.parse_args()

    mx.set_default_device(mx.cpu)
    start = time.perf_counter()
    model, config = load_model(args.model)
    model.set_dtype(getattr(mx, args.dtype))
    mx.eval(model.parameters())
    load_seconds = time.perf_counter() - start

    rng = random.Random(1)
    ids = [rng.randrange(config["vocab_size"]) for _ in range(args.prompt)]
    prefill(model, ids[:1])

    start = time.perf_counter()
    prefill(model, ids)
    prompt_seconds = time.perf_counter() - start
    generate_seconds = generate(model, ids[0], args.generate)

    print(json.dumps({
        "version": f"mlx-lm {version('mlx-lm')}, mlx {version('mlx')}",
        "details": f"{mx.default_device()}, {args.dtype}",
        "load_seconds": load_seconds,
        "prompt_seconds": prompt_seconds,
        "generate_seconds": generate_seconds,
    }))


if __name__ == "__main__":
    main()
