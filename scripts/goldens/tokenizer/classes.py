"""Writes internal/tokenizer/testdata/classes.txt: the ranges of code points that the tokenizers library takes for
letters (L), numbers (N) and white space (S) in a split pattern.

    pip install tokenizers==0.23.3
    python classes.py ../../../internal/tokenizer/testdata/classes.txt

Ran on Python 3.11.7.
"""

import sys

import tokenizers

with open(sys.argv[1], "w") as out:
    print("# tokenizers", tokenizers.__version__, file=out)
    for name, pattern in ("L", r"\p{L}"), ("N", r"\p{N}"), ("S", r"\s"):
        split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), behavior="removed")
        first = None
        for c in range(0x110001):
            is_in = c < 0x110000 and not 0xD800 <= c < 0xE000 and not split.pre_tokenize_str(chr(c))
            if is_in and first is None:
                first = c
            elif not is_in and first is not None:
                print(f"{name} {first:X} {c - 1:X}", file=out)
                first = None
