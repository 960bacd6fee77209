"""Runs a program and watches it: when it first wrote something, how long each answer took, and how
much memory it held."""

import contextlib
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass

# Short against a load of a second; reading the counters takes about 20 µs.
INTERVAL = 0.01


@dataclass
class Outcome:
    """What a run gave. Times are seconds since just before the program was started."""

    stdout: str
    first_output: float
    seconds: float
    peak: int
    anonymous: int
    file_backed: int


@dataclass
class Answer:
    """What a program wrote to one piece of its input."""

    line: str
    # Since the piece was written; for the first one, since just before the program was started.
    seconds: float


def counters(pid):
    """Resident bytes of a process: at the peak, anonymous and file-backed now; None once it ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            fields = dict(line.split(":", 1) for line in file if line.startswith(("VmHWM", "Rss")))
        kib = {name: int(value.split()[0]) for name, value in fields.items()}
        return [n * 1024 for n in (kib["VmHWM"], kib["RssAnon"], kib["RssFile"] + kib["RssShmem"])]
    except (OSError, KeyError):
        return None


def sample(process, ended, most):
    """Keeps the largest values in `most` until `ended`: those of each kind, at whatever time."""
    while not ended.wait(INTERVAL):
        now = counters(process.pid)
        if now is not None:
            most[:] = map(max, most, now)


@contextlib.contextmanager
def started(command, stdin):
    """The process of `command`, which must end well; its complaints are shown if it does not."""
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.PIPE, stderr=errors, bufsize=0
        ) as process:
            yield process
        if process.returncode != 0:
            errors.seek(0)
            message = errors.read().decode(errors="replace")[-2000:]
            raise SystemExit(f"{' '.join(map(str, command))}\nended with {process.returncode}:\n{message}")


def run(command):
    """Runs `command` to its end."""
    most, ended = [0, 0, 0], threading.Event()
    start = time.monotonic()
    with started(command, subprocess.DEVNULL) as process:
        sampler = threading.Thread(target=sample, args=(process, ended, most))
        sampler.start()
        first = process.stdout.read(1)
        first_output = time.monotonic() - start
        rest = b"".join(iter(lambda: process.stdout.read(1 << 16), b""))
        process.wait()
        seconds = time.monotonic() - start
        ended.set()
        sampler.join()
    return Outcome((first + rest).decode(errors="replace"), first_output, seconds, *most)


def converse(command, pieces):
    """Runs `command`, which answers each of `pieces` of its input with one line."""
    answers = []
    asked = time.monotonic()
    with started(command, subprocess.PIPE) as process:
        lines = open(process.stdout.fileno(), encoding="utf-8", closefd=False)
        for number, piece in enumerate(pieces):
            if number > 0:
                asked = time.monotonic()
            try:
                process.stdin.write(f"{piece}\n".encode())
            except BrokenPipeError:
                break
            line = lines.readline()
            answers.append(Answer(line, time.monotonic() - asked))
        process.stdin.close()
        lines.read()
        process.wait()
    return answers
