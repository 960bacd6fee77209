"""Runs a program and watches it: when it first wrote something, and how much memory it held."""

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


def run(command):
    """Runs `command` to its end."""
    most, ended = [0, 0, 0], threading.Event()
    with tempfile.TemporaryFile() as errors:
        start = time.monotonic()
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, bufsize=0
        ) as process:
            sampler = threading.Thread(target=sample, args=(process, ended, most))
            sampler.start()
            first = process.stdout.read(1)
            first_output = time.monotonic() - start
            rest = b"".join(iter(lambda: process.stdout.read(1 << 16), b""))
            code = process.wait()
            seconds = time.monotonic() - start
            ended.set()
            sampler.join()
        if code != 0:
            errors.seek(0)
            message = errors.read().decode(errors="replace")[-2000:]
            raise SystemExit(f"{' '.join(map(str, command))}\nended with {code}:\n{message}")
    text = (first + rest).decode(errors="replace")
    return Outcome(text, first_output, seconds, *most)
