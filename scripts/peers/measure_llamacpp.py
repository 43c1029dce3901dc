"""Measures llama.cpp on the CPU through its C functions and prints the figures as one line of JSON.

    python measure_llamacpp.py MODEL.gguf --prompt 512 --generate 64 --threads N

As llama-bench does: the prompt in one llama_decode from an empty cache, then, from an empty cache, one llama_decode
a token on random ids. Weights are read into memory, not mapped, and repacked for the CPU where llama.cpp can.
"""

import argparse
import ctypes
import json
import random
import re
import sys
import time
from importlib.metadata import version
from pathlib import Path

import llama_cpp as l


def commit():
    """The commit of llama.cpp and the version of ggml that the library was built from."""
    ggml = ctypes.CDLL(str(next((Path(l.__file__).parent / "lib").glob("libggml-base.*"))))
    ggml.ggml_version.restype = ggml.ggml_commit.restype = ctypes.c_char_p
    return f"llama.cpp {ggml.ggml_commit().decode()}, ggml {ggml.ggml_version().decode()}"


def decode(context, ids):
    """Puts ids behind what the cache holds and waits; the logits of the last are computed."""
    array = (l.llama_token * len(ids))(*ids)
    if status := l.llama_decode(context, l.llama_batch_get_one(array, len(ids))):
        sys.exit(f"measure_llamacpp.py: llama_decode of {len(ids)} tokens failed with status {status}")
    l.llama_synchronize(context)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--prompt", type=int, required=True)
    parser.add_argument("--generate", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()

    log = []

    @l.llama_log_callback
    def keep(level, text, data):
        log.append(text.decode(errors="replace"))

    l.llama_log_set(keep, ctypes.c_void_p(0))
    l.llama_backend_init()
    start = time.perf_counter()
    params = l.llama_model_default_params()
    params.n_gpu_layers = 0
    params.load_mode = l.LLAMA_LOAD_MODE_NONE
    model = l.llama_model_load_from_file(args.model.encode(), params)
    if not model:
        sys.exit(f"measure_llamacpp.py: {args.model} could not be loaded:\n{''.join(log)}")
    params = l.llama_context_default_params()
    params.n_ctx = max(args.prompt, args.generate)
    params.n_batch = params.n_ubatch = args.prompt
    params.n_threads = params.n_threads_batch = args.threads
    context = l.llama_init_from_model(model, params)
    if not context:
        sys.exit(f"measure_llamacpp.py: no context for {args.model}:\n{''.join(log)}")
    load_seconds = time.perf_counter() - start

    vocab = l.llama_vocab_n_tokens(l.llama_model_get_vocab(model))
    rng = random.Random(1)
    ids = [rng.randrange(vocab) for _ in range(args.prompt + args.generate)]
    prompt, rest = ids[: args.prompt], ids[args.prompt :]
    memory = l.llama_get_memory(context)

    decode(context, prompt[:8])
    decode(context, prompt[:1])
    l.llama_memory_clear(memory, True)

    start = time.perf_counter()
    decode(context, prompt)
    prompt_seconds = time.perf_counter() - start

    l.llama_memory_clear(memory, True)
    start = time.perf_counter()
    for token in rest:
        decode(context, [token])
    generate_seconds = time.perf_counter() - start

    text = "".join(log)
    buffers = {kind: float(size) for kind, size in re.findall(r"(\S+) model buffer size = +([0-9.]+) MiB", text)}
    print(json.dumps({
        "version": f"llama-cpp-python {version('llama-cpp-python')}, {commit()}",
        "details": f"model buffers in MiB {buffers}; {l.llama_print_system_info().decode().strip()}",
        "load_seconds": load_seconds,
        "prompt_seconds": prompt_seconds,
        "generate_seconds": generate_seconds,
    }))
    l.llama_free(context)
    l.llama_model_free(model)


if __name__ == "__main__":
    main()
