"""Which devices compute what."""

from __future__ import annotations

import json
from typing import Any, Sequence

from ._native import check, ffi, lib, str_list, take_text

__all__ = ["devices"]


class Placement:
    """What a caller wants of devices, as the library takes it. Lives until the session is made."""

    def __init__(
        self,
        devices: Sequence[str] | None,
        gpu_layers: int | None,
        tensor_split: Sequence[float],
        vision_device: str | None,
    ) -> None:
        if isinstance(devices, str):
            raise TypeError("devices is a string, expected a list of names")
        if gpu_layers is not None and gpu_layers < 0:
            raise ValueError(f"gpu_layers is {gpu_layers}, expected 0 or more, or None")
        # None means all graphics processors; the library's name for no device is the CPU's.
        names = devices if devices is None or len(devices) else ["cpu"]
        self._names = str_list(names or [])
        self._gpu_layers = -1 if gpu_layers is None else gpu_layers
        self._split = ffi.new("double[]", list(tensor_split))
        self._vision = None if vision_device is None else ffi.new("char[]", vision_device.encode())

    def apply(self, options: Any) -> None:
        """Sets the fields of a session's options, which then point at this."""
        items, _ = self._names
        options.devices, options.n_devices = items, len(items)
        options.gpu_layers = self._gpu_layers
        options.tensor_split, options.n_tensor_split = self._split, len(self._split)
        if self._vision is not None:
            options.vision_device = self._vision


def devices(workers: Sequence[str] = ()) -> list[dict[str, Any]]:
    """What a model can be placed on: this machine's devices, and those of workers at HOST:PORT."""
    place = ffi.new("char **")
    items, _ = str_list(workers)
    check(lib.pixtral_devices_json(items, len(items), place))
    found: list[dict[str, Any]] = json.loads(take_text(place))
    return found
