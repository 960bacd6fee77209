"""The files that are compared: one model in our form and in llama.cpp's, and a picture."""

import os
import struct
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Files:
    """The same weights twice, and what is asked about."""

    model: Path
    text: Path
    mmproj: Path
    picture: Path


def drop_from_page_cache(paths):
    """Makes the next run read from the disk, as far as the system grants it."""
    for path in paths:
        with open(path, "rb+") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_into_page_cache(paths):
    """Makes the next run find the files in memory."""
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while file.read(16 << 20):
                pass


def picture(path, width, height):
    """Writes a PNG of coloured stripes and blocks."""
    rows = []
    for y in range(height):
        pixels = bytes(v for x in range(width) for v in (x % 256, y % 256, (x // 16 * 37 + y // 16 * 59) % 256))
        rows.append(b"\0" + pixels)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"".join(rows), 6)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def make(quantize, cache, model, kind, shape, size):
    """Makes what is missing. `model` is a file of ours, or None for random weights of `kind`."""
    if model is None:
        model = cache / f"synthetic-{shape}-{kind}.gguf"
        if not model.exists():
            subprocess.run([quantize, "synth", kind, "--shape", shape, "-o", model], check=True)
    text, mmproj = (cache / f"{model.stem}-{half}.gguf" for half in ("text", "mmproj"))
    stale = any(not p.exists() or p.stat().st_mtime < model.stat().st_mtime for p in (text, mmproj))
    if stale:
        command = [quantize, "export", model, "--text", text, "--mmproj", mmproj, "--overwrite"]
        subprocess.run(command, check=True)
    image = cache / f"picture-{size[0]}x{size[1]}.png"
    if not image.exists():
        picture(image, *size)
    return Files(model, text, mmproj, image)
