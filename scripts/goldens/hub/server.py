"""A hub for huggingface_hub to talk to: one repository, its large files on another port, as LFS has them."""

import hashlib
import http.server
import json
import threading
import urllib.parse


def git_hash(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hub:
    """Serves files: path to (bytes, lfs) of each commit."""

    def __init__(self, repository, branch, commits):
        self.repository, self.branch, self.commits = repository, branch, commits
        self.requests = []
        self.cdn = self.serve(self.large)
        self.endpoint = self.serve(self.hub)

    def serve(self, answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(handler):
                self.requests.append(f"{handler.command} {handler.path}")
                status, headers, body = answer(urllib.parse.urlsplit(handler.path))
                first = handler.headers.get("Range")
                if first and status == 200:
                    start = int(first.removeprefix("bytes=").removesuffix("-"))
                    headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                    status, body = 206, body[start:]
                handler.send_response(status)
                for name, value in headers.items():
                    handler.send_header(name, value)
                handler.send_header("Content-Length", str(len(body)))
                handler.end_headers()
                if handler.command == "GET":
                    handler.wfile.write(body)

            do_HEAD = do_GET

            def log_message(handler, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    def large(self, url):
        for files in self.commits.values():
            for data, lfs in files.values():
                if lfs and url.path == "/" + hashlib.sha256(data).hexdigest():
                    return 200, {"ETag": '"' + hashlib.md5(data).hexdigest() + '"'}, data
        return 404, {}, b""

    def hub(self, url):
        api = f"/api/models/{self.repository}/"
        if url.path.startswith(api + "revision/"):
            revision = urllib.parse.unquote(url.path.removeprefix(api + "revision/"))
            commit = self.branch.get(revision, revision)
            if commit not in self.commits:
                return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
            info = {"id": self.repository, "sha": commit, "siblings": [{"rfilename": p} for p in self.commits[commit]]}
            return 200, {"Content-Type": "application/json"}, json.dumps(info).encode()
        if url.path.startswith(api + "tree/"):
            entries = []
            for path, (data, lfs) in self.commits[url.path.removeprefix(api + "tree/")].items():
                entry = {"type": "file", "path": path, "size": len(data), "oid": git_hash(data)}
                if lfs:
                    entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
                entries.append(entry)
            return 200, {"Content-Type": "application/json"}, json.dumps(entries).encode()
        resolve = f"/{self.repository}/resolve/"
        if url.path.startswith(resolve):
            commit, path = urllib.parse.unquote(url.path.removeprefix(resolve)).split("/", 1)
            commit = self.branch.get(commit, commit)
            if path not in self.commits[commit]:
                return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}, b""
            data, lfs = self.commits[commit][path]
            if not lfs:
                return 200, {"X-Repo-Commit": commit, "ETag": f'"{git_hash(data)}"'}, data
            sha = hashlib.sha256(data).hexdigest()
            return 302, {
                "X-Repo-Commit": commit, "X-Linked-Etag": f'"{sha}"', "X-Linked-Size": str(len(data)),
                "ETag": f'"{git_hash(data)}"', "Location": f"{self.cdn}/{sha}",
            }, b""
        return 404, {"X-Error-Code": "RepoNotFound"}, b""
