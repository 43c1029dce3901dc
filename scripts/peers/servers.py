"""Measures `glm4-metal serve` beside llama.cpp's llama-server over HTTP, in turns, and prints a table with the ratios.

`run --servers` calls it. A round is one process of each server, kept over all numbers of clients; the order turns from
round to round. Before clients count, one short request warms the server up. Clients are threads of this process; all of
a number ask at once, each for the completion of its own prompt of random ids, streamed. No prompt comes twice, and none
begins as another, so no cache of prompts helps. Both servers have as many slots as the most clients and the same
context for each.

Temperature is 0, and a logit bias leaves the 26 lower-case letters to choose from: so no answer ends early, and every
token is a text of its own, which a server sends when it has it. Measured at the client:

  tok/s           generated tokens of all clients, over the time from the first request to the last token
  first token     from the request to the first text, median over the clients
  tok/s a client  tokens after the first one, over the time from the first text to the last, median over the clients

Nothing is recorded in bench/results, whose rows have one client. On two cores of a server of 2026 a round of both takes
about 7 minutes.
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import resource
import signal
import socket
import statistics
import string
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from compare import NAMES, busy_seconds, model_file, span, wait_for_quiet, warm

HOST = "127.0.0.1"
READY_WITHIN = 600  # seconds, to load the model
SILENT_WITHIN = 600  # seconds without a byte, while prompts are computed
STOP_WITHIN = 15  # seconds, before a server is killed
WARM_UP = {"p": 32, "n": 4}  # tokens, at most


class Failure(Exception):
    """What a server did not do."""


def command(engine, port, args):
    slots = max(args.clients)
    context = -(-(args.p + args.n + 1) // 256) * 256  # llama-server takes multiples of it
    if engine == "ours":
        return [args.ours, "serve", args.checkpoint, "--backend", "cpu", "--host", HOST, "--port", str(port),
                "--parallel", str(slots), "--max-kv-size", str(context)]
    return [args.llama_server, "-m", args.gguf, "-lm", "none", "-t", str(args.threads), "--host", HOST,
            "--port", str(port), "-np", str(slots), "-c", str(slots * context), "--offline"]


def free_port():
    with socket.create_server((HOST, 0)) as s:
        return s.getsockname()[1]


def wait_until_ready(child, port):
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise Failure("it ended before it was ready")
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(HOST, port, timeout=10)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.2)
    raise Failure(f"it was not ready within {READY_WITHIN} seconds")


def stop(child):
    child.terminate()
    try:
        child.wait(STOP_WITHIN)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


@contextlib.contextmanager
def serving(engine, args):
    """Runs a server and gives its port. A failure ends the program with the server's log."""
    port = free_port()
    environment = os.environ | {"GOMAXPROCS": str(args.threads)}
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(command(engine, port, args), stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=subprocess.STDOUT, env=environment)
        try:
            wait_until_ready(child, port)
            yield port
        except (Failure, OSError, http.client.HTTPException, ValueError) as e:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(1)  # a connection breaks before the process has ended
            status = "" if child.returncode is None else f"; it ended with status {child.returncode}"
            log.seek(0)
            sys.stderr.write("".join(log.read().decode(errors="replace").splitlines(keepends=True)[-40:]))
            sys.exit(f"servers.py: the server of {engine}, whose log ends above: {type(e).__name__}: {e}{status}")
        finally:
            stop(child)


def request(ids, n, letters):
    """The body of a request for n tokens behind the ids of a prompt."""
    return json.dumps({
        "prompt": ids, "max_tokens": n, "temperature": 0, "logit_bias": {str(id): 100 for id in letters},
        "stream": True, "stream_options": {"include_usage": True},
    })


def stream(port, body, together):
    """Asks and gives when it did so, and each line of the answer with its time; what they say is read later."""
    connection = http.client.HTTPConnection(HOST, port, timeout=SILENT_WITHIN)
    connection.connect()
    together.wait()
    start, lines = time.monotonic(), []
    connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        raise Failure(f"status {response.status}: {response.read().decode(errors='replace')}")
    for line in response:
        lines.append((time.monotonic(), line))
    connection.close()
    return start, lines


def answer(start, lines, prompt):
    """What a client measured: start, first and last are times, tokens how many came."""
    texts, usage = [], None
    for at, line in lines:
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[len(b"data: "):])
        if "error" in event:
            raise Failure(f"an answer has the error {event['error']}")
        if any(choice["text"] for choice in event["choices"]):
            texts.append(at)
        usage = event.get("usage") or usage
    if not texts or not usage:
        raise Failure("an answer has no text or no usage")
    if usage["prompt_tokens"] != prompt:
        raise Failure(f"a prompt of {prompt} tokens had {usage['prompt_tokens']}")
    return {"start": start, "first": texts[0], "last": texts[-1], "tokens": usage["completion_tokens"]}


def ask(port, bodies, prompt):
    """One client for each body, all at once: the answers. prompt is how many tokens each prompt has."""
    together = threading.Barrier(len(bodies))
    done, errors = [None] * len(bodies), []

    def client(i):
        try:
            done[i] = stream(port, bodies[i], together)
        except Exception as e:
            errors.append(e)
            together.abort()

    threads = [threading.Thread(target=client, args=(i,), daemon=True) for i in range(len(bodies))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]
    return [answer(start, lines, prompt) for start, lines in done]


def summary(answers):
    """What the table says of some clients at once."""
    tokens = sum(a["tokens"] for a in answers)
    took = max(a["last"] for a in answers) - min(a["start"] for a in answers)
    return {
        "all": tokens / took,
        "first": statistics.median(a["first"] - a["start"] for a in answers),
        "each": statistics.median((a["tokens"] - 1) / (a["last"] - a["first"]) for a in answers),
        "tokens": tokens,
    }


def processor_seconds():
    """Of this process and of those that it has waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usages)


def measure(engine, round_number, vocabulary, args):
    """One process of a server: summaries by clients, and in "others" what other processes took meanwhile."""
    letters = [vocabulary[letter] for letter in string.ascii_lowercase]
    ids = sorted(vocabulary.values())

    def bodies(clients, p, n):
        prompts = [random.Random(f"{round_number} {clients} {i}").choices(ids, k=p) for i in range(clients)]
        return [request(prompt, n, letters) for prompt in prompts]

    warm(model_file(engine, args))
    wait_for_quiet(args.wait)
    busy, used, start = busy_seconds(), processor_seconds(), time.monotonic()
    done = {}
    with serving(engine, args) as port:
        p, n = min(args.p, WARM_UP["p"]), min(args.n, WARM_UP["n"])
        ask(port, [request(random.Random(f"warm-up {round_number}").choices(ids, k=p), n, letters)], p)
        for clients in args.clients:
            done[clients] = s = summary(ask(port, bodies(clients, args.p, args.n), args.p))
            print(f"round {round_number}: {engine}, {clients} clients: {s['all']:.2f} tok/s, first token after "
                  f"{s['first']:.2f} s, {s['each']:.2f} tok/s a client", file=sys.stderr)
            if s["tokens"] != clients * args.n:
                print(f"round {round_number}: {engine}, {clients} clients: {s['tokens']} tokens came, not "
                      f"{clients * args.n}", file=sys.stderr)
    if busy is not None:
        others = busy_seconds() - busy - (processor_seconds() - used)
        done["others"] = max(0, others) / (time.monotonic() - start) / os.cpu_count()
    return done


def table(rounds, args):
    lines = [
        "| clients | server | tok/s | ours ÷ it | first token, s | it ÷ ours | tok/s a client | ours ÷ it |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for clients in args.clients:
        for engine in ("ours", "llama.cpp"):
            cells = []
            for figure in ("all", "first", "each"):
                pairs = [(r["ours"][clients][figure], r[engine][clients][figure]) for r in rounds]
                cells.append(span([it for _, it in pairs]))
                ratios = [it / ours if figure == "first" else ours / it for ours, it in pairs]
                cells.append("" if engine == "ours" else span(ratios))
            lines.append(f"| {clients} | {NAMES[engine]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def finish(rounds, args):
    version = subprocess.run([args.ours, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"\n{args.n} tokens behind {args.p} for each client, {args.threads} threads. Median of {len(rounds)} rounds "
          f"in turns, lowest and highest in brackets; ratios within a round.\n{version}; {args.llama_version}\n")
    print(table(rounds, args) + "\n")
    for engine in ("ours", "llama.cpp"):
        others = [r[engine]["others"] for r in rounds if "others" in r[engine]]
        if others:
            print(f"Beside {NAMES[engine]}, others took {statistics.mean(others):.0%} of the machine.")


def positive(text):
    if (n := int(text)) < 1:
        raise ValueError
    return n


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", type=Path, required=True, help="binary of glm4-metal")
    parser.add_argument("--checkpoint", type=Path, required=True, help="MLX 4-bit checkpoint, for ours")
    parser.add_argument("--gguf", type=Path, required=True, help="with the vocabulary of the checkpoint")
    parser.add_argument("--llama-server", type=Path, required=True)
    parser.add_argument("--llama-version", required=True, help="what to call it")
    parser.add_argument("--rounds", type=positive, default=3, help="(default 3)")
    parser.add_argument("--clients", type=lambda s: sorted(map(positive, s.split(","))), default=[1, 2, 4, 8],
                        help="numbers of clients, with commas (default 1,2,4,8)")
    parser.add_argument("-p", type=positive, default=128, help="tokens of a prompt (default 128)")
    parser.add_argument("-n", type=positive, default=32, help="tokens to generate, 2 or more (default 32)")
    parser.add_argument("--threads", type=positive, default=os.cpu_count(), help="of either server")
    parser.add_argument("--wait", type=int, default=60, help="seconds to wait at most for a quiet machine")
    args = parser.parse_args()
    if args.n < 2:
        parser.error("-n is 1; a client's speed needs 2 tokens or more")
    vocabulary = json.loads((args.checkpoint / "tokenizer.json").read_text())["model"]["vocab"]

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no server stays
    rounds = []
    try:
        for i in range(args.rounds):
            order = ("ours", "llama.cpp")[:: -1 if i % 2 else 1]
            rounds.append({engine: measure(engine, i + 1, vocabulary, args) for engine in order})
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        if rounds:
            finish(rounds, args)


if __name__ == "__main__":
    main()
