"""Writes internal/demo/testdata/greedy.jsonl: about 200 training questions, evenly
chosen, with the ids that mlx-lm answers at temperature 0 with the installed 4-bit
checkpoint, through its 4-bit kernels and in bfloat16. "gap" is the smallest lead
of the chosen logit over the next one in the answer: where it is small, another
order of summation may choose otherwise.

The versions that it ran on are in the first line, as "versions"."""

import json
from importlib.metadata import version

import mlx.core as mx
from mlx_lm import load
from mlx_lm.models.cache import make_prompt_cache

from chat import CHECKPOINT, ROOT, Chat, dialogues

COUNT, LONGEST = 200, 160


def greedy(model, prompt, eos):
    cache = make_prompt_cache(model)
    ids, token, gap = [], prompt, float("inf")
    while len(ids) < LONGEST:
        y = model(mx.array([token]), cache=cache)[0, -1].astype(mx.float32)
        best, second = (float(v) for v in mx.sort(y)[-1:-3:-1])
        gap = min(gap, best - second)
        token = [int(mx.argmax(y))]
        if token[0] in eos:
            break
        ids += token
    return ids, gap


def main():
    chat, data = Chat(), dialogues()
    model, _ = load(str(CHECKPOINT))
    right = 0
    with (ROOT / "testdata/greedy.jsonl").open("w") as out:
        for i in range(COUNT):
            d = data[round(i * (len(data) - 1) / (COUNT - 1))]
            prompt = chat.prompt(d["question"])
            ids, gap = greedy(model, prompt, chat.eos)
            answer = chat.tokenizer.decode(ids).removeprefix("\n")
            right += answer in d["answers"]
            line = {"question": d["question"], "prompt_ids": prompt, "answer_ids": ids, "answer": answer, "gap": round(gap, 4)}
            if i == 0:
                line["versions"] = {p: version(p) for p in ("mlx", "mlx-lm", "tokenizers")}
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(f"{right} of {COUNT} right through the 4-bit kernels")


if __name__ == "__main__":
    main()
