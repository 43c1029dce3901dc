"""Writes bench/testdata/llama-bench.*: what llama-bench prints of a tiny random GLM-4, in each of its formats.

    python scripts/goldens/bench/llama_bench.py LLAMA_BENCH

LLAMA_BENCH is the program, last built from vendor/llama.cpp of llama-cpp-python 0.3.36; gguf and numpy must be
installed. The versions that it ran on are in llama-bench.versions. The processor's name is replaced. Times are of the
machine that it runs on, and each format is a run of its own.
"""

import importlib.metadata
import json
import pathlib
import platform
import subprocess
import sys
import tempfile

SCRIPTS = pathlib.Path(__file__).resolve().parents[2]
TESTDATA = SCRIPTS.parent / "bench/testdata"
CONFIG = {
    "model_type": "glm4",
    "hidden_size": 64,
    "intermediate_size": 96,
    "head_dim": 16,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "vocab_size": 256,
    "max_position_embeddings": 1024,
    "partial_rotary_factor": 0.5,
    "rope_theta": 10000.0,
    "rms_norm_eps": 1e-5,
}
MODEL = 'tiny "random".gguf'  # what CSV and JSON must quote; llama-bench takes no comma
TESTS = ["-p", "8", "-n", "4", "-pg", "8,4", "-d", "16", "-r", "2", "-t", "1"]


def output(command, folder):
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    versions = subprocess.run([program, "--version"], check=True, capture_output=True, text=True)
    lines = ["llama-bench " + line for line in (versions.stdout + versions.stderr).splitlines()]
    lines.append("python " + platform.python_version())
    lines += [f"{name} {importlib.metadata.version(name)}" for name in ("gguf", "numpy")]
    (TESTDATA / "llama-bench.versions").write_text("\n".join(lines) + "\n")
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder, "config.json")
        config.write_text(json.dumps(CONFIG))
        model = pathlib.Path(folder, MODEL)
        subprocess.run([sys.executable, SCRIPTS / "peers/write_gguf.py", config, model], check=True)
        run = [program, "-m", MODEL, *TESTS, "-o"]
        processor = json.loads(output([*run, "json"], folder))[0]["cpu_info"]
        for form in ("md", "csv", "json", "jsonl", "sql"):
            text = output([*run, form], folder).replace(processor, "Some CPU")
            (TESTDATA / f"llama-bench.{form}").write_text(text)


if __name__ == "__main__":
    main()
