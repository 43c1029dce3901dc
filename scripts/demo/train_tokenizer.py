"""Trains the demo's tokenizer on the dialogues and writes tokenizer.json,
tokenizer_config.json and the chat template to internal/demo/checkpoint/.

Same kind as GLM-4's: byte-level BPE behind GLM's split pattern, GLM-4's special
tokens in GLM-4's order after the last merge, [gMASK]<sop> before plain text."""

import json
import sys
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

ROOT = Path(__file__).resolve().parents[2] / "internal/demo"
VOCAB = 4096  # with the 256 bytes, without the special tokens

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL = [
    "<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>", "<|assistant|>",
    "<|observation|>", "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>",
]  # fmt: skip


def texts():
    for line in (ROOT / "testdata/dialogues.jsonl").open():
        d = json.loads(line)
        yield "\n" + d["question"]
        yield "\n" + d["question"].lower()
        for a in d["answers"]:
            yield "\n" + a
    # what a chat with the demo must also spell well
    yield from ("You are a helpful assistant.", "Answer briefly.", "你是一个乐于助人的助手。", "请简短回答。")


def main(template):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(
        texts(),
        trainers.BpeTrainer(
            vocab_size=VOCAB,
            min_frequency=2,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIAL])
    prefix = [(s, t.token_to_id(s)) for s in ("[gMASK]", "<sop>")]
    t.post_processor = processors.Sequence(
        [
            processors.ByteLevel(add_prefix_space=True, trim_offsets=False, use_regex=True),
            processors.TemplateProcessing(
                single="[gMASK]:0 <sop>:0 $A:0", pair="[gMASK]:0 <sop>:0 $A:0 $B:1", special_tokens=prefix
            ),
        ]
    )
    out = ROOT / "checkpoint"
    t.save(str(out / "tokenizer.json"))
    special = {
        str(t.token_to_id(s)): {
            "content": s, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True,
        }
        for s in SPECIAL
    }  # fmt: skip
    config = {
        "added_tokens_decoder": special,
        "additional_special_tokens": SPECIAL,
        "clean_up_tokenization_spaces": False,
        "do_lower_case": False,
        "eos_token": "<|endoftext|>",
        "extra_special_tokens": {},
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": 2048,
        "pad_token": "<|endoftext|>",
        "padding_side": "left",
        "remove_space": False,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    (out / "chat_template.jinja").write_bytes(Path(template).read_bytes())
    print("vocabulary", t.get_vocab_size(), "first special", t.token_to_id(SPECIAL[0]))


if __name__ == "__main__":
    main(sys.argv[1])
