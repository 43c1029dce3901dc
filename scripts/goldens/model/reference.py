"""The GLM-4 forward pass in float64 numpy, written from the papers and the checkpoints' layout.

It shares no code with transformers or mlx-lm and checks what the goldens depend on: which way the rotary pairs lie,
the order of the norms, which half of gate_up_proj is the gate. It also measures how far float32 oracles are from
exact arithmetic, and how far each plausible mistake would be, so that a test's tolerance can be set between the two.
"""

import numpy as np


def rms_norm(x, weight, eps):
    return weight * x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps)


def rope(x, theta, rotary, split_half=False):
    """x [n, heads, head_dim]; rotates the pairs (0,1), (2,3), ... of the first `rotary` dimensions."""
    n = x.shape[0]
    freqs = theta ** (-np.arange(0, rotary, 2, dtype=np.float64) / rotary)
    angles = np.arange(n, dtype=np.float64)[:, None] * freqs[None, :]
    cos, sin = np.cos(angles)[:, None, :], np.sin(angles)[:, None, :]
    out = x.copy()
    if split_half:
        first, second = slice(0, rotary // 2), slice(rotary // 2, rotary)
    else:
        first, second = slice(0, rotary, 2), slice(1, rotary, 2)
    a, b = x[..., first], x[..., second]
    out[..., first] = a * cos - b * sin
    out[..., second] = a * sin + b * cos
    return out


def settings(config):
    """The numbers the forward pass needs, from a config.json of either generation (flat or nested rope)."""
    nested = config.get("rope_parameters") or {}
    fraction = nested.get("partial_rotary_factor", config.get("partial_rotary_factor", 0.5))
    return {
        "layers": config["num_hidden_layers"],
        "heads": config["num_attention_heads"],
        "kv_heads": config["num_key_value_heads"],
        "head_dim": config["head_dim"],
        "rotary": int(config["head_dim"] * fraction),
        "theta": float(nested.get("rope_theta", config.get("rope_theta", 10000.0))),
        "eps": config["rms_norm_eps"],
        "sandwich": config["model_type"] == "glm4",
        "tied": config.get("tie_word_embeddings", False),
    }


def forward(weights, config, ids, mistake=None):
    """Logits [n, vocab] for the ids. `mistake` names one deliberate error (see MISTAKES)."""
    s = settings(config)
    w = lambda name: weights[name].astype(np.float64)
    bias = lambda name: weights[name].astype(np.float64) if name in weights and mistake != "no bias" else 0.0
    n, group = len(ids), s["heads"] // s["kv_heads"]
    rotary = s["head_dim"] if mistake == "all dims rotated" else s["rotary"]
    theta = 500.0 * s["theta"] if mistake == "rope theta" else s["theta"]
    eps = s["eps"]
    if mistake == "other eps":  # the two that the families use
        eps = 1e-5 if eps < 1e-6 else 1.5625e-7
    causal = np.triu(np.full((n, n), -np.inf), 1)

    h = w("model.embed_tokens.weight")[np.asarray(ids)]
    for i in range(s["layers"]):
        layer = f"model.layers.{i}."
        norm = lambda x, name: rms_norm(x, w(layer + name + ".weight"), eps)
        pre_attn, post_attn, pre_mlp = "input_layernorm", "post_self_attn_layernorm", "post_attention_layernorm"
        if mistake == "norms swapped":
            if s["sandwich"]:
                pre_mlp, post_attn = post_attn, pre_mlp
            else:
                pre_attn, pre_mlp = pre_mlp, pre_attn

        x = norm(h, pre_attn)
        q, k, v = (
            (x @ w(f"{layer}self_attn.{p}_proj.weight").T + bias(f"{layer}self_attn.{p}_proj.bias")).reshape(
                n, -1, s["head_dim"]
            )
            for p in "qkv"
        )
        q = rope(q, theta, rotary, mistake == "split-half rope")
        k = rope(k, theta, rotary, mistake == "split-half rope")
        a = np.empty_like(q)
        for head in range(s["heads"]):
            kv = head % s["kv_heads"] if mistake == "kv heads interleaved" else head // group
            scores = q[:, head] @ k[:, kv].T / np.sqrt(s["head_dim"]) + causal
            p = np.exp(scores - scores.max(-1, keepdims=True))
            a[:, head] = (p / p.sum(-1, keepdims=True)) @ v[:, kv]
        y = a.reshape(n, -1) @ w(layer + "self_attn.o_proj.weight").T
        h = h + (norm(y, post_attn) if s["sandwich"] else y)

        x = norm(h, pre_mlp)
        gate, up = np.split(x @ w(layer + "mlp.gate_up_proj.weight").T, 2, axis=-1)
        if mistake == "gate is the second half":
            gate, up = up, gate
        with np.errstate(over="ignore"):
            product = gate / (1.0 + np.exp(-gate)) * up
            if mistake == "float16 product":
                product = product.astype(np.float16).astype(np.float64)
        y = product @ w(layer + "mlp.down_proj.weight").T
        h = h + (norm(y, "post_mlp_layernorm") if s["sandwich"] else y)

    h = rms_norm(h, w("model.norm.weight"), eps)
    return h @ w("model.embed_tokens.weight" if s["tied"] else "lm_head.weight").T


def dequantise(packed, scales, biases, bits):
    """MLX affine: uint32 words hold 32/bits values, the lowest bits first; w = scale * q + bias, in float32.

    A bf16 scale times an integer of 8 bits is exact in float32, so with or without a fused multiply-add there is one
    rounding and one right answer.
    """
    per_word = 32 // bits
    q = (packed[..., None] >> (np.arange(per_word, dtype=np.uint32) * np.uint32(bits))) & np.uint32(2**bits - 1)
    q = q.reshape(packed.shape[0], -1)
    group = q.shape[1] // scales.shape[1]
    return scales.repeat(group, axis=1) * q.astype(np.float32) + biases.repeat(group, axis=1)


MISTAKES = [
    "split-half rope",
    "all dims rotated",
    "rope theta",
    "other eps",
    "no bias",
    "norms swapped",
    "gate is the second half",
    "kv heads interleaved",
    "float16 product",
]


def distance(got, want):
    """Largest difference over the largest magnitude of the oracle's logits."""
    return float(np.max(np.abs(got - want)) / np.max(np.abs(want)))
