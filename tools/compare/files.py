"""The files that are compared: one model in our form and in llama.cpp's, and a picture; a checkpoint
for quantising."""

import hashlib
import os
import struct
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Files:
    """What both sides work on. Files that no measurement asks for are not made."""

    # Holds the rest, and what sides keep between runs.
    folder: Path
    # The same weights twice, and what is asked about.
    model: Path = None
    text: Path = None
    mmproj: Path = None
    picture: Path = None
    # Weights in bf16: as published, and the text half as llama.cpp's converter would write it.
    checkpoint: Path = None
    bf16: Path = None


@dataclass(frozen=True)
class Source:
    """Which weights: a file of ours, or None for random ones of this type and shape."""

    model: Path
    kind: str
    # Arguments of `pixtral-quantize synth`.
    shape: tuple

    def name(self):
        return "-".join(word.lstrip("-") for word in ("synthetic", *self.shape[1::2]))


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


def picture_of(cache, size):
    """The picture of a size as on the command line, made once."""
    path = cache / f"picture-{size}.png"
    if not path.exists():
        picture(path, *map(int, size.split("x")))
    return path


def kept(files, name, settings, inputs, make):
    """A file that `make` writes, unless it did so for these settings and files before."""
    mark = repr((settings, [(str(path), path.stat().st_mtime_ns) for path in inputs]))
    digest = hashlib.sha256(mark.encode()).hexdigest()[:16]
    path = files.folder / f"{digest}-{name}"
    if not path.exists():
        for old in files.folder.glob(f"*-{name}"):
            old.unlink()
        unfinished = path.with_suffix(".partial")
        make(unfinished)
        unfinished.rename(path)
    return path


def call(*command):
    """Runs a command that must succeed and says nothing on standard output."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def pair_of(quantize, cache, model):
    """Exports `model` to llama.cpp's pair of files unless that was done since it was written."""
    text, mmproj = (cache / f"{model.stem}-{half}.gguf" for half in ("text", "mmproj"))
    if any(not p.exists() or p.stat().st_mtime < model.stat().st_mtime for p in (text, mmproj)):
        call(quantize, "export", model, "--text", text, "--mmproj", mmproj, "--overwrite")
    return text, mmproj


def for_running(quantize, cache, source, size):
    """The model in both forms, and a picture of `size`."""
    model = source.model or cache / f"{source.name()}-{source.kind}.gguf"
    if source.model is None and not model.exists():
        call(quantize, "synth", source.kind, *source.shape, "-o", model)
    text, mmproj = pair_of(quantize, cache, model)
    return dict(model=model, text=text, mmproj=mmproj, picture=picture_of(cache, size))


def for_quantising(quantize, cache, shape):
    """A checkpoint of random weights, and llama.cpp's text half of it in bf16."""
    checkpoint = cache / Source(None, "bf16", shape).name()
    if not checkpoint.exists():
        unfinished = checkpoint.with_suffix(".partial")
        call(quantize, "synth", *shape, "--checkpoint", unfinished)
        unfinished.rename(checkpoint)
    bf16 = cache / f"{checkpoint.name}-bf16-text.gguf"
    if not bf16.exists():
        whole = cache / f"{checkpoint.name}-bf16.gguf"
        call(quantize, "bf16", checkpoint, "-o", whole, "--overwrite")
        text, mmproj = pair_of(quantize, cache, whole)
        whole.unlink()
        mmproj.unlink()
        assert text == bf16
    return dict(checkpoint=checkpoint, bf16=bf16)
