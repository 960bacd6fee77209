"""Tests of the clients against a server that answers in a known time."""

import json
import socketserver
import sys
import tempfile
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import files
import serving

PIECE, PICTURE = 0.02, 0.3


class Answering(BaseHTTPRequestHandler):
    """A token every PIECE seconds; a picture keeps everybody waiting. The last token says nothing."""

    busy = threading.Lock()

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content, tokens = body["messages"][0]["content"], body["max_tokens"]
        if content == "Refuse.":
            self.send_error(400, "no")
            return
        self.send_response(200)
        self.end_headers()
        if content == "Fail.":
            self.event(error={"message": "lost"})
            return
        if not isinstance(content, str):
            with self.busy:
                time.sleep(PICTURE)
        try:
            for i in range(tokens):
                with self.busy:
                    self.event(choices=[{"delta": {"content": "a" if tokens == 1 or i < tokens - 1 else ""}}])
                time.sleep(PIECE)
            self.event(choices=[], usage={"completion_tokens": tokens})
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            pass

    def event(self, **event):
        self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


class ServingTest(unittest.TestCase):
    def setUp(self):
        server = Server(("127.0.0.1", 0), Answering)
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)

    def test_tokens_of_all_answers_count_also_those_without_text(self):
        streams = serving.at_once(self.port, ["a", "b", "c"], 5)
        self.assertEqual([(stream.tokens, len(stream.pieces)) for stream in streams], 3 * [(5, 4)])
        for stream, times in zip(streams, ([0, 1, 2], [1, 2, 3], [0, 4, 5])):
            stream.pieces = times
        self.assertEqual(serving.rate(streams), 12 / 5)

    def test_several_at_once_are_faster_than_one_where_they_do_not_wait(self):
        alone, together = serving.throughput(self.port, 4, 10)
        self.assertLess(alone, together)

    def test_a_picture_that_keeps_others_waiting_is_seen(self):
        with tempfile.TemporaryDirectory() as folder:
            picture = files.picture_of(Path(folder), "16x16")
            median, longest, until = serving.beside(self.port, picture, "What?")
        self.assertLess(median, PICTURE)
        self.assertLessEqual(PICTURE, longest)
        self.assertLessEqual(longest, until)

    def test_a_refusal_says_why(self):
        with self.assertRaises(SystemExit) as failed:
            serving.at_once(self.port, ["a", "Refuse."], 2)
        self.assertIn("no", str(failed.exception))
        with self.assertRaises(SystemExit) as failed:
            serving.at_once(self.port, ["Fail."], 2)
        self.assertIn("lost", str(failed.exception))

    def test_a_server_that_ends_says_why(self):
        with self.assertRaises(SystemExit) as failed:
            with serving.serving([sys.executable, "-c", "raise ValueError('why')"], serving.free_port()):
                pass
        self.assertIn("ValueError: why", str(failed.exception))


if __name__ == "__main__":
    unittest.main()
