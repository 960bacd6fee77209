"""Compares pixtral with llama.cpp on the same weights, machine and kernels. README.md explains."""

import argparse
import hashlib
import os
import platform
import sys
from pathlib import Path

import build
import files
import measure
from chart import chart
from ours import OURS
from peer import DEFAULT, PLAIN
from table import table

KINDS = ["load", "encode", "prefill", "decode", "answer", measure.COLD]


def size(text):
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT, found {text}")
    return text


def kinds(text):
    chosen = text.split(",")
    unknown = [kind for kind in chosen if kind not in KINDS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: expected some of {', '.join(KINDS)}")
    return chosen


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("cache", type=Path, help="folder for the peer's build, the files and the results")
    p.add_argument("--model", type=Path, help="a file of pixtral-quantize [default: random weights]")
    p.add_argument("--type", default="q4_k", help="type of the random weights [%(default)s]")
    p.add_argument("--shape", default="pixtral-12b", help="shape of the random weights [%(default)s]")
    p.add_argument("--pixtral", type=Path, metavar="DIR", help="folder of our programs [default: build them]")
    p.add_argument("--only", type=kinds, metavar="KIND,…", default=KINDS[:-1],
                   help=f"some of {', '.join(KINDS)} [all but the last]")
    p.add_argument("--pairs", type=int, default=5, metavar="N", help="runs of each side [%(default)s]")
    p.add_argument("--repetitions", type=int, default=1, metavar="N",
                   help="counted repetitions within a run, after one that is not [%(default)s]")
    p.add_argument("--sizes", type=size, nargs="+", metavar="WxH",
                   default=["256x256", "512x512", "1024x704", "1024x1024"], help="pictures to encode")
    p.add_argument("--picture", type=size, default="512x512", metavar="WxH", help="picture of the question")
    p.add_argument("--question", default="Describe the image.")
    p.add_argument("--prompt", type=int, default=512, metavar="N", help="tokens of prefill [%(default)s]")
    p.add_argument("--generate", type=int, default=32, metavar="N", help="tokens of decode [%(default)s]")
    p.add_argument("--context", type=int, default=8192, metavar="N", help="context of both [%(default)s]")
    p.add_argument("--threads", type=int, default=os.cpu_count(), metavar="N", help="threads of both [%(default)s]")
    p.add_argument("--build-only", action="store_true", help="build the peer and make the files, measure nothing")
    return p.parse_args()


def fingerprint(programs, compared, settings, picture):
    """Changes when a program, the weights or a setting does: older runs then do not count."""
    parts = [repr(settings), picture]
    for path in (*vars(programs).values(), *vars(compared).values()):
        about = path.stat()
        parts.append(f"{path} {about.st_size} {about.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def processor():
    """The processor's name as the system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def main():
    args = arguments()
    cache = args.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    programs = build.build(cache, args.threads, args.pixtral and args.pixtral.resolve())
    model = args.model and args.model.resolve()
    width, height = map(int, args.picture.split("x"))
    compared = files.make(programs.quantize, cache, model, args.type, args.shape, (width, height))
    if args.build_only:
        return
    settings = measure.Settings(args.threads, args.context, args.repetitions, args.question)
    mark = fingerprint(programs, compared, settings, args.picture)
    records = measure.Records(cache / "runs.jsonl", mark)
    sides = [OURS, DEFAULT, PLAIN]
    wanted = measure.jobs(args.only, args.sizes, args.prompt, args.generate)
    measure.measure(sides, programs, compared, settings, wanted, args.pairs, records,
                    lambda text: print(text, file=sys.stderr, flush=True))
    results = measure.results(records, wanted, sides, args.pairs)
    about = (
        f"{compared.model.name}, {compared.model.stat().st_size / 2**30:.2f} GiB, on {processor()}, "
        f"{args.threads} threads; {args.pairs} runs of each side in turn."
    )
    text = table(results, sides, about)
    (cache / "compare.md").write_text(text, encoding="utf-8")
    (cache / "compare.svg").write_text(chart(results, sides), encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
