"""Writes what mlx_lm.convert makes of a tiny checkpoint, and checks a folder that glm4-metal convert made.

    pip install "mlx[cpu]==0.32.4" mlx-lm==0.32.2 transformers==5.24.0 safetensors

    python make.py golden ../../../model/testdata/glm4-a ../../../loader/testdata/convert.json
    python make.py source ../../../model/testdata/glm4-a FOLDER
    python make.py check ../../../loader/testdata/convert.json NAME FOLDER

The source is glm4-a's weights with a config.json as transformers 4 writes it, which is what mlx-lm reads; it is in the golden
as "source_config". For each conversion of CONVERSIONS the golden has the resulting config.json, the type, shape and SHA-256
of each tensor, and the tokens that mlx-lm's generate_step takes greedily behind PROMPT on the CPU, computing in float32
(set_dtype, which keeps the packed weights), with the least gap between the two best logits.

source writes that checkpoint into a folder, to be converted. check loads the result with mlx_lm.load, as mlx_lm.generate does, and compares config, tensors and tokens with those of the
conversion NAME.
"""

import hashlib
import json
import platform
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx
from mlx_lm import convert, load
from mlx_lm.generate import generate_step
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

PROMPT = [3, 141, 59, 26, 5, 35, 89, 79]
TOKENS = 24
LEAST_GAP = 0.005  # of two logits whose order may not depend on rounding; the tokens end before a smaller one
CONVERSIONS = {
    "4-32-bfloat16": dict(quantize=True, q_bits=4, q_group_size=32, dtype="bfloat16"),
    "8-64-float16": dict(quantize=True, q_bits=8, q_group_size=64, dtype="float16"),
    "4-64-float32": dict(quantize=True, q_bits=4, q_group_size=64),  # the config's type; 96 columns are no multiple
    "16-bfloat16": dict(dtype="bfloat16"),
}

mx.set_default_device(mx.cpu)


def source_config(folder):
    config = json.loads((folder / "config.json").read_text())
    rope = config.pop("rope_parameters")
    config |= {k: rope[k] for k in ("rope_theta", "partial_rotary_factor")}
    config["torch_dtype"] = config.pop("dtype")
    return config | {"_name_or_path": "glm4-a"}


def write_source(folder, weights, config):
    shutil.copy(weights / "model.safetensors", folder)
    (folder / "config.json").write_text(json.dumps(config))
    # Its end tokens win over those of config.json.
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": config["eos_token_id"][:2]}))
    words = {f"w{i}": i for i in range(config["vocab_size"])}  # convert wants a tokenizer; the tests use ids
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="w0"))).save_pretrained(folder)


def tensors(folder):
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        for name, value in mx.load(str(file)).items():
            data = bytes(memoryview(value.view(mx.uint8) if value.dtype != mx.uint32 else value))
            dtype = {mx.bfloat16: "BF16", mx.float16: "F16", mx.float32: "F32", mx.uint32: "U32"}[value.dtype]
            found[name] = {"dtype": dtype, "shape": list(value.shape), "sha256": hashlib.sha256(data).hexdigest()}
    return dict(sorted(found.items()))


def greedy(folder):
    model, _ = load(str(folder))
    model.set_dtype(mx.float32)
    ids, gap = [], float("inf")
    for token, logprobs in generate_step(mx.array(PROMPT), model, max_tokens=TOKENS):
        best = mx.sort(logprobs)[-2:]
        if float(best[1] - best[0]) < LEAST_GAP:
            break
        ids.append(int(token))
        gap = min(gap, float(best[1] - best[0]))
    assert len(ids) >= 8
    return ids, gap


def result(folder):
    ids, gap = greedy(folder)
    return {"config": json.loads((folder / "config.json").read_text()), "greedy": ids, "gap": gap, "tensors": tensors(folder)}


def golden(weights, out):
    made = {
        "versions": {p: version(p) for p in ("mlx", "mlx-lm", "transformers")} | {"python": platform.python_version()},
        "machine": platform.machine(), "source_config": source_config(weights), "prompt": PROMPT, "conversions": {},
    }
    with tempfile.TemporaryDirectory() as temp:
        source = Path(temp, "source")
        source.mkdir()
        write_source(source, weights, made["source_config"])
        for name, options in CONVERSIONS.items():
            convert(str(source), str(Path(temp, name)), **options)
            made["conversions"][name] = result(Path(temp, name))
            print(name, made["conversions"][name]["greedy"], made["conversions"][name]["gap"])
    out.write_text(json.dumps(made) + "\n")


def check(file, name, folder):
    want = json.loads(file.read_text())["conversions"][name]
    got = result(folder)
    for part in want:
        if part == "config":
            for field in want["config"].keys() | got["config"].keys():
                a, b = want["config"].get(field), got["config"].get(field)
                if a != b:
                    print(f"config: {field} is {b}, mlx_lm.convert writes {a}")
        else:
            assert got[part] == want[part], part
    print(f"{name}: mlx-lm {version('mlx-lm')} loads {folder}, {len(want['tensors'])} tensors and {len(want['greedy'])} tokens are the same")


if __name__ == "__main__":
    if sys.argv[1] == "golden":
        golden(Path(sys.argv[2]), Path(sys.argv[3]))
    elif sys.argv[1] == "source":
        folder = Path(sys.argv[3])
        folder.mkdir()
        write_source(folder, Path(sys.argv[2]), source_config(Path(sys.argv[2])))
    else:
        check(Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
