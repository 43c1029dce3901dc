"""Writes a GGUF file of the shapes and the vocabulary of a GLM-4 checkpoint, every matrix in Q4_0, with random weights.

    python write_gguf.py CHECKPOINT OUT.gguf [--seed N]

It has the names, shapes and tokens that llama.cpp's converter gives a Glm4ForCausalLM, quantised as `llama-quantize
--pure ... Q4_0` does: token embedding and output too. Of CHECKPOINT, config.json and tokenizer.json are read.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import gguf
import numpy as np

# A Q4_0 block is 32 weights d·(q-8): d in float16, then two q a byte.
BLOCK_WEIGHTS, BLOCK_BYTES = 32, 18
DEVIATION = 0.02  # of a weight; that of q is √(255/12)
PIECE_BLOCKS = 1 << 20


def tensors(config):
    """Yields name and shape (rows first) of each tensor in the order of the layers."""
    hidden, ffn, head_dim = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    q, kv = config["num_attention_heads"] * head_dim, config["num_key_value_heads"] * head_dim
    yield "token_embd.weight", (config["vocab_size"], hidden)
    for layer in range(config["num_hidden_layers"]):
        for name, shape in [
            ("attn_norm.weight", (hidden,)),
            ("attn_q.weight", (q, hidden)),
            ("attn_q.bias", (q,)),
            ("attn_k.weight", (kv, hidden)),
            ("attn_k.bias", (kv,)),
            ("attn_v.weight", (kv, hidden)),
            ("attn_v.bias", (kv,)),
            ("attn_output.weight", (hidden, q)),
            ("post_attention_norm.weight", (hidden,)),
            ("ffn_norm.weight", (hidden,)),
            ("ffn_up.weight", (2 * ffn, hidden)),  # gate and up
            ("ffn_down.weight", (hidden, ffn)),
            ("post_ffw_norm.weight", (hidden,)),
        ]:
            yield f"blk.{layer}.{name}", shape
    yield "output_norm.weight", (hidden,)
    yield "output.weight", (config["vocab_size"], hidden)


def blocks(shape, rng):
    """Random Q4_0 blocks of a matrix, as the bytes of each row."""
    n = shape[0] * shape[1] // BLOCK_WEIGHTS
    out = np.empty((n, BLOCK_BYTES), np.uint8)
    for begin in range(0, n, PIECE_BLOCKS):
        piece = out[begin : begin + PIECE_BLOCKS]
        piece[:, 2:] = np.frombuffer(rng.bytes(len(piece) * 16), np.uint8).reshape(-1, 16)
        d = rng.uniform(0.9, 1.1, len(piece)) * DEVIATION / np.sqrt(255 / 12)
        piece[:, :2] = d.astype("<f2").view(np.uint8).reshape(-1, 2)
    return out.reshape(shape[0], -1)


def vector(name, shape, rng):
    mean, deviation = (1, 0.05) if "norm" in name else (0, DEVIATION)
    return rng.normal(mean, deviation, shape).astype(np.float32)


def add_vocabulary(w, tokenizer, size):
    """As Glm4Model.set_vocab of llama.cpp's converter has it. Ids that no token has are unused."""
    tokens = [f"[PAD{i}]" for i in range(size)]
    types = [gguf.TokenType.UNUSED] * size
    for token, i in tokenizer["model"]["vocab"].items():
        tokens[i], types[i] = token, gguf.TokenType.NORMAL
    added = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    for token, i in added.items():
        tokens[i], types[i] = token, gguf.TokenType.CONTROL
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("glm4")
    w.add_token_list(tokens)
    w.add_token_types(types)
    w.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    for add in (w.add_bos_token_id, w.add_eos_token_id, w.add_unk_token_id):
        add(added["<|endoftext|>"])
    w.add_eot_token_id(added["<|user|>"])


def write(config, tokenizer, path, seed):
    rng = np.random.default_rng(seed)
    w = gguf.GGUFWriter(path, "glm4")
    w.add_name("random GLM-4")
    w.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    w.add_block_count(config["num_hidden_layers"])
    w.add_context_length(config["max_position_embeddings"])
    w.add_embedding_length(config["hidden_size"])
    w.add_feed_forward_length(config["intermediate_size"])
    w.add_head_count(config["num_attention_heads"])
    w.add_head_count_kv(config["num_key_value_heads"])
    w.add_key_length(config["head_dim"])
    w.add_value_length(config["head_dim"])
    w.add_rope_dimension_count(int(config["head_dim"] * config["partial_rotary_factor"]))
    w.add_rope_freq_base(config["rope_theta"])
    w.add_layer_norm_rms_eps(config["rms_norm_eps"])
    w.add_vocab_size(config["vocab_size"])
    add_vocabulary(w, tokenizer, config["vocab_size"])
    every = list(tensors(config))
    for name, shape in every:
        if len(shape) == 2:
            row_bytes = shape[1] // BLOCK_WEIGHTS * BLOCK_BYTES
            quantised = gguf.GGMLQuantizationType.Q4_0
            w.add_tensor_info(name, (shape[0], row_bytes), np.dtype(np.uint8), shape[0] * row_bytes, raw_dtype=quantised)
        else:
            w.add_tensor_info(name, shape, np.dtype(np.float32), 4 * shape[0])
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_ti_data_to_file()
    for name, shape in every:
        w.write_tensor_data(blocks(shape, rng) if len(shape) == 2 else vector(name, shape, rng))
    w.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    config, tokenizer = (json.loads((args.checkpoint / f"{name}.json").read_text()) for name in ("config", "tokenizer"))
    if config.get("model_type") != "glm4":
        sys.exit(f"write_gguf.py: {args.checkpoint / 'config.json'}: model_type is {config.get('model_type')!r}; "
                 "it must be 'glm4'")
    partial = args.out.with_name(args.out.name + ".partial")
    write(config, tokenizer, partial, args.seed)
    os.replace(partial, args.out)


if __name__ == "__main__":
    main()
