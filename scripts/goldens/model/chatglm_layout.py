"""Rewrites testdata/glm-d in the layout of the original glm-4-9b-chat as testdata/chatglm-f: the same model.

    python chatglm_layout.py [--out ../../../model/testdata]

Names and config fields are the inverse of transformers' convert_glm_weights_to_hf.py and
convert_glm4_weights_to_hf.py; the other fields are those of the published config.json of glm-4-9b-chat.
The goldens of glm-d hold for it, so it has none of its own.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from transformers_goldens import TESTDATA

NAMES = {
    "input_layernorm.weight": "input_layernorm.weight",
    "post_attention_layernorm.weight": "post_attention_layernorm.weight",
    "self_attn.o_proj.weight": "self_attention.dense.weight",
    "mlp.gate_up_proj.weight": "mlp.dense_h_to_4h.weight",
    "mlp.down_proj.weight": "mlp.dense_4h_to_h.weight",
}


def chatglm_tensors(hf, config):
    out = {
        "transformer.embedding.word_embeddings.weight": hf["model.embed_tokens.weight"],
        "transformer.encoder.final_layernorm.weight": hf["model.norm.weight"],
        "transformer.output_layer.weight": hf["lm_head.weight"],
    }
    # The original stores the frequencies of base 10000 and applies rope_ratio when it runs: readers must not use them.
    rotary = config["head_dim"] // 2
    out["transformer.rotary_pos_emb.inv_freq"] = (
        1.0 / 10000.0 ** (np.arange(0, rotary, 2, dtype=np.float32) / np.float32(rotary))
    ).astype(np.float32)
    for i in range(config["num_hidden_layers"]):
        old, new = f"model.layers.{i}.", f"transformer.encoder.layers.{i}."
        for a, b in NAMES.items():
            out[new + b] = hf[old + a]
        for kind in ("weight", "bias"):
            rows = [hf[f"{old}self_attn.{p}_proj.{kind}"] for p in "qkv"]
            out[f"{new}self_attention.query_key_value.{kind}"] = np.concatenate(rows)
    return out


def chatglm_config(hf):
    return {
        "_name_or_path": "THUDM/glm-4-9b-chat",
        "add_bias_linear": False,
        "add_qkv_bias": hf["attention_bias"],
        "apply_query_key_layer_scaling": True,
        "apply_residual_connection_post_layernorm": False,
        "architectures": ["ChatGLMModel"],
        "attention_dropout": 0.0,
        "attention_softmax_in_fp32": True,
        "auto_map": {
            "AutoConfig": "configuration_chatglm.ChatGLMConfig",
            "AutoModel": "modeling_chatglm.ChatGLMForConditionalGeneration",
            "AutoModelForCausalLM": "modeling_chatglm.ChatGLMForConditionalGeneration",
        },
        "bias_dropout_fusion": True,
        "classifier_dropout": None,
        "eos_token_id": hf["eos_token_id"],
        "ffn_hidden_size": hf["intermediate_size"],
        "fp32_residual_connection": False,
        "hidden_dropout": 0.0,
        "hidden_size": hf["hidden_size"],
        "kv_channels": hf["head_dim"],
        "layernorm_epsilon": hf["rms_norm_eps"],
        "model_type": "chatglm",
        "multi_query_attention": True,
        "multi_query_group_num": hf["num_key_value_heads"],
        "num_attention_heads": hf["num_attention_heads"],
        "num_hidden_layers": hf["num_hidden_layers"],
        "num_layers": hf["num_hidden_layers"],
        "original_rope": True,
        "pad_token_id": hf["pad_token_id"],
        "padded_vocab_size": hf["vocab_size"],
        "post_layer_norm": True,
        "rmsnorm": True,
        "rope_ratio": int(hf["rope_theta"] / 10000),
        "seq_length": hf["max_position_embeddings"],
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "transformers_version": "4.44.0",
        "use_cache": True,
        "vocab_size": hf["vocab_size"],
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=TESTDATA)
    args = parser.parse_args()
    source, folder = args.out / "glm-d", args.out / "chatglm-f"
    config = json.loads((source / "config.json").read_text())
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    tensors = chatglm_tensors(load_file(source / "model.safetensors"), config)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    (folder / "config.json").write_text(json.dumps(chatglm_config(config), indent=2) + "\n")
    print(f"chatglm-f: {len(tensors)} tensors")


if __name__ == "__main__":
    main()
