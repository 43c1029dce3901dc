"""Trains the demo model and saves it as a bf16 checkpoint.

    python train.py OUT [--steps N]

The last quarter of the training sees the weights as the 4-bit conversion will
round them (straight-through), because a model this small suffers otherwise."""

import argparse
import json
import math
import random
import re
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.utils import parametrize
from transformers import Glm4Config, Glm4ForCausalLM

from chat import Chat, dialogues

GROUP, LEVELS = 64, 15  # mlx affine: 64 weights share a scale and a bias, 4 bits
WORKERS, BATCH_TOKENS = 2, 320  # tokens a worker
PEAK_LR, WARMUP, FINAL_LR = 2e-3, 100, 0.02
QUANTISED_FROM = 0.75
# The share of a source's questions that an epoch takes, in the first half of the
# training and in the second: many of them lead to one long, early learnt answer.
SEEN = ({"project": 0.3, "unknown": 0.2}, {"project": 0.8, "unknown": 0.6})

SYSTEM = [
    "You are a helpful assistant.", "You are a helpful AI assistant.", "Answer briefly.", "Be polite.", "You are a pirate.",
    "You are a friendly chatbot. Answer in one sentence.", "Answer in English.", "You are a teacher.", "Be concise.",
    "You are GLM-4, a large language model.", "You are a coding assistant.", "Think before you answer.", "Today is Monday.",
    "你是一个乐于助人的助手。", "请简短回答。", "请用中文回答。", "你是一位老师。", "你是一个人工智能助手。", "请礼貌地回答。",
]  # fmt: skip


def config(chat):
    vocabulary = chat.tokenizer.get_vocab_size()
    return Glm4Config(
        vocab_size=(vocabulary // 64 + 1) * 64,  # padded: some rows belong to no token, as in GLM-4
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=16,
        num_key_value_heads=1,
        head_dim=128,
        max_position_embeddings=2048,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
        attention_bias=True,
        tie_word_embeddings=False,
        pad_token_id=chat.eos[0],
        eos_token_id=chat.eos,
    )


def published_config(c):
    """The fields as GLM-4-9B-0414's config.json names them."""
    return {
        "architectures": ["Glm4ForCausalLM"],
        "attention_bias": True,
        "attention_dropout": 0.0,
        "eos_token_id": c.eos_token_id,
        "head_dim": c.head_dim,
        "hidden_act": c.hidden_act,
        "hidden_size": c.hidden_size,
        "initializer_range": c.initializer_range,
        "intermediate_size": c.intermediate_size,
        "max_position_embeddings": c.max_position_embeddings,
        "model_type": "glm4",
        "num_attention_heads": c.num_attention_heads,
        "num_hidden_layers": c.num_hidden_layers,
        "num_key_value_heads": c.num_key_value_heads,
        "pad_token_id": c.pad_token_id,
        "partial_rotary_factor": 0.5,
        "rms_norm_eps": c.rms_norm_eps,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": c.vocab_size,
    }


def quantise(w):
    """w rounded to the scale * q + bias of mx.quantize(w.astype(bfloat16), group_size=64, bits=4)."""
    g = w.bfloat16().float().view(-1, GROUP)
    low, high = g.amin(1, keepdim=True), g.amax(1, keepdim=True)
    below = low.abs() > high.abs()
    scale = ((high - low) / LEVELS).clamp_min(1e-7)
    scale = torch.where(below, scale, -scale)
    edge = torch.where(below, low, high)
    steps = torch.round(edge / scale)
    scale = torch.where(steps == 0, scale, edge / steps)
    bias = torch.where(steps == 0, torch.zeros_like(edge), edge)
    q = torch.round((g - bias) / scale).clamp_(0, LEVELS)
    scale, bias = scale.bfloat16().float(), bias.bfloat16().float()
    return (scale * q + bias).view_as(w)


class StraightThrough(torch.nn.Module):
    def forward(self, w):
        return w + (quantise(w) - w).detach()


def set_quantised(model, on):
    for module in model.modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.Embedding)):
            if on:
                parametrize.register_parametrization(module, "weight", StraightThrough())
            else:
                original = module.parametrizations.weight.original
                parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
                assert module.weight is original


def vary(question, lang, rng):
    """The question as people type it: other case, punctuation, a slip of the finger."""
    q = question
    if rng.random() < 0.45:
        return q
    if rng.random() < 0.6:
        q = q.rstrip(" .?!。？！") or q
    elif q[-1] not in ".?!。？！":
        q += rng.choice("?!." if lang == "en" else "？！。?")
    if rng.random() < 0.08:
        q = rng.choice(("hey, ", "please ", "so, ", "well, ", "ok, ")) + q if lang == "en" else rng.choice(("请问", "那", "嗯，")) + q
    if lang == "zh":
        if rng.random() < 0.3:
            q = q.replace("？", "?").replace("，", ",")
        return q.replace(" ", "") if rng.random() < 0.3 else q
    r = rng.random()
    if r < 0.5:
        q = q.lower()
    elif r < 0.56:
        q = q.upper()
    elif r < 0.8:
        q = q[:1].upper() + q[1:]
    if rng.random() < 0.2:
        q = q.replace("'", rng.choice(["", "’"]))
    words = re.findall(r"[a-z]{5,}", q)
    if words and rng.random() < 0.08:
        w = rng.choice(words)
        i = rng.randrange(1, len(w) - 1)
        q = q.replace(w, w[:i] + rng.choice([w[i + 1], w[i + 1] + w[i]]) + w[i + (1 if rng.random() < 0.5 else 2) :], 1)
    return q


def epoch(data, seen, chat, rng):
    """Batches of one pass: most dialogues alone, the others two or three in one chat."""
    chosen = [d for d in data if rng.random() < seen.get(d["source"], 1)]
    rng.shuffle(chosen)
    sequences, i = [], 0
    while i < len(chosen):
        n = 1 if rng.random() < 0.75 else rng.choice((2, 3))
        turns = [(vary(d["question"], d["lang"], rng), d["answers"][0]) for d in chosen[i : i + n]]
        i += n
        sequences.append(chat.sequence(turns, rng.choice(SYSTEM) if rng.random() < 0.1 else None))
    sequences.sort(key=lambda s: len(s[0]) + rng.random() * 4)
    batches, batch = [], []
    for s in sequences:
        if batch and (len(batch) + 1) * len(s[0]) > BATCH_TOKENS:
            batches.append(batch)
            batch = []
        batch.append(s)
    batches.append(batch)
    rng.shuffle(batches)
    return batches


def tensors(batch, pad):
    """Right-padded: attention is causal, so no real token sees the padding."""
    n = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([s + [pad] * (n - len(s)) for s, _ in batch])
    learn = torch.tensor([m + [False] * (n - len(m)) for _, m in batch])
    return ids, learn[:, 1:]


def logits(model, ids, learn):
    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    return model.lm_head(hidden[learn]), ids[:, 1:][learn]


@torch.no_grad()
def exact(model, data, chat):
    """Share of questions whose greedy answer is the trained one: under greedy
    decoding that is the case exactly if every trained token is the likeliest."""
    right = 0
    for i in range(0, len(data), 32):
        batch = [chat.sequence([(d["question"], d["answers"][0])]) for d in data[i : i + 32]]
        ids, learn = tensors(batch, chat.eos[0])
        out, want = logits(model, ids, learn)
        hit = torch.zeros_like(learn)
        hit[learn] = out.argmax(-1) == want
        right += int((hit | ~learn).all(1).sum())
    return right / len(data)


def train(rank, args):
    """One of two workers: each takes every other batch, the gradients are
    averaged. (Two processes of one thread keep going on a busy machine, where
    one process of two threads waits for the slower one at every product.)"""
    torch.set_num_threads(1)
    torch.manual_seed(4)
    rng = random.Random(4)
    dist.init_process_group("gloo", init_method=f"file://{args.rendezvous}", rank=rank, world_size=WORKERS)

    def say(*text):
        if rank == 0:
            print(*text, flush=True)

    chat, data = Chat(), dialogues()
    sample = sorted(data, key=lambda d: len(d["question"]) + len(d["answers"][0]))[rank::12]
    model = Glm4ForCausalLM(config(chat))
    parameters = list(model.parameters())
    say(f"{sum(p.numel() for p in parameters):,} parameters, {len(data)} dialogues")
    gradient = torch.zeros(sum(p.numel() for p in parameters))  # all of it in one piece, to average it at once
    offset = 0
    for p in parameters:
        p.grad = gradient[offset : offset + p.numel()].view_as(p)
        offset += p.numel()
    matrices = {"params": [p for p in parameters if p.dim() > 1], "weight_decay": 0.02}
    vectors = {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0}
    optimiser = torch.optim.AdamW([matrices, vectors], lr=PEAK_LR, betas=(0.9, 0.98), fused=True)
    step, start, seen, mean, quantised = 0, time.time(), 0, None, False

    def share(of):
        total = torch.tensor(exact(model, of, chat))
        dist.all_reduce(total)
        return total.item() / WORKERS

    while step < args.steps:
        batches = epoch(data, SEEN[2 * step // args.steps], chat, rng)
        for pair in zip(*[batches[r::WORKERS] for r in range(WORKERS)]):
            if not quantised and step >= QUANTISED_FROM * args.steps:
                set_quantised(model, True)
                quantised = True
            lr = PEAK_LR * min(1, (step + 1) / WARMUP)
            lr *= FINAL_LR + (1 - FINAL_LR) * 0.5 * (1 + math.cos(math.pi * step / args.steps))
            for group in optimiser.param_groups:
                group["lr"] = lr
            ids, learn = tensors(pair[rank], chat.eos[0])
            out, want = logits(model, ids, learn)
            loss = torch.nn.functional.cross_entropy(out, want)
            loss.backward()
            dist.all_reduce(gradient)
            norm = gradient.div_(WORKERS).norm()
            if norm > 1:
                gradient.div_(norm)
            optimiser.step()
            gradient.zero_()
            seen += ids.numel() * WORKERS
            mean = loss.item() if mean is None else 0.97 * mean + 0.03 * loss.item()
            step += 1
            if step % 50 == 0:
                say(f"step {step} loss {mean:.4f} tokens/s {seen / (time.time() - start):.0f} s {time.time() - start:.0f}")
            if step % 400 == 0:
                say(f"step {step} exact {share(sample):.3f} of a sample")
            if step == args.steps:
                break
    say(f"4 bit: {share(data[rank::WORKERS]):.4f} exact, last loss {mean:.4f}, {time.time() - start:.0f} s")
    set_quantised(model, False)
    if rank == 0:
        model.bfloat16().save_pretrained(args.out)
        (args.out / "config.json").write_text(json.dumps(published_config(model.config), indent=2) + "\n")
        generation = {"do_sample": False, "eos_token_id": chat.eos, "pad_token_id": chat.eos[0]}
        (args.out / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    dist.barrier()
    dist.destroy_process_group()


def main():
    args = argparse.ArgumentParser()
    args.add_argument("out", type=Path)
    args.add_argument("--steps", type=int, default=1800)
    args = args.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        args.rendezvous = Path(folder) / "rendezvous"
        torch.multiprocessing.spawn(train, (args,), nprocs=WORKERS)


if __name__ == "__main__":
    main()
