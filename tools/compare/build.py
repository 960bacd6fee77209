"""Builds the peer: llama.cpp out of the crates.io package that pixtral takes ggml from.

That package leaves the source of llama.cpp's server out. Where the server is wanted it is built, with
llama.cpp's own CMake files, out of PyPI's llama-cpp-python, which holds all of llama.cpp one release
of ggml earlier (0.25.3 instead of 0.26.0).

Needs a C++ compiler. cmake and ninja come from PyPI into a virtual environment of its own.
"""

import hashlib
import json
import subprocess
import sys
import tarfile
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "llama-cpp-sys-2"
TARGETS = ("llama-mtmd-cli", "peer-bench", "peer-quantize")
SERVER_PACKAGE, SERVER_VERSION = "llama-cpp-python", "0.3.36"
SERVER_SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"


@dataclass(frozen=True)
class Programs:
    """The programs that are compared."""

    pixtral: Path
    quantize: Path
    mtmd_cli: Path
    peer_bench: Path
    peer_quantize: Path
    # None where it is not asked for.
    llama_server: Path = None


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
    peer = Path(__file__).resolve().parent / "peer"
    return make(cache, "build", peer, {"LLAMA_CPP_DIR": source()}, TARGETS, jobs)


def make(cache, name, source_folder, settings, targets, jobs):
    """Builds `targets` of a CMake project for this machine's CPU and returns the build's folder."""
    programs, folder = tools(cache), cache / name
    forget_other_source(folder, source_folder)
    configure = [
        programs / "cmake", "-S", source_folder, "-B", folder, "-G", "Ninja",
        f"-DCMAKE_MAKE_PROGRAM={programs / 'ninja'}", "-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON",
        *(f"-D{name}={value}" for name, value in settings.items()),
    ]
    log = cache / f"{name}.log"
    with open(log, "wb") as output:
        for command in (configure, [programs / "ninja", "-C", folder, "-j", str(jobs), *targets]):
            done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT)
            if done.returncode != 0:
                raise SystemExit(f"the peer's build failed; {log} says why")
    return folder


def server_source(cache):
    """The folder of the llama.cpp in PyPI's package, downloaded and checked once."""
    folder = cache / f"{SERVER_PACKAGE}-{SERVER_VERSION}"
    inside = f"{SERVER_PACKAGE.replace('-', '_')}-{SERVER_VERSION}"
    if not folder.exists():
        pip = tools(cache) / "pip"
        subprocess.run([pip, "install", "--quiet", "scikit-build-core"], check=True)
        subprocess.run(
            [pip, "download", "--quiet", "--no-deps", "--no-build-isolation", "--no-binary", ":all:",
             "--dest", cache, f"{SERVER_PACKAGE}=={SERVER_VERSION}"],
            check=True,
        )
        archive = cache / f"{inside}.tar.gz"
        if hashlib.sha256(archive.read_bytes()).hexdigest() != SERVER_SHA256:
            raise SystemExit(f"{archive} is not the file that this comparison was made with")
        unfinished = folder.with_suffix(".partial")
        with tarfile.open(archive) as packed:
            packed.extractall(unfinished)
        unfinished.rename(folder)
        archive.unlink()
    return folder / inside / "vendor" / "llama.cpp"


def build_server(cache, jobs):
    """Builds llama.cpp's server, without its page, and returns its path."""
    off = "BUILD_SHARED_LIBS LLAMA_BUILD_TESTS LLAMA_BUILD_EXAMPLES LLAMA_BUILD_APP LLAMA_BUILD_UI"
    off += " LLAMA_USE_PREBUILT_UI LLAMA_OPENSSL MTMD_VIDEO"
    settings = dict.fromkeys(off.split(), "OFF")
    return make(cache, "server-build", server_source(cache), settings, ["llama-server"], jobs) / "bin" / "llama-server"


def build(cache, jobs, pixtral_folder, served):
    """Builds what is missing, llama.cpp's server if it is `served`; `pixtral_folder` holds our two
    programs, or is None to build them."""
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
        llama_server=build_server(cache, jobs) if served else None,
    )
    for program in vars(programs).values():
        if program and not program.exists():
            raise SystemExit(f"{program} is missing")
    return programs
