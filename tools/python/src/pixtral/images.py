"""Pictures: from a path, a URL, bytes or a PIL image to the library's handle."""

from __future__ import annotations

import base64
import binascii
import io
import os
import urllib.request
from pathlib import Path
from typing import Any, Union
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from ._native import check, ffi, filled, lib, text

#: Of what a picture can be made: a path or URL, the bytes of a file, or a PIL image.
ImageLike = Union[str, "os.PathLike[str]", bytes, Any]

#: Most bytes of a picture that are fetched: the library refuses larger ones.
MAX_BYTES = 256 << 20
#: Seconds without a byte after which fetching a picture is given up.
TIMEOUT = 30
#: Modes that a PNG file keeps as they are, for the library to flatten as Mistral's code does.
PNG_MODES = ("1", "L", "LA", "I;16", "P", "RGBA")


class ImageLoader:
    """Makes pictures for one model."""

    def __init__(self, model: Any, allow_http: bool, max_tokens: int | None) -> None:
        self._model = model
        self._allow_http = allow_http
        self._options = filled("pixtral_image_options", lib.pixtral_image_options_init)
        self._options.max_tokens = max_tokens or 0

    def load(self, source: ImageLike) -> Any:
        """The handle of a picture, which frees itself."""
        if isinstance(source, str):
            return self._from_url(source)
        if isinstance(source, os.PathLike):
            return self._from_file(os.fspath(source))
        if isinstance(source, (bytes, bytearray, memoryview)):
            return self._from_memory(bytes(source))
        if hasattr(source, "mode") and hasattr(source, "tobytes"):
            return self._from_pil(source)
        raise TypeError(
            f"a picture is {type(source).__name__}, expected a path or URL, bytes or a PIL image"
        )

    def close(self) -> None:
        """Lets go of the model, for which no picture is made any more."""
        self._model = ffi.NULL

    def _from_url(self, url: str) -> Any:
        scheme = url.partition(":")[0].lower()
        if scheme == "data":
            return self._from_memory(decode_data_url(url))
        if scheme in ("http", "https"):
            return self._from_memory(self._fetch(url))
        if scheme == "file":
            return self._from_file(unquote(urlsplit(url).path))
        return self._from_file(url)

    def _fetch(self, url: str) -> bytes:
        if not self._allow_http:
            raise PermissionError(
                f"{url}: pictures are not fetched from the network unless that is allowed: pass "
                "allow_http=True to LLM, or set the environment variable PIXTRAL_ALLOW_HTTP=1"
            )
        request = urllib.request.Request(url, headers={"User-Agent": "pixtral"})
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            content: bytes = response.read(MAX_BYTES + 1)
        return content

    def _from_file(self, path: str) -> Any:
        place = ffi.new("pixtral_image **")
        data, length = text(str(Path(path).expanduser()))
        check(lib.pixtral_image_from_file(self._model, data, length, self._options, place))
        return own(place)

    def _from_memory(self, content: bytes) -> Any:
        place = ffi.new("pixtral_image **")
        data = ffi.from_buffer("uint8_t[]", content)
        check(
            lib.pixtral_image_from_memory(self._model, data, len(content), self._options, place)
        )
        return own(place)

    def _from_pil(self, image: Any) -> Any:
        if image.mode != "RGB":
            if image.mode not in PNG_MODES:
                image = image.convert("RGBA")
            png = io.BytesIO()
            image.save(png, format="PNG", compress_level=1)
            return self._from_memory(png.getvalue())
        place = ffi.new("pixtral_image **")
        width, height = image.size
        pixels = image.tobytes()
        data = ffi.from_buffer("uint8_t[]", pixels)
        check(
            lib.pixtral_image_from_rgb(
                self._model, width, height, data, len(pixels), self._options, place
            )
        )
        return own(place)


def own(place: Any) -> Any:
    """The picture in `place`, freed with the last reference to it."""
    return ffi.gc(place[0], lib.pixtral_image_free)


def decode_data_url(url: str) -> bytes:
    """The content of `data:[type][;base64],…`."""
    head, comma, data = url.partition(",")
    if not comma:
        raise ValueError(f"{url[:40]}…: a data URL has a comma before its data")
    if not head.endswith(";base64"):
        return unquote_to_bytes(data)
    try:
        return base64.b64decode(unquote(data), validate=True)
    except binascii.Error as e:
        raise ValueError(f"{head},…: the data is not base64: {e}") from e
