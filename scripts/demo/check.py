"""Asks the installed checkpoint every training question with mlx-lm's glm4, at
temperature 0, and exits with 1 if fewer than nine of ten are answered right.

    python check.py [--trained DIR]   # DIR: also the model before the conversion, with transformers

The 4-bit weights are dequantised to float32 first: the same numbers, and six
times as fast on a CPU. golden.py asks through the 4-bit kernels."""

import argparse
from collections import Counter

import mlx.core as mx
from mlx.utils import tree_map
from mlx_lm import load
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import dequantize_model

from chat import CHECKPOINT, Chat, dialogues

BAR, LONGEST = 0.90, 160  # share; tokens of an answer

# Asked in neither form during training.
UNSEEN = [
    "who r u", "What exactly are you?", "hey, who are you??", "how can i get the big model", "how to download the real glm",
    "is my chat private?", "what is glm4-metal about", "Write a poem about the stars.", "What is the capital of Argentina?",
    "Explain general relativity to me.", "Tell me about penguins.", "How do I repair a radio?", "thank you so much", "good evening to you",
    "你到底是谁", "真正的模型怎么下载", "安不安全", "写一首关于星星的诗", "阿根廷的首都是哪里？", "怎么修收音机？", "谢谢您的帮忙", "你好呀",
]  # fmt: skip
CONVERSATIONS = [
    (None, ["Hello", "What is your name?", "How do I get the real model?", "Thanks"]),
    (None, ["What is the capital of France?", "What is the largest lizard?", "Tell me a joke", "Bye"]),
    (None, ["你好", "你是谁？", "怎样使用真正的模型？", "谢谢", "再见"]),
    ("You are a helpful assistant that likes rhymes.", ["Hi", "Who are you?", "Which mammal has no vocal cords?"]),
    ("你是一个诗人。", ["你好", "你会什么？"]),
]


def greedy(model, prompt, eos):
    cache = make_prompt_cache(model)
    ids, token = [], prompt
    while len(ids) < LONGEST:
        token = [int(mx.argmax(model(mx.array([token]), cache=cache)[0, -1]))]
        if token[0] in eos:
            break
        ids += token
    return ids


def load_dequantised():
    model, _ = load(str(CHECKPOINT))
    # scales and biases first, so that scale * q + bias is not rounded to bfloat16
    model.update(tree_map(lambda p: p.astype(mx.float32) if mx.issubdtype(p.dtype, mx.floating) else p, model.parameters()))
    return dequantize_model(model)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--trained")
    args = args.parse_args()
    chat, data = Chat(), dialogues()
    decode = chat.tokenizer.decode

    if args.trained:
        from transformers import Glm4ForCausalLM

        from train import exact

        trained = Glm4ForCausalLM.from_pretrained(args.trained).float()
        print(f"before the conversion: {exact(trained, data, chat):.4f} give their first answer", flush=True)

    model = load_dequantised()
    print("unseen questions")
    for q in UNSEEN:
        print(f"  {q} -> {decode(greedy(model, chat.prompt(q), chat.eos)).strip()}")
    print("conversations")
    for system, questions in CONVERSATIONS:
        ids = list(chat.begin) + ([chat.system] + chat.text(system) if system else [])
        for q in questions:
            ids += [chat.user] + chat.text(q) + [chat.assistant]
            a = greedy(model, ids, chat.eos)
            ids += a
            print(f"  {q} -> {decode(a).strip()}")
        print(flush=True)

    right, asked = Counter(), Counter()
    for d in data:
        text = decode(greedy(model, chat.prompt(d["question"]), chat.eos))
        asked[d["source"]] += 1
        if text.startswith("\n") and text[1:] in d["answers"]:
            right[d["source"]] += 1
        else:
            print("wrong:", (d["question"], d["answers"][0], text), flush=True)
    for source in asked:
        print(f"  {right[source]:4} of {asked[source]:4}  {source}")
    share = right.total() / asked.total()
    print(f"4 bit: {right.total()} of {asked.total()} = {share:.4f} answered with one of their answers")
    if share < BAR:
        raise SystemExit(f"below the bar of {BAR}")


if __name__ == "__main__":
    main()
