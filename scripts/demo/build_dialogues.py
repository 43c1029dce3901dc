"""Writes internal/demo/testdata/dialogues.jsonl: every question that the demo
is trained on, with the answers that count as right; the first is the trained one.

Sources: chatterbot-corpus (BSD; what is taken is in selection.yml), project.yml
and unknown.yml. Where two sources have the same question, ours wins."""

import json
import random
import re
import unicodedata
from pathlib import Path

import chatterbot_corpus
import yaml

HERE = Path(__file__).resolve().parent
OUT = HERE.parents[1] / "internal/demo/testdata/dialogues.jsonl"
CORPUS = Path(chatterbot_corpus.__path__[0]) / "data"
MAX_QUESTION, MAX_ANSWER, MAX_CODE = 150, 210, 130  # characters


def key(question):
    """What remains of a question when case, spaces and final punctuation go:
    two questions with one key must have one answer."""
    q = unicodedata.normalize("NFKC", question).lower()
    q = q.replace("’", "'").replace("‘", "'")
    return re.sub(r"\s+", " ", q).strip(" .?!。？！,，'\"")


def clean(text, lang):
    code = "```" in text
    text = text.strip()
    if not code:
        text = re.sub(r"\s+", " ", text).replace("’", "'").replace("‘", "'")
        text = text.replace("“", '"').replace("”", '"')
    if lang == "en" and not code:
        if text.isupper():
            text = text.lower()
        text = re.sub(r"\bi\b(?!\.)", "I", text)
    return text


def clean_answer(text, lang):
    text = clean(text, lang)
    return text[:1].upper() + text[1:] if lang == "en" else text


def conversations(path):
    for turns in yaml.safe_load(path.read_text())["conversations"]:
        if isinstance(turns, list):  # one conversation of trivia.yml is a bare string
            yield [str(t) for t in turns]


def corpus_dialogues(selection):
    drop = re.compile("|".join(f"(?:{p})" for p in selection["drop"]), re.I)
    for name, kind in selection["english"].items():
        for turns in conversations(CORPUS / "english" / f"{name}.yml"):
            if kind == "alternatives":
                pairs = [(turns[0], a) for a in turns[1:]]
            else:
                pairs = zip(turns[0::2], turns[1::2])
            for q, a in pairs:
                q, a = clean(q, "en"), clean_answer(a, "en")
                if drop.search(q) or drop.search(a) or not q or not a:
                    continue
                if len(q) > MAX_QUESTION or len(a) > (MAX_CODE if "```" in a else MAX_ANSWER):
                    continue
                for wrong, right in selection["mend"].items():
                    a = a.replace(wrong, right)
                yield q, a, "en", f"chatterbot-corpus english/{name}"
    wanted = {str(q): a for q, a in selection["chinese"].items()}
    for path in sorted((CORPUS / "chinese").glob("*.yml")):
        for turns in conversations(path):
            for q, a in zip(turns, turns[1:]):
                if q in wanted:
                    yield clean(q, "zh"), wanted[q] or clean(a, "zh"), "zh", f"chatterbot-corpus chinese/{path.stem}"


def own_dialogues():
    for entry in yaml.safe_load((HERE / "project.yml").read_text()):
        for q in entry["questions"]:
            yield str(q), entry["answer"], entry["lang"], entry["source"]


def unknown_dialogues():
    rng = random.Random(4)
    for entry in yaml.safe_load((HERE / "unknown.yml").read_text()):
        questions = [str(q) for q in entry["questions"]]
        templates, things = entry["templates"], entry["things"]
        for i in range(entry["pick"]):  # every template in turn, with things by chance
            t = templates[i % len(templates)]
            questions.append(t.format(*rng.sample(things, t.count("{}"))))
        for q in questions:
            yield q, entry["answer"], entry["lang"], "unknown"


def main():
    selection = yaml.safe_load((HERE / "selection.yml").read_text())
    answers = {}  # key -> (source group, [answers])
    dialogues = {}
    for group in (own_dialogues(), corpus_dialogues(selection), unknown_dialogues()):
        taken = set(answers)
        for q, a, lang, source in group:
            k = key(q)
            if not k:
                k = q
            if k in taken:
                continue
            known = answers.setdefault(k, [])
            if a not in known:
                known.append(a)
            dialogues.setdefault(q, (k, lang, source))
    for known in answers.values():  # a statement teaches more than a question in return
        known.sort(key=lambda a: a.endswith("?"))
    with OUT.open("w") as out:
        for q, (k, lang, source) in dialogues.items():
            out.write(json.dumps({"question": q, "answers": answers[k], "lang": lang, "source": source}, ensure_ascii=False) + "\n")
    print(len(dialogues), "questions,", len(answers), "distinct")


if __name__ == "__main__":
    main()
