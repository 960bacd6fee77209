"""Runs `pixtral serve`."""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import threading


@contextlib.contextmanager
def serving(pixtral, *options):
    """The address of a server of the demonstration model; at the end it must stop cleanly."""
    with running(pixtral, *options) as (address, _):
        yield address


@contextlib.contextmanager
def running(pixtral, *options):
    """The same with the process."""
    # What other runs have computed is not used: the cache's folder cannot be made.
    environment = os.environ | {"XDG_CACHE_HOME": "/dev/null"}
    command = [pixtral, "serve", "--port", "0", *options]
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
        waiting = threading.Timer(60, server.kill)
        waiting.start()
        line = server.stdout.readline()
        waiting.cancel()
        try:
            found = re.match(r"listening at (http://\S+?)/ ", line)
            assert found, f"pixtral serve does not listen: {line}{contents(log)}"
            yield found[1], server
        finally:
            server.send_signal(signal.SIGTERM)
            code = server.wait(timeout=60)
            server.stdout.close()
        assert code == 0, f"pixtral serve ended with {code}: {contents(log)}"


def contents(log):
    log.seek(0)
    return log.read()
