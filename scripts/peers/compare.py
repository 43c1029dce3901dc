"""Measures engines in turns, appends a row for each and each test to the machine's results, and prints the ratios.

`run` beside this file calls it. A round is one process of each engine, which loads its model, warms up and measures
each test once, or as often as -r says. A row is of all rounds. Ratios are taken within a round, then their median over
the rounds, so that what slows a whole round down cancels.

On a CPU the depth of 4096 takes most of a round: each engine fills its cache once a process, at about 20 tokens a
second, so that a round of two engines takes about 15 minutes with it and 5 without (-d 0). mlx-lm takes 8 seconds a
token, no list of lengths and no depth: --engines ours llama.cpp mlx -p 8 -n 16 -d 0 --rounds 1

With --steps, prompts of few tokens behind 64 are measured, each of which is one step that ends with the logits of its
last token. The table has milliseconds, and as limit the larger of reading the weights once and computing, from what
ours probes in the same round: what limit_ts of its row says, which adds attention and the launches of ops. A round of
both engines takes about 2 minutes. GLM4_CPU=avx2 in the environment is obeyed by ours, and its rows name the path.
"""

import argparse
import datetime
import json
import mmap
import os
import re
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
NAMES = {"ours": "glm4-metal", "llama.cpp": "llama.cpp", "mlx": "mlx-lm"}
BUSY = 0.05  # share of the machine that others may take, as in bench; engines with barriers suffer most

# What is measured by default: without and with --steps.
DEFAULTS = {
    False: {"rounds": 3, "r": 1, "p": "512", "n": "128", "d": "0,4096"},
    True: {"rounds": 7, "r": 3, "p": "1,2,3,4,6,8,12,16,32", "n": "0", "d": "64"},
}

# The fields of a row are those of bench/row.go.
MACHINE = ["system", "cpu_info", "gpu_info", "cores", "memory", "power", "thermal"]
MODEL = ["model_filename", "model_type", "model_size", "model_n_params"]
MEDIANS = ["ttft_ns", "load_ns", "joules_per_token"]
LIMITS = {"bandwidth": 0, "product_ops": 0, "attention_ops": 0, "launch_ns": 0, "limit_ts": 0, "limit": ""}


def command(engine, args):
    lengths = ["-p", args.p, "-n", args.n, "-d", args.d, "-r", str(args.r), "-o", "jsonl"]
    match engine:
        case "ours":
            return [args.ours, "bench", args.checkpoint, "--backend", "cpu", *lengths]
        case "llama.cpp":
            # A mapped file would count as memory beside the repacked weights.
            return [args.llama_bench, "-m", args.gguf, "-lm", "none", "-t", str(args.threads), *lengths]
        case "mlx":
            lengths = ["-p", args.p, "-g", args.n, "-n", "1"]
            return [sys.executable, HERE / "mlx_float32.py", "--model", args.checkpoint, *lengths]


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
    """Brings files into the page cache, what is missing in huge pages if the system has them, as our own readahead."""
    for path in paths:
        with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as data:
            if hasattr(mmap, "MADV_HUGEPAGE"):
                data.madvise(mmap.MADV_HUGEPAGE)
            for at in range(0, len(data), 1 << 24):
                data[at : at + (1 << 24)]


def measure(engine, args):
    """One process: its rows by test, with its peak memory and what other processes took meanwhile."""
    warm(model_file(engine, args))
    wait_for_quiet(args.wait)
    busy, start, now = busy_seconds(), time.monotonic(), datetime.datetime.now(datetime.timezone.utc)
    environment = os.environ | {"GOMAXPROCS": str(args.threads)}
    child = subprocess.Popen(command(engine, args), stdout=subprocess.PIPE, env=environment, text=True)
    out = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"compare.py: {engine} failed with status {child.returncode}")
    rss_unit = 1 if sys.platform == "darwin" else 1024
    measured = {"engine": NAMES[engine], "peak_memory": usage.ru_maxrss * rss_unit / 1e9}
    if busy is not None:
        others = busy_seconds() - busy - usage.ru_utime - usage.ru_stime
        measured["others"] = max(0, others) / (time.monotonic() - start) / os.cpu_count()
    rows = mlx_rows(out, args) if engine == "mlx" else [json.loads(line) for line in out.splitlines()]
    rows = [{"test_time": now.strftime("%Y-%m-%dT%H:%M:%SZ")} | r | measured for r in rows]
    return {(r["n_prompt"], r["n_gen"], r["n_depth"]): r for r in rows}


def mlx_rows(out, args):
    prompt, generate = int(args.p), int(args.n)
    found = re.search(r"^Averages: prompt_tps=([\d.]+), generation_tps=([\d.]+)", out, re.MULTILINE)
    prompt_tps, generation_tps = map(float, found.groups())
    generation_tps *= (generate - 1) / generate  # it counts the first token, but not the time of it
    versions = f"mlx-lm {version('mlx-lm')}, mlx {version('mlx')}"
    common = {"version": versions, "backends": "CPU", "type_k": "f32", "type_v": "f32", "n_depth": 0}
    return [
        common | {"n_prompt": prompt, "n_gen": 0, "samples_ns": [round(1e9 * prompt / prompt_tps)]},
        common | {"n_prompt": 0, "n_gen": generate, "samples_ns": [round(1e9 * generate / generation_tps)]},
    ]


def complete(row, engine, ours, args):
    """Adds to a peer's row what ours of the same round and test tells of the machine."""
    row |= {key: ours[key] for key in MACHINE}
    if engine == "mlx":
        row |= {key: ours[key] for key in MODEL}
    else:
        row["version"] = args.llama_version
        row["bandwidth"] = ours["bandwidth"]
        if ours["limit"] == "memory":  # which is the same for both, as a token reads as many bytes; operations are not
            row |= {key: ours[key] for key in ("limit", "limit_ts")}


def join(rows):
    """The row of one engine and test over all rounds."""
    first = rows[0]
    tokens = first["n_prompt"] + first["n_gen"]
    ns = [x for r in rows for x in r["samples_ns"]]
    ts = [1e9 * tokens / x for x in ns]
    row = first | {
        "model_filename": Path(first["model_filename"]).name,
        "repetitions": len(ns),
        "avg_ns": round(statistics.mean(ns)),
        "stddev_ns": round(statistics.stdev(ns)) if len(ns) > 1 else 0,
        "avg_ts": statistics.mean(ts),
        "stddev_ts": statistics.stdev(ts) if len(ts) > 1 else 0,
        "median_ts": statistics.median(ts),
        "first_ts": ts[0],
        "last_ts": ts[-1],
        "prompt_tps": statistics.mean(ts) if first["n_prompt"] else 0,
        "generation_tps": statistics.mean(ts) if first["n_gen"] else 0,
        "samples_ns": ns,
        "samples_ts": ts,
        "peak_memory": max(r["peak_memory"] for r in rows),
        "others": statistics.mean(r.get("others", 0) for r in rows),
    }
    for key in MEDIANS:
        median = statistics.median(r.get(key, 0) for r in rows)
        row[key] = round(median) if key.endswith("_ns") else median
    # All of the round with the median limit, as that follows from the others.
    by_limit = sorted(rows, key=lambda r: (r.get("limit_ts", 0), r.get("bandwidth", 0)))
    row |= {key: by_limit[(len(rows) - 1) // 2].get(key, unknown) for key, unknown in LIMITS.items()}
    row["of_limit"] = row["median_ts"] / row["limit_ts"] if row["limit_ts"] else 0
    warnings = dict.fromkeys(w for r in rows for w in r.get("warning", "").split("; ") if not w.startswith("busy:"))
    if row["others"] > BUSY:
        warnings[f"busy: other processes took {100 * row['others']:.0f} % of the machine"] = None
    row["warning"] = "; ".join(filter(None, warnings))
    return row


def name(test):
    """As bench.Test has it."""
    prompt, generate, depth = test
    parts = [f"pp{prompt}"] * (prompt > 0) + [f"tg{generate}"] * (generate > 0)
    return "+".join(parts) + f" @ d{depth}" * (depth > 0)


def span(values, digits=2):
    """Median, and lowest to highest."""
    median = f"{statistics.median(values):.{digits}f}"
    if len(values) == 1:
        return median
    return f"{median} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def median_ns(row):
    """Of the repetitions in a process."""
    return statistics.median(row["samples_ns"])


def ratios(rounds, engine, test):
    """How many times as fast ours was in each round."""
    return [median_ns(r[engine][test]) / median_ns(r["ours"][test]) for r in rounds]


def table(rows, rounds):
    """What is joined in rows, with the ratios of rounds, in Markdown."""
    lines = [
        "| test | engine | tok/s | ours ÷ it | of the limit | peak memory, GB | others |",
        "|---|---|---|---|---|---|---|",
    ]
    for (engine, test), row in rows.items():
        faster = "" if engine == "ours" else span(ratios(rounds, engine, test))
        limit = f"{row['of_limit']:.2f} ({row['limit']})" if row["of_limit"] else ""
        lines.append(f"| {name(test)} | {row['engine']} | {span(row['samples_ts'])} | {faster} | {limit} "
                     f"| {row['peak_memory']:.1f} | {row['others']:.0%} |")
    return "\n".join(lines)


def steps_table(rows, rounds):
    """The same of steps of few tokens."""
    peers = sorted({engine for engine, _ in rows} - {"ours"})
    titles = ["n", "ours, ms", *(title for p in peers for title in (f"{NAMES[p]}, ms", "speed, ours ÷ it")),
              "limit, ms", "of the limit"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    medians = {}
    for test in sorted(rounds[0]["ours"]):
        row = rows["ours", test]
        cells = [str(test[0]), span([x / 1e6 for x in row["samples_ns"]], 1)]
        for p in peers:
            cells += [span([x / 1e6 for x in rows[p, test]["samples_ns"]], 1), span(ratios(rounds, p, test))]
        cells.append(f"{1e3 * test[0] / row['limit_ts']:.1f} ({row['limit']})")
        cells.append(span([r["ours"][test]["of_limit"] for r in rounds]))
        lines.append(f"| {' | '.join(cells)} |")
        medians[test[0]] = median_ns(row) / 1e6
    return "\n".join([*lines, "", monotone(medians)])


def monotone(medians):
    """Says whether more tokens never take less time. medians are milliseconds by ascending tokens."""
    longest, falls = next(iter(medians)), []
    for n, ms in medians.items():
        if ms < medians[longest]:
            falls.append(f"{n} tokens take {ms:.1f} ms, {longest} take {medians[longest]:.1f}")
        else:
            longest = n
    return f"Ours is not monotone in n: {'; '.join(falls)}." if falls else "Ours is monotone in n."


def finish(rounds, args):
    """Records what the rounds measured and prints it."""
    tests = rounds[0]["ours"]
    rows = {(engine, test): join([r[engine][test] for r in rounds]) for test in tests for engine in args.engines}
    lines = "".join(json.dumps(row) + "\n" for row in rows.values())
    subprocess.run([args.record, "-dir", args.results], input=lines, text=True, check=True)
    print(f"\nMedian of {len(rounds)} rounds in turns, lowest and highest in brackets; ratios within a round.\n")
    if not args.steps:
        print(table(rows, rounds))
        return
    print(steps_table(rows, rounds))
    for engine in args.engines:
        row = next(row for (of, _), row in rows.items() if of == engine)
        device = f" on {row['device']}" if engine == "ours" else ""
        print(f"{row['engine']} {row['build_commit']}{device}: others took {row['others']:.0%} of the machine.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", type=Path, required=True, help="binary of glm4-metal")
    parser.add_argument("--record", type=Path, required=True, help="binary of ./record")
    parser.add_argument("--checkpoint", type=Path, required=True, help="MLX 4-bit checkpoint, for ours and mlx-lm")
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--llama-bench", type=Path, required=True)
    parser.add_argument("--llama-version", required=True, help="what to call it")
    parser.add_argument("--engines", nargs="+", choices=list(NAMES), default=["ours", "llama.cpp"])
    parser.add_argument("--steps", action="store_true", help="the table of few tokens; its defaults stand second below")
    parser.add_argument("--rounds", type=int, help="(default 3; 7)")
    parser.add_argument("-r", type=int, help="repetitions in a round, of which the median counts (default 1; 3)")
    parser.add_argument("-p", help="tokens of the prompt, or a list with commas (default 512; 1 to 32)")
    parser.add_argument("-n", help="tokens to generate, or a list (default 128; 0)")
    parser.add_argument("-d", help="tokens in the cache before either, or a list (default 0,4096; 64)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of ours and llama.cpp")
    parser.add_argument("--wait", type=int, default=60, help="seconds to wait at most for a quiet machine")
    parser.add_argument("--results", type=Path, required=True, help="folder of the machines' results")
    args = parser.parse_args()
    for key, value in DEFAULTS[args.steps].items():
        if getattr(args, key) is None:
            setattr(args, key, value)
    if min(args.rounds, args.r, args.threads) < 1:
        parser.error("--rounds, -r and --threads must be 1 or more")
    if args.steps and (args.n != "0" or not args.d.isdigit() or "mlx" in args.engines):
        parser.error("--steps takes no -n but 0, one depth, and not mlx")
    if "ours" not in args.engines:
        parser.error("--engines lacks ours, which tells of the machine")
    if "mlx" in args.engines and not (args.p.isdigit() and args.n.isdigit() and int(args.n) > 1 and args.d == "0"):
        parser.error("mlx takes one length of a prompt, one of a generation (2 or more) and no depth: -p 8 -n 16 -d 0")

    rounds = []
    try:
        for i in range(args.rounds):
            done = {}
            for engine in args.engines[:: -1 if i % 2 else 1]:
                done[engine] = measure(engine, args)
                for test, r in done[engine].items():
                    tokens_ns = sum(test[:2]) / median_ns(r)
                    print(f"round {i + 1}: {engine} {name(test)} {1e9 * tokens_ns:.2f} tok/s", file=sys.stderr)
            for engine in args.engines:
                if engine != "ours":
                    for test, row in done[engine].items():
                        complete(row, engine, done["ours"][test], args)
            rounds.append(done)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        if rounds:
            finish(rounds, args)


if __name__ == "__main__":
    main()
