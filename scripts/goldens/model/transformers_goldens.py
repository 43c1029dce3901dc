"""Writes tiny random glm4 and glm checkpoints with transformers, and what transformers answers in float32.

    python transformers_goldens.py [--out ../../../model/testdata] [--only glm4-a,glm-d]

The oracle: AutoModelForCausalLM.from_pretrained(folder, dtype=float32, attn_implementation="eager"), no autocast, CPU,
one thread, on the folder as committed. Greedy ids come from model.generate(do_sample=False) with its KV cache.
Prompts are whole prefills. README.md says what the files hold.
"""

import argparse
import json
import platform
import shutil
from pathlib import Path

import numpy as np
import safetensors
import torch
import transformers
from safetensors.numpy import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, Glm4Config, GlmConfig

from reference import distance, forward

TESTDATA = Path(__file__).resolve().parents[3] / "model" / "testdata"
PROMPT_LENGTHS = [1, 2, 17, 255, 256, 257, 700]
GREEDY_TOKENS = 64
# A greedy id is a fair demand when no other id comes near: the gap between the best two logits, over the largest
# magnitude of that step's logits, exceeds five times the 1e-4 that the logits themselves may be off by.
MIN_MARGIN = 5e-4
# Exact arithmetic (float64 with float64 angles) may be this far from the oracle, a fifth of the tests' tolerance.
MAX_FLOAT64_DISTANCE = 2e-5
MIN_DISTINCT = 16

MODELS = {
    "glm4-a": dict(
        kind=Glm4Config, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
        partial_rotary_factor=0.5, intermediate_size=96, vocab_size=160, attention_bias=True, rms_norm_eps=1e-5,
        embed_std=0.01,
    ),
    # The same shapes; the MLP's input is scaled so that silu(gate)*up passes 65504, the largest float16.
    "glm4-a-large": dict(
        kind=Glm4Config, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
        partial_rotary_factor=0.5, intermediate_size=96, vocab_size=160, attention_bias=True, rms_norm_eps=1e-5,
        mlp_input_scale=100.0,
    ),
    # 16 query heads to a KV head and no bias, as in the 32B; written in shards.
    "glm4-b": dict(
        kind=Glm4Config, hidden_size=96, num_hidden_layers=3, num_attention_heads=16, num_key_value_heads=1,
        head_dim=32, partial_rotary_factor=0.5, intermediate_size=64, vocab_size=300, attention_bias=False,
        rms_norm_eps=1e-5, max_shard_size="700KB",
    ),
    # GLM-4's own head shape: 32 heads of 128, 2 KV heads, 64 rotary dims; a vocabulary that no power of two divides.
    "glm4-c": dict(
        kind=Glm4Config, hidden_size=32, num_hidden_layers=1, num_attention_heads=32, num_key_value_heads=2,
        head_dim=128, partial_rotary_factor=0.5, intermediate_size=64, vocab_size=131, attention_bias=True,
        rms_norm_eps=1e-5, embed_std=0.02,
    ),
    # glm-4-9b-chat-hf: two norms, theta 5e6, and a config without partial_rotary_factor.
    "glm-d": dict(
        kind=GlmConfig, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=64,
        intermediate_size=64, vocab_size=160, attention_bias=True, rms_norm_eps=1.5625e-7, rope_theta=5e6,
        flat_rope=True, embed_std=0.002,
    ),
    # GLM-Edge: every dimension rotates, the head is the embedding.
    "glm-e": dict(
        kind=GlmConfig, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4, head_dim=16,
        partial_rotary_factor=1.0, intermediate_size=96, vocab_size=160, attention_bias=False, rms_norm_eps=1e-5,
        tie_word_embeddings=True, embed_std=0.2,
    ),
}


def make_config(spec):
    spec = dict(spec)
    kind = spec.pop("kind")
    own = {k: spec.pop(k, None) for k in ("mlp_input_scale", "max_shard_size", "flat_rope", "embed_std")}
    vocab = spec["vocab_size"]
    config = kind(
        max_position_embeddings=1024, pad_token_id=vocab - 3, eos_token_id=[vocab - 3, vocab - 2, vocab - 1], **spec
    )
    return config, own


def randomise(model, rng, embed_std, mlp_input_scale):
    """Weights that make mistakes visible: attention scores with a spread of about 2.5, biases of 0.5, norms 1 +- 0.3.

    A small embed_std brings the first norm's mean square near eps, so that a wrong eps shows too.
    """
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            r = rng.standard_normal(p.shape, dtype=np.float32)
            if name.endswith("norm.weight"):
                r = 1 + np.float32(0.3) * r
                if mlp_input_scale and name.endswith("post_attention_layernorm.weight"):
                    r *= np.float32(mlp_input_scale)
            elif name.endswith(".bias"):
                r *= np.float32(0.5)
            elif name.endswith("embed_tokens.weight"):
                r *= np.float32(embed_std)
            else:
                gain = 1.6 if "self_attn" in name and "o_proj" not in name else 1.2
                r *= np.float32(gain / np.sqrt(p.shape[1]))
            p.copy_(torch.from_numpy(r))


def write_checkpoint(folder, spec, seed):
    config, own = make_config(spec)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    randomise(model, np.random.default_rng(seed), own["embed_std"] or 0.5, own["mlp_input_scale"])
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, max_shard_size=own["max_shard_size"] or "1GB")
    (folder / "generation_config.json").unlink()
    if own["flat_rope"]:
        # transformers 4 wrote rope_theta at the top and, for glm-4-9b-chat-hf, no partial_rotary_factor at all.
        path = folder / "config.json"
        fields = json.loads(path.read_text())
        fields["rope_theta"] = fields.pop("rope_parameters")["rope_theta"]
        fields["torch_dtype"] = fields.pop("dtype")
        path.write_text(json.dumps(dict(sorted(fields.items())), indent=2) + "\n")
        loaded = AutoConfig.from_pretrained(folder).rope_parameters
        assert loaded["partial_rotary_factor"] == 0.5 and loaded["rope_theta"] == config.rope_parameters["rope_theta"]


def load_oracle(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    assert all(p.dtype == torch.float32 for p in model.parameters())
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = None
    return model


def greedy(model, ids):
    out = model.generate(
        torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False,
        max_new_tokens=GREEDY_TOKENS, output_logits=True, return_dict_in_generate=True,
    )
    steps = torch.stack([l[0] for l in out.logits])
    top = steps.topk(2, dim=-1).values
    margins = (top[:, 0] - top[:, 1]) / steps.abs().amax(-1)
    next_ids = out.sequences[0, len(ids):].tolist()
    assert next_ids == steps.argmax(-1).tolist() and len(next_ids) == GREEDY_TOKENS
    return next_ids, float(margins.min())


def random_ids(rng, length, vocab):
    return rng.integers(0, vocab, length).tolist()


def goldens(folder, seed):
    """The golden tensors and facts of one checkpoint, or the reason why this seed will not do."""
    model = load_oracle(folder)
    config = json.loads((folder / "config.json").read_text())
    vocab, rng = config["vocab_size"], np.random.default_rng([seed, 1])
    prompts = {f"prompt_{n}": random_ids(rng, n, vocab) for n in PROMPT_LENGTHS}
    starts = {"greedy_5": random_ids(rng, 5, vocab), "greedy_257": prompts["prompt_257"]}

    runs = []
    for name, ids in starts.items():
        next_ids, margin = greedy(model, ids)
        if margin < MIN_MARGIN:
            return None, None, f"{name}: margin {margin:.1e}"
        if len(set(next_ids)) < MIN_DISTINCT:
            return None, None, f"{name}: {len(set(next_ids))} distinct ids"
        runs.append({"name": name, "ids": ids, "next": next_ids, "min_margin": margin})

    product = []
    for layer in model.model.layers:
        layer.mlp.down_proj.register_forward_pre_hook(lambda m, args: product.append(float(args[0].abs().max())))
    weights = {}
    for shard in folder.glob("model*.safetensors"):
        weights.update(load_file(shard))
    tensors, worst, max_logit = {}, 0.0, 0.0
    for name, ids in prompts.items():
        with torch.no_grad():
            logits = model(torch.tensor([ids]), use_cache=False).logits[0].numpy()
        assert logits.dtype == np.float32 and np.isfinite(logits).all()
        worst = max(worst, distance(logits, forward(weights, config, ids)))
        tensors[f"{name}.last"] = np.ascontiguousarray(logits[-1])
        if len(ids) == 17:
            tensors[f"{name}.all"] = np.ascontiguousarray(logits)
        max_logit = max(max_logit, float(np.abs(logits).max()))
    if worst > MAX_FLOAT64_DISTANCE:
        return None, None, f"{worst:.1e} from float64"
    facts = {
        "seed": seed,
        "max_abs_logit": max_logit,
        "max_abs_mlp_product": max(product),
        "distance_to_float64": two_digits(worst),
        "prompts": [{"name": name, "ids": ids} for name, ids in prompts.items()],
        "greedy": runs,
    }
    return tensors, facts, None


def two_digits(x):
    """BLAS threads change the last digits of a float64 sum; goldens should not change with them."""
    return float(f"{x:.1e}")


def versions():
    return {
        "python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__,
        "safetensors": safetensors.__version__, "numpy": np.__version__, "machine": platform.machine(),
    }


def write_json(path, fields):
    """One line a field, and one line an entry of a list of objects: small and still readable."""
    lines = []
    for key, value in fields.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = "[\n  " + ",\n  ".join(json.dumps(v) for v in value) + "\n ]"
        else:
            text = json.dumps(value)
        lines.append(f" {json.dumps(key)}: {text}")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=TESTDATA)
    parser.add_argument("--only", default=",".join(MODELS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for name in args.only.split(","):
        folder = args.out / name
        for seed in range(1, 100):
            write_checkpoint(folder, MODELS[name], seed)
            tensors, facts, reason = goldens(folder, seed)
            if reason is None:
                break
            print(f"{name} seed {seed}: {reason}")
        else:
            raise SystemExit(f"{name}: no seed will do")
        save_file(tensors, folder / "golden.safetensors")
        for file in folder.iterdir():
            file.chmod(0o644)
        head = {
            "script": "scripts/goldens/model/transformers_goldens.py",
            "versions": versions(),
            "oracle": "transformers, float32, eager attention, CPU",
        }
        write_json(folder / "golden.json", head | facts)
        size = sum(f.stat().st_size for f in folder.iterdir())
        print(
            f"{name} seed {seed}: {size} bytes, max |logit| {facts['max_abs_logit']:.2f}, mlp product "
            f"{facts['max_abs_mlp_product']:.3g}, float64 distance {facts['distance_to_float64']:.1e}, margins "
            + " ".join(f"{r['min_margin']:.1e}" for r in facts["greedy"])
            + ", distinct " + " ".join(str(len(set(r["next"]))) for r in facts["greedy"])
        )


if __name__ == "__main__":
    main()
