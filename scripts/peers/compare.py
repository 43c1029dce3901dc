"""Runs the engines in turns and writes medians and ratios as a Markdown page; `run` beside this file calls it.

Each run is a process of its own that loads its model, warms up, and measures a prompt and a generation. A round is
one run of each engine. Ratios are taken within a round, then their median over the rounds, so that what slows a whole
round down cancels.
"""

import argparse
import datetime
import json
import mmap
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
NAMES = {"ours": "glm4-metal", "llama.cpp": "llama.cpp", "mlx": "mlx-lm"}
BITS = 4.5  # of a weight, in Q4_0 and in MLX's 4 bit with groups of 64 (as stored)


def command(engine, args):
    prompt, generate = lengths(engine, args)
    tokens = ["--prompt", str(prompt), "--generate", str(generate)]
    match engine:
        case "ours":
            return [args.ours, "--model", args.checkpoint, "--version", args.version, *tokens]
        case "llama.cpp":
            return [sys.executable, HERE / "measure_llamacpp.py", args.gguf, "--threads", str(args.threads), *tokens]
        case "mlx":
            return [sys.executable, HERE / "measure_mlx.py", args.checkpoint, *tokens]


def lengths(engine, args):
    """Tokens of the prompt and tokens to generate."""
    return (args.mlx_prompt, args.mlx_generate) if engine == "mlx" else (args.prompt, args.generate)


def model_file(engine, args):
    return [args.gguf] if engine == "llama.cpp" else sorted(args.checkpoint.glob("*.safetensors"))


def busy_seconds():
    """Processor time that all processes have used, and what the hypervisor took; None where /proc does not tell."""
    try:
        ticks = [int(x) for x in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except OSError:
        return None
    user, nice, system, idle, iowait, irq, softirq, steal = ticks
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def wait_for_quiet(seconds):
    """Waits until the machine is less than a tenth busy, but not longer than that."""
    deadline = time.monotonic() + seconds
    while (before := busy_seconds()) is not None and time.monotonic() < deadline:
        time.sleep(3)
        if busy_seconds() - before < 0.1 * 3 * os.cpu_count():
            return


def warm(paths):
    """Brings files into the page cache, what is missing in huge pages if the system has them, as our own readahead does."""
    for path in paths:
        with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as data:
            if hasattr(mmap, "MADV_HUGEPAGE"):
                data.madvise(mmap.MADV_HUGEPAGE)
            for at in range(0, len(data), 1 << 24):
                data[at : at + (1 << 24)]


def run(engine, args):
    """One run: what the engine printed, with its peak memory and what other processes took meanwhile."""
    warm(model_file(engine, args))
    wait_for_quiet(args.wait)
    busy, start = busy_seconds(), time.monotonic()
    environment = os.environ | {"GOMAXPROCS": str(args.threads)}
    child = subprocess.Popen(command(engine, args), stdout=subprocess.PIPE, env=environment, text=True)
    out = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"compare.py: {engine} failed with status {child.returncode}")
    r = json.loads(out)
    prompt, generate = lengths(engine, args)
    r["pp"], r["tg"] = prompt / r["prompt_seconds"], generate / r["generate_seconds"]
    r["peak_bytes"] = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    r["others"] = None
    if busy is not None:
        others = busy_seconds() - busy - usage.ru_utime - usage.ru_stime
        r["others"] = max(0, others) / (time.monotonic() - start) / os.cpu_count()
    return r


def token_weights(config):
    """Weights that a generated token reads: all matrices but the embedding."""
    hidden, ffn, head_dim = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    q, kv = config["num_attention_heads"] * head_dim, config["num_key_value_heads"] * head_dim
    layer = hidden * (q + 2 * kv) + q * hidden + 3 * ffn * hidden
    return config["num_hidden_layers"] * layer + hidden * config["vocab_size"]


def processor():
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def span(values, digits):
    """Median, and lowest to highest."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def read(runs, token_bytes):
    """The GB/s at which generation reads the weights, and the share of what memory could deliver where a run measures that."""
    rate = f"{statistics.median(r['tg'] for r in runs) * token_bytes / 1e9:.1f}"
    if "bandwidth" not in runs[0]:
        return rate
    share = statistics.median(token_bytes / r["bytes_per_token"] for r in runs)
    bandwidth = statistics.median(r["bandwidth"] for r in runs)
    return f"{rate} ({share:.2f} of {bandwidth / 1e9:.1f})"


def ratio(rounds, engine, key):
    if "ours" not in rounds[0] or engine == "ours":
        return ""
    return f"{statistics.median(r['ours'][key] / r[engine][key] for r in rounds):.2f}"


def page(rounds, args):
    """The Markdown page of the rounds so far."""
    config = json.loads((args.checkpoint / "config.json").read_text())
    token_bytes = token_weights(config) * BITS / 8
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    lines = [
        f"GLM-4-9B's shape, {config['num_hidden_layers']} layers, random weights of 4.5 bits, on {processor()}: "
        f"{args.threads} threads on {os.cpu_count()} cores, {memory / 2**30:.1f} GiB, {platform.system()} "
        f"{platform.release()}, {datetime.date.today()}. Median of {len(rounds)} rounds in turns, lowest and highest in "
        f"brackets; ratios within a round, then their median. Prompt and generation both begin with an empty cache.",
        "",
        "| engine | tokens of the prompt + generated | prompt, tok/s | generate, tok/s | weights read, GB/s (of the bandwidth) | ours ÷ it, prompt | ours ÷ it, generate | load, s | peak memory, GB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for engine in rounds[0]:
        runs = [r[engine] for r in rounds]
        tg = [r["tg"] for r in runs]
        prompt, generate = lengths(engine, args)
        lines.append(
            f"| {NAMES[engine]} | {prompt} + {generate} | {span([r['pp'] for r in runs], 2)} | {span(tg, 2)} "
            f"| {read(runs, token_bytes)} | {ratio(rounds, engine, 'pp')} | {ratio(rounds, engine, 'tg')} "
            f"| {statistics.median(r['load_seconds'] for r in runs):.1f} | {statistics.median(r['peak_bytes'] for r in runs) / 1e9:.1f} |"
        )
    lines += ["", f"A generated token reads {token_bytes / 1e9:.2f} GB of weights.", ""]
    for engine in rounds[0]:
        last = rounds[-1][engine]
        lines.append(f"- {NAMES[engine]}: {last['version']}. {last['details']}")
    lines += ["", "| round | engine | prompt, tok/s | generate, tok/s | other processes, share of the machine |", "|---|---|---|---|---|"]
    for i, r in enumerate(rounds):
        for engine, x in r.items():
            others = "" if x["others"] is None else f"{x['others']:.0%}"
            lines.append(f"| {i + 1} | {NAMES[engine]} | {x['pp']:.2f} | {x['tg']:.2f} | {others} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", type=Path, required=True, help="binary of ./ours")
    parser.add_argument("--version", required=True, help="what to call ours")
    parser.add_argument("--checkpoint", type=Path, required=True, help="MLX 4-bit checkpoint, for ours and mlx-lm")
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--engines", nargs="+", choices=list(NAMES), default=list(NAMES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt", type=int, default=512, help="tokens of the prompt")
    parser.add_argument("--generate", type=int, default=64, help="tokens to generate")
    parser.add_argument("--mlx-prompt", type=int, default=8, help="the same of mlx-lm, which takes seconds a token; see measure_mlx.py")
    parser.add_argument("--mlx-generate", type=int, default=4)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of ours and llama.cpp; mlx chooses its own")
    parser.add_argument("--wait", type=int, default=60, help="seconds to wait at most for a quiet machine before a run")
    parser.add_argument("--out", type=Path, required=True, help="Markdown file")
    args = parser.parse_args()
    for name in ("rounds", "prompt", "generate", "mlx_prompt", "mlx_generate", "threads"):
        if getattr(args, name) < 1:
            parser.error(f"--{name.replace('_', '-')} is {getattr(args, name)}; it must be 1 or more")

    rounds = []
    for i in range(args.rounds):
        done = {}
        for engine in args.engines:
            done[engine] = r = run(engine, args)
            print(f"round {i + 1}: {engine} prompt {r['pp']:.2f} tok/s, generate {r['tg']:.2f} tok/s, "
                  f"peak {r['peak_bytes'] / 1e9:.1f} GB", file=sys.stderr)
        rounds.append(done)
        args.out.write_text(page(rounds, args))
    print(args.out.read_text(), end="")


if __name__ == "__main__":
    main()
