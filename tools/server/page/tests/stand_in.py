"""A server in place of `pixtral serve` for what a real one does only on bad days: to be busy, slow, broken
or gone. It serves the page's own files under the server's content security policy, answers as each test says,
and remembers what it was asked."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

PAGE = Path(__file__).parents[1]
DEMO = PAGE.parents[1] / "pixtral" / "demo"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Seconds for what must come: many more than even a slow and busy machine needs.
PATIENCE = 120
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".png": "image/png"}


def chunk(content=None, finish=None, usage=None):
    """One event of a streamed chat completion."""
    choices = [{"index": 0, "delta": {"content": content} if content else {}, "finish_reason": finish}]
    return f"data: {json.dumps({'object': 'chat.completion.chunk', 'choices': [] if usage else choices, 'usage': usage})}\n\n"


def answer(*pieces, pause=0.0, finish="stop", prompt=100, cached=0, timings=None):
    """A whole streamed answer: `pieces` of text with `pause` seconds before each. An event among them is waited for."""

    def write(reply):
        reply.stream()
        sent = 0
        for piece in pieces:
            if isinstance(piece, threading.Event):
                piece.wait(PATIENCE)
                continue
            time.sleep(pause)
            reply.send(chunk(piece))
            sent += 1
        reply.send(chunk(finish=finish))
        usage = {"prompt_tokens": prompt, "completion_tokens": sent, "prompt_tokens_details": {"cached_tokens": cached}}
        reply.send(chunk(usage=usage | ({"timings": timings} if timings else {})))
        reply.send("data: [DONE]\n\n")

    return write


def broken_off(*pieces):
    """A stream that ends without a finish reason."""

    def write(reply):
        reply.stream()
        for piece in pieces:
            reply.send(chunk(piece))

    return write


def refusal(status, message, **headers):
    """An error in the form of OpenAI's API."""
    return lambda reply: reply.json({"error": {"message": message}}, status, headers)


class StandIn:
    """The server. `replies` are used up one a chat request; `requests` are the chat requests' bodies."""

    def __init__(self):
        self.replies, self.requests, self.keys = [], [], []
        self.estimates = True
        self.key = None
        self.max_body_bytes = 32 << 20
        self.largest = 4160
        self.closed_early = threading.Event()
        self._server = None
        self.port = 0

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}/"

    def start(self):
        handler = type("Bound", (Reply,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self):
        if self._server:
            self._server.shutdown()
            self._server.server_close()
        self._server = None


class Reply(BaseHTTPRequestHandler):
    """One request and the answer to it."""

    owner: StandIn

    def log_message(self, *_):
        pass

    def json(self, value, status=200, headers=None):
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, content in (headers or {}).items():
            self.send_header(name.replace("_", "-"), str(content))
        self._finish_head("application/json", len(body))
        self.wfile.write(body)

    def stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()

    def send(self, text):
        try:
            self.wfile.write(text.encode())
            self.wfile.flush()
        except OSError:
            self.owner.closed_early.set()
            raise

    def handle(self):
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def _finish_head(self, kind, length):
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def do_GET(self):
        path = urlsplit(self.path).path
        if path == "/v1/models":
            if self.owner.key and self.headers["Authorization"] != f"Bearer {self.owner.key}":
                return refusal(401, "no valid key")(self)
            image = {"patch_size": 16, "image_size": 1024, "max_tokens": self.owner.largest}
            model = {"id": "stand-in", "object": "model", "max_body_bytes": self.owner.max_body_bytes, "image": image}
            return self.json({"object": "list", "data": [model]})
        file = PAGE / (path[1:] or "index.html")
        if path.count("/") > 1 or not file.is_file():
            return refusal(404, "no such page")(self)
        body = file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Security-Policy", POLICY)
        self._finish_head(TYPES[file.suffix], len(body))
        return self.wfile.write(body)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/estimate":
            return self._estimate(body)
        self.owner.requests.append(body)
        self.owner.keys.append(self.headers["Authorization"])
        return self.owner.replies.pop(0)(self)

    def _estimate(self, body):
        if not self.owner.estimates:
            return refusal(404, "no such page")(self)
        budget = body.get("max_image_tokens", self.owner.largest)
        taken = [min(image["width"] * image["height"] // 256, budget) for image in body["images"]]
        return self.json({"image_tokens": taken, "tokens": sum(taken) + 3, "seconds": sum(taken) / 20})
