"""Dialogues as token ids, exactly as the GLM-4-0414 chat template renders them."""

import json
from pathlib import Path

from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parents[2] / "internal/demo"
CHECKPOINT = ROOT / "checkpoint"
DIALOGUES = ROOT / "testdata/dialogues.jsonl"


def dialogues():
    return [json.loads(line) for line in DIALOGUES.open()]


class Chat:
    def __init__(self):
        self.tokenizer = Tokenizer.from_file(str(CHECKPOINT / "tokenizer.json"))
        ids = self.tokenizer.token_to_id
        self.begin = [ids("[gMASK]"), ids("<sop>")]
        self.system, self.user, self.assistant = ids("<|system|>"), ids("<|user|>"), ids("<|assistant|>")
        self.eos = [ids("<|endoftext|>"), self.user, ids("<|observation|>")]

    def text(self, s):
        return self.tokenizer.encode("\n" + s, add_special_tokens=False).ids

    def prompt(self, question):
        return self.begin + [self.user] + self.text(question) + [self.assistant]

    def sequence(self, turns, system=None):
        """(ids, learn) of a chat: learn marks the ids that the model must
        produce, an answer's newline and text and the <|user|> that ends it."""
        ids = list(self.begin)
        if system:
            ids += [self.system] + self.text(system)
        learn = [False] * len(ids)
        for question, answer in turns:
            q, a = [self.user] + self.text(question) + [self.assistant], self.text(answer)
            ids += q + a
            # the leading <|user|> of a later turn is the stop of the one before
            learn += [len(learn) > len(self.begin) and learn[-1]] + [False] * (len(q) - 1) + [True] * len(a)
        return ids + [self.user], learn + [True]
