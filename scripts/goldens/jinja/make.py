"""Writes internal/jinja/testdata/*.json.gz: little templates as transformers' apply_chat_template renders them.

    python scripts/goldens/jinja/make.py

The versions that it ran on are in every file, under "versions".
"""

import datetime
import gzip
import json
import pathlib
import platform
import re

import jinja2
import tokenizers
import transformers
import transformers.utils.chat_template_utils as chat_template_utils

from templates import expressions, further, programs, random_templates

TESTDATA = pathlib.Path(__file__).resolve().parents[3] / "internal/jinja/testdata"
VERSIONS = {
    "python": platform.python_version(),
    "transformers": transformers.__version__,
    "jinja2": jinja2.__version__,
    "tokenizers": tokenizers.__version__,
}


class FixedClock(datetime.datetime):
    """strftime_now must not change from run to run."""

    @classmethod
    def now(cls, tz=None):
        return cls(2025, 4, 14, 9, 5, 7, tzinfo=tz)


def tiny_tokenizer():
    model = tokenizers.models.WordLevel({"x": 0}, unk_token="x")
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer(model), bos_token="<s>", eos_token="</s>")


def render(tokenizer, template, conversation):
    return tokenizer.apply_chat_template(
        conversation["messages"],
        chat_template=template,
        tools=conversation.get("tools"),
        add_generation_prompt=conversation["add_generation_prompt"],
        tokenize=False,
    )


def little(tokenizer, template):
    """Renders a template that needs no conversation of its own."""
    messages = [
        {"role": "system", "content": " Be brief.\n"},
        {"role": "user", "content": "héllo <b>&'\"</b> 你好", "n": 3, "x": 1.5, "flag": True, "list": ["a", "b"]},
        {"role": "assistant", "content": "a,b,,c"},
    ]
    case = {"template": template}
    try:
        case["prompt"] = render(tokenizer, template, {"messages": messages, "tools": None, "add_generation_prompt": True})
    except Exception as err:  # whatever Python has against it
        case["error"] = f"{type(err).__name__}: {err}"
    # The addresses of Python's objects change from run to run; such a template is never rendered by Go.
    return {key: re.sub(r"0x[0-9a-f]{8,}", "0xADDRESS", text) if key != "template" else text for key, text in case.items()}


def write(name, cases):
    data = json.dumps({"versions": VERSIONS, "cases": cases}, ensure_ascii=False, indent=0)
    path = TESTDATA / name
    # A fixed time stamp keeps the file the same from run to run.
    path.write_bytes(gzip.compress(data.encode(), mtime=0))
    print(path.name, len(cases), "cases", path.stat().st_size, "bytes")


def main():
    chat_template_utils.datetime = FixedClock
    tokenizer = tiny_tokenizer()
    for name, templates in {"expressions": expressions, "random": random_templates, "further": further, "programs": programs}.items():
        write(name + ".json.gz", [little(tokenizer, t) for t in templates()])


if __name__ == "__main__":
    main()
