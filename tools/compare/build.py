"""Builds the peer: llama.cpp out of the crates.io package that pixtral takes ggml from.

Needs a C++ compiler. cmake and ninja come from PyPI into a virtual environment of its own.
"""

import json
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "llama-cpp-sys-2"
TARGETS = ("llama-mtmd-cli", "peer-bench", "peer-quantize")


@dataclass(frozen=True)
class Programs:
    """The programs that are compared."""

    pixtral: Path
    quantize: Path
    mtmd_cli: Path
    peer_bench: Path
    peer_quantize: Path


def source():
    """The folder of llama.cpp's source, as Cargo downloaded and checked it."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    metadata = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    for package in json.loads(metadata)["packages"]:
        if package["name"] == PACKAGE:
            return Path(package["manifest_path"]).parent / "llama.cpp"
    raise SystemExit(f"cargo metadata names no package {PACKAGE}: run `cargo fetch --locked`")


def tools(cache):
    """The folder of cmake and ninja, installed once."""
    folder = cache / "venv"
    programs = folder / "bin"
    if not (programs / "ninja").exists():
        venv.create(folder, with_pip=True)
        subprocess.run([programs / "pip", "install", "--quiet", "cmake", "ninja"], check=True)
    return programs


def forget_other_source(folder, peer):
    """cmake refuses a build folder of another checkout, although what was compiled is the same."""
    settings = folder / "CMakeCache.txt"
    if settings.exists() and f"CMAKE_HOME_DIRECTORY:INTERNAL={peer}\n" not in settings.read_text():
        settings.unlink()


def build_peer(cache, jobs):
    """Builds the peer for this machine's CPU and returns the folder of its programs."""
    programs, folder = tools(cache), cache / "build"
    peer = Path(__file__).resolve().parent / "peer"
    forget_other_source(folder, peer)
    configure = [
        programs / "cmake", "-S", peer, "-B", folder, "-G", "Ninja",
        f"-DCMAKE_MAKE_PROGRAM={programs / 'ninja'}", "-DCMAKE_BUILD_TYPE=Release",
        "-DGGML_NATIVE=ON", f"-DLLAMA_CPP_DIR={source()}",
    ]
    log = cache / "build.log"
    with open(log, "wb") as output:
        for command in (configure, [programs / "ninja", "-C", folder, "-j", str(jobs), *TARGETS]):
            done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT)
            if done.returncode != 0:
                raise SystemExit(f"the peer's build failed; {log} says why")
    return folder


def build(cache, jobs, pixtral_folder):
    """Builds what is missing; `pixtral_folder` holds our two programs, or is None to build them."""
    print("building llama.cpp (minutes, the first time)", file=sys.stderr)
    peer = build_peer(cache, jobs)
    if pixtral_folder is None:
        packages = ["-p", "pixtral-cli", "-p", "pixtral-quantize"]
        subprocess.run(["cargo", "build", "--release", "--locked", *packages], cwd=ROOT, check=True)
        pixtral_folder = ROOT / "target" / "release"
    programs = Programs(
        pixtral=pixtral_folder / "pixtral",
        quantize=pixtral_folder / "pixtral-quantize",
        mtmd_cli=peer / "llama-mtmd-cli",
        peer_bench=peer / "peer-bench",
        peer_quantize=peer / "peer-quantize",
    )
    for program in vars(programs).values():
        if not program.exists():
            raise SystemExit(f"{program} is missing")
    return programs
