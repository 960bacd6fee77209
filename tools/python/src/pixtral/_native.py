"""The C library: loading it, errors as exceptions, and calls that Ctrl-C ends.

Knows nothing of messages or models. cffi lets go of the interpreter's lock during every call.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Callable, Sequence, TypeVar

from . import _ffi

T = TypeVar("T")

ffi: Any = _ffi.ffi
lib: Any = ffi.dlopen(str(Path(__file__).with_name("libpixtral.so")))

__version__: str = ffi.string(lib.pixtral_version()).decode()


class PixtralError(RuntimeError):
    """A call of the library that failed; the text says what is wrong and what to do."""

    #: The number of the kind of error, as in pixtral.h.
    status: int
    #: The kind of error in a few words, such as "not found".
    kind: str

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = ffi.string(lib.pixtral_status_name(status)).decode()


def check(status: int) -> None:
    """Turns a status into an exception. To be called by the thread that made the call."""
    if status != lib.PIXTRAL_STATUS_OK:
        raise PixtralError(status, ffi.string(lib.pixtral_last_error()).decode())


def text(value: str) -> tuple[Any, int]:
    """The arguments for a text, with its length."""
    data = value.encode()
    return ffi.from_buffer("char[]", data), len(data)


def str_list(texts: Sequence[str]) -> tuple[Any, list[tuple[Any, int]]]:
    """A list of texts for the library, and what has to stay alive with it."""
    keep = [text(item) for item in texts]
    return ffi.new("pixtral_str[]", keep), keep


def take_text(place: Any) -> str:
    """The text that a call has put into a `char **`, which is then freed."""
    try:
        value: str = ffi.string(place[0]).decode()
        return value
    finally:
        lib.pixtral_string_free(place[0])


def filled(kind: str, init: Callable[[Any, int], int]) -> Any:
    """Options of the type `kind` with their defaults."""
    options = ffi.new(f"{kind} *")
    check(init(options, ffi.sizeof(kind)))
    return options


def sized(kind: str) -> Any:
    """A struct of the type `kind` for the library to fill."""
    return ffi.new(f"{kind} *", {"struct_size": ffi.sizeof(kind)})


class Worker:
    """Makes long calls in a thread of its own, so that Ctrl-C reaches the main thread meanwhile."""

    def __init__(
        self, cancel: Callable[[], object], reset: Callable[[], object] | None = None
    ) -> None:
        self._cancel = cancel
        self._reset = reset
        self._pool: ThreadPoolExecutor | None = None

    def run(self, call: Callable[[], T]) -> T:
        """The result of `call`, which is cancelled and waited for before an interrupt goes on."""
        if threading.current_thread() is not threading.main_thread():
            # Interrupts are the main thread's.
            return call()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "pixtral")
        future = self._pool.submit(call)
        try:
            return future.result()
        except KeyboardInterrupt:
            self._stop(future)
            raise

    def _stop(self, future: Future[Any]) -> None:
        cancelled = False
        while not (cancelled and future.done()):
            try:
                self._cancel()
                cancelled = True
                wait([future])
            except KeyboardInterrupt:
                continue
        # A call that had ended before has left the cancel behind.
        if self._reset is not None:
            self._reset()
