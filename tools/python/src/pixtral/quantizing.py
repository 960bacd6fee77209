"""The converter: a checkpoint to the one file that models are opened from."""

from __future__ import annotations

import json
import os
import threading
from typing import Any, Callable, Sequence

from ._native import Worker, check, ffi, filled, lib, str_list, take_text, text

__all__ = ["quantize"]

#: Is told of bytes done, bytes in all, and the tensor in turn.
Progress = Callable[[int, int, str], object]


def quantize(
    checkpoint: str | os.PathLike[str],
    output: str | os.PathLike[str],
    weight_type: str = "q4_k",
    *,
    vision_type: str | None = None,
    tensor_types: Sequence[str] = (),
    threads: int | None = None,
    overwrite: bool = False,
    resume: bool = True,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Converts a checkpoint (Mistral's or Hugging Face's layout) to the GGUF file `output`.

    Streams through the weights once, in little memory. Ctrl-C, or an exception in `progress`, leaves
    `output`.partial, which the same call resumes.

    Args:
        checkpoint: The checkpoint's folder.
        output: The file to write.
        weight_type: From large to small: f32, bf16, f16, q8_0, q6_k, q5_k, q5_0, q4_k, q4_0, iq4_nl,
            iq4_xs, q3_k, q2_k; those below q8_0 keep sensitive tensors at more bits.
        vision_type: Type of the vision tower and the projector; None for what suits.
        tensor_types: Exceptions, "REGEX=TYPE", for tensors whose names match; later ones win.
        threads: Threads that quantise; None for one per processor.
        overwrite: Whether to replace the file if it exists.
        resume: Whether to go on with an unfinished file of the same conversion.
        progress: Is told of bytes done, bytes in all, and the tensor in turn.

    Returns:
        The report: sizes, bits per weight, errors by group of tensors.
    """
    options = filled("pixtral_quantize_options", lib.pixtral_quantize_options_init)
    names = [weight_type.encode() + b"\0", (vision_type or "").encode() + b"\0"]
    buffers = [ffi.from_buffer("char[]", name) for name in names]
    options.weight_type = buffers[0]
    if vision_type is not None:
        options.vision_type = buffers[1]
    items, keep = str_list(tensor_types)
    options.tensor_types, options.n_tensor_types = items, len(items)
    options.n_threads = threads or 0
    options.overwrite = overwrite
    options.no_resume = not resume

    cancelled = threading.Event()
    raised: list[BaseException] = []

    def hear(event: Any, _: Any) -> int:
        if event.kind == lib.PIXTRAL_EVENT_KIND_CONVERTING and progress is not None:
            try:
                progress(event.done, event.total, ffi.string(event.text).decode())
            except BaseException as e:
                raised.append(e)
        return int(cancelled.is_set() or bool(raised))

    callback = ffi.callback("pixtral_event_callback", hear, error=1)
    report = ffi.new("char **")

    def call() -> int:
        status: int = lib.pixtral_quantize(
            *text(os.fspath(checkpoint)),
            *text(os.fspath(output)),
            options,
            callback,
            ffi.NULL,
            report,
        )
        if not raised:
            check(status)
        return status

    Worker(cancelled.set).run(call)
    del keep
    if raised:
        raise raised[0]
    result: dict[str, Any] = json.loads(take_text(report))
    return result
