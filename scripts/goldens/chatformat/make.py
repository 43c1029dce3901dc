"""Writes internal/chatformat/testdata/*.json.gz: prompts as transformers' apply_chat_template renders them.

    python scripts/goldens/chatformat/make.py

The versions that it ran on are in every file, under "versions". The templates are those in internal/chatformat/testdata: the published
ones of the three GLM-4 families, and foreign/*.jinja, written for this test in the manner of other models' templates.
"""

import datetime
import gzip
import json
import pathlib
import platform

import jinja2
import tokenizers
import transformers
import transformers.utils.chat_template_utils as chat_template_utils

from conversations import conversations

TESTDATA = pathlib.Path(__file__).resolve().parents[3] / "internal/chatformat/testdata"
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


def with_tool_calls(conversation):
    """Spells calls as OpenAI does."""
    messages = []
    for message in conversation["messages"]:
        message = dict(message)
        if message["role"] == "observation":
            message["role"] = "tool"
        if message["role"] == "assistant" and message.get("metadata"):
            arguments = message["content"]
            try:
                arguments = json.loads(arguments)
            except ValueError:
                pass
            function = {"name": message.pop("metadata"), "arguments": arguments or {}}
            message["content"] = ""
            message["tool_calls"] = [{"type": "function", "function": function}]
        messages.append(message)
    return {**conversation, "messages": messages}


def write(name, cases):
    data = json.dumps({"versions": VERSIONS, "cases": cases}, ensure_ascii=False, indent=0)
    path = TESTDATA / name
    # A fixed time stamp keeps the file the same from run to run.
    path.write_bytes(gzip.compress(data.encode(), mtime=0))
    print(path.name, len(cases), "cases", path.stat().st_size, "bytes")


def main():
    chat_template_utils.datetime = FixedClock
    tokenizer = tiny_tokenizer()
    templates = sorted(TESTDATA.glob("*.jinja")) + sorted(TESTDATA.glob("foreign/*.jinja"))
    for path in templates:
        template = path.read_text()
        family = path.stem if path.parent == TESTDATA else "foreign"
        cases = []
        for conversation in conversations(family):
            if "tool_calls" in template:
                conversation = with_tool_calls(conversation)
            case = {"name": conversation["name"], "request": json.dumps(conversation, ensure_ascii=False)}
            try:
                case["prompt"] = render(tokenizer, template, conversation)
            except (jinja2.exceptions.TemplateError, TypeError) as err:
                case["error"] = str(err)
            cases.append(case)
        write(path.stem + ".json.gz", cases)

if __name__ == "__main__":
    main()
