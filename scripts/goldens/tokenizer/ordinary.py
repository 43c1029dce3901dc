"""Writes internal/tokenizer/testdata/ordinary.json.gz: English and Chinese text to measure speed on, the longer
sentences of chatterbot-corpus.

    pip install chatterbot-corpus==1.3.3
    python ordinary.py ../../../internal/tokenizer/testdata/ordinary.json.gz

Ran on Python 3.11.7.
"""

import gzip
import json
import sys

import lines

sentences = lines.corpus()
texts = {
    "english": "\n".join(s for s in dict.fromkeys(sentences["english"]) if len(s) > 40),
    "chinese": "\n".join(s for s in dict.fromkeys(sentences["chinese"]) if len(s) > 15),
}
with gzip.GzipFile(sys.argv[1], "wb", compresslevel=9, mtime=0) as f:
    f.write(json.dumps(texts, ensure_ascii=False).encode())
print({name: len(text.encode()) for name, text in texts.items()})
