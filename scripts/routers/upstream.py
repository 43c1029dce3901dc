"""A server that answers as `glm4-metal serve` does, slowly, and says in each answer which one it is.

    upstream.py PORT NAME
"""
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = sys.argv[2]
CHUNKS, PAUSE = 6, 0.25  # of a stream; seconds


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        body = {"status": "ok", "model": NAME, "data": [{"id": NAME, "object": "model"}]}
        self.whole(body)

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not request.get("stream"):
            self.whole({"id": "a", "object": "chat.completion", "created": 0, "model": NAME, "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": NAME}}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for i in range(CHUNKS):
            choice = {"index": 0, "delta": {"role": "assistant", "content": f"{NAME} "},
                      "finish_reason": "stop" if i == CHUNKS - 1 else None}
            self.event(json.dumps({"id": "a", "object": "chat.completion.chunk", "created": 0, "model": NAME,
                                   "choices": [choice]}))
            time.sleep(PAUSE)
        self.event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def event(self, data):
        line = f"data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.flush()

    def whole(self, body):
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
