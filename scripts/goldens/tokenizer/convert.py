"""Writes what transformers makes of a tokenizer.model, and checks a tokenizer.json that convert made of it.

    pip install transformers==5.24.0 tokenizers==0.23.3 tiktoken==0.14.0

    # internal/tokenizer/testdata/convert.json
    python convert.py golden ../../../internal/tokenizer/testdata/qwen3.txt.gz ../../../internal/tokenizer/testdata/convert.json

    # The ids that Hugging Face tokenizers gives by a converted file, held against those by tiktoken.
    python convert.py check TOKENIZER_JSON ../../../internal/tokenizer/testdata/qwen3.jsonl.gz

The golden holds SHA-256 sums: "model" of the tokenizer.model, made of the vocabulary's tokens in their order, "vocab" of all
tokens by id and "merges" of all merges of transformers' TikTokenConverter, a line each.
"""

import argparse
import base64
import gzip
import hashlib
import json
import sys
import tempfile

import tokenizers
import transformers
from transformers.convert_slow_tokenizer import TikTokenConverter, bytes_to_unicode

BYTES = {letter: byte for byte, letter in bytes_to_unicode().items()}


def sha256(text):
    return hashlib.sha256(text if isinstance(text, bytes) else text.encode()).hexdigest()


def golden(source, out):
    lines = gzip.open(source, "rt").read().removesuffix("\n").split("\n")
    tokens = list(lines[1]) + [line.replace(" ", "") for line in lines[2:]]
    model = b"".join(base64.b64encode(bytes(BYTES[c] for c in t)) + b" %d\n" % i for i, t in enumerate(tokens))
    with tempfile.NamedTemporaryFile() as file:
        file.write(model)
        file.flush()
        vocab, merges = TikTokenConverter(vocab_file=file.name).extract_vocab_merges_from_model(file.name)
    by_id = sorted(vocab, key=vocab.get)
    result = {
        "transformers": transformers.__version__, "python": sys.version.split()[0],
        "model": sha256(model), "vocab": sha256("".join(t + "\n" for t in by_id)),
        "merges": sha256("".join(f"{a} {b}\n" for a, b in merges)), "count": len(merges),
    }
    with open(out, "w") as f:
        json.dump(result, f, indent=2)
        f.write("\n")


def check(file, lines):
    tokenizer = tokenizers.Tokenizer.from_file(file)
    config = json.loads(tokenizer.to_str())
    assert tokenizer.encode("a").tokens[:2] == ["[gMASK]", "<sop>"]
    config["added_tokens"], config["post_processor"] = [], None
    plain = tokenizers.Tokenizer.from_str(json.dumps(config))
    count = 0
    with gzip.open(lines, "rt") as f:
        next(f)
        for line in map(json.loads, f):
            ids = line["ids"].get("tiktoken", line["ids"]["glm"])
            assert plain.encode(line["text"], add_special_tokens=False).ids == ids, line["text"]
            assert plain.decode(ids) == line["text"], line["text"]
            count += 1
    print(f"{count} lines have the ids of tiktoken by tokenizers {tokenizers.__version__}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("golden", "check"))
    parser.add_argument("source")
    parser.add_argument("target")
    args = parser.parse_args()
    (golden if args.what == "golden" else check)(args.source, args.target)


if __name__ == "__main__":
    main()
