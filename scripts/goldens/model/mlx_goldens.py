"""Writes tiny quantised glm4 checkpoints with mlx_lm.convert, and what mlx and mlx-lm make of them.

    python mlx_goldens.py [--out ../../../model/testdata]

A random bf16 glm4 checkpoint with a config.json as transformers 4 wrote it (GLM-4-9B-0414's fields) is converted three
times. For each result, on the CPU device:

    dequantised  mx.dequantize(weight, scales as float32, biases as float32, group_size, bits), every quantised module
    *.bf16       logits of the model as mlx_lm.load_model gives it: bf16 activations, quantised matmuls, no cache
    *.f32        the same model after model.set_dtype(float32): scales, biases, norms and unquantised matrices keep
                 their values but are float32, so activations are too; the packed weights stay packed
"""

import argparse
import hashlib
import json
import platform
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import torch
from mlx_lm import convert
from mlx_lm.utils import load_model
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, Glm4Config, PreTrainedTokenizerFast

from reference import dequantise, distance, forward
from transformers_goldens import TESTDATA, random_ids, two_digits, write_json

SEED = 1
VOCAB = 160
PROMPT_LENGTHS = [1, 17, 257]


def mixed(path, module):
    """lm_head in 8 bits, one matrix left in bf16, the rest as the defaults say."""
    if path == "lm_head":
        return {"group_size": 64, "bits": 8, "mode": "affine"}
    return path != "model.layers.1.self_attn.v_proj"


MODELS = {
    "mlx-4bit-g64": dict(q_bits=4, q_group_size=64),
    "mlx-8bit-g32": dict(q_bits=8, q_group_size=32),
    "mlx-4bit-g128-mixed": dict(q_bits=4, q_group_size=128, quant_predicate=mixed),
}


def write_source(folder):
    config = Glm4Config(
        hidden_size=128, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=64,
        intermediate_size=128, vocab_size=VOCAB, attention_bias=True, rms_norm_eps=1e-5, partial_rotary_factor=0.5,
        max_position_embeddings=1024, pad_token_id=VOCAB - 3, eos_token_id=[VOCAB - 3, VOCAB - 2, VOCAB - 1],
    )
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    rng = np.random.default_rng(SEED)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            r = rng.standard_normal(p.shape, dtype=np.float32)
            if name.endswith("norm.weight"):
                r = 1 + np.float32(0.3) * r
            elif name.endswith(".bias"):
                r *= np.float32(0.5)
            elif name.endswith("embed_tokens.weight"):
                r *= np.float32(0.5)
            else:
                r *= np.float32(1.2 / np.sqrt(p.shape[1]))
            p.copy_(torch.from_numpy(r).to(p.dtype))
    model.save_pretrained(folder)
    path = folder / "config.json"
    fields = json.loads(path.read_text())
    rope = fields.pop("rope_parameters")
    fields |= {k: rope[k] for k in ("rope_theta", "partial_rotary_factor")}
    fields["torch_dtype"] = fields.pop("dtype")
    path.write_text(json.dumps(dict(sorted(fields.items())), indent=2) + "\n")
    words = {f"w{i}": i for i in range(VOCAB)}  # convert wants a tokenizer; the tests use ids
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="w0"))).save_pretrained(folder)


def float32(array):
    return np.array(array.astype(mx.float32))


def logits_of(model, ids):
    return float32(model(mx.array([ids]))[0])


def dequantised(model):
    for path, module in sorted(model.named_modules()):
        if isinstance(module, (nn.QuantizedLinear, nn.QuantizedEmbedding)):
            matrix = mx.dequantize(
                module.weight, module.scales.astype(mx.float32), module.biases.astype(mx.float32),
                group_size=module.group_size, bits=module.bits,
            )
            assert matrix.dtype == mx.float32
            own = dequantise(np.array(module.weight), float32(module.scales), float32(module.biases), module.bits)
            assert np.array_equal(own.view(np.uint32), np.array(matrix).view(np.uint32))
            yield path, module, np.ascontiguousarray(np.array(matrix))


def goldens(folder):
    tensors, matrices, weights = {}, [], {}
    model, config = load_model(folder)
    for path, module, matrix in dequantised(model):
        matrices.append({
            "module": path, "bits": module.bits, "group_size": module.group_size, "shape": list(matrix.shape),
            "sha256": hashlib.sha256(matrix.astype("<f4").tobytes()).hexdigest(), "rows": [0, matrix.shape[0] - 1],
        })
        tensors[f"dequantised.{path}"] = np.ascontiguousarray(matrix[[0, -1]])
        weights[path + ".weight"] = matrix
    for name, value in mx.load(str(folder / "model.safetensors")).items():
        if not name.endswith((".scales", ".biases")) and name not in weights:
            weights[name] = float32(value)

    rng = np.random.default_rng([SEED, 1])
    prompts = {f"prompt_{n}": random_ids(rng, n, VOCAB) for n in PROMPT_LENGTHS}
    runs = {"bf16": {name: logits_of(model, ids) for name, ids in prompts.items()}}
    model.set_dtype(mx.float32)
    runs["f32"] = {name: logits_of(model, ids) for name, ids in prompts.items()}
    facts = {}
    exact = {name: forward(weights, config, ids) for name, ids in prompts.items()}
    for kind, run in runs.items():
        facts[f"{kind}_distance_to_float64"] = two_digits(max(distance(run[name], exact[name]) for name in prompts))
        for name, logits in run.items():
            tensors[f"{name}.last.{kind}"] = np.ascontiguousarray(logits[-1])
            if len(logits) == 17:
                tensors[f"{name}.all.{kind}"] = np.ascontiguousarray(logits)
    facts["bf16_distance_to_f32"] = two_digits(max(distance(runs["bf16"][n], runs["f32"][n]) for n in prompts))
    facts["prompts"] = [{"name": name, "ids": ids} for name, ids in prompts.items()]
    facts["matrices"] = matrices
    return tensors, facts, runs


def check_false(folder, runs):
    """config_false.json says of the unquantised module what other tools write: false. mlx-lm must read it the same."""
    config = json.loads((folder / "config.json").read_text())
    for key in ("quantization", "quantization_config"):
        config[key]["model.layers.1.self_attn.v_proj"] = False
    (folder / "config_false.json").write_text(json.dumps(config, indent=4))
    with tempfile.TemporaryDirectory() as tmp:
        copy = Path(tmp) / "model"
        shutil.copytree(folder, copy)
        shutil.copy(folder / "config_false.json", copy / "config.json")
        model, _ = load_model(copy)
        golden = json.loads((folder / "golden.json").read_text())
        for prompt in golden["prompts"]:
            assert np.array_equal(logits_of(model, prompt["ids"]), runs["bf16"][prompt["name"]])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=TESTDATA)
    args = parser.parse_args()
    mx.set_default_device(mx.cpu)
    head = {
        "script": "scripts/goldens/model/mlx_goldens.py",
        "versions": {"python": platform.python_version(), "machine": platform.machine()}
        | {p: version(p) for p in ("mlx", "mlx-lm", "torch", "transformers", "numpy", "safetensors")},
        "oracle": "mlx_lm.load_model on the CPU device; .bf16 as loaded, .f32 after set_dtype(float32)",
        "seed": SEED,
    }
    with tempfile.TemporaryDirectory() as tmp:
        source = Path(tmp) / "source"
        write_source(source)
        for name, how in MODELS.items():
            made, folder = Path(tmp) / name, args.out / name
            convert(str(source), str(made), quantize=True, **how)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for file in ("config.json", "model.safetensors", "model.safetensors.index.json"):
                shutil.copyfile(made / file, folder / file)
            tensors, facts, runs = goldens(folder)
            save_file(tensors, folder / "golden.safetensors")
            write_json(folder / "golden.json", head | facts)
            if "quant_predicate" in how:
                check_false(folder, runs)
            for file in folder.iterdir():
                file.chmod(0o644)
            size = sum(f.stat().st_size for f in folder.iterdir())
            distances = ", ".join(f"{k} {v:.1e}" for k, v in facts.items() if "distance" in k)
            print(f"{name}: {size} bytes, {len(facts['matrices'])} matrices, {distances}")


if __name__ == "__main__":
    main()
