"""Writes internal/hub/testdata/python.json: what huggingface_hub makes of names, variables and a small repository.

    python scripts/goldens/hub/make.py

It then lets this project pull the same repository, with the test binary of internal/hub, and reads that cache with
huggingface_hub. The versions that it ran on are in the file, under "versions".
"""

import base64
import fnmatch
import hashlib
import json
import os
import pathlib
import platform
import random
import shutil
import subprocess
import sys
import tempfile

from server import Hub, git_hash

ROOT = pathlib.Path(__file__).resolve().parents[3]
REPOSITORY = "mlx-community/tiny-glm"
FIRST, SECOND = "1" * 40, "2" * 40
PATTERNS = ["*.json", "model*.safetensors", "*.py", "tokenizer.model", "*.tiktoken", "tiktoken.model", "*.txt", "*.jsonl",
            "*.jinja", "LICENSE*"]


def commits():
    rng = random.Random(1)
    shard = [rng.randbytes(n) for n in (3000, 2000, 2500)]
    index = {"metadata": {}, "weight_map": {f"t{i}": f"model-0000{i + 1}-of-00002.safetensors" for i in range(2)}}
    first = {
        ".gitattributes": (b"*.safetensors filter=lfs\n", False),
        "README.md": (b"# Tiny\n", False),
        "LICENSE": (b"MIT\n", False),
        "config.json": (b'{"model_type": "glm4", "quantization": {"group_size": 64, "bits": 4}}\n', False),
        "model.safetensors.index.json": (json.dumps(index).encode(), False),
        "model-00001-of-00002.safetensors": (shard[0], True),
        "model-00002-of-00002.safetensors": (shard[1], True),
        "tokenizer.json": (rng.randbytes(700), True),
        "tokenizer_config.json": (b"{}", False),
        "chat_template.jinja": (b"[gMASK]<sop>\n", False),
        "additional_chat_templates/tools.jinja": (b"[gMASK]<sop>\n", False),
        "onnx/deep/config.json": (b"", False),
        "model.bin": (b"of another format", True),
    }
    second = dict(first) | {"model-00002-of-00002.safetensors": (shard[2], True), "tokenizer_config.json": (b'{"a": 1}', False)}
    return {FIRST: first, SECOND: second}


def tree(cache):
    """Every file of a cache: where a link leads, or the hash of what a file holds."""
    entries = {}
    for path in sorted(pathlib.Path(cache).rglob("*")):
        name = str(path.relative_to(cache))
        if path.is_symlink():
            entries[name] = "-> " + os.readlink(path)
        elif path.is_file():
            entries[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return entries


def run(code, env):
    """Runs Python with huggingface_hub in an environment of its own, which it reads when it is imported."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING", "XDG_", "TRANSFORMERS_"))}
    result = subprocess.run([sys.executable, "-c", code], env=clean | {"HF_HUB_DISABLE_XET": "1"} | env, text=True,
                            capture_output=True)
    if result.returncode != 0:
        raise SystemExit(result.stderr)
    return json.loads(result.stdout.splitlines()[-1])


SETTINGS = """
import json
from huggingface_hub import constants as c, get_token
from huggingface_hub.utils import build_hf_headers
try:
    c_token = get_token() or ""
except Exception:
    c_token = "error"
header = build_hf_headers().get("authorization", "")
print(json.dumps({"cache": c.HF_HUB_CACHE, "token_file": c.HF_TOKEN_PATH, "offline": c.HF_HUB_OFFLINE,
    "endpoint": c.ENDPOINT, "token": header.removeprefix("Bearer "), "links": not c.HF_HUB_DISABLE_SYMLINKS,
    "answer": c.HF_HUB_ETAG_TIMEOUT, "idle": c.HF_HUB_DOWNLOAD_TIMEOUT}))
"""


def settings():
    cases = [
        {}, {"XDG_CACHE_HOME": "/x"}, {"HF_HOME": "~/hf"}, {"HF_HOME": "/data/$NAME/${NAME}x/$NONE", "NAME": "me"},
        {"HF_HOME": "/h", "HF_HUB_CACHE": "/c"}, {"HUGGINGFACE_HUB_CACHE": "/old"},
        {"HUGGINGFACE_HUB_CACHE": "/old", "HF_HUB_CACHE": "/new"}, {"HF_HUB_CACHE": "$HOME/c"},
        {"HF_TOKEN": " hf_a\r\n"}, {"HUGGING_FACE_HUB_TOKEN": "hf_b"}, {"HF_TOKEN": "hf_a", "HUGGING_FACE_HUB_TOKEN": "hf_b"},
        {"HF_TOKEN": "hf_a", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}, {"HF_TOKEN_PATH": "/t/token"},
        {"HF_HUB_OFFLINE": "1"}, {"HF_HUB_OFFLINE": "on"}, {"HF_HUB_OFFLINE": "Yes"}, {"HF_HUB_OFFLINE": "true"},
        {"HF_HUB_OFFLINE": "0"}, {"HF_HUB_OFFLINE": "2"}, {"TRANSFORMERS_OFFLINE": "1"},
        {"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "1"}, {"HF_ENDPOINT": "https://mirror.example/hub//"},
        {"HF_HUB_DISABLE_SYMLINKS": "1"}, {"HF_HUB_ETAG_TIMEOUT": "3", "HF_HUB_DOWNLOAD_TIMEOUT": "60"},
        {"HF_HUB_ETAG_TIMEOUT": "0"},
    ]
    return [{"env": env, "want": run(SETTINGS, {"HOME": "/home/me"} | env)} for env in cases]


def names():
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.file_download import repo_folder_name
    from huggingface_hub.utils import validate_repo_id

    out = {}
    for name in ["org/name", "THUDM/GLM-4-9B-0414", "a/b.c_d-e", "o/n--x", "o/n..x", "o/.n", "o/n.", "-o/n", "o-/n", "o/n-", "o/n.git",
                 "o/" + "n" * 94, "o/" + "n" * 95, "o/ n", "o/n/m", "o/é", "o\\x/n", "../n", "o/..", "/n", "o/", "_o/_n"]:
        try:
            validate_repo_id(name)
            out[name] = repo_folder_name(repo_id=name, repo_type="model")
        except HFValidationError:
            out[name] = ""
    return out


PULL = """
import json, sys
from huggingface_hub import snapshot_download
print(json.dumps(snapshot_download(%r, revision=%r, allow_patterns=%r, local_files_only=%r)))
"""
SCAN = """
import json
from huggingface_hub import scan_cache_dir, try_to_load_from_cache
info = scan_cache_dir()
assert not info.warnings, info.warnings
print(json.dumps({r.commit_hash: {"refs": sorted(r.refs), "files": sorted(str(f.file_path.relative_to(r.snapshot_path))
    for f in r.files)} for repo in info.repos for r in repo.revisions}))
"""


def ours(binary, verb, env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    return subprocess.run([binary], env=clean | env | {"HUB_TEST_CHILD": verb, "HUB_TEST_NAME": REPOSITORY}, check=True,
                          capture_output=True, text=True).stdout.strip()


def main():
    import huggingface_hub

    files = commits()
    hub = Hub(REPOSITORY, {"main": FIRST}, files)
    work = pathlib.Path(tempfile.mkdtemp())
    python = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(work / "python")}
    go = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(work / "go")}
    trees = []
    for commit in (FIRST, SECOND):
        hub.branch["main"] = commit
        run(PULL % (REPOSITORY, "main", PATTERNS, False), python)
        trees.append(tree(work / "python/hub"))

    golden = {
        "versions": {"python": platform.python_version(), "huggingface_hub": huggingface_hub.__version__},
        "repository": REPOSITORY,
        "commits": {c: {p: {"data": base64.b64encode(d).decode(), "lfs": lfs} for p, (d, lfs) in f.items()} for c, f in
                    files.items()},
        "trees": trees,
        "listings": {c: (work / f"python/hub/models--mlx-community--tiny-glm/trees/{c}.json").read_text() for c in files},
        "wanted": {p: any(fnmatch.fnmatchcase(p, q) for q in PATTERNS) for p in [
            *files[FIRST], "a.json", ".json", "json", "model.safetensors", "x/model.safetensors", "model/x.safetensors", "LICENSE.txt",
            "models.safetensors", "tokenizer.model", "x/tokenizer.model", "x.py", "a.jsonl", "x/LICENSE"]},
        "git": {c: {p: git_hash(d) for p, (d, _) in f.items()} for c, f in files.items()},
        "settings": settings(),
        "names": names(),
    }
    out = ROOT / "internal/hub/testdata/python.json"
    out.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")

    # The other way round: our cache, read by huggingface_hub without the hub.
    binary = str(work / "hub.test")
    subprocess.run(["go", "test", "-c", "-o", binary, "./internal/hub"], cwd=ROOT, check=True)
    assert ours(binary, "find", python) == str(work / f"python/hub/models--mlx-community--tiny-glm/snapshots/{SECOND}")
    for commit in (FIRST, SECOND):
        hub.branch["main"] = commit
        folder = ours(binary, "pull", go)
        hub.requests.clear()
        assert run(PULL % (REPOSITORY, "main", PATTERNS, True), go) == folder
        assert run(SCAN, go)[commit]["refs"] == ["main"]
        assert not hub.requests
        # With the hub, nothing but the listing is asked for.
        run(PULL % (REPOSITORY, "main", PATTERNS, False), go)
        assert not [r for r in hub.requests if "/resolve/" in r], hub.requests
    assert run(SCAN, go) == run(SCAN, python)
    print(f"{out}: {out.stat().st_size} bytes; both caches agree")
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
