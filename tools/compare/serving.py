"""Servers of OpenAI's API, seen from their clients: how fast answers come, alone and beside others."""

import base64
import contextlib
import http.client
import json
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

# How long a server may take to be ready, and to send anything: encoding and reading a large picture
# takes some of them minutes, in which nobody else hears of them.
PATIENCE = 1800
# The end of an answer in Mistral's vocabulary, which random weights must not choose early.
NO_END = {"2": -100}
# Tokens of a running answer before another client sends its picture.
RUNNING = 8


@dataclass
class Stream:
    """An answer as it came."""

    # When each piece of text came, on the clock of `time.monotonic`.
    pieces: list = field(default_factory=list)
    # Tokens that the server says it generated; None if the answer was not waited for.
    tokens: int = None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def healthy(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@contextlib.contextmanager
def serving(command, port):
    """A server that is ready, and is stopped at the end."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
        )
        try:
            end = time.monotonic() + PATIENCE
            while not healthy(port):
                if process.poll() is not None or time.monotonic() > end:
                    errors.seek(0)
                    message = errors.read().decode(errors="replace")[-2000:]
                    raise SystemExit(f"{' '.join(map(str, command))}\nis not ready:\n{message}")
                time.sleep(0.1)
            yield port
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def request(content, tokens):
    """A random model's likeliest token is often one without text, again and again; by chance it says
    something."""
    return {
        "messages": [{"role": "user", "content": content}], "stream": True,
        "stream_options": {"include_usage": True}, "temperature": 1, "seed": 1,
        "max_tokens": tokens, "logit_bias": NO_END,
    }


def pictured(path, question):
    """Content with a picture."""
    data = base64.b64encode(path.read_bytes()).decode()
    url = f"data:image/png;base64,{data}"
    return [{"type": "text", "text": question}, {"type": "image_url", "image_url": {"url": url}}]


def ask(port, content, stream, tokens, enough=lambda: False):
    """Reads an answer into `stream` until it or the client has `enough`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/chat/completions", json.dumps(request(content, tokens)), headers)
        response = connection.getresponse()
        if response.status != 200:
            raise SystemExit(f"the server refuses a request: {response.read().decode(errors='replace')}")
        for line in response:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[len(b"data: "):])
            if "choices" not in event:
                raise SystemExit(f"an answer ended with {event}")
            if any(choice["delta"].get("content") for choice in event["choices"]):
                stream.pieces.append(time.monotonic())
            if event.get("usage"):
                stream.tokens = event["usage"]["completion_tokens"]
            if enough():
                break
    finally:
        connection.close()


def at_once(port, contents, tokens):
    """The answers to `contents`, asked for at the same time."""
    streams = [Stream() for _ in contents]
    with ThreadPoolExecutor(len(contents)) as clients:
        asked = [clients.submit(ask, port, *pair, tokens) for pair in zip(contents, streams)]
    for client in asked:
        client.result()
    return streams


def rate(streams):
    """Tokens a second of all together, from the first of any to the last of any."""
    if any(len(stream.pieces) < 2 or stream.tokens is None for stream in streams):
        raise SystemExit("an answer has too little text to be timed")
    start = min(stream.pieces[0] for stream in streams)
    end = max(stream.pieces[-1] for stream in streams)
    return sum(stream.tokens - 1 for stream in streams) / (end - start)


def throughput(port, answers, tokens):
    """Tokens a second of one answer alone, and of several at once, which begin with different words."""
    question = "{}. Write a poem about the number {}."
    alone, = at_once(port, [question.format(0, 0)], tokens)
    together = at_once(port, [question.format(n, n) for n in range(1, answers + 1)], tokens)
    return rate([alone]), rate(together)


def beside(port, picture, question):
    """Seconds between two pieces of a running answer while another client sends a picture: median,
    longest; and how long that client waits for its first token."""
    running, other = Stream(), Stream()
    begun, answered = threading.Event(), threading.Event()

    def enough():
        if len(running.pieces) >= RUNNING:
            begun.set()
        return answered.is_set()

    with ThreadPoolExecutor(1) as clients:
        client = clients.submit(ask, port, "Count.", running, 4000, enough)
        client.add_done_callback(lambda _: begun.set())
        begun.wait()
        sent = time.monotonic()
        try:
            ask(port, pictured(picture, question), other, 1)
        finally:
            answered.set()
        there = time.monotonic()
    client.result()
    times = [sent, *(t for t in running.pieces if sent <= t <= there), there]
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    return statistics.median(gaps), max(gaps), there - sent
