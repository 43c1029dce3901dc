"""Checks committed goldens against the float64 reference, and shows how far each plausible mistake would be from them.

    python verify.py [--out ../../../model/testdata]

Prints a table: a row a model, the distance of the right forward pass, then that of each mistake, over all positions of
the 17-token prompt and the last of the others. Fails when the right one is not near or chatglm-f is not glm-d.
"nan" is what an overflow leads to. A dash means that the mistake makes no difference to that model by construction.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from reference import MISTAKES, distance, forward
from transformers_goldens import MAX_FLOAT64_DISTANCE, MODELS, TESTDATA


def split_chatglm(folder, config):
    """The tensors of a chatglm checkpoint under the names of a glm one."""
    rows = np.cumsum([config["num_attention_heads"], config["multi_query_group_num"]]) * config["kv_channels"]
    names = [
        ("transformer.embedding.word_embeddings", "model.embed_tokens"), ("transformer.output_layer", "lm_head"),
        ("transformer.encoder.final_layernorm", "model.norm"), ("transformer.encoder.layers", "model.layers"),
        ("self_attention.dense", "self_attn.o_proj"), ("dense_h_to_4h", "gate_up_proj"), ("dense_4h_to_h", "down_proj"),
    ]
    out = {}
    for name, value in load_file(folder / "model.safetensors").items():
        if name.endswith("inv_freq"):
            continue
        for old, new in names:
            name = name.replace(old, new)
        if "query_key_value" in name:
            for p, part in zip("qkv", np.split(value, rows)):
                out[name.replace("self_attention.query_key_value", f"self_attn.{p}_proj")] = part
        else:
            out[name] = value
    return out


def worst(weights, config, golden, tensors, mistake=None):
    result = 0.0
    for prompt in golden["prompts"]:
        logits = forward(weights, config, prompt["ids"], mistake)
        want = tensors.get(prompt["name"] + ".all")
        if want is None:
            logits, want = logits[-1], tensors[prompt["name"] + ".last"]
        result = np.maximum(result, distance(logits, want))  # keeps a NaN
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=TESTDATA)
    args = parser.parse_args()
    np.seterr(invalid="ignore")  # what follows an overflow
    print("| model | right | " + " | ".join(MISTAKES) + " |\n|---" + "|---" * (len(MISTAKES) + 1) + "|")
    for name in MODELS:
        folder = args.out / name
        config = json.loads((folder / "config.json").read_text())
        golden = json.loads((folder / "golden.json").read_text())
        tensors = load_file(folder / "golden.safetensors")
        weights = {}
        for shard in sorted(folder.glob("model*.safetensors")):
            weights.update(load_file(shard))
        right = worst(weights, config, golden, tensors)
        cells = [f"{right:.1e}"]
        for mistake in MISTAKES:
            d = worst(weights, config, golden, tensors, mistake)
            cells.append("-" if d == right else f"{d:.1e}")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
        if right > MAX_FLOAT64_DISTANCE:
            raise SystemExit(f"{name}: {right:.1e} from the float64 reference")

    config = json.loads((args.out / "chatglm-f" / "config.json").read_text())
    d, f = load_file(args.out / "glm-d" / "model.safetensors"), split_chatglm(args.out / "chatglm-f", config)
    if d.keys() != f.keys() or any(not np.array_equal(d[k], f[k]) for k in d):
        raise SystemExit("chatglm-f does not hold the tensors of glm-d")
    print("chatglm-f holds the tensors of glm-d")


if __name__ == "__main__":
    main()
