"""Puts the C library and its declarations into the wheel, which then needs no compiler.

The library is built by cargo, or taken from the file that the environment variable PIXTRAL_LIBRARY
names. The declarations are made of include/pixtral.h.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import cffi
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "include" / "pixtral.h"
LIBRARY = "libpixtral.so"


class Hook(BuildHookInterface):
    """Called by hatchling before it makes the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        self.made = Path(tempfile.mkdtemp())
        library = self.made / LIBRARY
        shutil.copyfile(built_library(), library)
        # Nine tenths of a library with debug information are that.
        if shutil.which("objcopy"):
            subprocess.run(["objcopy", "--strip-debug", str(library)], check=True)
        ffi = cffi.FFI()
        ffi.cdef(declarations(HEADER.read_text()))
        ffi.set_source("_ffi", None)
        ffi.compile(tmpdir=str(self.made))
        build_data["force_include"][str(library)] = f"pixtral/{LIBRARY}"
        build_data["force_include"][str(self.made / "_ffi.py")] = "pixtral/_ffi.py"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform()}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        shutil.rmtree(self.made)


def platform() -> str:
    """This processor, with this system's C library or a later one."""
    tags = list(platform_tags())
    return next((tag for tag in tags if tag.startswith("manylinux_")), tags[0])


def built_library() -> Path:
    """The shared library, built now unless it is given."""
    given = os.environ.get("PIXTRAL_LIBRARY")
    if given:
        return Path(given)
    subprocess.run(
        ["cargo", "build", "--release", "-p", "pixtral-capi"],
        cwd=ROOT,
        check=True,
    )
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "release" / "libpixtral_capi.so"


def declarations(header: str) -> str:
    """What a compiler of C11 sees of the header after its includes."""
    taken: list[bool] = []
    lines = []
    for line in header.splitlines():
        word, _, condition = line.partition(" ")
        if word in ("#if", "#ifdef"):
            # Conditions are about C++ and C23.
            taken.append(False)
        elif word == "#ifndef":
            taken.append(True)
        elif word == "#else":
            taken[-1] = not taken[-1]
        elif word == "#endif":
            taken.pop()
        elif not word.startswith("#") and all(taken):
            lines.append(line)
    return "\n".join(lines)
